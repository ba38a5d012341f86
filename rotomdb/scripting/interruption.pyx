"""What makes a script stop for a moment, or for good: a hook that Lua calls every so many instructions.

Every thread of a Lua state has hooks of its own; a coroutine inherits those of the thread that makes it, and the hook is there from
the beginning. A script that was killed has the hook at every instruction, so that no `pcall` and no error handler keeps it alive.
"""

from rotomdb.scripting.conversion cimport push_error
from rotomdb.scripting.lua_api cimport (
    LUA_MASKCOUNT, bind_lua, lua_Debug, lua_error, lua_pushlstring, lua_sethook, lua_State,
)
from rotomdb.scripting.script_run cimport ScriptRun
from rotomdb.scripting.vm cimport Vm, vm_of

from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef enum:
    INSTRUCTIONS = 100000                 # between two looks at the clock


cdef void watch_instructions(lua_State* L) noexcept:
    """Of a thread that is about to run scripts."""
    lua_sethook(L, at_instruction, LUA_MASKCOUNT, INSTRUCTIONS)


cdef bint ends_here(lua_State* L) noexcept:
    """Let others have their turn where it is time; whether the script is to end."""
    cdef Vm* vm = vm_of(L)
    cdef ScriptRun run = <ScriptRun>vm.run
    return vm.killed or (run.is_due() and run.pause())


cdef void at_instruction(lua_State* L, lua_Debug* place) noexcept:
    cdef Vm* vm = vm_of(L)
    cdef bint ends
    vm.unfailing += 1
    ends = ends_here(L)
    vm.unfailing -= 1
    if ends:
        end_script(L)


cdef void push_reason(lua_State* L) noexcept:
    try:
        push_error(L, (<ScriptRun>vm_of(L).run).killed_by)
    except Exception:
        lua_pushlstring(L, b"ERR reached lua stack limit", 27)


cdef int end_script(lua_State* L) noexcept:
    """Raise the error that nothing in the script catches."""
    cdef Vm* vm = vm_of(L)
    vm.killed = True
    lua_sethook(L, at_instruction, LUA_MASKCOUNT, 1)
    lua_sethook(vm.main, at_instruction, LUA_MASKCOUNT, 1)
    vm.unfailing += 1
    push_reason(L)
    vm.unfailing -= 1
    return lua_error(L)
