"""Stream operations for commands: handles on a stream, its groups and their consumers.

A handle borrows native memory: it is for the command that took it and must not be used once the key, the group or the
consumer may have gone. IDs are pairs (milliseconds, sequence) here, and `ms-seq` texts in replies.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rotomdb.engine.id_map cimport (
    IdCursor, StreamId, cursor_entry, id_compare, idmap_first, idmap_last, idmap_next, idmap_seek,
)
from rotomdb.engine.keyspace cimport ENCODING_STREAM, TYPE_STREAM, Entry, Keyspace
from rotomdb.engine.listpack cimport lp_to_bytes
from rotomdb.engine.number cimport format_uint64, parse_uint64
from rotomdb.engine.stream cimport (
    Consumer, Group, Pending, Stream, StreamIterator, consumer_create, consumer_destroy, group_create, group_destroy,
    group_pending, has_deleted_from, named_find, pending_add, pending_move, pending_remove, position_of, stream_append, stream_contains, stream_delete,
    stream_field, stream_first_id, stream_iterate, stream_last_live_id, stream_new, stream_next, stream_trim,
)

Id = tuple[int, int]
MIN_ID = (0, 0)
MAX_ID = ((1 << 64) - 1, (1 << 64) - 1)
UNKNOWN_READ = -1


# IDs


def parse_id(bytes text not None, uint64_t missing_sequence=0):
    """The pair that `ms` or `ms-seq` spells; None when it spells none."""
    cdef const char* data = PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text), dash = 0
    cdef uint64_t ms, seq = missing_sequence
    if size > 127:
        return None
    while dash < size and data[dash] != c'-':
        dash += 1
    if not parse_uint64(data, dash, &ms):
        return None
    if dash < size and not parse_uint64(data + dash + 1, size - dash - 1, &seq):
        return None
    return ms, seq


cdef bytes id_text(StreamId id):
    cdef char text[48]
    cdef int size = format_uint64(text, id.ms)
    text[size] = c'-'
    return PyBytes_FromStringAndSize(text, size + 1 + format_uint64(text + size + 1, id.seq))


cdef inline StreamId id_of(tuple pair):
    cdef StreamId id
    id.ms = pair[0]
    id.seq = pair[1]
    return id


cdef inline tuple pair_of(StreamId id):
    return id.ms, id.seq


def format_id(tuple pair not None):
    return id_text(id_of(pair))


def following_id(tuple pair not None):
    """The next higher ID; None after the highest."""
    ms, seq = pair
    if seq < MAX_ID[1]:
        return ms, seq + 1
    return None if ms == MAX_ID[0] else (ms + 1, 0)


def preceding_id(tuple pair not None):
    """The next lower ID; None before 0-0."""
    ms, seq = pair
    if seq:
        return ms, seq - 1
    return None if ms == 0 else (ms - 1, MAX_ID[1])


# Streams


def find(Keyspace db not None, bytes key not None):
    """Handle of the stream at `key`, counting a hit or a miss; None when there is no such key."""
    return handle(db.find_type(key, TYPE_STREAM))


def peek(Keyspace db not None, bytes key not None):
    """As `find`, without counting."""
    return handle(db.peek_type(key, TYPE_STREAM))


def create(Keyspace db not None, bytes key not None):
    """Handle of the stream at `key`, made when there is none."""
    cdef Entry* entry = db.peek_type(key, TYPE_STREAM)
    if entry == NULL:
        entry = db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_STREAM, ENCODING_STREAM, stream_new(), 0)
    return handle(entry)


def append_next(Keyspace db not None, bytes key not None, words not None):
    """Append `words[1:]` under the next ID that the clock gives (XADD with `*`), making the stream when there is none.

    Returns:
        The ID's text; None when no higher ID is left; False when the entry is larger than a node can be.
    """
    cdef Entry* entry = db.peek_type(key, TYPE_STREAM)
    cdef Stream* stream = NULL if entry == NULL else <Stream*>entry.value
    cdef StreamId id
    id.ms = <uint64_t>db.engine.now_ms
    id.seq = 0
    if stream == NULL:
        stream = stream_new()
        db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_STREAM, ENCODING_STREAM, stream, 0)
    elif id_compare(id, stream.last_id) <= 0:
        id = stream.last_id
        if id.seq == <uint64_t>-1:
            if id.ms == <uint64_t>-1:
                return None
            id.ms += 1
        id.seq += 1                  # wraps to 0 where ms has moved on
    if not stream_append(stream, id, words, 1, db.engine.stream_node_max_bytes, db.engine.stream_node_max_entries):
        return False
    return id_text(id)


cdef StreamHandle handle(Entry* entry):
    cdef StreamHandle stream
    if entry == NULL:
        return None
    stream = StreamHandle.__new__(StreamHandle)
    stream.data = <Stream*>entry.value
    return stream


cdef list found_fields(StreamIterator* iterator):
    cdef list fields = []
    cdef uint8_t* name
    cdef uint8_t* value
    while stream_field(iterator, &name, &value):
        fields.append(lp_to_bytes(name))
        fields.append(lp_to_bytes(value))
    return fields


cdef class StreamHandle:
    cdef Stream* data

    @property
    def length(self):
        """Live entries."""
        return self.data.length

    @property
    def node_count(self):
        return self.data.nodes.length

    @property
    def last_id(self):
        """The highest ID ever added."""
        return pair_of(self.data.last_id)

    @last_id.setter
    def last_id(self, tuple id not None):
        self.data.last_id = id_of(id)

    @property
    def first_id(self):
        """ID of the oldest live entry; 0-0 when there is none."""
        return pair_of(stream_first_id(self.data))

    @property
    def last_live_id(self):
        """ID of the newest live entry; 0-0 when there is none."""
        return pair_of(stream_last_live_id(self.data))

    @property
    def max_deleted_id(self):
        return pair_of(self.data.max_deleted_id)

    @max_deleted_id.setter
    def max_deleted_id(self, tuple id not None):
        self.data.max_deleted_id = id_of(id)

    @property
    def entries_added(self):
        return self.data.entries_added

    @entries_added.setter
    def entries_added(self, uint64_t count):
        self.data.entries_added = count

    def add(self, tuple id not None, words, int64_t skip, int64_t node_max_bytes, int64_t node_max_entries):
        """Append the fields and values in `words[skip:]`; False when they are larger than a node can be.

        `id` must be above `last_id`.
        """
        return stream_append(self.data, id_of(id), words, skip, node_max_bytes, node_max_entries)

    def range(self, tuple start not None, tuple end not None, int64_t count=-1, bint reverse=False):
        """Entries from `start` to `end`, both included, as [ID text, [field, value, ...]]; -1: all of them."""
        cdef StreamIterator iterator
        cdef list entries = []
        stream_iterate(self.data, &iterator, id_of(start), id_of(end), reverse)
        while count and stream_next(&iterator):
            entries.append([id_text(iterator.id), found_fields(&iterator)])
            count -= 1
        return entries

    def contains(self, tuple id not None):
        return stream_contains(self.data, id_of(id))

    def delete(self, tuple id not None):
        """Remove one entry; whether it was there."""
        return stream_delete(self.data, id_of(id))

    def trim_to_length(self, int64_t length, bint approximate, int64_t limit):
        """Drop the oldest entries; returns how many. Approximate: whole nodes, at most `limit` entries (0: any)."""
        return stream_trim(self.data, False, id_of(MIN_ID), length, approximate, limit, None)

    def trim_below(self, tuple threshold not None, bint approximate, int64_t limit):
        """Drop the entries below an ID; returns how many."""
        return stream_trim(self.data, True, id_of(threshold), 0, approximate, limit, None)

    def trim_candidates(self, tuple threshold, int64_t length, bint approximate, int64_t limit):
        """IDs of what `trim_below` (with a threshold) or `trim_to_length` would drop."""
        ids = []
        stream_trim(self.data, threshold is not None, id_of(threshold or MIN_ID), length, approximate, limit, ids)
        return ids

    # What a group's counters can be derived from

    def position_of(self, tuple id not None):
        """Entries ever added up to `id`, where that can be known; -1 otherwise (docs/formats.md, 2.9)."""
        return position_of(self.data, id_of(id))

    def has_deleted_after(self, tuple id not None):
        """Whether an entry behind `id` was deleted individually, so that counting from there is not exact."""
        return has_deleted_from(self.data, id_of(id))

    # Groups

    def groups(self):
        """Handles of all groups, by name."""
        return [group_handle(self.data, self.data.groups[i]) for i in range(self.data.group_count)]

    @property
    def group_count(self):
        return self.data.group_count

    def group(self, bytes name not None):
        """Handle of a group, or None."""
        cdef Group* found = <Group*>named_find(<void**>self.data.groups, self.data.group_count, PyBytes_AS_STRING(name),
                                               <size_t>PyBytes_GET_SIZE(name))
        return None if found == NULL else group_handle(self.data, found)

    def create_group(self, bytes name not None, tuple last_id not None, int64_t entries_read):
        """A new group; the name must be free."""
        return group_handle(self.data, group_create(self.data, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name),
                                                    id_of(last_id), entries_read))

    def destroy_group(self, GroupHandle group not None):
        group_destroy(self.data, group.data)
        group.data = NULL

    def forget_references(self, tuple id not None):
        """Remove the entry from every group's pending list; whether it was in any."""
        cdef bint found = False
        cdef int64_t i
        for i in range(self.data.group_count):
            found = pending_remove(self.data.groups[i], id_of(id)) or found
        return found

    def is_referenced(self, tuple id not None):
        """Whether a group has the entry pending, or has not been given it yet."""
        cdef int64_t i
        cdef StreamId wanted = id_of(id)
        for i in range(self.data.group_count):
            if (id_compare(self.data.groups[i].last_id, wanted) < 0
                    or group_pending(self.data.groups[i], wanted) != NULL):
                return True
        return False


