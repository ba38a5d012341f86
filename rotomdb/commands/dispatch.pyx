"""Dispatcher: finds a command, checks it, converts its arguments, calls its function, and propagates what it did.

The same path serves a socket, a transaction, the replay of an AOF and use inside a process: it takes argument bytes and
returns the Python value that the command function returned, or a CommandError.

Propagation (docs/formats.md, section 6.9): a command that changed something goes into the stream as it was received,
unless its function called `ctx.propagate()`. Keys that expired on the way go first. When a unit (a command, or a whole
transaction) has more than one effect, MULTI and EXEC stand around them.
"""

import traceback

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from rotomdb.commands.latency_histogram cimport (
    histogram_count, histogram_make, histogram_percentile, histogram_steps,
)
from rotomdb.commands.permissions cimport Subject, User
from rotomdb.commands.properties cimport (
    ALWAYS_TOUCHES, FLAG_ALLOW_BUSY, FLAG_DENYOOM, FLAG_FAST, FLAG_LOADING, FLAG_NO_AUTH, FLAG_NO_MULTI, FLAG_READONLY, FLAG_STALE,
    FLAG_SKIP_SLOWLOG, FLAG_TOUCHES_ARBITRARY_KEYS, FLAG_WRITE, MAY_EMPTY, NEVER_QUEUED, ONLY_ASKS, READS_KEYS,
    REFUSED_WITH_WRITES, RUNS_QUEUE, SEES_ALL_KEYS, WHILE_SUBSCRIBED,
)
from rotomdb.engine.keyspace cimport Engine, Keyspace, mark_all_unsynced, mark_unsynced
from rotomdb.engine.memory cimport mem_count, mem_used
from rotomdb.engine.number cimport parse_double, parse_int64
from rotomdb.storage.propagation cimport PropagationStream

from rotomdb.commands.permissions import DENIED_CHANNEL, DENIED_COMMAND, DENIED_KEY
from rotomdb.commands.reply import BLOCKED, QUEUED
from rotomdb.errors import CommandError
from rotomdb.storage.propagation import as_argument

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject** arguments, size_t count, PyObject* names)

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()
    int64_t rotom_unix_us()

cdef enum:
    STACK_ARGUMENTS = 24              # calls with more take their argument vector from the heap

CHANGED_SINCE_QUEUED = (
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer "
    "allowed for the following reason: "
)
REASONS = {
    DENIED_COMMAND: "no permission to execute the command or subcommand",
    DENIED_KEY: "no permission to touch the specified keys",
    DENIED_CHANNEL: "no permission to access one of the channels used as arguments to the command",
}
cdef object queued_reply = QUEUED
cdef bytes MULTI = b"MULTI"
cdef bytes EXEC = b"EXEC"
cdef bytes DEL = b"DEL"
cdef bytes HDEL = b"HDEL"


cdef class Command:
    """A registered command inside one dispatcher, with its counters."""

    def __init__(self, spec):
        self.spec = spec
        self.name = spec.name
        self.subject = Subject(spec)
        self.function = spec.function
        self.subcommands = None
        self.words = 2 if "|" in spec.name else 1
        self.arity = spec.arity
        self.max_arguments = spec.max_arguments
        self.flags = spec.flags
        self.converters = spec.converters.encode()
        self.rest = ord(spec.rest) if spec.rest else 0
        self.plain = not set(spec.converters + spec.rest) & {"I", "F"}
        self.properties = spec.properties

    def add_subcommand(self, Command command):
        if self.subcommands is None:
            self.subcommands = {}
        command.properties |= self.properties
        self.subcommands[command.name.partition("|")[2].encode()] = command

    def __dealloc__(self):
        free(self.histogram)

    cdef bint takes(self, int count) noexcept:
        """Whether a request of so many words can be one of it."""
        if self.arity >= 0:
            return count == self.arity
        return count >= -self.arity and (self.max_arguments < 0 or count <= self.max_arguments)

    def reset_counters(self):
        self.calls = self.nanoseconds = self.rejected = self.failed = 0
        free(self.histogram)
        self.histogram = NULL

    def latency_histogram(self):
        """(calls, [microseconds, calls that took at most so many, ...]) by powers of two; None without any call."""
        return None if self.histogram == NULL else (self.histogram.total, histogram_steps(self.histogram))

    def latency_percentile(self, double percent):
        """Microseconds that this share of the calls did not exceed, to two digits."""
        return 0.0 if self.histogram == NULL else histogram_percentile(self.histogram, percent) / 1000


