"""A Lua state: its memory, compiling, and running a script in it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, free, realloc

from rotomdb.commands.dispatch cimport Context
from rotomdb.scripting.bit_library cimport open_bit
from rotomdb.scripting.conversion cimport take_reply
from rotomdb.scripting.interruption cimport watch_instructions
from rotomdb.scripting.json_library cimport open_json
from rotomdb.scripting.library_api cimport push_library_globals
from rotomdb.scripting.lua_api cimport (
    LUA_GCCOLLECT, LUA_GLOBALSINDEX, LUA_REGISTRYINDEX, LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, bind_lua, lua_atpanic,
    lua_checkstack, lua_close, lua_cpcall, lua_createtable, lua_gc, lua_getmetatable, lua_newstate, lua_pcall, lua_pop, lua_pushcclosure,
    lua_pushlstring, lua_pushvalue, lua_rawget, lua_rawgeti, lua_rawset, lua_rawseti, lua_settop, lua_State, lua_tolstring,
    lua_touserdata, lua_type, luaL_ref, luaL_unref,
)
from rotomdb.scripting.msgpack_library cimport open_msgpack
from rotomdb.scripting.redis_api cimport handle_error, open_redis
from rotomdb.scripting.sandbox cimport close_globals, load_text, open_libraries
from rotomdb.scripting.script_run cimport ScriptRun
from rotomdb.scripting.struct_library cimport open_struct
from rotomdb.scripting.vm cimport Vm

from rotomdb.errors import CommandError
from rotomdb.scripting.lua_library import path_of_lua
from rotomdb.storage.rdb import REDIS_VERSION

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef bytes version_text = REDIS_VERSION.encode()
cdef int version_number = sum(int(part) << shift for part, shift in zip(REDIS_VERSION.split("."), (16, 8, 0)))
cdef uint64_t FIRST_RANDOM = 0x330E        # as srand48(0) sets it

cdef struct Opening:                       # what the function that fills a new state is told, and hands back
    bint functions
    int handler
    int globals
    int library_globals

cdef struct Chunk:                         # what is to be compiled
    const char* text
    size_t size
    const char* name
    int reference
    int status


cdef void* allocate(void* ud, void* block, size_t old_size, size_t new_size) noexcept nogil:
    """Lua's memory: counted, and limited unless native code is at work."""
    cdef Vm* vm = <Vm*>ud
    cdef void* moved
    if new_size == 0:
        free(block)
        vm.used -= <int64_t>old_size
        return NULL
    if new_size > old_size and not vm.unfailing and vm.used + <int64_t>(new_size - old_size) > vm.limit:
        return NULL
    moved = realloc(block, new_size)
    if moved == NULL:
        if vm.unfailing:
            fprintf(stderr, "Out Of Memory allocating %zu bytes!\n", new_size)
            abort()
        return block if new_size <= old_size else NULL       # Lua relies on that: to shrink never fails
    vm.used += <int64_t>new_size - <int64_t>old_size
    return moved


cdef int panic(lua_State* L) noexcept:
    """An error of Lua where nothing catches it, which no script can bring about."""
    cdef const char* text = lua_tolstring(L, -1, NULL)
    if text == NULL:
        text = b"an error that is no text"
    fprintf(stderr, "Lua: %s\n", text)
    abort()
    return 0


cdef int fill_state(lua_State* L) noexcept:
    cdef Opening* opening = <Opening*>lua_touserdata(L, 1)
    lua_settop(L, 0)
    lua_createtable(L, 0, 0)
    open_libraries(L)
    open_redis(L, version_text, version_number, opening.functions)
    open_json(L)
    open_msgpack(L)
    open_struct(L)
    open_bit(L)
    lua_pushvalue(L, -1)
    opening.globals = luaL_ref(L, LUA_REGISTRYINDEX)
    close_globals(L)
    lua_pushcclosure(L, handle_error, 0)
    opening.handler = luaL_ref(L, LUA_REGISTRYINDEX)
    if opening.functions:
        push_library_globals(L, version_text, version_number)
        opening.library_globals = luaL_ref(L, LUA_REGISTRYINDEX)
    return 0


cdef int compile_chunk(lua_State* L) noexcept:
    cdef Chunk* chunk = <Chunk*>lua_touserdata(L, 1)
    chunk.status = load_text(L, chunk.text, chunk.size, chunk.name)
    # The function, or the error's text: both stay until they are asked for.
    chunk.reference = luaL_ref(L, LUA_REGISTRYINDEX)
    return 0


