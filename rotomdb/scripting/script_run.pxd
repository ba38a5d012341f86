from cpython.object cimport PyObject

from rotomdb.commands.dispatch cimport Command, Context, Dispatcher

cdef class ScriptContext(Context):
    cdef readonly Context caller
    cdef readonly str address

cdef class ScriptRun:
    cdef readonly Dispatcher dispatcher
    cdef readonly ScriptContext context
    cdef readonly object log              # called with (level, text)
    cdef readonly bint running
    cdef readonly bint read_only          # no command that writes
    cdef readonly bint wrote              # one did: from there on no state of the server stops the script
    cdef bint allow_oom
    cdef bint memory_short                # when the script began
    cdef readonly int replication         # whom its effects reach, as redis.set_repl numbers them
    cdef readonly object loading          # collects what redis.register_function gives, while a library is loaded
    cdef int begin(self, Context caller, bint read_only, bint allow_oom) except -1
    cdef void end(self) noexcept
    cdef object call(self, PyObject** arguments, int count)
    cdef str refusal(self, Command command)
    cdef object refuse(self, str text)
