from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from rotomdb.commands.latency_histogram cimport LatencyHistogram
from rotomdb.commands.permissions cimport Subject, User
from rotomdb.engine.keyspace cimport Engine, Keyspace
from rotomdb.storage.propagation cimport PropagationStream

cdef class Command:
    cdef readonly object spec
    cdef readonly str name
    cdef readonly Subject subject         # it, as permissions see it
    cdef object function                  # None: only subcommands
    cdef readonly dict subcommands        # lower-case name -> Command; None for plain commands
    cdef int words                        # 1, or 2 for a subcommand
    cdef int arity
    cdef int max_arguments
    cdef readonly int flags
    cdef readonly int properties          # its container's included
    cdef bint plain                       # every argument is passed as its bytes
    cdef bytes converters
    cdef char rest
    cdef LatencyHistogram* histogram      # of its calls; NULL: none yet
    cdef public int64_t calls, nanoseconds, rejected, failed
    cdef bint takes(self, int count) noexcept

cdef class Context:
    cdef public Keyspace db
    cdef readonly Dispatcher dispatcher
    cdef readonly Engine engine
    cdef public int resp                  # protocol of the replies: 2 or 3
    cdef public bint authenticated
    cdef public User user                 # whose rights count; None: the server itself, which may do everything
    cdef bint trusted                     # what runs is a part of a command that was permitted
    cdef readonly bint in_script          # a script calls the commands
    cdef public bint in_exec              # what runs was queued, and permitted then
    cdef public bint in_multi
    cdef public bint abort_exec           # a command of the transaction was refused
    cdef public bint watched_changed
    cdef public list queue                # argument lists of the transaction
    cdef readonly int64_t queue_bytes     # of their arguments, together
    cdef public list watched              # (database index, key)
    cdef public bint replaying            # the commands come from an append-only file
    cdef readonly int64_t write_offset    # of the stream after its last write
    cdef readonly int64_t replica_offset  # the same place, as replicas count
    cdef readonly int64_t read_offset     # that what it has read depends on, where that is watched
    cdef public bint tracking             # what it reads is remembered
    cdef public bint no_touch             # its commands leave access clocks alone
    cdef public bint subscribed           # listens to channels: in RESP2 little else is allowed
    cdef public Command command           # the one that runs, or came last; None: it is unknown
    cdef public list arguments            # its arguments, filled in on demand
    cdef PyObject** raw_arguments
    cdef int raw_count

cdef class Suspended:
    """What a dispatcher knows of the command that runs, while others have a turn in the middle of it."""
    cdef dict commands, spellings, ready, misses
    cdef list pending
    cdef Context writer, running
    cdef int depth
    cdef bint explicit, unlogged, touch_keys, expire_on_access
    cdef int64_t now_ms, read_offset

cdef class Dispatcher:
    cdef readonly Engine engine
    cdef readonly PropagationStream stream
    cdef readonly dict commands           # lower-case name -> Command
    cdef dict spellings                   # name as received -> Command
    cdef dict real_names                  # name for clients -> name in logs, of renamed commands; None: there are none
    cdef dict real_commands               # by these names; None: as `commands`
    cdef public object server             # what the commands know of the server; None in tools
    cdef public int64_t dirty             # changes since the last save
    cdef public int64_t commands_processed
    cdef public int64_t last_ns, wall_offset_ns
    cdef public int64_t slowlog_threshold_us
    cdef public object on_slow            # called with (context, arguments, microseconds)
    cdef public object on_error           # called with the error text
    cdef public object on_denied          # called with (context, reason, what, where) of what a user may not do
    cdef public object on_unknown         # called with (context, name) of what is no command
    cdef public object on_internal_error  # called with the exception of a bug
    cdef public int64_t memory_limit      # bytes that the data may take; 0: no limit
    cdef public object make_room          # called when there are more; whether it is below the limit now
    cdef public object write_error        # text that write commands are refused with; None: none
    cdef public str write_refusal         # the same, where it is the server's place among others that forbids it
    cdef public str stale_refusal         # text that all but commands of flag STALE are refused with
    cdef public bint follows              # a master's history: what is past its time goes by its word only
    cdef public bint requires_auth
    cdef public bint watch_unsynced       # replies may depend on writes that are not on disk yet
    cdef public bint loading
    cdef public dict watchers             # (database index, key) -> set of contexts
    cdef public dict awaited              # (database index, key) -> clients that wait for it
    cdef readonly dict ready              # awaited places that were written since the last look
    cdef public object on_write           # called with (key, context or None) of every change; None: nobody caches
    cdef public object on_read            # called with (context, command, arguments) of tracking clients
    cdef public object on_command         # called with (context, command, arguments) after each command; None: no monitor
    cdef public object on_script          # called with (context, arguments) before a script runs; None: no monitor
    cdef public list layers               # middleware around every command, outermost first
    cdef Context writer                   # whose command runs
    cdef public object on_event           # called with (database index, key, event); None: nobody listens
    cdef public object postpones          # called with (context, command, arguments) while clients are paused: whether it waits
    cdef public object on_block           # called with (context, keys, type, milliseconds)
    cdef public object on_block_until     # called with (context, ready, reply, milliseconds)
    cdef public bint latency_tracking
    cdef public int64_t latency_threshold_us   # 0: no events
    cdef public object on_latency         # called with (event, milliseconds)
    cdef public object on_ready           # called with the ready places after the unit that wrote them
    cdef bint retrying
    cdef Context running                  # the last context that ran, while misses are published
    cdef dict misses                      # key -> misses published for the running command
    cdef list pending                     # effects of the running unit: (database index, arguments)
    cdef bint explicit                    # the running command said itself what to propagate
    cdef int depth
    cdef public object scripting          # runs scripts; None: there is nobody who can
    cdef public bint unlogged             # a script wants its writes to reach no log
    cdef readonly str busy                # why others may run little while a command takes long; None: it does not
    cdef dict client_commands             # `commands` as clients know them, while a log is being read
    cdef void refresh_clock(self) noexcept
    cdef void choose_expiry(self, Context context, Command command) noexcept
    cdef Command lookup(self, PyObject** arguments, int count)
    cdef object call(self, Context context, PyObject** arguments, int count)
    cdef object run(self, Context context, Command command, PyObject** arguments, int count)
    cdef object run_bare(self, Context context, Command command, PyObject** arguments, int count)
    cdef object invoke(self, Context context, Command command, PyObject** arguments, int count)
    cdef object convert_and_invoke(self, Context context, Command command, PyObject** arguments, int count)
    cdef object refuse(self, Context context, str text, Command command=*)
    cdef str state_refusal(self, Context context, Command command)
    cdef object collect_flags(self, list requests, int* any_flags, int* common_flags)
    cdef str denial(self, Context context, Command command, PyObject** arguments, int count, str where)
    cdef void propagate_verbatim(self, int database, PyObject** arguments, int count)
    cdef void flush_unit(self, bint wrap)
    cdef bint in_either(self, int database, int other, bytes key)
    cdef object internal_error(self, Command command, error)
    cdef object announce_new_keys(self, str event)
    cdef object feed_effect(self, int database, tuple arguments)
