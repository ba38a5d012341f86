from rotomdb.scripting.lua_api cimport lua_State

cdef void watch_instructions(lua_State* L) noexcept
cdef int end_script(lua_State* L) noexcept
