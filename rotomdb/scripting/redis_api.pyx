"""What scripts call: the functions of the table `redis`, and the handler of their errors.

Functions come in pairs where Python objects are needed (rotomdb/scripting/__init__.py): `..._inner` holds them and never raises.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport floor
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from rotomdb.engine.number cimport format_double, format_int64
from rotomdb.scripting.conversion cimport push_error, push_reply
from rotomdb.scripting.interruption cimport end_script
from rotomdb.scripting.lua_api cimport (
    LUA_TBOOLEAN, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, bind_lua, lua_createtable, lua_Debug, lua_error,
    lua_getinfo, lua_getstack, lua_gettop, lua_isnumber, lua_pushboolean, lua_pushfstring, lua_pushlstring, lua_pushnumber,
    lua_pushstring, lua_pushvalue, lua_setfield, lua_settop, lua_State, lua_toboolean, lua_tolstring, lua_tonumber,
    lua_topointer, lua_type, lua_typename, luaL_error, set_function,
)
from rotomdb.scripting.script_run cimport ScriptRun
from rotomdb.scripting.vm cimport Vm, vm_of

import hashlib

from rotomdb.errors import CommandError
from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef enum:
    STACK_ARGUMENTS = 64
    NUMBER_BYTES = 48
    REPL_NONE = 0
    REPL_AOF = 1
    REPL_REPLICA = 2
    REPL_ALL = 3

LEVELS = ("debug", "verbose", "notice", "warning")


cdef ScriptRun run_of(lua_State* L):
    return <ScriptRun>vm_of(L).run


cdef int fail(lua_State* L, bytes text) noexcept:
    """An error of Redis's kind on the stack, for the outer function to raise."""
    try:
        push_error(L, text)
    except CommandError:
        lua_pushlstring(L, b"ERR reached lua stack limit", 27)
    return RAISE


cdef int finish(lua_State* L, int result) noexcept:
    """The end of every outer function: raise what the inner one left, or return its count of results."""
    cdef Vm* vm = vm_of(L)
    vm.unfailing -= 1
    if result == RAISE:
        return lua_error(L)
    if result == KILLED:
        return end_script(L)
    if vm.used > vm.limit:
        return luaL_error(L, b"not enough memory")
    return result


# Commands


cdef object argument_at(lua_State* L, int index):
    """A word of a command from a string or a number; None: it is neither."""
    cdef size_t size
    cdef const char* text
    cdef char digits[NUMBER_BYTES]
    cdef double number
    cdef int kind = lua_type(L, index)
    if kind == LUA_TSTRING:
        text = lua_tolstring(L, index, &size)
        return PyBytes_FromStringAndSize(text, <Py_ssize_t>size)
    if kind == LUA_TNUMBER:
        number = lua_tonumber(L, index)
        if -9.2e18 < number < 9.2e18 and floor(number) == number:
            size = <size_t>format_int64(digits, <int64_t>number)
        else:
            size = <size_t>format_double(digits, number)
        return PyBytes_FromStringAndSize(digits, <Py_ssize_t>size)
    return None


cdef int command_inner(lua_State* L, bint raises) noexcept:
    cdef int count = lua_gettop(L), taken = 0, i
    cdef PyObject* stack[STACK_ARGUMENTS]
    cdef PyObject** words = stack
    cdef object word
    cdef ScriptRun run = run_of(L)
    try:
        if not run.running:
            fail(L, b"ERR redis.call/pcall can only be called inside a script invocation")
            return RAISE
        # Of scripts that spend their time in commands the hook that counts instructions hears little.
        if run.dispatcher.last_ns >= run.next_turn_ns and run.pause():
            return KILLED
        if count == 0:
            fail(L, b"ERR Please specify at least one argument for this redis lib call")
            return RAISE if raises else 1
        if count > STACK_ARGUMENTS:
            words = <PyObject**>malloc(sizeof(PyObject*) * <size_t>count)
            if words == NULL:
                raise MemoryError()
        try:
            while taken < count:
                word = argument_at(L, taken + 1)
                if word is None:
                    fail(L, b"ERR Lua redis lib command arguments must be strings or integers")
                    return RAISE if raises else 1
                Py_INCREF(word)
                words[taken] = <PyObject*>word
                taken += 1
            value = run.call(words, count)
            push_reply(L, value, run.context.resp)
        finally:
            for i in range(taken):
                Py_DECREF(<object>words[i])
            if words != stack:
                free(words)
        return RAISE if raises and isinstance(value, CommandError) else 1
    except CommandError as error:
        fail(L, str(error).encode("latin-1", "replace"))
        return RAISE
    except BaseException as error:
        fail(L, f"ERR internal error: {type(error).__name__}: {error}".encode("latin-1", "replace"))
        return RAISE


