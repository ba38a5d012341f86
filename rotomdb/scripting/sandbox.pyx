"""What a script sees of Lua's own libraries, and tables that it can read and not write.

Redis gives tables a flag for that; Lua as it is has none. Here a script gets an empty table in place of the real one: a metatable
leads reads to the real one and refuses writes, and those of Lua's functions that look past metatables (`next`, `rawget`,
`table.insert` ...) are replaced by ones that know of it.

Gone are files, bytecode, `print`, the environments of functions (they lead around the protection) and `newproxy` (finalizers run
at any time). Nothing here holds a Python object, as all of it may raise errors of Lua.
"""

from libc.math cimport floor
from libc.stdint cimport INT32_MAX, int32_t, uint64_t
from libc.time cimport CLOCKS_PER_SEC, clock

from rotomdb.scripting.lua_api cimport (
    LUA_GCCOLLECT, LUA_GCSTEP, LUA_GLOBALSINDEX, LUA_MULTRET, LUA_REGISTRYINDEX, LUA_TFUNCTION, LUA_TNIL, LUA_TNONE,
    LUA_TSTRING, LUA_TTABLE, bind_lua, lua_call, lua_CFunction, lua_concat, lua_createtable, lua_error, lua_gc,
    lua_getfield, lua_getmetatable, lua_gettop, lua_insert, lua_Integer, lua_isstring, lua_next, lua_Number, lua_objlen,
    lua_pcall, lua_pop, lua_pushboolean, lua_pushcclosure, lua_pushlightuserdata, lua_pushlstring, lua_pushnil,
    lua_pushnumber, lua_pushstring, lua_pushvalue, lua_rawequal, lua_rawget, lua_rawgeti, lua_rawset, lua_rawseti,
    lua_remove, lua_replace, lua_setfield, lua_setmetatable, lua_settop, lua_State, lua_tolstring, lua_type,
    lua_upvalueindex, luaL_argerror, luaL_checkany, luaL_checkinteger, luaL_checklstring, luaL_checkoption, luaL_checktype,
    luaL_error, luaL_loadbuffer, luaL_optinteger, luaopen_base, luaopen_math, luaopen_string, luaopen_table, set_function,
)
from rotomdb.scripting.vm cimport Vm, vm_of

from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef char real_table                      # its address: the field of a metatable that holds the table behind the empty one
cdef char string_metatable                # its address: the field of the registry that holds what scripts see of that metatable
cdef const char* READ_ONLY = b"Attempt to modify a readonly table"
cdef const char* NO_GLOBAL = b"Script attempted to access nonexistent global variable '%s'"

cdef const char** GARBAGE_OPTIONS = [b"stop", b"restart", b"collect", b"count", b"step", b"setpause", b"setstepmul", NULL]
cdef enum:
    COLLECT = 2
    COUNT = 3
    STEP = 4
    SET_PAUSE = 5


cdef int raise_plainly(lua_State* L, const char* message) noexcept:
    lua_pushstring(L, message)
    return lua_error(L)


cdef inline bint push_real(lua_State* L, int index) noexcept:
    """Whether the value is a protected table; the table behind it is pushed then, and else nothing."""
    if not lua_getmetatable(L, index):
        return False
    lua_pushlightuserdata(L, &real_table)
    lua_rawget(L, -2)
    lua_remove(L, -2)
    if lua_type(L, -1) == LUA_TTABLE:
        return True
    lua_pop(L, 1)
    return False


cdef inline void refuse_protected(lua_State* L, int index) noexcept:
    if push_real(L, index):
        raise_plainly(L, READ_ONLY)


cdef int refuse_write(lua_State* L) noexcept:
    return luaL_error(L, READ_ONLY)


cdef int refuse_unknown(lua_State* L) noexcept:
    cdef const char* name = lua_tolstring(L, 2, NULL)
    if name == NULL:
        name = b"?"
    return luaL_error(L, NO_GLOBAL, name)


cdef void protect(lua_State* L) noexcept:
    lua_createtable(L, 0, 0)                   # the one that scripts see
    lua_createtable(L, 0, 4)
    lua_pushvalue(L, -3)
    lua_setfield(L, -2, b"__index")
    set_function(L, b"__newindex", refuse_write)
    lua_pushlightuserdata(L, &real_table)
    lua_pushvalue(L, -4)
    lua_rawset(L, -3)
    lua_setmetatable(L, -2)
    lua_remove(L, -2)


