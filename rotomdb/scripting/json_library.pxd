from rotomdb.scripting.lua_api cimport lua_State

# Add `cjson` to the table at the top. May raise errors of Lua.
cdef void open_json(lua_State* L) noexcept
