"""A script while it runs: for whom, what it may do, and the commands that it calls.

A command that a script calls is one inside EVAL for the dispatcher: its effects are the ones that are logged, together as one
transaction. What state of the server would refuse (memory, disk) refuses before the first write or not at all, so that no
script stops half-way for such a reason.
"""

from cpython.object cimport PyObject
from libc.stdint cimport INT64_MAX, int64_t

from rotomdb.commands.dispatch cimport Command, Context, Dispatcher
from rotomdb.commands.properties cimport (
    FLAG_DENYOOM, FLAG_LOADING, FLAG_NOSCRIPT, FLAG_STALE, FLAG_WRITE, MAY_REPLICATE,
)
from rotomdb.engine.memory cimport mem_used

from rotomdb.errors import CommandError

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()

cdef enum:
    REPLICATE_ALL = 3                     # redis.REPL_ALL
    REPLICATE_LOG = 1                     # redis.REPL_AOF

cdef int64_t TURN_EVERY_NS = 1000000     # of a busy script: enough for others, and dear enough to be rare

OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."
STALE_SCRIPT = (
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no' and 'allow-stale' flag is not set on "
    "the script."
)


cdef class ScriptContext(Context):
    """Who runs the commands of a script: a context of their own, so that SELECT and redis.setresp end with the script."""

    def __init__(self, Dispatcher dispatcher not None):
        Context.__init__(self, dispatcher)
        self.in_script = True
        self.address = "lua"


