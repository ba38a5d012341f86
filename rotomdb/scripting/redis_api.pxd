from rotomdb.scripting.lua_api cimport lua_State
from rotomdb.scripting.script_run cimport ScriptRun

cdef enum:
    RAISE = -1                            # result of an inner function: its error is at the top
    KILLED = -2                           # the script ends

# Who runs the state's scripts.
cdef ScriptRun run_of(lua_State* L)
# Put an error of Redis's kind on the stack, for the outer function to raise.
cdef int fail(lua_State* L, bytes text) noexcept
# The end of every outer function: raise what the inner one left, or return its count of results.
cdef int finish(lua_State* L, int result) noexcept
# Add `redis` (and `server`) to the table at the top, for scripts or for functions. May raise errors of Lua.
cdef void open_redis(lua_State* L, const char* version, int version_number, bint functions) noexcept
# Add `log` with its levels, and the versions, to the table at the top. May raise errors of Lua.
cdef void put_log_and_version(lua_State* L, const char* version, int version_number) noexcept
# The function that makes a table of an error that is none, and notes where it happened.
cdef int handle_error(lua_State* L) noexcept
