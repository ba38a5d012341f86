"""What the chunk of a library may use while it is loaded: `redis.register_function`, `redis.log`, and nothing else.

Its functions see the other globals when they run, as they look them up then.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize

from rotomdb.scripting.lua_api cimport (
    LUA_REGISTRYINDEX, LUA_TFUNCTION, LUA_TNIL, LUA_TTABLE, bind_lua, lua_createtable, lua_gettop, lua_isstring, lua_next,
    lua_pop, lua_pushnil, lua_pushvalue, lua_rawgeti, lua_setfield, lua_setmetatable, lua_State, lua_tolstring, lua_type,
    luaL_ref, luaL_unref, set_function,
)
from rotomdb.scripting.redis_api cimport fail, finish, put_log_and_version, run_of
from rotomdb.scripting.sandbox cimport protect, refuse_unknown
from rotomdb.scripting.vm cimport vm_of

from rotomdb.errors import CommandError
from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef enum:
    NO_FUNCTION = -1                      # no reference is negative but Lua's own LUA_NOREF


cdef class Registration:
    """The arguments of a call of redis.register_function."""
    cdef bytes name, description
    cdef list flags
    cdef int callback

    def __init__(self):
        self.flags = []
        self.callback = NO_FUNCTION


cdef bytes text_at(lua_State* L, int index):
    """A string, or a number as one; None for anything else."""
    cdef size_t size
    cdef const char* text
    if not lua_isstring(L, index):
        return None
    text = lua_tolstring(L, index, &size)
    return PyBytes_FromStringAndSize(text, <Py_ssize_t>size)


cdef bytes read_positional(lua_State* L, Registration given):
    """The error, or None."""
    given.name = text_at(L, 1)
    if given.name is None:
        return b"ERR first argument to redis.register_function must be a string"
    if lua_type(L, 2) != LUA_TFUNCTION:
        return b"ERR second argument to redis.register_function must be a function"
    given.callback = luaL_ref(L, LUA_REGISTRYINDEX)
    return None


cdef bytes read_flags(lua_State* L, Registration given):
    """Of the table at the top."""
    cdef int i = 0
    while True:
        i += 1
        lua_rawgeti(L, -1, i)
        if lua_type(L, -1) == LUA_TNIL:
            lua_pop(L, 1)
            return None
        flag = text_at(L, -1)
        lua_pop(L, 1)
        if flag is None:
            return b"ERR unknown flag given"
        given.flags.append(flag)


cdef bytes read_field(lua_State* L, Registration given):
    """One field of the table, its name below its value at the top; the value goes."""
    cdef bytes field
    lua_pushvalue(L, -2)                       # to read a number as text changes it, which would end the traversal
    field = text_at(L, -1)
    lua_pop(L, 1)
    if field is None:
        return b"ERR named argument key given to redis.register_function is not a string"
    field = field.partition(b"\0")[0].lower()
    if field == b"function_name":
        given.name = text_at(L, -1)
        if given.name is None:
            return b"ERR function_name argument given to redis.register_function must be a string"
    elif field == b"description":
        given.description = text_at(L, -1)
        if given.description is None:
            return b"ERR description argument given to redis.register_function must be a string"
    elif field == b"callback":
        if lua_type(L, -1) != LUA_TFUNCTION:
            return b"ERR callback argument given to redis.register_function must be a function"
        lua_pushvalue(L, -1)
        luaL_unref(L, LUA_REGISTRYINDEX, given.callback)
        given.callback = luaL_ref(L, LUA_REGISTRYINDEX)
    elif field == b"flags":
        if lua_type(L, -1) != LUA_TTABLE:
            return b"ERR flags argument to redis.register_function must be a table representing function flags"
        error = read_flags(L, given)
        if error is not None:
            return error
    else:
        return b"ERR unknown argument given to redis.register_function"
    lua_pop(L, 1)
    return None


cdef bytes read_named(lua_State* L, Registration given):
    if lua_type(L, 1) != LUA_TTABLE:
        return (b"ERR calling redis.register_function with a single argument is only applicable to Lua table "
                b"(representing named arguments).")
    lua_pushnil(L)
    while lua_next(L, 1):
        error = read_field(L, given)
        if error is not None:
            return error
    if given.name is None:
        return b"ERR redis.register_function must get a function name argument"
    if given.callback == NO_FUNCTION:
        return b"ERR redis.register_function must get a callback argument"
    return None


cdef int register_inner(lua_State* L) noexcept:
    cdef int count = lua_gettop(L)
    cdef Registration given
    try:
        register = run_of(L).register
        if register is None:
            return fail(L, b"ERR redis.register_function can only be called on FUNCTION LOAD command")
        given = Registration()
        if count == 1:
            error = read_named(L, given)
        elif count == 2:
            error = read_positional(L, given)
        else:
            error = b"ERR wrong number of arguments to redis.register_function"
        if error is None:
            try:
                register(given.name, given.description, given.flags, given.callback)
                return 0
            except CommandError as refusal:
                error = str(refusal).encode("latin-1", "replace")
        luaL_unref(L, LUA_REGISTRYINDEX, given.callback)
        return fail(L, error)
    except BaseException as error:
        return fail(L, f"ERR internal error: {type(error).__name__}: {error}".encode("latin-1", "replace"))


cdef int redis_register_function(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, register_inner(L))


cdef void refuse_other_names(lua_State* L) noexcept:
    """The table at the top has no other fields than those that are there."""
    lua_createtable(L, 0, 1)
    set_function(L, b"__index", refuse_unknown)
    lua_setmetatable(L, -2)


cdef void push_library_globals(lua_State* L, const char* version, int version_number) noexcept:
    lua_createtable(L, 0, 2)
    lua_createtable(L, 0, 12)
    set_function(L, b"register_function", redis_register_function)
    put_log_and_version(L, version, version_number)
    refuse_other_names(L)
    protect(L)
    lua_pushvalue(L, -1)
    lua_setfield(L, -3, b"server")
    lua_setfield(L, -2, b"redis")
    refuse_other_names(L)
    protect(L)
