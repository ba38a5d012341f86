"""Lua's C interface as Cython sees it. Every module that uses it calls `bind_lua(path_of_lua())` when it is imported.

Whatever may raise an error in Lua leaves by longjmp: a function that calls such a thing holds no Python object and no memory of
its own (rotomdb/scripting/__init__.py).
"""

cdef extern from "lua_api.h":
    ctypedef struct lua_State:
        pass
    ctypedef double lua_Number
    ctypedef ptrdiff_t lua_Integer
    ctypedef int (*lua_CFunction)(lua_State* L) noexcept
    ctypedef void* (*lua_Alloc)(void* ud, void* block, size_t old_size, size_t new_size) noexcept
    ctypedef struct lua_Debug:
        const char* name
        const char* what
        const char* source
        int currentline
        char* short_src
    ctypedef void (*lua_Hook)(lua_State* L, lua_Debug* ar) noexcept

cdef extern from "lua_api.h" nogil:
    enum:
        LUA_MULTRET, LUA_REGISTRYINDEX, LUA_GLOBALSINDEX, LUA_NOREF
        LUA_ERRRUN, LUA_ERRSYNTAX, LUA_ERRMEM, LUA_ERRERR
        LUA_TNONE, LUA_TNIL, LUA_TBOOLEAN, LUA_TLIGHTUSERDATA, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, LUA_TFUNCTION, LUA_TUSERDATA
        LUA_GCSTOP, LUA_GCRESTART, LUA_GCCOLLECT, LUA_GCCOUNT, LUA_GCSTEP
        LUA_MASKLINE, LUA_MASKCOUNT
    int lua_upvalueindex(int i)
    const char* bind_lua "rotom_bind_lua" (const char* path)
    lua_State* lua_newstate "rotom_lua_newstate" (lua_Alloc, void*)
    void lua_close "rotom_lua_close" (lua_State* L)
    lua_CFunction lua_atpanic "rotom_lua_atpanic" (lua_State* L, lua_CFunction)
    int lua_gettop "rotom_lua_gettop" (lua_State* L)
    void lua_settop "rotom_lua_settop" (lua_State* L, int)
    void lua_pushvalue "rotom_lua_pushvalue" (lua_State* L, int)
    void lua_remove "rotom_lua_remove" (lua_State* L, int)
    void lua_insert "rotom_lua_insert" (lua_State* L, int)
    void lua_replace "rotom_lua_replace" (lua_State* L, int)
    int lua_checkstack "rotom_lua_checkstack" (lua_State* L, int)
    int lua_type "rotom_lua_type" (lua_State* L, int)
    const char* lua_typename "rotom_lua_typename" (lua_State* L, int)
    int lua_isnumber "rotom_lua_isnumber" (lua_State* L, int)
    int lua_isstring "rotom_lua_isstring" (lua_State* L, int)
    int lua_rawequal "rotom_lua_rawequal" (lua_State* L, int, int)
    lua_Number lua_tonumber "rotom_lua_tonumber" (lua_State* L, int)
    lua_Integer lua_tointeger "rotom_lua_tointeger" (lua_State* L, int)
    int lua_toboolean "rotom_lua_toboolean" (lua_State* L, int)
    const char* lua_tolstring "rotom_lua_tolstring" (lua_State* L, int, size_t*)
    size_t lua_objlen "rotom_lua_objlen" (lua_State* L, int)
    void* lua_touserdata "rotom_lua_touserdata" (lua_State* L, int)
    const void* lua_topointer "rotom_lua_topointer" (lua_State* L, int)
    void lua_pushnil "rotom_lua_pushnil" (lua_State* L)
    void lua_pushnumber "rotom_lua_pushnumber" (lua_State* L, lua_Number)
    void lua_pushlstring "rotom_lua_pushlstring" (lua_State* L, const char*, size_t)
    void lua_pushstring "rotom_lua_pushstring" (lua_State* L, const char*)
    const char* lua_pushfstring "rotom_lua_pushfstring" (lua_State* L, const char*, ...)
    void lua_pushcclosure "rotom_lua_pushcclosure" (lua_State* L, lua_CFunction, int)
    void lua_pushboolean "rotom_lua_pushboolean" (lua_State* L, int)
    void lua_pushlightuserdata "rotom_lua_pushlightuserdata" (lua_State* L, void*)
    void lua_gettable "rotom_lua_gettable" (lua_State* L, int)
    void lua_getfield "rotom_lua_getfield" (lua_State* L, int, const char*)
    void lua_rawget "rotom_lua_rawget" (lua_State* L, int)
    void lua_rawgeti "rotom_lua_rawgeti" (lua_State* L, int, int)
    void lua_createtable "rotom_lua_createtable" (lua_State* L, int, int)
    int lua_getmetatable "rotom_lua_getmetatable" (lua_State* L, int)
    void lua_settable "rotom_lua_settable" (lua_State* L, int)
    void lua_setfield "rotom_lua_setfield" (lua_State* L, int, const char*)
    void lua_rawset "rotom_lua_rawset" (lua_State* L, int)
    void lua_rawseti "rotom_lua_rawseti" (lua_State* L, int, int)
    int lua_setmetatable "rotom_lua_setmetatable" (lua_State* L, int)
    int lua_setfenv "rotom_lua_setfenv" (lua_State* L, int)
    void lua_call "rotom_lua_call" (lua_State* L, int, int)
    int lua_pcall "rotom_lua_pcall" (lua_State* L, int, int, int)
    int lua_cpcall "rotom_lua_cpcall" (lua_State* L, lua_CFunction, void*)
    int lua_gc "rotom_lua_gc" (lua_State* L, int, int)
    int lua_error "rotom_lua_error" (lua_State* L)
    int lua_next "rotom_lua_next" (lua_State* L, int)
    void lua_concat "rotom_lua_concat" (lua_State* L, int)
    lua_Alloc lua_getallocf "rotom_lua_getallocf" (lua_State* L, void**)
    int lua_getstack "rotom_lua_getstack" (lua_State* L, int, lua_Debug*)
    int lua_getinfo "rotom_lua_getinfo" (lua_State* L, const char*, lua_Debug*)
    int lua_sethook "rotom_lua_sethook" (lua_State* L, lua_Hook, int, int)
    int luaL_loadbuffer "rotom_luaL_loadbuffer" (lua_State* L, const char*, size_t, const char*)
    int luaL_error "rotom_luaL_error" (lua_State* L, const char*, ...)
    int luaL_argerror "rotom_luaL_argerror" (lua_State* L, int, const char*)
    const char* luaL_checklstring "rotom_luaL_checklstring" (lua_State* L, int, size_t*)
    lua_Number luaL_checknumber "rotom_luaL_checknumber" (lua_State* L, int)
    lua_Integer luaL_checkinteger "rotom_luaL_checkinteger" (lua_State* L, int)
    lua_Integer luaL_optinteger "rotom_luaL_optinteger" (lua_State* L, int, lua_Integer)
    void luaL_checktype "rotom_luaL_checktype" (lua_State* L, int, int)
    void luaL_checkany "rotom_luaL_checkany" (lua_State* L, int)
    void luaL_checkstack "rotom_luaL_checkstack" (lua_State* L, int, const char*)
    int luaL_checkoption "rotom_luaL_checkoption" (lua_State* L, int, const char*, const char**)
    void luaL_where "rotom_luaL_where" (lua_State* L, int)
    int luaL_ref "rotom_luaL_ref" (lua_State* L, int)
    void luaL_unref "rotom_luaL_unref" (lua_State* L, int, int)
    int luaopen_base "rotom_luaopen_base" (lua_State* L)
    int luaopen_table "rotom_luaopen_table" (lua_State* L)
    int luaopen_string "rotom_luaopen_string" (lua_State* L)
    int luaopen_math "rotom_luaopen_math" (lua_State* L)


cdef inline void lua_pop(lua_State* L, int count) noexcept nogil:
    lua_settop(L, -count - 1)


cdef inline void set_function(lua_State* L, const char* name, lua_CFunction function) noexcept nogil:
    """table[name] = function, of the table at the top."""
    lua_pushcclosure(L, function, 0)
    lua_setfield(L, -2, name)
