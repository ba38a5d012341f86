from rotomdb.scripting.lua_api cimport lua_State

# Push what the chunk of a library finds as its globals while it is loaded. May raise errors of Lua.
cdef void push_library_globals(lua_State* L, const char* version, int version_number) noexcept
