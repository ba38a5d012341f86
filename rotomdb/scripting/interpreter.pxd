from rotomdb.commands.dispatch cimport Context
from rotomdb.scripting.lua_api cimport lua_State
from rotomdb.scripting.script_run cimport ScriptRun
from rotomdb.scripting.vm cimport Vm

cdef class Interpreter:
    cdef lua_State* L
    cdef Vm vm
    cdef readonly ScriptRun run
    cdef int handler                      # reference of the error handler
    cdef int globals                      # of the table behind the globals
    cdef int library_globals              # of what is behind them while a library is loaded
    cdef readonly bint functions          # it runs functions of libraries; else scripts
    cdef int open_state(self) except -1
    cdef void make_room(self) noexcept
    cdef int push_words(self, tuple words, int start, int end) except -1
    cdef object call(self, int arguments, str name, Context caller, bint read_only, bint allow_oom)
    cdef void look_up_globals_in(self, int reference) noexcept
    cdef void revive(self) noexcept
    cdef int set_words(self, const char* name, size_t size, tuple words, int start, int end) except -1
    cdef object finish(self, int status, Context caller, str name)
