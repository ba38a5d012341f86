from rotomdb.scripting.lua_api cimport lua_State

# Add `cmsgpack` to the table at the top. May raise errors of Lua.
cdef void open_msgpack(lua_State* L) noexcept