cdef int redis_call(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, command_inner(L, True))


cdef int redis_pcall(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, command_inner(L, False))


cdef int acl_check_inner(lua_State* L) noexcept:
    cdef int count = lua_gettop(L), i
    cdef ScriptRun run = run_of(L)
    try:
        if count == 0:
            return fail(L, b"ERR Please specify at least one argument for this redis lib call")
        words = [argument_at(L, i + 1) for i in range(count)]
        if None in words:
            return fail(L, b"ERR redis.acl_check_cmd() require string arguments or integers")
        permitted = run.permits(words)
        if permitted is None:
            return fail(L, b"ERR Invalid command passed to redis.acl_check_cmd()")
        lua_pushboolean(L, 1 if permitted else 0)
        return 1
    except BaseException as error:
        return fail(L, f"ERR internal error: {type(error).__name__}: {error}".encode("latin-1", "replace"))


cdef int redis_acl_check_cmd(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, acl_check_inner(L))


# Replies


cdef int redis_error_reply(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, error_reply_inner(L))


cdef int error_reply_inner(lua_State* L) noexcept:
    cdef size_t size
    cdef const char* text
    if lua_gettop(L) != 1 or lua_type(L, 1) != LUA_TSTRING:
        fail(L, b"ERR wrong number or type of arguments")
        return 1
    text = lua_tolstring(L, 1, &size)
    fail(L, with_code(PyBytes_FromStringAndSize(text, <Py_ssize_t>size)))
    return 1


cdef bytes with_code(bytes text):
    """An error's text as one starts: with a code in front."""
    text = text.partition(b"\0")[0]
    text = text[1:] if text[:1] == b"-" else text
    code, space, rest = text.partition(b" ")
    if not space:
        code, rest = b"ERR", code
    return code + b" " + rest.strip(b"\r\n")


cdef int redis_status_reply(lua_State* L) noexcept:
    if lua_gettop(L) != 1 or lua_type(L, 1) != LUA_TSTRING:
        vm_of(L).unfailing += 1
        fail(L, b"ERR wrong number or type of arguments")
        return finish(L, 1)
    lua_createtable(L, 0, 1)
    lua_pushvalue(L, 1)
    lua_setfield(L, -2, b"ok")
    return 1


# The server


cdef int sha1_inner(lua_State* L) noexcept:
    cdef size_t size
    cdef const char* text
    if lua_gettop(L) != 1:
        return fail(L, b"ERR wrong number of arguments")
    text = lua_tolstring(L, 1, &size)
    if text == NULL:
        size = 0
    digest = hashlib.sha1(PyBytes_FromStringAndSize(text, <Py_ssize_t>size)).hexdigest().encode()
    lua_pushlstring(L, <char*>digest, 40)
    return 1


cdef int redis_sha1hex(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, sha1_inner(L))


cdef int log_inner(lua_State* L) noexcept:
    cdef int count = lua_gettop(L), level, i
    cdef size_t size
    cdef const char* text
    if count < 2:
        return fail(L, b"ERR redis.log() requires two arguments or more.")
    if not lua_isnumber(L, 1):
        return fail(L, b"ERR First argument must be a number (log level).")
    if not 0 <= lua_tonumber(L, 1) < 4:
        return fail(L, b"ERR Invalid debug level.")
    level = <int>lua_tonumber(L, 1)
    try:
        parts = []
        for i in range(2, count + 1):
            text = lua_tolstring(L, i, &size)
            if text != NULL:
                parts.append(PyBytes_FromStringAndSize(text, <Py_ssize_t>size).decode("utf-8", "backslashreplace"))
        run_of(L).log(LEVELS[level], " ".join(parts))
    except BaseException as error:
        return fail(L, f"ERR internal error: {type(error).__name__}: {error}".encode("latin-1", "replace"))
    return 0


cdef int redis_log(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, log_inner(L))


cdef int setresp_inner(lua_State* L) noexcept:
    if lua_gettop(L) != 1:
        return fail(L, b"ERR redis.setresp() requires one argument.")
    if not lua_isnumber(L, 1) or lua_tonumber(L, 1) not in (2, 3):
        return fail(L, b"ERR RESP version must be 2 or 3.")
    run_of(L).context.resp = <int>lua_tonumber(L, 1)
    return 0


cdef int redis_setresp(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, setresp_inner(L))