cdef GroupHandle group_handle(Stream* stream, Group* group):
    cdef GroupHandle made = GroupHandle.__new__(GroupHandle)
    made.stream = stream
    made.data = group
    return made


cdef class GroupHandle:
    cdef Stream* stream
    cdef Group* data

    @property
    def name(self):
        return PyBytes_FromStringAndSize(self.data.named.name, <Py_ssize_t>self.data.named.name_length)

    @property
    def last_id(self):
        """The last ID given to any consumer."""
        return pair_of(self.data.last_id)

    @last_id.setter
    def last_id(self, tuple id not None):
        self.data.last_id = id_of(id)

    @property
    def entries_read(self):
        """Logical read counter; -1 when unknown."""
        return self.data.entries_read

    @entries_read.setter
    def entries_read(self, int64_t count):
        self.data.entries_read = count

    @property
    def pending_count(self):
        return self.data.pending.length

    @property
    def pending_bounds(self):
        """(lowest, highest) pending ID; there must be one."""
        cdef IdCursor first, last
        idmap_first(&self.data.pending, &first)
        idmap_last(&self.data.pending, &last)
        return pair_of(cursor_entry(&first).id), pair_of(cursor_entry(&last).id)

    # Consumers

    @property
    def consumer_count(self):
        return self.data.consumer_count

    def consumers(self):
        """Handles of all consumers, by name."""
        return [consumer_handle(self.data.consumers[i]) for i in range(self.data.consumer_count)]

    def consumer(self, bytes name not None):
        """Handle of a consumer, or None."""
        cdef Consumer* found = <Consumer*>named_find(<void**>self.data.consumers, self.data.consumer_count,
                                                     PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))
        return None if found == NULL else consumer_handle(found)

    def create_consumer(self, bytes name not None, int64_t now_ms):
        """A new consumer; the name must be free."""
        return consumer_handle(consumer_create(self.data, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name),
                                               now_ms))

    def destroy_consumer(self, ConsumerHandle consumer not None):
        """Remove a consumer and what is pending for it."""
        consumer_destroy(self.data, consumer.data)
        consumer.data = NULL

    # Delivery

    def deliver(self, ConsumerHandle consumer not None, int64_t count, bint without_pending, int64_t now_ms):
        """Give the consumer up to `count` (-1: all) entries that the group has not seen; they become pending.

        Returns [ID text, [field, value, ...]] each.
        """
        cdef StreamIterator iterator
        cdef StreamId start = self.data.last_id, high
        cdef Pending* pending
        cdef list entries = []
        if start.seq == <uint64_t>-1:
            start.ms += 1            # at the very last ID this wraps to 0: nothing is above it
            if start.ms == 0:
                return entries
        start.seq += 1
        high.ms = high.seq = <uint64_t>-1
        stream_iterate(self.stream, &iterator, start, high, False)
        while count and stream_next(&iterator):
            entries.append([id_text(iterator.id), found_fields(&iterator)])
            self.advance(iterator.id)
            if not without_pending:
                pending = group_pending(self.data, iterator.id)
                if pending == NULL:
                    pending_add(self.data, consumer.data, iterator.id, now_ms, 1)
                else:
                    # XGROUP SETID went back: the entry is delivered anew.
                    pending_move(pending, iterator.id, consumer.data)
                    pending.delivered_ms = now_ms
                    pending.deliveries = 1
            count -= 1
        return entries

    cdef void advance(self, StreamId id) noexcept:
        """The group's position moves to `id`, the entry after its last one."""
        if (self.data.entries_read != -1 and id_compare(self.data.last_id, stream_first_id(self.stream)) >= 0
                and not has_deleted_from(self.stream, self.data.last_id)):
            self.data.entries_read += 1
        elif self.stream.entries_added:
            self.data.entries_read = position_of(self.stream, id)
        self.data.last_id = id

    def history(self, ConsumerHandle consumer not None, tuple start not None, int64_t count, int64_t now_ms):
        """Entries pending for the consumer from `start` on, delivered once more; a deleted one has None for fields."""
        cdef IdCursor cursor
        cdef StreamIterator iterator
        cdef Pending* pending
        cdef StreamId id
        cdef list entries = []
        cdef bint more = idmap_seek(&consumer.data.pending, id_of(start), &cursor)
        while more and count:
            id = cursor_entry(&cursor).id
            pending = <Pending*>cursor_entry(&cursor).value
            stream_iterate(self.stream, &iterator, id, id, False)
            if stream_next(&iterator):
                entries.append([id_text(id), found_fields(&iterator)])
                pending.delivered_ms = now_ms
                pending.deliveries += 1
            else:
                entries.append([id_text(id), None])
            count -= 1
            more = idmap_next(&cursor)
        return entries

    # Pending entries

    def pending(self, tuple id not None):
        """(owner's name, delivery time in ms, deliveries) of a pending entry, or None."""
        cdef Pending* found = group_pending(self.data, id_of(id))
        return None if found == NULL else describe(found)

    def pending_range(self, tuple start not None, tuple end not None, int64_t count, ConsumerHandle consumer=None,
                      int64_t delivered_before_ms=-1):
        """Up to `count` (-1: all) of (ID, owner's name, delivery time in ms, deliveries), of one consumer or of all.

        Args:
            delivered_before_ms: Leave out what was delivered after this time; -1: nothing.
        """
        cdef IdCursor cursor
        cdef StreamId last = id_of(end)
        cdef Pending* pending
        cdef list found = []
        cdef bint more = idmap_seek(&self.data.pending if consumer is None else &consumer.data.pending, id_of(start),
                                    &cursor)
        while more and count and id_compare(cursor_entry(&cursor).id, last) <= 0:
            pending = <Pending*>cursor_entry(&cursor).value
            if delivered_before_ms < 0 or pending.delivered_ms <= delivered_before_ms:
                found.append((pair_of(cursor_entry(&cursor).id), *describe(pending)))
                count -= 1
            more = idmap_next(&cursor)
        return found

    def acknowledge(self, tuple id not None):
        """The entry is done with; whether it was pending."""
        return pending_remove(self.data, id_of(id))

    def assign(self, tuple id not None, ConsumerHandle consumer not None, int64_t delivered_ms, uint64_t deliveries):
        """Make the entry pending for a consumer, whoever had it."""
        cdef Pending* pending = group_pending(self.data, id_of(id))
        if pending == NULL:
            pending_add(self.data, consumer.data, id_of(id), delivered_ms, deliveries)
            return
        pending_move(pending, id_of(id), consumer.data)
        pending.delivered_ms = delivered_ms
        pending.deliveries = deliveries


cdef tuple describe(Pending* pending):
    return (PyBytes_FromStringAndSize(pending.owner.named.name, <Py_ssize_t>pending.owner.named.name_length),
            pending.delivered_ms, pending.deliveries)


cdef ConsumerHandle consumer_handle(Consumer* consumer):
    cdef ConsumerHandle made = ConsumerHandle.__new__(ConsumerHandle)
    made.data = consumer
    return made


cdef class ConsumerHandle:
    cdef Consumer* data

    @property
    def name(self):
        return PyBytes_FromStringAndSize(self.data.named.name, <Py_ssize_t>self.data.named.name_length)

    @property
    def pending_count(self):
        return self.data.pending.length

    @property
    def seen_ms(self):
        """Unix time of the last attempt to read or claim."""
        return self.data.seen_ms

    @seen_ms.setter
    def seen_ms(self, int64_t now_ms):
        self.data.seen_ms = now_ms

    @property
    def active_ms(self):
        """Unix time of the last success; -1: never."""
        return self.data.active_ms

    @active_ms.setter
    def active_ms(self, int64_t now_ms):
        self.data.active_ms = now_ms
