"""A client connection: bytes in, requests, replies, bytes out.

Requests are parsed out of one buffer that all clients of a server share; a client keeps bytes of its own only while a request is
unfinished. Replies gather in `output` and leave in one write before the reactor sleeps, but for those that tell of what the
log has not brought to safety yet: they, and what follows them, wait for the offset of the log that they depend on.

What a client makes the server hold is bounded while it grows, not afterwards. After each reply the output is compared with
client-output-buffer-limit; a client above it is closed before the next sleep, and nothing more is gathered for it. Requests
that have made much output wait until the others had their turn. With maxmemory-clients each client's memory is summed up in
the hub as it changes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memmove

from rotomdb.commands.dispatch cimport Context, Dispatcher
from rotomdb.engine.buffer cimport buffer_append, buffer_fit, buffer_release, buffer_reserve, buffer_reserve_exactly
from rotomdb.engine.memory cimport mem_count
from rotomdb.server.encoder cimport encode_reply, put_header, reply_bytes
from rotomdb.server.reactor cimport Handler
from rotomdb.server.tls_channel cimport UNSEEN, Channel
from rotomdb.formats.resp.request cimport PARSE_ERROR, PARSE_MORE, RequestParser

from rotomdb.commands.reply import BLOCKED, NO_REPLY
from rotomdb.errors import CommandError

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void* buffer, size_t length, int flags)
    ssize_t send(int fd, const void* buffer, size_t length, int flags)
    int MSG_NOSIGNAL

cdef enum:
    WRITE_BYTES = 1024 * 1024             # per turn, so that one large reply does not hold up the others
    KEEP_BYTES = 16 * 1024                # an idle output buffer above this is given back
    YIELD_BYTES = 1024 * 1024             # of output from one batch of requests, then the other clients have their turn
    BASE_BYTES = 1200                     # of a connection without buffers
    WORD_BYTES = 40                       # of an argument beside its content: object, length, place in the list
    STRANGER_QUERY_BYTES = 1024 * 1024    # what a client may leave unfinished before it has authenticated
    FIRST_REPLY_BYTES = 16 * 1024         # Redis keeps so much of a reply in the client and counts only what is beyond
    IDLE_MS = 2000                        # after which an input buffer is cut to what it holds

cdef int64_t UNLIMITED = 9223372036854775807
cdef object answered_later = BLOCKED

cdef enum ReplyMode:                      # as in commands/reply.py
    REPLY_ON = 0
    REPLY_OFF = 1
    REPLY_SKIP = 2
    REPLY_SKIP_NEXT = 3

cdef class Hub:
    """The server as its clients see it: limits, counters, and what to do when a connection ends or misbehaves."""

    def __cinit__(self):
        self.pending_writes = []
        self.resumable = []
        self.closing_clients = []
        self.released_offset = 9223372036854775807
        self.sync_target = -1
        self.max_bulk_bytes = 512 * 1024 * 1024
        self.max_query_bytes = 1024 * 1024 * 1024
        self.lowest_limit = UNLIMITED
        self.yielded = []

    def set_output_limits(self, limits):
        """client-output-buffer-limit: the (hard, soft, seconds) of normal clients, replicas and subscribers; 0: none."""
        cdef int kind
        self.lowest_limit = UNLIMITED
        for kind in range(KINDS):
            hard, soft, seconds = limits[kind]
            self.hard_limits[kind] = hard
            self.soft_limits[kind] = soft
            self.soft_seconds[kind] = seconds
            for limit in (hard, soft):
                if limit:
                    self.lowest_limit = min(self.lowest_limit, limit)

    def output_limit_overcome(self, client, bint soon):
        """The client's output is above its limit; it is closed `soon`, or was found by the timer."""
        raise NotImplementedError

    def evict_clients(self):
        """All clients together take more than maxmemory-clients."""
        raise NotImplementedError

    def close_client(self, client):
        raise NotImplementedError

    def hold(self, client):
        raise NotImplementedError

    def want_write(self, client, wanted):
        raise NotImplementedError

    def protocol_error(self, client, reason):
        raise NotImplementedError

    def query_buffer_exceeded(self, client):
        raise NotImplementedError

    def secured(self, client):
        """The handshake of TLS is done."""
        raise NotImplementedError

    def input_ended(self, client):
        """Behind what was just read nothing follows, and no event of the socket will tell."""
        raise NotImplementedError

    def handler_failed(self, client, error):
        raise NotImplementedError

    def connection_lost(self, client, int code, bint writing):
        """The socket failed; `code` 0: the peer closed it."""
        raise NotImplementedError