cdef class Context:
    """Who runs a command: its database, its protocol and its transaction. A client connection is one."""

    def __init__(self, Dispatcher dispatcher not None):
        self.dispatcher = dispatcher
        self.engine = dispatcher.engine
        self.db = dispatcher.engine.databases[0]
        self.resp = 2
        self.authenticated = True
        self.queue = []
        self.watched = []

    def __dealloc__(self):
        mem_count(-self.queue_bytes)

    @property
    def now_ms(self):
        """Unix time in ms that the running command sees."""
        return self.engine.now_ms

    @property
    def server(self):
        """Whoever runs the commands. Raises CommandError: nobody does, as in tools; see `Dispatcher.server`."""
        if self.dispatcher.server is None:
            raise CommandError("ERR this command needs a server")
        return self.dispatcher.server

    def changed(self, bytes key, str event, int64_t count=1):
        """A write touched `key`: count it, and fail the transactions that watch it.

        Args:
            event: Name of the keyspace event; empty: none is published.
            count: Changes to add to the dirty counter.
        """
        self.dispatcher.dirty += count
        if self.dispatcher.watch_unsynced:
            mark_unsynced(self.engine, key, self.dispatcher.stream.offset + 1)
        if self.dispatcher.watchers or self.dispatcher.awaited or self.dispatcher.on_write is not None:
            self.dispatcher.touch(self.db.index, key)
        if self.dispatcher.on_event is not None:
            self.dispatcher.happened(self, self.db, key, event)

    def event(self, bytes key, str event):
        """Tell those who listen to keyspace events of something more that the command did to the key."""
        if self.dispatcher.on_event is not None:
            self.dispatcher.happened(self, self.db, key, event)

    def block(self, keys, bytes type_name, int64_t timeout_ms, otherwise, list request=None):
        """Wait until one of the keys holds a value of the type; the result is what the command function returns.

        Args:
            type_name: None: try again on any change, also when the key has gone.
            request: What to run then, where it is not the running command as it came.

        A timeout replies with the null array. Where waiting is impossible (inside a transaction, in a replay) the
        reply is `otherwise`, at once.
        """
        if self.dispatcher.retrying:
            return BLOCKED
        if self.dispatcher.depth > 1 or self.replaying or self.dispatcher.on_block is None:
            return otherwise
        self.dispatcher.on_block(self, keys, type_name, timeout_ms, request)
        return BLOCKED

    def block_until(self, ready, reply, int64_t timeout_ms):
        """Wait until `ready()`, at most `timeout_ms` (0: without end), then answer with `reply()`.

        Where waiting is impossible, and where there is nothing to wait for, the answer is given at once.
        """
        if self.dispatcher.depth > 1 or self.replaying or self.dispatcher.on_block_until is None or ready():
            return reply()
        self.dispatcher.on_block_until(self, ready, reply, timeout_ms)
        return BLOCKED

    def propagate(self, *arguments):
        """Append this command to the stream, in place of the running one. May be called several times."""
        self.dispatcher.explicit = True
        if self.dispatcher.unlogged:
            return
        self.dispatcher.pending.append((self.db.index, tuple([as_argument(argument) for argument in arguments])))

    def request(self):
        """The running command's arguments, its name included."""
        return [<object>self.raw_arguments[i] for i in range(self.raw_count)]

    def select(self, int index):
        """Switch to another database; False when there is none of that number."""
        if not 0 <= index < len(self.engine.databases):
            return False
        self.db = self.engine.databases[index]
        return True

    def discard(self):
        """Leave MULTI and forget what was queued and watched."""
        self.in_multi = False
        self.abort_exec = False
        self.queue = []
        mem_count(-self.queue_bytes)
        self.queue_bytes = 0
        self.unwatch()

    def unwatch(self):
        for index, key in self.watched:
            contexts = self.dispatcher.watchers.get((index, key))
            if contexts is not None:
                contexts.discard(self)
                if not contexts:
                    del self.dispatcher.watchers[index, key]
        self.watched = []
        self.watched_changed = False

    def in_parts(self, kind, int64_t count, parts, *, bint all_taken=False):
        """A reply of `count` elements that are made bit by bit: what the command function returns, last of all that it does.

        A connection puts each part out as it comes, so that neither all values nor more output than the client may have are
        ever there; here they are gathered.

        Args:
            kind: list, MapReply or SetReply.
            count: -1: nobody knows before the last part.
            parts: Gives lists of elements.
            all_taken: Also when nobody wants the reply any more: making the parts has effects.
        """
        values = kind()
        for part in parts:
            values += part
        return values

    def execute(self, *arguments):
        """Run one command given as separate words and return its value; raises the CommandError it replies with.

        Inside a command this is what goes into the stream, in place of the command itself.
        """
        cdef bint trusted = self.trusted
        self.trusted = True
        try:
            value = self.dispatcher.execute(self, [as_argument(argument) for argument in arguments])
        finally:
            self.trusted = trusted
        self.dispatcher.explicit = True
        if isinstance(value, CommandError):
            raise value
        return value


