from rotomdb.scripting.lua_api cimport lua_State

# Add `redis` (and `server`) to the table at the top. May raise errors of Lua.
cdef void open_redis(lua_State* L, const char* version, int version_number) noexcept
# The function that makes a table of an error that is none, and notes where it happened.
cdef int handle_error(lua_State* L) noexcept
