"""What belongs to one Lua state: its memory, its random numbers, and who runs it."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from rotomdb.scripting.lua_api cimport lua_getallocf, lua_State

cdef struct Vm:
    int64_t used                          # bytes that Lua holds
    int64_t limit                         # that it may hold
    int unfailing                         # above 0: native code is at work, which Lua must not leave by an error
    bint killed                           # the running script is to end: no pcall may keep it alive
    lua_State* main                       # the state itself, whatever coroutine runs
    uint64_t random                       # state of math.random
    PyObject* run                         # its ScriptRun, borrowed

cdef inline Vm* vm_of(lua_State* L) noexcept nogil:
    """Of a state, or of a coroutine in it."""
    cdef void* found
    lua_getallocf(L, &found)
    return <Vm*>found