cdef class Dispatcher:
    """The commands of one server over one engine."""

    def __init__(self, Engine engine not None, specs):
        self.engine = engine
        self.stream = PropagationStream()
        self.commands = {}
        self.spellings = {}
        self.real_names = None
        self.real_commands = None
        self.watchers = {}
        self.awaited = {}
        self.ready = {}
        self.pending = []
        self.misses = {}
        self.layers = []
        self.slowlog_threshold_us = -1
        for spec in specs:
            if "|" not in spec.name:
                self.commands[spec.name.encode()] = Command(spec)
        for spec in specs:
            if "|" in spec.name:
                self.commands[spec.name.partition("|")[0].encode()].add_subcommand(Command(spec))
        engine.on_expire = self.key_expired
        engine.on_fields_expire = self.fields_expired
        self.refresh_clock()

    cdef void refresh_clock(self) noexcept:
        """Read both clocks: once per turn of the event loop, commands then only need the monotonic one."""
        self.last_ns = rotom_monotonic_ns()
        self.wall_offset_ns = rotom_unix_us() * 1000 - self.last_ns
        self.engine.now_ms = (self.last_ns + self.wall_offset_ns) // 1000000
        self.engine.lru_clock = <unsigned int>((self.engine.now_ms // 1000) & 0xffffff)

    def update_clock(self):
        self.refresh_clock()

    # Names

    def rename(self, list pairs):
        """Serve commands under other names: pairs of (name so far, new name; empty: not at all)."""
        self.real_commands = dict(self.commands)
        for old, new in pairs:
            command = self.commands.pop(old.encode())
            if new:
                self.commands[new.encode()] = command
        self.real_names = {
            name: command.name.encode() for name, command in self.commands.items() if name != command.name.encode()
        }

    def named_in_log(self):
        """The commands by the names that a log knows them by, whatever clients call them."""
        return self.commands if self.real_commands is None else self.real_commands

    def find_in_log(self, bytes name):
        """The command that a log names so, whatever clients call it; None: there is none."""
        return self.named_in_log().get(name.lower())

    def execute_from_log(self, Context context, list arguments not None):
        """As `execute`, for a command of a log, where nothing is renamed."""
        cdef dict commands = self.commands, spellings = self.spellings
        if self.real_commands is None:
            return self.execute(context, arguments)
        self.commands, self.spellings = self.real_commands, {}
        self.client_commands = commands
        try:
            return self.execute(context, arguments)
        finally:
            self.commands, self.spellings = commands, spellings
            self.client_commands = None

    # Finding and checking

    def find(self, bytes name):
        """The command of that name in any case, or None."""
        return self.commands.get(name.lower())

    cdef object refuse(self, Context context, str text, Command command=None):
        """An error that keeps the command from running: a transaction with such a command in it cannot run.

        EXEC is not refused and left to be tried again: its transaction ends with it.
        """
        if command is not None:
            command.rejected += 1
            if command.properties & RUNS_QUEUE:
                context.discard()
                text = f"EXECABORT Transaction discarded because of: {text.removeprefix('ERR ')}"
        if context.in_multi:
            context.abort_exec = True
        if self.on_error is not None:
            self.on_error(text)
        return CommandError(text)

    cdef str state_refusal(self, Context context, Command command):
        """Why the state of things forbids the command, or None. EXEC is what is queued, too."""
        cdef int any_flags = command.flags, common_flags = command.flags
        if command.properties & RUNS_QUEUE:
            self.collect_flags(context.queue, &any_flags, &common_flags)
        if (self.memory_limit and mem_used() > self.memory_limit and not self.loading and self.busy is None
                and not self.make_room()
                and (any_flags & FLAG_DENYOOM or (context.in_multi and not command.properties & NEVER_QUEUED))):
            # A transaction takes memory by being queued, whatever is in it.
            return "OOM command not allowed when used memory > 'maxmemory'."
        if self.write_error is not None and (any_flags & FLAG_WRITE or command.properties & REFUSED_WITH_WRITES):
            return self.write_error
        if self.write_refusal is not None and any_flags & FLAG_WRITE:
            return self.write_refusal
        if context.subscribed and context.resp == 2 and not command.properties & WHILE_SUBSCRIBED:
            return (f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / "
                    "PING / QUIT / RESET are allowed in this context")
        if self.stale_refusal is not None and not common_flags & FLAG_STALE:
            return self.stale_refusal
        if self.loading and not common_flags & FLAG_LOADING:
            return "LOADING Redis is loading the dataset in memory"
        if self.busy is not None and not command.flags & FLAG_ALLOW_BUSY:
            return self.busy
        return None

    cdef object collect_flags(self, list requests, int* any_flags, int* common_flags):
        """Add the flags of these requests: those that any of them has, and those that all have."""
        cdef Command command
        for request in requests:
            command = self.named_by(request)
            if command is not None:
                any_flags[0] |= command.flags
                common_flags[0] &= command.flags

    cdef str denial(self, Context context, Command command, PyObject** arguments, int count, str where):
        """The error for what the context's user may not do, of which `on_denied` is told; None: it may."""
        cdef list request = [<object>arguments[i] for i in range(count)]
        found = context.user.denial(command.subject, request)
        if found is None:
            return None
        reason, position = found
        if self.depth == 0:
            context.command = command             # it is the context's last one, for the log as for CLIENT LIST
        if self.on_denied is not None:
            self.on_denied(context, reason, command.name.encode() if reason is DENIED_COMMAND else request[position], where)
        if context.in_exec:
            return CHANGED_SINCE_QUEUED + REASONS[reason]
        return "NOPERM " + denial_text(context.user, reason, command.name, None)

    def named_by(self, list request not None):
        """The command or subcommand that a request names; None: there is no such."""
        cdef Command command = self.find(request[0])
        if command is not None and command.subcommands is not None and len(request) > 1:
            return command.subcommands.get((<bytes>request[1]).lower())
        return command

    def would_deny(self, User user, Command command not None, list request not None):
        """What keeps the user from this, with the key or channel; None: nothing does."""
        found = None if user is None else user.denial(command.subject, request)
        return None if found is None else denial_text(user, found[0], command.name, request[found[1]])

    cdef Command lookup(self, PyObject** arguments, int count):
        """The command that a request names, the container where it names no subcommand of it; None: there is none."""
        cdef bytes name = <bytes>arguments[0]
        cdef PyObject* found = PyDict_GetItem(self.spellings, name)
        cdef Command command
        if found != NULL:
            command = <Command>found
        else:
            command = self.commands.get(name.lower())
            if command is None:
                return None
            if len(self.spellings) < 4096:
                self.spellings[name] = command
        if command.subcommands is not None and count > 1:
            return command.subcommands.get((<bytes>arguments[1]).lower(), command)
        return command

    cdef object call(self, Context context, PyObject** arguments, int count):
        """Run a request; returns its reply value, a CommandError for an error reply."""
        cdef Command command = self.lookup(arguments, count)
        cdef str refusal
        if self.depth == 0:
            context.command = command          # also when it is refused, or queued
        if command is None:
            if self.on_unknown is not None:
                self.on_unknown(context, <bytes>arguments[0])
            return self.refuse(context, unknown_command(arguments, count))
        if command.function is None and count > 1:
            context.command = None
            return self.refuse(context, "ERR unknown subcommand '%s'. Try %s HELP." % (
                as_shown(<bytes>arguments[1], 128), command.name.upper()))
        if not command.takes(count):
            return self.refuse(context, f"ERR wrong number of arguments for '{command.name}' command", command)
        if context.replaying:
            # What the log holds was accepted once; no state of today's server may refuse it.
            if context.in_multi and not command.properties & NEVER_QUEUED:
                return queue_request(context, arguments, count)
            return self.run(context, command, arguments, count)
        if self.requires_auth and not context.authenticated and not command.flags & FLAG_NO_AUTH:
            return self.refuse(context, "NOAUTH Authentication required.", command)
        if context.in_multi and not command.properties & NEVER_QUEUED and command.flags & FLAG_NO_MULTI:
            return self.refuse(context, "ERR Command not allowed inside a transaction", command)
        if context.user is not None and not context.user.unrestricted and not context.trusted:
            refusal = self.denial(context, command, arguments, count, "multi" if context.in_multi or context.in_exec else "toplevel")
            if refusal is not None:
                return self.refuse(context, refusal, command)
        if self.depth == 0 and (self.memory_limit or self.write_error is not None or context.subscribed
                                or self.loading or self.busy is not None or self.write_refusal is not None
                                or self.stale_refusal is not None):
            # Not for what runs inside another command: a transaction that has begun is not cut short.
            refusal = self.state_refusal(context, command)
            if refusal is not None:
                return self.refuse(context, refusal, command)
        # What is refused is refused at once, also while clients are paused; what a paused EXEC queued is part of it. A pause
        # holds up nobody who wants to end a script.
        if self.postpones is not None and self.depth == 0 and self.busy is None and self.postpones(
                context, command, [<object>arguments[i] for i in range(count)]):
            return BLOCKED
        if context.in_multi and not command.properties & NEVER_QUEUED:
            return queue_request(context, arguments, count)
        return self.run(context, command, arguments, count)

    # Running

    cdef object run(self, Context context, Command command, PyObject** arguments, int count):
        if context.replaying or (self.on_command is None and not self.layers and not context.tracking):
            return self.run_bare(context, command, arguments, count)
        return self.run_observed(context, command, [<object>arguments[i] for i in range(count)])

    def run_observed(self, Context context, Command command, list request, int layer=0):
        """Run a command inside the middleware, with those told who watch commands or track what is read."""
        cdef PyObject** vector
        cdef int i
        if layer < len(self.layers):
            try:
                return self.layers[layer](context, request, lambda: self.run_observed(context, command, request, layer + 1))
            except CommandError as error:
                return error
            except Exception as error:
                return self.internal_error(command, error)
        vector = <PyObject**>malloc(sizeof(PyObject*) * <size_t>len(request))
        if vector == NULL:
            raise MemoryError()
        for i in range(<int>len(request)):
            vector[i] = <PyObject*>request[i]
        try:
            value = self.run_bare(context, command, vector, <int>len(request))
        finally:
            context.raw_count = 0                  # the vector goes, and the context must not look at it again
            free(vector)
        if self.on_command is not None:
            self.on_command(context, command, request)
        if context.tracking and self.on_read is not None and value is not BLOCKED:
            self.on_read(context, command, request)
        return value

    cdef object run_bare(self, Context context, Command command, PyObject** arguments, int count):
        cdef int64_t start = self.last_ns
        cdef int64_t dirty_before = self.dirty
        cdef int64_t end
        cdef int database = context.db.index
        cdef bint outermost = self.depth == 0
        cdef bint outer_explicit = self.explicit
        cdef bint touching = self.engine.touch_keys
        cdef bint leave_access = (command.properties & ONLY_ASKS
                                  or (context.no_touch and not command.properties & ALWAYS_TOUCHES))
        cdef object value
        cdef Command outer = context.command
        if outermost:
            self.engine.now_ms = (start + self.wall_offset_ns) // 1000000
        self.depth += 1
        self.explicit = False
        self.writer = context
        context.command = command
        context.raw_arguments = arguments
        context.raw_count = count
        if self.follows:
            self.choose_expiry(context, command)
        if leave_access:
            self.engine.touch_keys = False
        if self.engine.on_miss is not None:
            self.running = context
            self.misses.clear()
        try:
            if command.plain:
                value = self.invoke(context, command, arguments, count)
            else:
                value = self.convert_and_invoke(context, command, arguments, count)
        except CommandError as error:
            value = error
            command.failed += 1
            if self.on_error is not None:
                self.on_error(str(error))
        except Exception as error:
            # A bug must not take the server and its unsaved writes down with it.
            value = self.internal_error(command, error)
        if leave_access:
            self.engine.touch_keys = touching
        self.depth -= 1
        if not self.explicit and self.dirty != dirty_before and command.flags & FLAG_WRITE:
            self.propagate_verbatim(database, arguments, count)
        self.explicit = outer_explicit
        if not outermost:
            if command.properties & SEES_ALL_KEYS and self.watch_unsynced:
                self.engine.read_offset = self.stream.offset
        else:
            self.writer = None
            if self.follows:
                self.engine.expire_on_access, self.engine.hide_expired = False, True
            if self.pending:
                self.flush_unit(not command.flags & FLAG_TOUCHES_ARBITRARY_KEYS)
                context.write_offset = self.stream.offset
                context.replica_offset = self.stream.replica_offset
            elif self.dirty != dirty_before:
                context.write_offset = self.stream.offset
                context.replica_offset = self.stream.replica_offset
            if self.watch_unsynced:
                if command.properties & SEES_ALL_KEYS:
                    context.read_offset = self.stream.offset
                elif self.engine.read_offset > context.read_offset:
                    context.read_offset = self.engine.read_offset
                self.engine.read_offset = 0
        end = rotom_monotonic_ns()
        self.last_ns = end
        if self.latency_tracking:
            if command.histogram == NULL:
                command.histogram = histogram_make()
            if command.histogram != NULL:
                # In whole microseconds, as Redis measures: what is shorter than one counts as a nanosecond.
                histogram_count(command.histogram, (end - start) // 1000 * 1000)
        if self.latency_threshold_us and end - start >= self.latency_threshold_us * 1000:
            self.on_latency("fast-command" if command.flags & FLAG_FAST else "command", (end - start) // 1000000)
        if not (self.retrying and outermost):
            command.calls += 1             # a command that waited was counted when it came
        command.nanoseconds += end - start
        self.commands_processed += 1
        if (self.slowlog_threshold_us >= 0 and end - start >= self.slowlog_threshold_us * 1000
                and not command.flags & FLAG_SKIP_SLOWLOG and value is not BLOCKED and self.on_slow is not None):
            self.on_slow(context, [<object>arguments[i] for i in range(count)], (end - start) // 1000)
        if not outermost:
            context.command = outer
        if outermost and self.ready and not self.retrying:
            self.serve_waiting()
        return value

    cdef void choose_expiry(self, Context context, Command command) noexcept:
        """On a replica: its master's commands find what is past its time, others do not, and those that write replace it."""
        self.engine.expire_on_access = command.flags & FLAG_WRITE and not context.replaying
        self.engine.hide_expired = not context.replaying

    cdef object internal_error(self, Command command, error):
        """The reply where a command, or what stands around it, failed as none should."""
        command.failed += 1
        if self.on_internal_error is not None:
            self.on_internal_error("".join(traceback.format_exception(error)))
        return CommandError(f"ERR internal error: {type(error).__name__}: {error}")

    def serve_waiting(self):
        """Let those who wait for what was written have it; what they write in turn may serve others.

        While clients are paused nobody is served.
        """
        while self.ready and self.postpones is None:
            ready = self.ready
            self.ready = {}
            self.on_ready(ready)

    def running_request(self):
        """Who runs a command right now, and its words; (None, []) between commands."""
        if self.depth == 0 or self.writer is None:
            return None, []
        return self.writer, self.writer.request()

    @property
    def nested(self):
        """Whether a command runs inside another one, as in EXEC."""
        return self.depth > 0

    # Turns in the middle of a command

    def suspend(self, str refusal not None):
        """Put the running command aside, so that others may run what is allowed beside it; the rest is refused so.

        The clock of the data stands still: nothing may expire under a command that has seen it.
        """
        cdef Suspended aside = Suspended()
        aside.commands, aside.spellings = self.commands, self.spellings
        aside.ready, aside.misses, aside.pending = self.ready, self.misses, self.pending
        aside.writer, aside.running, aside.depth = self.writer, self.running, self.depth
        aside.explicit, aside.unlogged = self.explicit, self.unlogged
        aside.touch_keys, aside.expire_on_access = self.engine.touch_keys, self.engine.expire_on_access
        aside.now_ms, aside.read_offset = self.engine.now_ms, self.engine.read_offset
        if self.client_commands is not None:
            self.commands, self.spellings = self.client_commands, {}
        self.ready, self.misses, self.pending = {}, {}, []
        self.writer = self.running = None
        self.depth = 0
        self.explicit = self.unlogged = False
        self.engine.touch_keys, self.engine.expire_on_access = True, False
        self.engine.read_offset = 0
        self.busy = refusal
        return aside

    def take_up(self, Suspended aside not None, *, bint drop_effects):
        """Go on with the command.

        Args:
            drop_effects: The log is closed, and the command will be cut off: what it did reaches no disk.
        """
        self.busy = None
        self.commands, self.spellings = aside.commands, aside.spellings
        self.ready, self.misses, self.pending = aside.ready, aside.misses, aside.pending
        self.writer, self.running, self.depth = aside.writer, aside.running, aside.depth
        self.explicit, self.unlogged = aside.explicit, aside.unlogged
        self.engine.touch_keys, self.engine.expire_on_access = aside.touch_keys, aside.expire_on_access
        self.engine.now_ms, self.engine.read_offset = aside.now_ms, aside.read_offset
        if drop_effects:
            self.pending = []

    def retry(self, Context context, list arguments):
        """Run a waiting client's command again; BLOCKED when it still finds nothing."""
        self.retrying = True
        try:
            return self.execute(context, arguments)
        finally:
            self.retrying = False

    cdef object invoke(self, Context context, Command command, PyObject** arguments, int count):
        """Call the function with the argument bytes as they are."""
        cdef PyObject* stack[STACK_ARGUMENTS]
        cdef PyObject** vector = stack
        cdef int i, given = count - command.words
        if given + 1 > STACK_ARGUMENTS:
            vector = <PyObject**>malloc(sizeof(PyObject*) * <size_t>(given + 1))
            if vector == NULL:
                raise MemoryError()
        vector[0] = <PyObject*>context
        for i in range(given):
            vector[i + 1] = arguments[i + command.words]
        try:
            return PyObject_Vectorcall(command.function, vector, <size_t>(given + 1), NULL)
        finally:
            if vector != stack:
                free(vector)

    cdef object convert_and_invoke(self, Context context, Command command, PyObject** arguments, int count):
        """Call the function with integers and floats parsed as the signature says."""
        cdef list converted = []
        cdef PyObject* stack[STACK_ARGUMENTS]
        cdef int i, given = count - command.words
        cdef Py_ssize_t fixed = PyBytes_GET_SIZE(command.converters)
        cdef char kind
        cdef bytes text
        cdef int64_t integer
        cdef double number
        cdef object value
        for i in range(given):
            text = <bytes>arguments[i + command.words]
            kind = PyBytes_AS_STRING(command.converters)[i] if i < fixed else command.rest
            if kind == c'I':
                if not parse_int64(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &integer):
                    raise CommandError("ERR value is not an integer or out of range")
                converted.append(integer)
            elif kind == c'F':
                if not parse_double(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &number):
                    raise CommandError("ERR value is not a valid float")
                converted.append(number)
            else:
                converted.append(text)
        if given < STACK_ARGUMENTS:
            stack[0] = <PyObject*>context
            for i in range(given):
                value = converted[i]
                stack[i + 1] = <PyObject*>value       # kept alive by the list
            return PyObject_Vectorcall(command.function, stack, <size_t>(given + 1), NULL)
        return command.function(context, *converted)

    def execute(self, Context context, list arguments not None):
        """Run a request given as a list of bytes; returns its value, a CommandError for an error reply."""
        cdef int count = <int>len(arguments), i
        cdef PyObject** vector = <PyObject**>malloc(sizeof(PyObject*) * <size_t>(count or 1))
        cdef PyObject** outer = context.raw_arguments
        cdef int outer_count = context.raw_count
        if vector == NULL:
            raise MemoryError()
        try:
            for i in range(count):
                vector[i] = <PyObject*>arguments[i]
            return self.call(context, vector, count)
        finally:
            context.raw_arguments = outer
            context.raw_count = outer_count
            free(vector)

    # Effects

    cdef void propagate_verbatim(self, int database, PyObject** arguments, int count):
        cdef object real
        if not self.stream.wanted or self.unlogged:
            return
        if self.real_names is not None:
            # The log is read without the configuration that renamed the command.
            real = self.real_names.get((<bytes>arguments[0]).lower())
            if real is not None:
                named = (real, *[<object>arguments[i] for i in range(1, count)])
                if self.depth == 0 and not self.pending:
                    self.stream.feed_command(database, named, self.engine.now_ms)
                else:
                    self.pending.append((database, named))
                return
        if self.depth == 0 and not self.pending:
            self.stream.feed(database, arguments, count, self.engine.now_ms)
        else:
            self.pending.append((database, tuple([<object>arguments[i] for i in range(count)])))

    cdef void flush_unit(self, bint wrap):
        """Hand the unit's effects to the stream, as one transaction when there are several."""
        cdef list effects = self.pending
        self.pending = []
        wrap = wrap and len(effects) > 1
        if wrap:
            self.stream.feed_command(-1, (MULTI,), self.engine.now_ms)
        for database, arguments in effects:
            self.stream.feed_command(database, arguments, self.engine.now_ms)
        if wrap:
            self.stream.feed_command(-1, (EXEC,), self.engine.now_ms)

    def key_expired(self, int database, bytes key):
        """The engine dropped a key that was past its time."""
        self.touch(database, key)
        self.feed_effect(database, (DEL, key))
        if self.on_event is not None:
            self.on_event(database, key, "expired")

    def fields_expired(self, int database, bytes key, list names, bint gone):
        """The engine dropped fields of a hash that were past their time, and the key when none was left."""
        self.touch(database, key)
        self.feed_effect(database, (HDEL, key, *names))
        if self.on_event is not None:
            self.on_event(database, key, "hexpired")
            if gone:
                self.on_event(database, key, "del")

    def key_evicted(self, int database, bytes key):
        """A key was dropped to make room."""
        self.touch(database, key)
        self.feed_effect(database, (DEL, key))
        if self.on_event is not None:
            self.on_event(database, key, "evicted")

    cdef object feed_effect(self, int database, tuple arguments):
        """Put what the engine did by itself into the stream, ahead of what the running command does."""
        if self.stream.wanted:
            if self.depth:
                self.pending.append((database, arguments))
            else:
                self.stream.feed_command(database, arguments, self.engine.now_ms)

    # Keyspace events

    def happened(self, Context context not None, Keyspace db not None, bytes key, str event):
        """Pass on an event of what the context's command did; the end of a key follows what took its last element."""
        if self.engine.new_keys is not None:
            self.announce_new_keys(event)
        self.on_event(db.index, key, event)
        if context.command is not None and context.command.properties & MAY_EMPTY and not db.holds(key):
            self.on_event(db.index, key, "del")

    cdef object announce_new_keys(self, str event):
        cdef list made = self.engine.new_keys
        self.engine.new_keys = []
        for index, key, replaced in made:
            # What a store command replaces is not new.
            if not (replaced and event.endswith("store")):
                self.on_event(index, key, "new")

    def missed(self, int database, bytes key):
        """A lookup found nothing: an event for commands that read, once for each time that they name the key."""
        cdef Command command
        if self.running is None or self.on_event is None:
            return
        command = self.running.command
        if not (command.flags & FLAG_READONLY or command.properties & READS_KEYS):
            return
        named = (command.spec.keys_of(self.running.request()) or ()).count(key) or 1
        if self.misses.get(key, 0) < named:
            self.misses[key] = self.misses.get(key, 0) + 1
            self.on_event(database, key, "keymiss")

    # Watched keys

    def touch(self, int database, bytes key):
        """The key was written: fail the transactions that watch it, note it for those who wait for it."""
        if self.watch_unsynced:
            mark_unsynced(self.engine, key, self.stream.offset + 1)
        if (database, key) in self.awaited:
            self.ready[database, key] = None
        if self.on_write is not None:
            self.on_write(key, self.writer)
        contexts = self.watchers.get((database, key))
        if contexts is not None:
            for context in contexts:
                (<Context>context).watched_changed = True

    def touch_database(self, int database, int replacement=-1):
        """As `touch`, for every key of this database that goes, or comes, by a command that reaches the stream."""
        mark_all_unsynced(self.engine, self.stream.offset + 1)
        self.exchanged(database, replacement)

    def exchanged(self, int database, int replacement=-1):
        """All keys of this database go: tell who watches one of them, or waits for what comes.

        Args:
            replacement: The database that takes its place; -1: it is emptied. What is past its time in there is
                dropped: who watches a key that is not here must not see it come and go.
        """
        for index, key in self.awaited:
            if index == database and self.in_either(database, replacement, key):
                self.ready[index, key] = None
        for (index, key), contexts in self.watchers.items():
            if index == database and self.in_either(database, replacement, key):
                for context in contexts:
                    (<Context>context).watched_changed = True

    cdef bint in_either(self, int database, int other, bytes key):
        cdef bint here = self.engine.databases[database].exists(key)
        return (other >= 0 and self.engine.databases[other].exists(key)) or here

cdef str denial_text(User user, str reason, str command, bytes word):
    """Why a request is denied; with the key or channel where `word` is given."""
    if reason is DENIED_COMMAND:
        return f"User {user.shown} has no permissions to run the '{command}' command"
    if word is None:
        return f"No permissions to access a {reason}"
    return f"User {user.shown} has no permissions to access the '{as_shown(word, <int>len(word))}' {reason}"


cdef object queue_request(Context context, PyObject** arguments, int count):
    cdef int64_t size = 0
    cdef int i
    for i in range(count):
        size += PyBytes_GET_SIZE(<object>arguments[i])
    mem_count(size)
    context.queue_bytes += size
    context.queue.append([<object>arguments[i] for i in range(count)])
    return queued_reply


cdef str as_shown(bytes argument, int most):
    """The head of an argument inside an error text, which ends at a zero byte as C's do."""
    return argument[:most].partition(b"\0")[0].decode("latin-1")


cdef str unknown_command(PyObject** arguments, int count):
    shown = ""
    for i in range(1, count):
        if len(shown) >= 128:
            break
        shown += "'%s' " % as_shown(<bytes>arguments[i], 128 - <int>len(shown))
    return "ERR unknown command '%s', with args beginning with: %s" % (
        as_shown(<bytes>arguments[0], 128), shown)
