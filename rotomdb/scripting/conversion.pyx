"""Replies of commands as Lua values, and what a script returns as a reply.

    RESP2           Lua                      RESP3 adds
    integer         number                   double       {double = number}
    bulk string     string                   boolean      boolean
    simple string   {ok = string}            null         nil
    error           {err = string}           map, set     {map = table}, {set = table of true}
    array           table                    big number   {big_number = string}
    null            false                    verbatim     {verbatim_string = {format = string, string = string}}
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport INT64_MIN, int64_t

from rotomdb.scripting.lua_api cimport (
    LUA_TBOOLEAN, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, bind_lua, lua_checkstack, lua_createtable, lua_next, lua_pop,
    lua_pushboolean, lua_pushlstring, lua_pushnil, lua_pushnumber, lua_pushvalue, lua_rawget, lua_rawgeti, lua_rawset,
    lua_rawseti, lua_State, lua_toboolean, lua_tolstring, lua_tonumber, lua_type,
)

from rotomdb.commands.reply import BLOCKED, NO_REPLY, NULL_ARRAY, MapReply, Protocol, PushReply, SetReply, Status, Verbatim
from rotomdb.engine.number import format_float
from rotomdb.errors import CommandError
from rotomdb.scripting.lua_library import path_of_lua

cdef object null_array = NULL_ARRAY
cdef object status_type = Status
cdef object verbatim_type = Verbatim
cdef object map_type = MapReply
cdef object set_type = SetReply
cdef object push_type = PushReply
cdef object protocol_type = Protocol

cdef enum:
    STACK_SLOTS = 8                       # that one level of a reply takes at most

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())


cdef inline void push_bytes(lua_State* L, bytes text) noexcept:
    lua_pushlstring(L, PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text))


cdef inline void put_field(lua_State* L, const char* name, size_t size) noexcept nogil:
    """table[name] = the value at the top; both the table and nothing else stays."""
    lua_pushlstring(L, name, size)
    lua_pushvalue(L, -2)
    lua_rawset(L, -4)
    lua_pop(L, 1)


cdef int room(lua_State* L) except -1:
    if not lua_checkstack(L, STACK_SLOTS):
        raise CommandError("ERR reached lua stack limit")
    return 0


# To Lua


cdef int push_error(lua_State* L, bytes text) except -1:
    room(L)
    lua_createtable(L, 0, 2)
    push_bytes(L, text)
    put_field(L, b"err", 3)
    return 0


cdef int push_array(lua_State* L, object elements, int resp) except -1:
    cdef int i = 0
    room(L)
    lua_createtable(L, <int>len(elements), 0)
    for element in elements:
        i += 1
        push_reply(L, element, resp)
        lua_rawseti(L, -2, i)
    return 0


cdef int push_map(lua_State* L, list flat, int resp) except -1:
    cdef Py_ssize_t i
    if resp < 3:
        return push_array(L, flat, resp)
    room(L)
    lua_createtable(L, 0, 1)
    lua_createtable(L, 0, 0)
    for i in range(0, len(flat) - 1, 2):
        push_reply(L, flat[i], resp)
        if lua_type(L, -1) == LUA_TNIL:
            lua_pop(L, 1)                      # no key of a table
            continue
        push_reply(L, flat[i + 1], resp)
        lua_rawset(L, -3)
    put_field(L, b"map", 3)
    return 0


cdef int push_set(lua_State* L, list elements, int resp) except -1:
    if resp < 3:
        return push_array(L, elements, resp)
    room(L)
    lua_createtable(L, 0, 1)
    lua_createtable(L, 0, 0)
    for element in elements:
        push_reply(L, element, resp)
        if lua_type(L, -1) == LUA_TNIL:
            lua_pop(L, 1)
            continue
        lua_pushboolean(L, 1)
        lua_rawset(L, -3)
    put_field(L, b"set", 3)
    return 0


cdef int push_reply(lua_State* L, object value, int resp) except -1:
    if PyBytes_CheckExact(value):
        room(L)
        push_bytes(L, value)
    elif PyLong_CheckExact(value):
        room(L)
        lua_pushnumber(L, <double>value)
    elif type(value) is list or type(value) is tuple:
        push_array(L, value, resp)
    else:
        room(L)
        push_rare(L, value, resp)
    return 0


cdef int push_rare(lua_State* L, object value, int resp) except -1:
    cdef object kind = type(value)
    if value is None or value is null_array:
        if resp < 3:
            lua_pushboolean(L, 0)
        else:
            lua_pushnil(L)
    elif kind is status_type:
        lua_createtable(L, 0, 1)
        push_bytes(L, bytes(value))
        put_field(L, b"ok", 2)
    elif isinstance(value, CommandError):
        push_command_error(L, value)
    elif kind is bool:
        lua_pushnumber(L, 1 if value else 0)
    elif kind is float:
        if resp < 3:
            push_bytes(L, format_float(value))
        else:
            lua_createtable(L, 0, 1)
            lua_pushnumber(L, <double>value)
            put_field(L, b"double", 6)
    elif kind is map_type:
        push_map(L, list(value), resp)
    elif kind is dict:
        push_map(L, [part for pair in value.items() for part in pair], resp)
    elif kind is set_type:
        push_set(L, list(value), resp)
    elif kind is push_type:
        push_array(L, value, resp)
    elif kind is verbatim_type:
        if resp < 3:
            push_bytes(L, bytes(value))
        else:
            lua_createtable(L, 0, 1)
            lua_createtable(L, 0, 2)
            lua_pushlstring(L, b"txt", 3)
            put_field(L, b"format", 6)
            push_bytes(L, bytes(value))
            put_field(L, b"string", 6)
            put_field(L, b"verbatim_string", 15)
    elif kind is str:
        push_bytes(L, value.encode())
    elif value is NO_REPLY or value is BLOCKED or kind is protocol_type:
        lua_pushboolean(L, 0)
    else:
        raise TypeError(f"a command returned {value!r}, which is no reply")
    return 0


cdef int push_command_error(lua_State* L, object error) except -1:
    """An error of a command: it is counted already, which the mark says to those who would count it once more."""
    push_error(L, error_text(error))
    lua_pushboolean(L, 1)
    put_field(L, b"ignore_error_stats_update", 25)
    return 0


cdef bytes error_text(object error):
    return str(error).rstrip("\r\n").encode("latin-1", "replace")


# From Lua


cdef inline bint has_field(lua_State* L, const char* name, size_t size, int kind) noexcept nogil:
    """Push table[name] of the table at the top; nothing is pushed unless it is of that type."""
    lua_pushlstring(L, name, size)
    lua_rawget(L, -2)
    if lua_type(L, -1) == kind:
        return True
    lua_pop(L, 1)
    return False


cdef bytes string_at_top(lua_State* L):
    cdef size_t size
    cdef const char* text = lua_tolstring(L, -1, &size)
    return PyBytes_FromStringAndSize(text, <Py_ssize_t>size)


cdef object take_string(lua_State* L):
    """The string at the top, which goes."""
    text = string_at_top(L)
    lua_pop(L, 1)
    return text


cdef inline int64_t as_integer(double number) noexcept nogil:
    """As the processor converts: what does not fit becomes the least integer."""
    return <int64_t>number if -9223372036854775808.0 <= number < 9223372036854775808.0 else INT64_MIN


cdef object one_line(bytes text):
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


cdef object take_reply(lua_State* L, int script_resp, int resp):
    cdef int kind = lua_type(L, -1)
    if kind == LUA_TSTRING:
        return string_at_top(L)
    if kind == LUA_TNUMBER:
        return as_integer(lua_tonumber(L, -1))
    if kind == LUA_TBOOLEAN:
        if script_resp < 3:
            return 1 if lua_toboolean(L, -1) else None
        if resp < 3:
            return 1 if lua_toboolean(L, -1) else 0
        return Protocol(b"#t\r\n" if lua_toboolean(L, -1) else b"#f\r\n")
    if kind == LUA_TTABLE:
        if not lua_checkstack(L, STACK_SLOTS):
            return CommandError("ERR reached lua stack limit")
        return take_table(L, script_resp, resp)
    return None


cdef object take_table(lua_State* L, int script_resp, int resp):
    cdef int i = 0
    cdef list elements
    if has_field(L, b"err", 3, LUA_TSTRING):
        return CommandError(take_string(L).partition(b"\0")[0].decode("latin-1"))
    if has_field(L, b"ok", 2, LUA_TSTRING):
        return Status(one_line(take_string(L).partition(b"\0")[0]))
    if has_field(L, b"double", 6, LUA_TNUMBER):
        number = lua_tonumber(L, -1)
        lua_pop(L, 1)
        return number
    if has_field(L, b"map", 3, LUA_TTABLE):
        elements = []
        lua_pushnil(L)
        while lua_next(L, -2):
            lua_pushvalue(L, -2)
            elements.append(take_reply(L, script_resp, resp))
            lua_pop(L, 1)
            elements.append(take_reply(L, script_resp, resp))
            lua_pop(L, 1)
        lua_pop(L, 1)
        return MapReply(elements)
    if has_field(L, b"set", 3, LUA_TTABLE):
        elements = []
        lua_pushnil(L)
        while lua_next(L, -2):
            lua_pop(L, 1)
            lua_pushvalue(L, -1)
            elements.append(take_reply(L, script_resp, resp))
            lua_pop(L, 1)
        lua_pop(L, 1)
        return SetReply(elements)
    if has_field(L, b"big_number", 10, LUA_TSTRING):
        digits = one_line(take_string(L))
        return digits if resp < 3 else Protocol(b"(%b\r\n" % digits)
    if has_field(L, b"verbatim_string", 15, LUA_TTABLE):
        if has_field(L, b"format", 6, LUA_TSTRING):
            form = take_string(L)
            if has_field(L, b"string", 6, LUA_TSTRING):
                text = take_string(L)
                lua_pop(L, 1)
                return text if resp < 3 else Protocol(b"=%d\r\n%b:%b\r\n" % (len(text) + 4, form[:3].ljust(3), text))
        lua_pop(L, 1)
    elements = []
    while True:
        i += 1
        lua_rawgeti(L, -1, i)
        if lua_type(L, -1) == LUA_TNIL:
            lua_pop(L, 1)
            return elements
        elements.append(take_reply(L, script_resp, resp))
        lua_pop(L, 1)
