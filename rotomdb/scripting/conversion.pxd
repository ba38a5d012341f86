from rotomdb.scripting.lua_api cimport lua_State

# The value that a command returned, onto the stack. Not to be left by an error of Lua (Vm.unfailing).
cdef int push_reply(lua_State* L, object value, int resp) except -1
# {err = text}: an error as `redis.pcall` returns it. One slot is needed, two more are asked for.
cdef int push_error(lua_State* L, bytes text) except -1
# The value at the top as a reply; it stays there. `script_resp`: what the script chose, `resp`: what its caller speaks.
cdef object take_reply(lua_State* L, int script_resp, int resp)