cdef int set_repl_inner(lua_State* L) noexcept:
    cdef int flags
    if lua_gettop(L) != 1:
        return fail(L, b"ERR redis.set_repl() requires one argument.")
    flags = <int>lua_tonumber(L, 1) if lua_isnumber(L, 1) else -1
    if flags & ~REPL_ALL:
        return fail(L, b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
    run_of(L).replicate_to(flags)
    return 0


cdef int redis_set_repl(lua_State* L) noexcept:
    vm_of(L).unfailing += 1
    return finish(L, set_repl_inner(L))


cdef int redis_replicate_commands(lua_State* L) noexcept:
    """What it once asked for is how every script is logged now."""
    lua_pushboolean(L, 1)
    return 1


cdef int redis_breakpoint(lua_State* L) noexcept:
    """There is no debugger that could stop here."""
    lua_pushboolean(L, 0)
    return 1


cdef int redis_debug(lua_State* L) noexcept:
    return 0


# Errors


cdef int handle_error(lua_State* L) noexcept:
    cdef lua_Debug place
    cdef bint known = False
    cdef int kind = lua_type(L, 1)
    lua_settop(L, 1)
    if lua_getstack(L, 1, &place):
        known = True
        lua_getinfo(L, b"nSl", &place)
        if place.what[0] == c'C' and lua_getstack(L, 2, &place):
            lua_getinfo(L, b"nSl", &place)
    if kind != LUA_TTABLE:
        lua_createtable(L, 0, 3)
        if kind == LUA_TSTRING or kind == LUA_TNUMBER:
            lua_pushfstring(L, b"ERR %s", lua_tolstring(L, 1, NULL))
        elif kind == LUA_TNIL:
            lua_pushstring(L, b"ERR nil")
        elif kind == LUA_TBOOLEAN:
            lua_pushstring(L, b"ERR true" if lua_toboolean(L, 1) else b"ERR false")
        else:
            lua_pushfstring(L, b"ERR %s: %p", lua_typename(L, kind), lua_topointer(L, 1))
        lua_setfield(L, -2, b"err")
    if known:
        lua_pushstring(L, place.source)
        lua_setfield(L, -2, b"source")
        lua_pushnumber(L, place.currentline)
        lua_setfield(L, -2, b"line")
    return 1


# Putting it together


cdef void put_number(lua_State* L, const char* name, double value) noexcept:
    lua_pushnumber(L, value)
    lua_setfield(L, -2, name)


cdef void put_log_and_version(lua_State* L, const char* version, int version_number) noexcept:
    set_function(L, b"log", redis_log)
    put_number(L, b"LOG_DEBUG", 0)
    put_number(L, b"LOG_VERBOSE", 1)
    put_number(L, b"LOG_NOTICE", 2)
    put_number(L, b"LOG_WARNING", 3)
    put_number(L, b"REDIS_VERSION_NUM", version_number)
    lua_pushstring(L, version)
    lua_setfield(L, -2, b"REDIS_VERSION")
    put_number(L, b"SERVER_VERSION_NUM", version_number)
    lua_pushstring(L, version)
    lua_setfield(L, -2, b"SERVER_VERSION")
    lua_pushstring(L, b"rotomdb")
    lua_setfield(L, -2, b"SERVER_NAME")


cdef void open_redis(lua_State* L, const char* version, int version_number, bint functions) noexcept:
    lua_createtable(L, 0, 32)
    set_function(L, b"call", redis_call)
    set_function(L, b"pcall", redis_pcall)
    put_log_and_version(L, version, version_number)
    set_function(L, b"setresp", redis_setresp)
    set_function(L, b"sha1hex", redis_sha1hex)
    set_function(L, b"error_reply", redis_error_reply)
    set_function(L, b"status_reply", redis_status_reply)
    set_function(L, b"set_repl", redis_set_repl)
    put_number(L, b"REPL_NONE", REPL_NONE)
    put_number(L, b"REPL_AOF", REPL_AOF)
    put_number(L, b"REPL_SLAVE", REPL_REPLICA)
    put_number(L, b"REPL_REPLICA", REPL_REPLICA)
    put_number(L, b"REPL_ALL", REPL_ALL)
    set_function(L, b"acl_check_cmd", redis_acl_check_cmd)
    if not functions:
        set_function(L, b"replicate_commands", redis_replicate_commands)
        set_function(L, b"breakpoint", redis_breakpoint)
        set_function(L, b"debug", redis_debug)
    lua_pushvalue(L, -1)
    lua_setfield(L, -3, b"server")
    lua_setfield(L, -2, b"redis")
    if not functions:
        set_function(L, b"__redis__err__handler", handle_error)