# Functions that look past metatables


cdef int safe_next(lua_State* L) noexcept:
    luaL_checktype(L, 1, LUA_TTABLE)
    lua_settop(L, 2)
    if push_real(L, 1):
        lua_replace(L, 1)
    if lua_next(L, 1):
        return 2
    lua_pushnil(L)
    return 1


cdef int safe_pairs(lua_State* L) noexcept:
    luaL_checktype(L, 1, LUA_TTABLE)
    lua_pushvalue(L, lua_upvalueindex(1))
    lua_pushvalue(L, 1)
    lua_pushnil(L)
    return 3


cdef int safe_rawget(lua_State* L) noexcept:
    luaL_checktype(L, 1, LUA_TTABLE)
    luaL_checkany(L, 2)
    lua_settop(L, 2)
    if push_real(L, 1):
        lua_replace(L, 1)
    lua_rawget(L, 1)
    return 1


cdef int safe_rawset(lua_State* L) noexcept:
    luaL_checktype(L, 1, LUA_TTABLE)
    luaL_checkany(L, 2)
    luaL_checkany(L, 3)
    lua_settop(L, 3)
    refuse_protected(L, 1)
    lua_rawset(L, 1)
    return 1


cdef int safe_getmetatable(lua_State* L) noexcept:
    luaL_checkany(L, 1)
    if lua_type(L, 1) == LUA_TSTRING:
        lua_pushlightuserdata(L, &string_metatable)
        lua_rawget(L, LUA_REGISTRYINDEX)
        return 1
    if push_real(L, 1) or not lua_getmetatable(L, 1):
        lua_pushnil(L)
        return 1
    lua_pushstring(L, b"__metatable")
    lua_rawget(L, -2)
    if lua_type(L, -1) == LUA_TNIL:
        lua_pop(L, 1)
    return 1


cdef int safe_setmetatable(lua_State* L) noexcept:
    cdef int kind = lua_type(L, 2)
    luaL_checktype(L, 1, LUA_TTABLE)
    if kind != LUA_TNIL and kind != LUA_TTABLE:
        return luaL_argerror(L, 2, b"nil or table expected")
    refuse_protected(L, 1)
    if lua_getmetatable(L, 1):
        lua_pushstring(L, b"__metatable")
        lua_rawget(L, -2)
        if lua_type(L, -1) != LUA_TNIL:
            return luaL_error(L, b"cannot change a protected metatable")
    lua_settop(L, 2)
    lua_setmetatable(L, 1)
    return 1


cdef int safe_insert(lua_State* L) noexcept:
    cdef int end, position, i
    luaL_checktype(L, 1, LUA_TTABLE)
    end = <int>lua_objlen(L, 1) + 1
    if lua_gettop(L) == 2:
        position = end
    elif lua_gettop(L) == 3:
        position = <int>luaL_checkinteger(L, 2)
        if position > end:
            end = position
    else:
        return luaL_error(L, b"wrong number of arguments to 'insert'")
    refuse_protected(L, 1)
    for i in range(end, position, -1):
        lua_rawgeti(L, 1, i - 1)
        lua_rawseti(L, 1, i)
    lua_rawseti(L, 1, position)
    return 0


# Errors


cdef int safe_pcall(lua_State* L) noexcept:
    """As Lua's; an error of a command comes back as its text, which is what it was before errors were tables."""
    luaL_checkany(L, 1)
    lua_pushboolean(L, 1)
    lua_insert(L, 1)
    if lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0):
        if vm_of(L).killed:
            return lua_error(L)
        lua_remove(L, 1)
        if lua_type(L, -1) == LUA_TTABLE:
            lua_getfield(L, -1, b"err")
            if lua_isstring(L, -1):
                lua_replace(L, -2)
            else:
                lua_pop(L, 1)
        lua_pushboolean(L, 0)
        lua_insert(L, 1)
    return lua_gettop(L)


