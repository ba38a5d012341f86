/* The C interface of Lua 5.1, found at run time in the shared object that the package lupa brings along.
 *
 * There is nothing to link with: each module that uses Lua binds these names once, when it is imported. Names, signatures and
 * values of constants are those of Lua's reference manual.
 */
#ifndef ROTOM_LUA_API_H
#define ROTOM_LUA_API_H

#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

typedef struct lua_State lua_State;
typedef double lua_Number;
typedef ptrdiff_t lua_Integer;
typedef int (*lua_CFunction)(lua_State *L);
typedef void *(*lua_Alloc)(void *ud, void *block, size_t old_size, size_t new_size);

#define LUA_IDSIZE 60

typedef struct lua_Debug {
    int event;
    const char *name;
    const char *namewhat;
    const char *what;
    const char *source;
    int currentline;
    int nups;
    int linedefined;
    int lastlinedefined;
    char short_src[LUA_IDSIZE];
    int i_ci;
} lua_Debug;

typedef void (*lua_Hook)(lua_State *L, lua_Debug *ar);

#define LUA_MULTRET (-1)
#define LUA_REGISTRYINDEX (-10000)
#define LUA_GLOBALSINDEX (-10002)
#define lua_upvalueindex(i) (LUA_GLOBALSINDEX - (i))

#define LUA_ERRRUN 2
#define LUA_ERRSYNTAX 3
#define LUA_ERRMEM 4
#define LUA_ERRERR 5

#define LUA_TNONE (-1)
#define LUA_TNIL 0
#define LUA_TBOOLEAN 1
#define LUA_TLIGHTUSERDATA 2
#define LUA_TNUMBER 3
#define LUA_TSTRING 4
#define LUA_TTABLE 5
#define LUA_TFUNCTION 6
#define LUA_TUSERDATA 7

#define LUA_GCSTOP 0
#define LUA_GCRESTART 1
#define LUA_GCCOLLECT 2
#define LUA_GCCOUNT 3
#define LUA_GCSTEP 5

#define LUA_MASKLINE (1 << 2)
#define LUA_MASKCOUNT (1 << 3)

#define LUA_NOREF (-2)