cdef class ScriptRun:
    """Args:
    log: Called with (level, text) of redis.log.
    """

    def __init__(self, Dispatcher dispatcher not None, log):
        self.dispatcher = dispatcher
        self.context = ScriptContext(dispatcher)
        self.log = log

    cdef int begin(self, Context caller, str name, bint function, bint read_only, bint allow_oom) except -1:
        cdef ScriptContext context = self.context
        context.caller = caller
        context.db = caller.db
        context.resp = 2
        context.replaying = caller.replaying
        context.authenticated = True
        context.user = caller.user
        context.no_touch = caller.no_touch
        context.tracking = caller.tracking
        self.read_only = read_only
        self.allow_oom = allow_oom
        self.wrote = False
        self.replication = REPLICATE_ALL
        self.memory_short = self.memory_is_short()
        self.name = name
        self.function = function
        self.number += 1
        self.killed_by = None
        self.started_ns = self.dispatcher.last_ns
        self.next_turn_ns = INT64_MAX
        if self.busy_after_ms > 0 and self.give_turn is not None:
            self.next_turn_ns = self.started_ns + self.busy_after_ms * 1000000
        self.running = True
        return 0

    cdef void end(self) noexcept:
        self.running = False
        self.context.caller = self.context.user = None
        self.dispatcher.unlogged = False

    # Libraries

    cdef void begin_loading(self, register, int64_t timeout_ms) noexcept:
        """A library is loaded, which must be done after that time; 0: it may take longer."""
        self.register = register
        self.next_turn_ns = rotom_monotonic_ns() + timeout_ms * 1000000 if timeout_ms else INT64_MAX

    cdef void end_loading(self) noexcept:
        self.register = None

    # Busy scripts

    cdef bint is_due(self) noexcept:
        """Whether others are to have a turn now."""
        return rotom_monotonic_ns() >= self.next_turn_ns

    cdef bint pause(self) noexcept:
        """Give others a turn; whether somebody wants the script to end."""
        if self.register is not None:
            self.killed_by = b"ERR FUNCTION LOAD timeout"
            return True
        try:
            self.give_turn(self)
        except Exception as error:
            self.log("warning", f"internal error while a script was busy: {type(error).__name__}: {error}")
        self.next_turn_ns = rotom_monotonic_ns() + TURN_EVERY_NS
        return self.killed_by is not None

    @property
    def elapsed_ms(self):
        """Since it began."""
        return (rotom_monotonic_ns() - self.started_ns) // 1000000

    def kill(self, bytes reason not None):
        """End the script at its next turn, with this error."""
        self.killed_by = reason

    def memory_is_short(self):
        return self.dispatcher.memory_limit and mem_used() > self.dispatcher.memory_limit

    def permit(self, frozenset flags not None, Context caller not None, bint read_only):
        """Raises CommandError where a script that declares these flags may not start in the present state."""
        if caller.replaying or b"no-writes" in flags:
            return
        if b"allow-oom" not in flags and self.memory_is_short():
            raise CommandError(OUT_OF_MEMORY)
        if self.dispatcher.write_error is not None:
            raise CommandError(self.dispatcher.write_error)
        if self.dispatcher.write_refusal is not None:
            raise CommandError(self.dispatcher.write_refusal)
        if self.dispatcher.stale_refusal is not None and b"allow-stale" not in flags:
            raise CommandError(STALE_SCRIPT)
        if read_only:
            raise CommandError("ERR Can not execute a script with write flag using *_ro command.")

    def replicate_to(self, int flags):
        """redis.set_repl: the log is written unless it is left out."""
        self.replication = flags
        self.dispatcher.unlogged = not flags & REPLICATE_LOG

    cdef object call(self, PyObject** arguments, int count):
        """Run a command; an error that keeps it from running comes back as a CommandError, too."""
        cdef Dispatcher dispatcher = self.dispatcher
        cdef Command command = dispatcher.lookup(arguments, count)
        cdef str refusal
        if command is None or command.function is None:
            if command is not None and count < -command.arity:
                return self.refuse("ERR Wrong number of args calling Redis command from script")
            return self.refuse("ERR Unknown Redis command called from script")
        if command.takes(count):
            if command.flags & FLAG_NOSCRIPT:
                return self.refuse("ERR This Redis command is not allowed from script")
            if not self.context.replaying:
                refusal = self.denial(command, arguments, count) or self.refusal(command)
                if refusal is not None:
                    command.rejected += 1
                    return self.refuse(refusal)
            if command.flags & FLAG_WRITE:
                self.wrote = True
            return dispatcher.run(self.context, command, arguments, count)
        return self.refuse("ERR Wrong number of args calling Redis command from script")

    cdef str denial(self, Command command, PyObject** arguments, int count):
        """Why the caller's user may not run it, or None."""
        cdef ScriptContext context = self.context
        if context.user is None or context.user.unrestricted:
            return None
        denied = self.dispatcher.denial(context, command, arguments, count, "lua")
        return None if denied is None else "ERR ACL failure in script: " + denied.removeprefix("NOPERM ")

    cdef str refusal(self, Command command):
        """Why the state of things forbids the command, or None."""
        cdef Dispatcher dispatcher = self.dispatcher
        if self.read_only and (command.flags & FLAG_WRITE or command.properties & MAY_REPLICATE):
            return "ERR Write commands are not allowed from read-only scripts."
        if command.flags & FLAG_WRITE and not self.wrote and dispatcher.write_error is not None:
            return dispatcher.write_error
        if command.flags & FLAG_WRITE and not self.wrote and dispatcher.write_refusal is not None:
            return dispatcher.write_refusal
        if self.memory_short and not self.wrote and not self.allow_oom and command.flags & FLAG_DENYOOM:
            return OUT_OF_MEMORY
        if dispatcher.stale_refusal is not None and not command.flags & FLAG_STALE:
            return "ERR Can not execute the command on a stale replica"
        if dispatcher.loading and not command.flags & FLAG_LOADING:
            return "LOADING Redis is loading the dataset in memory"
        return None

    cdef object refuse(self, str text):
        if self.dispatcher.on_error is not None:
            self.dispatcher.on_error(text)
        return CommandError(text)

    def permits(self, list words):
        """Whether the caller's user may run this; None: it is no command."""
        cdef Command command = self.dispatcher.named_by(words)
        if command is None or command.function is None:
            return None
        return self.dispatcher.would_deny(self.context.user, command, words) is None