cdef int call_handler(lua_State* L) noexcept:
    """The handler of an xpcall, unless the script was killed: it would run where no hook can end it."""
    if vm_of(L).killed:
        return 1
    lua_pushvalue(L, lua_upvalueindex(1))
    lua_insert(L, 1)
    lua_call(L, 1, 1)
    return 1


cdef int safe_xpcall(lua_State* L) noexcept:
    cdef int status
    luaL_checkany(L, 2)
    lua_settop(L, 2)
    lua_pushcclosure(L, call_handler, 1)
    lua_insert(L, 1)
    status = lua_pcall(L, 0, LUA_MULTRET, 1)
    if status and vm_of(L).killed:
        return lua_error(L)
    lua_pushboolean(L, status == 0)
    lua_replace(L, 1)
    return lua_gettop(L)


# Code


cdef int load_text(lua_State* L, const char* text, size_t size, const char* name) noexcept:
    if size and text[0] == 27:                 # LUA_SIGNATURE
        # Behind a space it is text, which this byte cannot begin.
        lua_pushlstring(L, b" ", 1)
        lua_pushlstring(L, text, size)
        lua_concat(L, 2)
        text = lua_tolstring(L, -1, &size)
        status = luaL_loadbuffer(L, text, size, name)
        lua_remove(L, -2)
        return status
    return luaL_loadbuffer(L, text, size, name)


cdef int loaded(lua_State* L, int status) noexcept:
    """What `load` returns: the function, or nil and the error."""
    if status == 0:
        return 1
    lua_pushnil(L)
    lua_insert(L, -2)
    return 2


cdef int safe_loadstring(lua_State* L) noexcept:
    cdef size_t size
    cdef const char* text = luaL_checklstring(L, 1, &size)
    cdef const char* name = text
    if lua_type(L, 2) != LUA_TNIL and lua_type(L, 2) != LUA_TNONE:
        name = luaL_checklstring(L, 2, NULL)
    return loaded(L, load_text(L, text, size, name))


cdef int safe_load(lua_State* L) noexcept:
    cdef size_t size
    cdef const char* text
    cdef const char* name = b"=(load)"
    if lua_type(L, 2) != LUA_TNIL and lua_type(L, 2) != LUA_TNONE:
        name = luaL_checklstring(L, 2, NULL)
    luaL_checktype(L, 1, LUA_TFUNCTION)
    lua_settop(L, 3)                           # the third slot: the name must stay on the stack
    lua_pushlstring(L, b"", 0)
    while True:
        lua_pushvalue(L, 1)
        lua_call(L, 0, 1)
        if lua_type(L, -1) == LUA_TNIL:
            break
        if not lua_isstring(L, -1):
            return luaL_error(L, b"reader function must return a string")
        lua_tolstring(L, -1, &size)
        if size == 0:
            break
        lua_concat(L, 2)
    lua_pop(L, 1)
    text = lua_tolstring(L, -1, &size)
    return loaded(L, load_text(L, text, size, name))


cdef int safe_collectgarbage(lua_State* L) noexcept:
    """A script may ask and collect; it cannot stop what keeps the memory of all scripts small."""
    cdef int option = luaL_checkoption(L, 1, b"collect", GARBAGE_OPTIONS)
    cdef Vm* vm = vm_of(L)
    if option == COUNT:
        lua_pushnumber(L, <double>vm.used / 1024)
    elif option == COLLECT:
        lua_pushnumber(L, lua_gc(L, LUA_GCCOLLECT, 0))
    elif option == STEP:
        lua_pushboolean(L, lua_gc(L, LUA_GCSTEP, <int>luaL_optinteger(L, 2, 0)))
    else:
        lua_pushnumber(L, 200 if option >= SET_PAUSE else 0)
    return 1


# Numbers and time


cdef int32_t next_random(Vm* vm) noexcept:
    """The sequence of lrand48, the same on every machine."""
    vm.random = (vm.random * <uint64_t>0x5DEECE66D + 0xB) & ((<uint64_t>1 << 48) - 1)
    return <int32_t>(vm.random >> 17)


