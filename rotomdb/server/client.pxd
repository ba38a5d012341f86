from libc.stdint cimport int64_t

from rotomdb.commands.dispatch cimport Context
from rotomdb.engine.buffer cimport Buffer
from rotomdb.server.reactor cimport Handler
from rotomdb.server.tls_channel cimport CIPHER_BYTES, UNSEEN, Channel
from rotomdb.formats.resp.request cimport RequestParser

cdef enum Kind:                           # of clients, as client-output-buffer-limit tells them apart
    NORMAL = 0
    REPLICA = 1
    SUBSCRIBER = 2
    KINDS = 3

cdef enum:
    READ_BYTES = 64 * 1024                # of requests, taken from a socket at a time

cdef class Hub:
    # What all clients of one server read into, one after the other; servers in other threads of the process have their own.
    cdef char[READ_BYTES] shared_input
    cdef char[CIPHER_BYTES] shared_ciphertext
    cdef int64_t[KINDS] hard_limits, soft_limits   # bytes of output; 0: no limit
    cdef int64_t[KINDS] soft_seconds
    cdef readonly int64_t lowest_limit    # of them all: no output below it needs a closer look
    cdef public bint memory_watched       # maxmemory-clients is in force
    cdef public int64_t clients_limit     # bytes that all clients together may take
    cdef public int64_t clients_memory    # that they take, where it is watched
    cdef public int64_t largest_input, largest_output   # since the timer last looked
    cdef public list yielded              # clients with more requests, after the others had their turn
    cdef public int64_t max_bulk_bytes, max_query_bytes
    cdef public int64_t input_bytes, output_bytes, reads, writes
    cdef public list pending_writes       # clients with unsent replies
    cdef public bint holding              # replies may have to wait for the log
    cdef public int64_t released_offset   # replies to writes up to this stream offset may leave
    cdef public int64_t sync_target       # the offset that the fsync that runs will release
    cdef public list closing_clients      # clients that end before the next sleep
    cdef public list resumable            # clients that were served and have requests in their buffers

cdef class ClientHandler(Handler):
    cdef Client client

cdef class Client(Context):
    cdef readonly int64_t id
    cdef readonly object socket
    cdef readonly int fd
    cdef public Hub hub
    cdef readonly ClientHandler handler
    cdef RequestParser parser
    cdef Buffer input                     # bytes of an unfinished request
    cdef Buffer output
    cdef size_t sent                      # bytes of output already written
    cdef size_t hold_position, next_position   # bytes of output from there on wait ...
    cdef int64_t hold_offset, next_offset      # ... for these offsets; -1: there is no such part
    cdef int64_t assembled_from           # bytes of output from there on are a reply in the making; -1: there is none
    cdef bint held                        # the hub knows that some of the output waits
    cdef bint write_pending
    cdef bint yielding                    # stands in the hub's list of those
    cdef readonly bint running            # a command of it is being executed
    cdef list deferred                    # pushes that wait for its reply
    cdef readonly bint postponed          # the request in the parser waits for the end of CLIENT PAUSE
    cdef public bint monitoring
    cdef public bint close_after_reply
    cdef public bint closed
    cdef readonly bint closing            # is closed, or will be before the next sleep
    cdef public bint blocked              # waits for a key: requests stay in the buffer
    cdef public int reply_mode            # ReplyMode
    cdef public str name, address, local_address, library_name, library_version
    cdef public int64_t created_ms, last_interaction_ms, soft_limit_since_ms
    cdef public bint no_evict
    cdef public bint over_unix_socket
    cdef public bint is_replica           # follows the history: its output is bounded elsewhere
    cdef public bint is_master            # sends the history that this server follows
    cdef public Channel channel           # TLS, or None
    cdef Py_ssize_t reading               # bytes in the shared buffer that are being processed
    cdef int64_t counted_argument_bytes   # of an unfinished request, as far as used_memory knows of them
    cdef int64_t weighed                  # its part of the hub's clients_memory
    cdef int64_t output_peak              # bytes of output, since the timer last looked
    cdef public int64_t attached_bytes    # of subscriptions and of prefixes that it tracks
    cdef int kind(self) noexcept
    cdef int64_t unsent(self) noexcept
    cdef int64_t listed_output(self) noexcept
    cdef int check_output(self, bint soon) except -1
    cdef int64_t memory(self) noexcept
    cdef void weigh(self) noexcept
    cdef void tidy(self, bint new_peak) noexcept
    cdef void forget_memory(self) noexcept
    cdef bint may_run(self) except -1
    cdef int after_reading(self) except -1
    cpdef reply(self, value)
    cdef int put(self, value) except -1
    cdef int put_part(self, list part) except -1
    cdef bint has_room(self, value) except -1
    cdef bint is_mute(self) noexcept
    cdef int insert_header(self, size_t start, kind, Py_ssize_t count) except -1
    cdef int note_output(self) except -1
    cdef void hold(self, int64_t offset) noexcept
    cdef size_t sendable(self) noexcept
    cdef void drop_sent(self) noexcept
    cdef object push_deferred(self)
    cdef bint handle(self) except -1
    cdef int read(self) except -1
    cdef ssize_t receive(self, char* room, size_t wanted) except? UNSEEN
    cdef ssize_t transmit(self, const char* data, size_t length) except? UNSEEN
    cdef bint encrypted_waits(self) noexcept
    cdef int process(self, const char* data, Py_ssize_t size, Py_ssize_t* used) except -1
    cdef void count_arguments(self) noexcept
    cdef int consume_input(self) except -1
    cdef int flush(self) except -1