cdef class Interpreter:
    """Args:
    run: Through which scripts reach the server.
    limit: Bytes that Lua may take.
    functions: It runs functions of libraries; else scripts.
    """

    def __init__(self, ScriptRun run not None, int64_t limit, bint functions=False):
        self.run = run
        self.functions = functions
        self.vm.limit = limit
        self.vm.run = <PyObject*>run
        self.vm.random = FIRST_RANDOM
        self.open_state()

    def __dealloc__(self):
        if self.L != NULL:
            lua_close(self.L)

    cdef int open_state(self) except -1:
        cdef Opening opening
        opening.functions = self.functions
        self.L = lua_newstate(allocate, &self.vm)
        if self.L == NULL:
            raise MemoryError()
        lua_atpanic(self.L, panic)
        if lua_cpcall(self.L, fill_state, &opening):
            raise MemoryError(self.text_at_top())
        self.vm.main = self.L
        watch_instructions(self.L)
        self.handler = opening.handler
        self.globals = opening.globals
        if self.functions:
            self.library_globals = opening.library_globals
        return 0

    @property
    def used_memory(self):
        return self.vm.used

    @property
    def memory_limit(self):
        return self.vm.limit

    @memory_limit.setter
    def memory_limit(self, int64_t limit):
        self.vm.limit = limit

    def text_at_top(self):
        cdef const char* text = lua_tolstring(self.L, -1, NULL)
        return (<bytes>text).decode("latin-1") if text != NULL else "unknown error"

    def compile(self, bytes code not None, bytes name not None):
        """The reference of the compiled function. Raises CommandError with Lua's words."""
        cdef Chunk chunk
        lua_settop(self.L, 0)
        self.make_room()
        chunk.text, chunk.size, chunk.name = PyBytes_AS_STRING(code), <size_t>PyBytes_GET_SIZE(code), name
        if lua_cpcall(self.L, compile_chunk, &chunk):
            raise CommandError(self.text_at_top())
        if chunk.status == 0:
            return chunk.reference
        lua_rawgeti(self.L, LUA_REGISTRYINDEX, chunk.reference)
        text = self.text_at_top()
        self.forget(chunk.reference)
        raise CommandError(text)

    def forget(self, int reference):
        """The function is not needed any more."""
        self.vm.unfailing += 1
        luaL_unref(self.L, LUA_REGISTRYINDEX, reference)
        self.vm.unfailing -= 1

    cdef void make_room(self) noexcept:
        """Lua collects as it goes on, and not when it is refused memory: what one script leaves must not fail the next."""
        if self.vm.used > self.vm.limit // 2:
            self.vm.unfailing += 1
            lua_gc(self.L, LUA_GCCOLLECT, 0)
            self.vm.unfailing -= 1

    def evaluate(self, int reference, str name, Context caller not None, tuple words not None, int keys, int first,
                 bint read_only, bint allow_oom):
        """Run a compiled script; returns its reply, or raises its error.

        Args:
            name: Of the script, for errors.
            words: Arguments of the command: from `first` on so many keys, then the rest.
        """
        cdef lua_State* L = self.L
        lua_settop(L, 0)
        self.make_room()
        self.vm.unfailing += 1
        try:
            lua_rawgeti(L, LUA_REGISTRYINDEX, self.handler)
            lua_rawgeti(L, LUA_REGISTRYINDEX, reference)
            lua_rawgeti(L, LUA_REGISTRYINDEX, self.globals)
            self.set_words(b"KEYS", 4, words, first, first + keys)
            self.set_words(b"ARGV", 4, words, first + keys, <int>len(words))
            lua_pop(L, 1)
        finally:
            self.vm.unfailing -= 1
        self.vm.random = FIRST_RANDOM
        return self.call(0, name, caller, read_only, allow_oom)

    def call_function(self, int reference, str name, Context caller not None, tuple words not None, int keys, bint read_only,
                      bint allow_oom):
        """Run a function of a library; returns its reply, or raises its error. The first words are its keys."""
        cdef lua_State* L = self.L
        lua_settop(L, 0)
        self.make_room()
        self.vm.unfailing += 1
        try:
            lua_rawgeti(L, LUA_REGISTRYINDEX, self.handler)
            lua_rawgeti(L, LUA_REGISTRYINDEX, reference)
            self.push_words(words, 0, keys)
            self.push_words(words, keys, <int>len(words))
        finally:
            self.vm.unfailing -= 1
        return self.call(2, name, caller, read_only, allow_oom)

    cdef object call(self, int arguments, str name, Context caller, bint read_only, bint allow_oom):
        """Call the function that is on the stack with its arguments, the handler of errors below."""
        cdef lua_State* L = self.L
        cdef int status
        self.run.begin(caller, name, self.functions, read_only, allow_oom)
        status = lua_pcall(L, arguments, 1, 1)
        self.vm.unfailing += 1
        self.revive()
        try:
            return self.finish(status, caller, name)
        finally:
            self.run.end()
            lua_settop(L, 0)
            self.vm.unfailing -= 1

    def load_library(self, int reference, register not None, int64_t timeout_ms):
        """Run the compiled chunk of a library, which registers its functions. Raises CommandError with the words of its error.

        Args:
            register: Called with (name, description, flags, reference) of each; raises CommandError where that is none.
            timeout_ms: How long it may take; 0: without end.
        """
        cdef lua_State* L = self.L
        cdef int status
        lua_settop(L, 0)
        self.make_room()
        self.vm.unfailing += 1
        lua_rawgeti(L, LUA_REGISTRYINDEX, self.handler)
        lua_rawgeti(L, LUA_REGISTRYINDEX, reference)
        self.look_up_globals_in(self.library_globals)
        self.vm.unfailing -= 1
        self.run.begin_loading(register, timeout_ms)
        status = lua_pcall(L, 0, 0, 1)
        self.run.end_loading()
        self.vm.unfailing += 1
        self.revive()
        self.look_up_globals_in(self.globals)
        try:
            if status:
                text = self.field(b"err", LUA_TSTRING) if lua_type(L, -1) == LUA_TTABLE else None
                raise CommandError(self.text_at_top() if text is None else text.decode("latin-1"))
        finally:
            lua_settop(L, 0)
            self.vm.unfailing -= 1

    cdef void look_up_globals_in(self, int reference) noexcept:
        """Change what every function finds that looks up a global from now on."""
        lua_getmetatable(self.L, LUA_GLOBALSINDEX)
        lua_pushlstring(self.L, b"__index", 7)
        lua_rawgeti(self.L, LUA_REGISTRYINDEX, reference)
        lua_rawset(self.L, -3)
        lua_pop(self.L, 1)

    cdef void revive(self) noexcept:
        """Nothing of a killed script is left that would end the next."""
        if self.vm.killed:
            self.vm.killed = False
            watch_instructions(self.L)

    cdef int set_words(self, const char* name, size_t size, tuple words, int start, int end) except -1:
        """A table of words as a global; the globals are at the top."""
        lua_pushlstring(self.L, name, size)
        self.push_words(words, start, end)
        lua_rawset(self.L, -3)
        return 0

    cdef int push_words(self, tuple words, int start, int end) except -1:
        """A table of them."""
        cdef lua_State* L = self.L
        cdef int i
        cdef bytes word
        lua_createtable(L, end - start, 0)
        for i in range(start, end):
            word = <bytes>words[i]
            lua_pushlstring(L, PyBytes_AS_STRING(word), <size_t>PyBytes_GET_SIZE(word))
            lua_rawseti(L, -2, i - start + 1)
        return 0

    cdef object finish(self, int status, Context caller, str name):
        """The reply of a script that has ended, or its error with the place."""
        cdef lua_State* L = self.L
        if status == 0:
            reply = take_reply(L, self.run.context.resp, caller.resp)
            return self.counted(reply) if isinstance(reply, CommandError) else reply
        if lua_type(L, -1) != LUA_TTABLE:
            raise CommandError(f"ERR Error running script {name}, {self.text_at_top()[:100]}")
        text = self.field(b"err", LUA_TSTRING)
        text = "ERR unknown error" if text is None else text.decode("latin-1")
        source, line = self.field(b"source", LUA_TSTRING), self.field(b"line", LUA_TNUMBER)
        if source is not None and line is not None:
            text += f" script: {name}, on {source.decode('latin-1')}:{line.decode()}."
        return self.counted(CommandError(text))

    def counted(self, error):
        """The error in the table at the top: raised, unless it is a command's, which was counted when it failed."""
        if self.field(b"ignore_error_stats_update", LUA_TBOOLEAN) is None:
            raise error
        return error

    def field(self, bytes name, int kind):
        """A field of the table at the top as text; None: it is not of that type."""
        cdef size_t size
        cdef const char* text
        cdef lua_State* L = self.L
        lua_checkstack(L, 2)
        lua_pushlstring(L, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))
        lua_rawget(L, -2)
        found = None
        if lua_type(L, -1) == kind:
            text = lua_tolstring(L, -1, &size)
            found = b"" if text == NULL else text[:size]
        lua_pop(L, 1)
        return found
