from cpython.object cimport PyObject
from libc.stdint cimport int64_t

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
    cdef readonly str name                # what it is called in errors and in the log
    cdef readonly bint function           # of a library; else a script of EVAL
    cdef readonly int64_t number          # of this run among all
    cdef public int64_t busy_after_ms     # until others get turns; 0 or less: never
    cdef public object give_turn          # called with the run to let others have theirs; None: there is no event loop
    cdef readonly bytes killed_by         # the error that ends it; None: nobody has killed it
    cdef int64_t started_ns
    cdef int64_t next_turn_ns
    cdef readonly object register         # called with (name, description, flags, reference) of redis.register_function, while a
                                          # library is loaded
    cdef int begin(self, Context caller, str name, bint function, bint read_only, bint allow_oom) except -1
    cdef void begin_loading(self, register, int64_t timeout_ms) noexcept
    cdef void end_loading(self) noexcept
    cdef void end(self) noexcept
    cdef bint is_due(self) noexcept
    cdef bint pause(self) noexcept
    cdef object call(self, PyObject** arguments, int count)
    cdef str denial(self, Command command, PyObject** arguments, int count)
    cdef str refusal(self, Command command)
    cdef object refuse(self, str text)
