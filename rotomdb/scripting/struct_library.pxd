from rotomdb.scripting.lua_api cimport lua_State

# Add `struct` to the table at the top. May raise errors of Lua.
cdef void open_struct(lua_State* L) noexcept
