from rotomdb.scripting.lua_api cimport lua_State

# Add `bit` to the table at the top. May raise errors of Lua.
cdef void open_bit(lua_State* L) noexcept