cdef class ClientHandler(Handler):
    # The local variables hold the client: a command that closes it (SHUTDOWN) must not free it while it runs.
    cdef int on_readable(self) except -1:
        cdef Client client = self.client
        return 0 if client is None else client.read()

    cdef int on_writable(self) except -1:
        cdef Client client = self.client
        return 0 if client is None else client.flush()

    def failed(self, error):
        client = self.client
        if client is not None:
            client.hub.handler_failed(client, error)


cdef class Client(Context):
    def __init__(self, Dispatcher dispatcher, Hub hub, socket, int64_t id):
        Context.__init__(self, dispatcher)
        self.hub = hub
        self.socket = socket
        self.fd = socket.fileno()
        self.id = id
        self.parser = RequestParser(hub.max_bulk_bytes)
        self.handler = ClientHandler(self.fd)
        self.handler.client = self
        self.deferred = None
        self.hold_offset = self.next_offset = self.assembled_from = -1
        self.name = self.library_name = self.library_version = ""
        self.created_ms = self.last_interaction_ms = self.engine.now_ms

    def __dealloc__(self):
        mem_count(-self.counted_argument_bytes)
        buffer_release(&self.input)
        buffer_release(&self.output)

    def release(self):
        """Break the cycle with the handler once the connection is gone."""
        self.closed = self.closing = True
        self.forget_memory()
        self.handler.client = None
        try:
            self.socket.close()
        except OSError:
            pass                                # the descriptor is free all the same
        self.channel = None

    def close_soon(self):
        """Close the connection before the next sleep; until then nothing more is read, run or sent for it."""
        if not self.closing:
            self.closing = True
            self.forget_memory()
            self.hub.closing_clients.append(self)

    def fail(self, error):
        """Something that only this client is concerned with raised: it goes, the others stay."""
        self.hub.handler_failed(self, error)

    # Input

    cdef int read(self) except -1:
        cdef ssize_t received
        cdef Py_ssize_t used = 0
        cdef char* room
        cdef size_t wanted, missing
        if self.closing or self.yielding or self.running:
            return 0
        if self.close_after_reply:
            # Nothing more is answered; what still arrives is only drained so that the peer sees our last reply.
            received = recv(self.fd, self.hub.shared_input, READ_BYTES, 0)
            if received == 0 or (received < 0 and errno != EAGAIN and errno != EINTR):
                self.hub.close_client(self)
            return 0
        if self.input.length == 0:
            received = self.receive(self.hub.shared_input, READ_BYTES)
        else:
            missing = 0
            if self.parser.bulk_length > READ_BYTES and <size_t>self.parser.bulk_length + 2 > self.input.length:
                missing = <size_t>self.parser.bulk_length + 2 - self.input.length
            if missing > READ_BYTES:
                # Room for what was announced, but never for more than has already come: announcing costs nothing.
                wanted = min(missing, max(self.input.length, <size_t>READ_BYTES))
                room = buffer_reserve_exactly(&self.input, wanted)
            else:
                wanted = READ_BYTES
                room = buffer_reserve(&self.input, wanted)
            received = self.receive(room, wanted)
        if received <= 0:
            if received != -EAGAIN and received != -EINTR:
                self.hub.connection_lost(self, -received, False)
            return 0
        self.last_interaction_ms = self.engine.now_ms
        self.hub.input_bytes += received
        self.hub.reads += 1
        self.parser.authenticated = self.authenticated or not self.dispatcher.requires_auth
        self.parser.max_bulk_bytes = self.hub.max_bulk_bytes
        if self.input.length == 0:
            self.reading = received
            self.process(self.hub.shared_input, received, &used)
            self.reading = 0
            if used < received and not self.closing:
                buffer_append(&self.input, self.hub.shared_input + used, <size_t>(received - used))
        else:
            self.input.length += received
            self.consume_input()
        if self.channel is not None and self.channel.over() and not self.closing:
            self.hub.input_ended(self)
        self.after_reading()
        return 0

    cdef ssize_t receive(self, char* room, size_t wanted) except? UNSEEN:
        """What the peer has sent: the number of bytes, 0 at its end, or minus an errno."""
        cdef ssize_t received
        cdef bint shaking
        cdef Channel channel = self.channel
        if channel is None:
            received = recv(self.fd, room, wanted, 0)
            return received if received >= 0 else -errno
        shaking = not channel.established
        received = channel.receive(self.hub.shared_ciphertext, room, wanted)
        if shaking and channel.established:
            self.hub.secured(self)
        if channel.waiting() and not self.handler.wants_write:
            self.hub.want_write(self, True)
        return received

    def end_input(self):
        """Find the end that stands behind what was read, once all of that had its turn; or the ms until it may have."""
        if self.yielding or self.write_pending or self.held:
            return 1
        if not self.closing:
            self.read()
        return None

    cdef int after_reading(self) except -1:
        """Count what the client has sent of requests that are not run yet, and see to its limit."""
        cdef int64_t unfinished = <int64_t>self.input.length + self.queue_bytes
        if self.closing:
            return 0
        self.count_arguments()
        if unfinished > self.hub.max_query_bytes or (
                unfinished > STRANGER_QUERY_BYTES and not self.parser.authenticated):
            self.hub.query_buffer_exceeded(self)
            return 0
        if <int64_t>self.input.capacity + self.parser.item_bytes > self.hub.largest_input:
            self.hub.largest_input = <int64_t>self.input.capacity + self.parser.item_bytes
        if self.hub.memory_watched:
            self.weigh()
        return 0

    cdef void count_arguments(self) noexcept:
        """Let used_memory know of the arguments that the parser keeps."""
        if self.parser.item_bytes != self.counted_argument_bytes:
            mem_count(self.parser.item_bytes - self.counted_argument_bytes)
            self.counted_argument_bytes = self.parser.item_bytes

    cdef int consume_input(self) except -1:
        """Run what the client's own buffer holds."""
        cdef Py_ssize_t used = 0
        self.process(self.input.data, <Py_ssize_t>self.input.length, &used)
        self.input.length -= used
        if self.input.length == 0:
            buffer_release(&self.input)
        elif used:
            memmove(self.input.data, self.input.data + used, self.input.length)
        return 0

    def resume(self):
        """Go on with the request that was postponed, and with those that came while the client waited."""
        try:
            if self.closing:
                return
            if self.postponed:
                self.postponed = self.blocked = False
                self.handle()                  # and if there is another pause by now, it waits again
            if self.input.length and not self.blocked and not self.closing:
                self.consume_input()
            self.after_reading()
        except Exception as error:
            self.fail(error)

    def resume_later(self):
        """As `resume`, before the next sleep: the command of another client is still running."""
        if self.input.length or self.postponed:
            self.hub.resumable.append(self)

    cdef int process(self, const char* data, Py_ssize_t size, Py_ssize_t* used) except -1:
        """Run every whole request in `data`; *used says how many bytes are done with."""
        cdef Py_ssize_t consumed
        cdef int result
        cdef RequestParser parser = self.parser
        cdef size_t enough = self.output.length + YIELD_BYTES
        used[0] = 0
        while used[0] < size and not self.close_after_reply and not self.closing and not self.blocked:
            result = parser.parse(data + used[0], size - used[0], &consumed)
            used[0] += consumed
            if result == PARSE_MORE:
                return 0
            if result == PARSE_ERROR:
                self.reply(CommandError("ERR Protocol error: " + parser.error.decode("latin-1")))
                self.hub.protocol_error(self, parser.error)
                self.close_after_reply = True
                used[0] = size
                return 0
            if parser.count == 0:
                continue
            if not self.handle():
                return 0
            if self.output.length > enough and used[0] < size:
                # The socket may take this meanwhile; and if the peer does not read, its limit has a say before there is more.
                self.yielding = True
                self.hub.yielded.append(self)
                return 0
        return 0

    cdef bint handle(self) except -1:
        """Run the request that the parser holds; False: the client is going, or has to wait with it."""
        cdef RequestParser parser = self.parser
        cdef object value
        if self.hub.memory_watched and not self.may_run():
            return False
        self.running = True
        value = self.dispatcher.call(self, parser.items, parser.count)
        self.running = False
        if self.closing:
            return False
        if value is not answered_later:
            self.reply(value)
        if self.deferred is not None:
            self.push_deferred()
        if value is answered_later:
            return False                       # what it waits with is its own memory: the parser keeps it
        parser.clear()
        return True

    def stop_waiting(self):
        """The request that the parser holds is answered, or will be at once."""
        self.blocked = False
        self.parser.clear()
        self.count_arguments()

    def postpone(self):
        """Keep the request that the parser holds, and what follows it, for the end of CLIENT PAUSE."""
        self.postponed = self.blocked = True

    def keep_input(self):
        """What the client is being served from of the buffer that all share, before others are in the middle of that."""
        return self.hub.shared_input[:self.reading]

    def give_back_input(self, bytes kept not None):
        """The others are done with the buffer."""
        memcpy(self.hub.shared_input, PyBytes_AS_STRING(kept), <size_t>PyBytes_GET_SIZE(kept))

    def go_on(self):
        """The others had their turn."""
        self.yielding = False
        self.resume()

    # Output

    cpdef reply(self, value):
        """Queue the reply for the write before the next sleep."""
        if self.hub.holding and (not self.reply_mode or self.assembled_from >= 0):
            if self.write_offset > self.hub.released_offset:
                self.hold(self.write_offset)
            if self.read_offset > self.hub.released_offset:
                self.hold(self.read_offset)
        if not self.reply_mode:
            self.put(value)
        elif self.reply_mode == REPLY_SKIP_NEXT:
            self.reply_mode = REPLY_SKIP
        elif self.reply_mode == REPLY_SKIP:
            self.reply_mode = REPLY_ON
        if self.assembled_from >= 0:
            self.assembled_from = -1
            self.note_output()

    def in_parts(self, kind, int64_t count, parts, *, bint all_taken=False):
        cdef bint inside = self.assembled_from >= 0
        if not self.running or self.dispatcher.layers or self.dispatcher.depth != (2 if inside else 1):
            # Somebody wants the value before the client has it.
            return Context.in_parts(self, kind, count, parts, all_taken=all_taken)
        cdef Py_ssize_t made = 0
        if not inside:
            self.assembled_from = <int64_t>self.output.length
        cdef size_t start = self.output.length
        try:
            if count >= 0 and not self.closing and not self.is_mute():
                put_header(&self.output, kind, count, self.resp)
            for part in parts:
                self.put_part(part)
                made += len(part)
                if not all_taken and (self.closing or self.is_mute()):
                    break
            if count < 0 and not self.closing and not self.is_mute():
                self.insert_header(start, kind, made)
        except Exception as error:
            self.fail(error)              # half of a reply is there: nothing more can follow it
            raise
        return NO_REPLY

    cdef int insert_header(self, size_t start, kind, Py_ssize_t count) except -1:
        """What had to stand before the elements, whose number is known only now."""
        cdef char header[32]
        cdef size_t end = self.output.length, size
        put_header(&self.output, kind, count, self.resp)
        size = self.output.length - end
        memcpy(header, self.output.data + end, size)
        memmove(self.output.data + start + size, self.output.data + start, end - start)
        memcpy(self.output.data + start, header, size)
        return 0

    cdef bint is_mute(self) noexcept:
        """CLIENT REPLY does not want what the running command answers."""
        return self.reply_mode == REPLY_OFF or self.reply_mode == REPLY_SKIP

    cdef int put_part(self, list part) except -1:
        """Append elements of a reply in the making."""
        if self.closing or self.is_mute() or not self.has_room(part):
            return 0
        for element in part:
            encode_reply(&self.output, element, self.resp)
        if <int64_t>(self.output.length - self.sent) > self.hub.lowest_limit:
            self.check_output(True)
        return 0

    cdef bint has_room(self, value) except -1:
        """Whether the hard limit leaves room for the value; if not, the client is on its way out."""
        cdef int64_t hard = self.hub.hard_limits[self.kind()]
        if hard and self.listed_output() + reply_bytes(value, hard + FIRST_REPLY_BYTES) >= hard + FIRST_REPLY_BYTES:
            self.hub.output_limit_overcome(self, True)
            return False
        return True

    cdef int put(self, value) except -1:
        """Append to the output, unless the connection is about to go or has no room for it."""
        if self.closing:
            return 0
        try:
            if not self.has_room(value):
                return 0
            encode_reply(&self.output, value, self.resp)
        except Exception as error:
            self.fail(error)              # half of a reply may be there: nothing more can follow it
            return 0
        if self.assembled_from < 0:
            self.note_output()
        return 0

    cdef int note_output(self) except -1:
        """There is more of it: compare it with its limit and see to it that it leaves."""
        if self.closing:
            return 0
        if <int64_t>(self.output.length - self.sent) > self.hub.lowest_limit:
            self.check_output(True)
        if self.hub.memory_watched:
            self.weigh()
        if not self.write_pending and self.output.length:
            self.write_pending = True
            self.hub.pending_writes.append(self)
        return 0

    cdef int kind(self) noexcept:
        """Which of the output limits is its own."""
        if self.is_replica:
            return REPLICA
        return SUBSCRIBER if self.subscribed else NORMAL

    cdef int64_t unsent(self) noexcept:
        """Bytes of output that the socket has not taken."""
        cdef int64_t pending = <int64_t>(self.output.length - self.sent)
        return pending if self.channel is None else pending + self.channel.waiting()

    cdef int64_t listed_output(self) noexcept:
        """Bytes of output that count for the limits."""
        cdef int64_t pending = self.unsent()
        return pending - FIRST_REPLY_BYTES if pending > FIRST_REPLY_BYTES else 0

    cdef int check_output(self, bint soon) except -1:
        """Enforce client-output-buffer-limit."""
        cdef int kind = self.kind()
        cdef int64_t hard = self.hub.hard_limits[kind], soft = self.hub.soft_limits[kind]
        cdef int64_t listed = self.listed_output()
        cdef bint over = False
        if self.closing or self.is_replica:
            return 0                           # what waits for a replica is more than its output: replicas.py
        if soft and listed >= soft:
            if self.soft_limit_since_ms == 0:
                self.soft_limit_since_ms = self.engine.now_ms
            over = (self.engine.now_ms - self.soft_limit_since_ms) // 1000 > self.hub.soft_seconds[kind]
        else:
            self.soft_limit_since_ms = 0
        if over or (hard and listed >= hard):
            self.hub.output_limit_overcome(self, soon)
        return 0

    def drop_output(self):
        """The client is going to be closed for what it has not read: the memory is needed now."""
        buffer_release(&self.output)
        self.sent = 0

    # Memory

    cdef int64_t memory(self) noexcept:
        """Bytes that the connection takes, buffers, arguments and transaction included."""
        return (BASE_BYTES + <int64_t>self.input.capacity + <int64_t>self.output.capacity + self.parser.item_bytes
                + self.parser.count * WORD_BYTES + self.parser.capacity * <int64_t>sizeof(void*)
                + self.queue_bytes + len(self.queue) * (2 * WORD_BYTES) + len(self.watched) * (4 * WORD_BYTES)
                + self.attached_bytes + (0 if self.channel is None else self.channel.memory()))

    cdef void weigh(self) noexcept:
        """Bring the hub's sum up to date."""
        cdef int64_t now
        if not self.closing:
            now = self.memory()
            self.hub.clients_memory += now - self.weighed
            self.weighed = now

    cdef void forget_memory(self) noexcept:
        self.hub.clients_memory -= self.weighed
        self.weighed = 0

    cdef bint may_run(self) except -1:
        """Before a command: whether the client outlives the eviction of the largest, where all take too much."""
        self.weigh()
        if self.hub.clients_memory > self.hub.clients_limit:
            self.hub.evict_clients()
        return not self.closing

    @property
    def memory_bytes(self):
        """Bytes that the connection takes."""
        return self.memory()

    def buffers(self):
        """Sizes of its buffers under the names that CLIENT LIST has for them."""
        cdef int64_t pending = self.unsent()
        cdef int64_t listed = self.listed_output()
        cdef int64_t arguments = self.parser.item_bytes, free = 0
        cdef int64_t queued = self.queue_bytes
        for request in self.queue:
            queued += len(request) * <int64_t>sizeof(void*)
        if self.reading:
            free = READ_BYTES - self.reading
        elif self.input.capacity:
            free = <int64_t>(self.input.capacity - self.input.length)
        return {
            "qbuf": self.input.length + self.reading, "qbuf-free": free, "argv-mem": arguments, "multi-mem": queued,
            "rbs": max(1024, min(<int64_t>self.output.capacity, FIRST_REPLY_BYTES)),
            "rbp": min(self.output_peak, FIRST_REPLY_BYTES), "obl": pending - listed,
            "oll": (listed + FIRST_REPLY_BYTES - 1) // FIRST_REPLY_BYTES, "omem": listed, "tot-mem": self.memory(),
        }

    @property
    def wants_write(self):
        return self.handler.wants_write

    cdef void tidy(self, bint new_peak) noexcept:
        """Give back what idle buffers have more than they hold."""
        if self.running:
            return
        if self.engine.now_ms - self.last_interaction_ms > IDLE_MS:
            if self.input.capacity > KEEP_BYTES:
                buffer_fit(&self.input, 0)
            self.parser.shrink()
        self.hub.largest_input = max(self.hub.largest_input, <int64_t>self.input.capacity + self.parser.item_bytes)
        self.hub.largest_output = max(self.hub.largest_output, <int64_t>self.output.length)
        if new_peak:
            self.output_peak = <int64_t>self.output.length
        if self.hub.memory_watched:
            self.weigh()

    cdef void hold(self, int64_t offset) noexcept:
        """What is put out from now on, and a reply in the making, waits for `offset`.

        Two parts are enough: one for the fsync that runs, one more.
        """
        cdef size_t position = self.output.length if self.assembled_from < 0 else <size_t>self.assembled_from
        if self.hold_offset < 0:
            self.hold_offset = offset
            self.hold_position = position
        elif self.next_offset < 0 and (offset <= self.hold_offset or self.hold_offset > self.hub.sync_target):
            self.hold_offset = max(self.hold_offset, offset)
        elif self.next_offset < 0:
            self.next_offset = offset
            self.next_position = position
        else:
            self.next_offset = max(self.next_offset, offset)

    cdef size_t sendable(self) noexcept:
        """How many bytes of the output may leave; of a reply in the making, whose offset is not known yet, none."""
        cdef size_t whole = self.output.length if self.assembled_from < 0 else <size_t>self.assembled_from
        while self.hold_offset >= 0 and self.hold_offset <= self.hub.released_offset:
            self.hold_offset, self.hold_position = self.next_offset, self.next_position
            self.next_offset = -1
        return whole if self.hold_offset < 0 else min(whole, self.hold_position)

    def push_bytes(self, bytes data not None):
        """Queue bytes that are no reply."""
        if not self.closing:
            buffer_append(&self.output, PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))
            if not self.write_pending:
                self.write_pending = True
                self.hub.pending_writes.append(self)

    def push(self, value):
        """Queue out-of-band data, whatever CLIENT REPLY says."""
        self.put(value)

    def push_later(self, value):
        """As `push`, behind the reply of the command that runs."""
        if not self.running:
            self.push(value)
        elif self.deferred is None:
            self.deferred = [value]
        else:
            self.deferred.append(value)

    cdef object push_deferred(self):
        waiting, self.deferred = self.deferred, None
        for value in waiting:
            self.push(value)

    cdef ssize_t transmit(self, const char* data, size_t length) except? UNSEEN:
        """Send: how many bytes are taken care of, or minus an errno."""
        cdef ssize_t count
        if self.channel is None:
            count = send(self.fd, data, length, MSG_NOSIGNAL)
            return count if count >= 0 else -errno
        return self.channel.transmit(data, length)

    cdef bint encrypted_waits(self) noexcept:
        """There is ciphertext that the socket has not taken, of bytes that count as sent."""
        return self.channel is not None and self.channel.waiting() > 0

    cdef int flush(self) except -1:
        """Write what the socket takes."""
        cdef ssize_t count
        cdef size_t left, end
        cdef bint unsent
        cdef size_t budget = WRITE_BYTES
        if self.closing:
            return 0
        if <int64_t>self.output.length > self.output_peak:
            self.output_peak = <int64_t>self.output.length
            if self.output_peak > self.hub.largest_output:
                self.hub.largest_output = self.output_peak
        end = self.sendable()
        if self.encrypted_waits():
            count = self.channel.push()
            if count < 0 and count != -EAGAIN:
                self.hub.connection_lost(self, -count, True)
                return 0
        while self.sent < end and budget:
            left = end - self.sent
            count = self.transmit(self.output.data + self.sent, left if left < budget else budget)
            if count < 0:
                if count == -EINTR:
                    continue
                if count == -EAGAIN:
                    break
                self.hub.connection_lost(self, -count, True)
                return 0
            self.sent += count
            budget -= count
            self.hub.output_bytes += count
            self.hub.writes += 1
        unsent = self.sent < end or self.encrypted_waits()
        if self.sent == self.output.length:
            self.sent = 0
            self.output.length = 0
            self.assembled_from = min(self.assembled_from, 0)
            self.soft_limit_since_ms = 0
            if self.output.capacity > KEEP_BYTES:
                buffer_release(&self.output)
            if self.close_after_reply and not unsent:
                self.hub.close_client(self)
                return 0
        elif self.sent > KEEP_BYTES and (self.hold_offset >= 0 or self.sent >= self.output.length - self.sent):
            self.drop_sent()
        if self.hold_offset >= 0 and not self.held:
            self.held = True
            self.hub.hold(self)
        if unsent != self.handler.wants_write:
            self.hub.want_write(self, unsent)
        if self.hub.memory_watched:
            self.weigh()
        return 0

    cdef void drop_sent(self) noexcept:
        """A client whose replies never all leave at once must not keep those that have left."""
        memmove(self.output.data, self.output.data + self.sent, self.output.length - self.sent)
        self.output.length -= self.sent
        self.hold_position -= self.sent
        self.next_position -= self.sent
        if self.assembled_from >= 0:
            self.assembled_from -= <int64_t>self.sent
        self.sent = 0
        if self.output.capacity > KEEP_BYTES and self.output.capacity // 4 > self.output.length:
            buffer_fit(&self.output, self.output.length)

    def flush_pending(self):
        flush_all([self])

    @property
    def output_pending(self):
        """Bytes of replies that the socket has not taken yet."""
        return self.unsent()

    @property
    def input_pending(self):
        return self.input.length


def check_outputs(clients):
    """Enforce client-output-buffer-limit where nothing is added any more: the soft limits are limits in time."""
    cdef Client client
    for client in clients:
        if client.output.length - client.sent > FIRST_REPLY_BYTES or client.soft_limit_since_ms:
            client.check_output(False)


def tidy_all(clients, bint new_peak):
    """Once a second: give back memory of idle clients; `new_peak`: measure the peaks of their output anew."""
    cdef Client client
    for client in clients:
        client.tidy(new_peak)


def weigh_all(clients):
    """Sum up the memory of all clients, where that was not watched before."""
    cdef Client client
    for client in clients:
        client.weigh()


def flush_all(list clients):
    """Write the replies of every client in the list."""
    cdef Client client
    for client in clients:
        client.write_pending = client.held = False
        try:
            client.flush()
        except Exception as error:
            client.fail(error)