cdef int math_random(lua_State* L) noexcept:
    cdef lua_Number share = <lua_Number>(next_random(vm_of(L)) % INT32_MAX) / INT32_MAX
    cdef lua_Integer low = 1, high
    cdef int count = lua_gettop(L)
    if count == 0:
        lua_pushnumber(L, share)
        return 1
    if count > 2:
        return luaL_error(L, b"wrong number of arguments")
    high = <int>luaL_checkinteger(L, count)
    if count == 2:
        low = <int>luaL_checkinteger(L, 1)
    if low > high:
        return luaL_argerror(L, count, b"interval is empty")
    lua_pushnumber(L, floor(share * <lua_Number>(high - low + 1)) + <lua_Number>low)
    return 1


cdef int math_randomseed(lua_State* L) noexcept:
    vm_of(L).random = (<uint64_t><unsigned int>luaL_checkinteger(L, 1) << 16) + 0x330E
    return 0


cdef int os_clock(lua_State* L) noexcept:
    lua_pushnumber(L, <lua_Number>clock() / <lua_Number>CLOCKS_PER_SEC)
    return 1


# Putting it together


cdef void open_library(lua_State* L, lua_CFunction opener, const char* name) noexcept:
    lua_pushcclosure(L, opener, 0)
    lua_pushstring(L, name)
    lua_call(L, 1, 0)


cdef void forget(lua_State* L, const char* name) noexcept:
    lua_pushnil(L)
    lua_setfield(L, -2, name)


cdef void open_libraries(lua_State* L) noexcept:
    open_library(L, luaopen_base, b"")
    open_library(L, luaopen_table, b"table")
    open_library(L, luaopen_string, b"string")
    open_library(L, luaopen_math, b"math")
    lua_pushvalue(L, LUA_GLOBALSINDEX)
    lua_replace(L, -2)                         # the libraries know no other table than the state's own
    forget(L, b"dofile")
    forget(L, b"loadfile")
    forget(L, b"print")
    forget(L, b"getfenv")
    forget(L, b"setfenv")
    forget(L, b"newproxy")
    set_function(L, b"next", safe_next)
    lua_pushcclosure(L, safe_next, 0)
    lua_pushcclosure(L, safe_pairs, 1)
    lua_setfield(L, -2, b"pairs")
    set_function(L, b"rawget", safe_rawget)
    set_function(L, b"rawset", safe_rawset)
    set_function(L, b"getmetatable", safe_getmetatable)
    set_function(L, b"setmetatable", safe_setmetatable)
    set_function(L, b"pcall", safe_pcall)
    set_function(L, b"xpcall", safe_xpcall)
    set_function(L, b"load", safe_load)
    set_function(L, b"loadstring", safe_loadstring)
    set_function(L, b"collectgarbage", safe_collectgarbage)
    lua_getfield(L, -1, b"table")
    set_function(L, b"insert", safe_insert)
    lua_pop(L, 1)
    lua_getfield(L, -1, b"math")
    set_function(L, b"random", math_random)
    set_function(L, b"randomseed", math_randomseed)
    lua_pop(L, 1)
    lua_createtable(L, 0, 1)
    set_function(L, b"clock", os_clock)
    lua_setfield(L, -2, b"os")


cdef void hide_string_metatable(lua_State* L) noexcept:
    """What `getmetatable('')` gives: the protected table of functions as its __index. The globals are at the top."""
    lua_pushlightuserdata(L, &string_metatable)
    lua_createtable(L, 0, 1)
    lua_getfield(L, -3, b"string")
    lua_setfield(L, -2, b"__index")
    protect(L)
    lua_rawset(L, LUA_REGISTRYINDEX)


cdef void close_globals(lua_State* L) noexcept:
    cdef int globals = lua_gettop(L)
    lua_pushnil(L)
    while lua_next(L, globals):
        if lua_type(L, -1) == LUA_TTABLE and not lua_rawequal(L, -1, globals):
            protect(L)
            lua_pushvalue(L, -2)
            lua_insert(L, -2)
            lua_rawset(L, globals)             # of a field that is there, which a traversal allows
        else:
            lua_pop(L, 1)
    hide_string_metatable(L)
    lua_createtable(L, 0, 1)
    set_function(L, b"__index", refuse_unknown)
    lua_setmetatable(L, globals)
    protect(L)
    push_real(L, -1)
    lua_pushvalue(L, -2)
    lua_setfield(L, -2, b"_G")
    lua_pop(L, 1)
    lua_replace(L, LUA_GLOBALSINDEX)