/* result, name, parameters */
#define ROTOM_LUA_FUNCTIONS(X)                                                                                              \
    X(lua_State *, lua_newstate, (lua_Alloc, void *))                                                                       \
    X(void, lua_close, (lua_State *))                                                                                       \
    X(lua_CFunction, lua_atpanic, (lua_State *, lua_CFunction))                                                             \
    X(int, lua_gettop, (lua_State *))                                                                                       \
    X(void, lua_settop, (lua_State *, int))                                                                                 \
    X(void, lua_pushvalue, (lua_State *, int))                                                                              \
    X(void, lua_remove, (lua_State *, int))                                                                                 \
    X(void, lua_insert, (lua_State *, int))                                                                                 \
    X(void, lua_replace, (lua_State *, int))                                                                                \
    X(int, lua_checkstack, (lua_State *, int))                                                                              \
    X(int, lua_type, (lua_State *, int))                                                                                    \
    X(const char *, lua_typename, (lua_State *, int))                                                                       \
    X(int, lua_isnumber, (lua_State *, int))                                                                                \
    X(int, lua_isstring, (lua_State *, int))                                                                                \
    X(int, lua_rawequal, (lua_State *, int, int))                                                                           \
    X(lua_Number, lua_tonumber, (lua_State *, int))                                                                         \
    X(lua_Integer, lua_tointeger, (lua_State *, int))                                                                       \
    X(int, lua_toboolean, (lua_State *, int))                                                                               \
    X(const char *, lua_tolstring, (lua_State *, int, size_t *))                                                            \
    X(size_t, lua_objlen, (lua_State *, int))                                                                               \
    X(void *, lua_touserdata, (lua_State *, int))                                                                           \
    X(const void *, lua_topointer, (lua_State *, int))                                                                      \
    X(void, lua_pushnil, (lua_State *))                                                                                     \
    X(void, lua_pushnumber, (lua_State *, lua_Number))                                                                      \
    X(void, lua_pushlstring, (lua_State *, const char *, size_t))                                                           \
    X(void, lua_pushstring, (lua_State *, const char *))                                                                    \
    X(const char *, lua_pushfstring, (lua_State *, const char *, ...))                                                      \
    X(void, lua_pushcclosure, (lua_State *, lua_CFunction, int))                                                            \
    X(void, lua_pushboolean, (lua_State *, int))                                                                            \
    X(void, lua_pushlightuserdata, (lua_State *, void *))                                                                   \
    X(void, lua_gettable, (lua_State *, int))                                                                               \
    X(void, lua_getfield, (lua_State *, int, const char *))                                                                 \
    X(void, lua_rawget, (lua_State *, int))                                                                                 \
    X(void, lua_rawgeti, (lua_State *, int, int))                                                                           \
    X(void, lua_createtable, (lua_State *, int, int))                                                                       \
    X(int, lua_getmetatable, (lua_State *, int))                                                                            \
    X(void, lua_settable, (lua_State *, int))                                                                               \
    X(void, lua_setfield, (lua_State *, int, const char *))                                                                 \
    X(void, lua_rawset, (lua_State *, int))                                                                                 \
    X(void, lua_rawseti, (lua_State *, int, int))                                                                           \
    X(int, lua_setmetatable, (lua_State *, int))                                                                            \
    X(int, lua_setfenv, (lua_State *, int))                                                                                 \
    X(void, lua_call, (lua_State *, int, int))                                                                              \
    X(int, lua_pcall, (lua_State *, int, int, int))                                                                         \
    X(int, lua_cpcall, (lua_State *, lua_CFunction, void *))                                                                \
    X(int, lua_gc, (lua_State *, int, int))                                                                                 \
    X(int, lua_error, (lua_State *))                                                                                        \
    X(int, lua_next, (lua_State *, int))                                                                                    \
    X(void, lua_concat, (lua_State *, int))                                                                                 \
    X(lua_Alloc, lua_getallocf, (lua_State *, void **))                                                                     \
    X(int, lua_getstack, (lua_State *, int, lua_Debug *))                                                                   \
    X(int, lua_getinfo, (lua_State *, const char *, lua_Debug *))                                                           \
    X(int, lua_sethook, (lua_State *, lua_Hook, int, int))                                                                  \
    X(int, luaL_loadbuffer, (lua_State *, const char *, size_t, const char *))                                              \
    X(int, luaL_error, (lua_State *, const char *, ...))                                                                    \
    X(int, luaL_argerror, (lua_State *, int, const char *))                                                                 \
    X(const char *, luaL_checklstring, (lua_State *, int, size_t *))                                                        \
    X(lua_Number, luaL_checknumber, (lua_State *, int))                                                                     \
    X(lua_Integer, luaL_checkinteger, (lua_State *, int))                                                                   \
    X(lua_Integer, luaL_optinteger, (lua_State *, int, lua_Integer))                                                        \
    X(void, luaL_checktype, (lua_State *, int, int))                                                                        \
    X(void, luaL_checkany, (lua_State *, int))                                                                              \
    X(void, luaL_checkstack, (lua_State *, int, const char *))                                                              \
    X(int, luaL_checkoption, (lua_State *, int, const char *, const char *const *))                                         \
    X(void, luaL_where, (lua_State *, int))                                                                                 \
    X(int, luaL_ref, (lua_State *, int))                                                                                    \
    X(void, luaL_unref, (lua_State *, int, int))                                                                            \
    X(int, luaopen_base, (lua_State *))                                                                                     \
    X(int, luaopen_table, (lua_State *))                                                                                    \
    X(int, luaopen_string, (lua_State *))                                                                                   \
    X(int, luaopen_math, (lua_State *))

#define ROTOM_LUA_POINTER(result, name, parameters) static result(*rotom_##name) parameters;
ROTOM_LUA_FUNCTIONS(ROTOM_LUA_POINTER)
#undef ROTOM_LUA_POINTER

/* Resolve every name in the shared object; NULL, or what is missing. */
static const char *rotom_bind_lua(const char *path) {
    static char missing[512];
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(missing, sizeof(missing), "%s", dlerror());
        return missing;
    }
#define ROTOM_LUA_RESOLVE(result, name, parameters)                                                                         \
    *(void **)&rotom_##name = dlsym(library, #name);                                                                        \
    if (rotom_##name == NULL) {                                                                                             \
        snprintf(missing, sizeof(missing), "%s has no %s", path, #name);                                                    \
        return missing;                                                                                                     \
    }
    ROTOM_LUA_FUNCTIONS(ROTOM_LUA_RESOLVE)
#undef ROTOM_LUA_RESOLVE
    return NULL;
}

#endif
