"""Keys as the commands that rebuild them: the RESP form of a rewritten append-only file (docs/formats.md, 6.10)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from rotomdb.engine.buffer cimport Buffer, buffer_release
from rotomdb.engine.intset cimport Intset, intset_get
from rotomdb.engine.keyspace cimport (
    ENCODING_EMBSTR, ENCODING_INT, ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_TIMED_TABLE, NO_EXPIRE, TYPE_HASH, TYPE_LIST, TYPE_SET,
    TYPE_STREAM, TYPE_STRING, Entry, Field, Keyspace, Member, RawString, encoding_of, field_name, field_value, key_of,
    member_bytes, raw_bytes, type_of,
)
from rotomdb.engine.listpack cimport LISTPACK_INTEGER_TEXT, lp_count, lp_first, lp_next, lp_text
from rotomdb.engine.id_map cimport IdCursor, StreamId, cursor_entry, idmap_first, idmap_next
from rotomdb.engine.number cimport format_double, format_int64, format_uint64
from rotomdb.engine.quicklist cimport ListCursor, Quicklist, cursor_next, cursor_text, quicklist_seek
from rotomdb.engine.skiplist cimport SkipNode, SortedSet, level_of, member_of
from rotomdb.engine.stream cimport (
    Consumer, Group, Pending, Stream, StreamIterator, stream_field, stream_iterate, stream_next,
)
from rotomdb.storage.resp cimport put_bulk, put_number
from rotomdb.engine.table cimport Table, TableIterator, table_iterate, table_length, table_next, table_stop
from rotomdb.engine.timed_hash cimport FieldTime, TimedHash, timed_name

cdef enum:
    ITEMS_PER_COMMAND = 64


cdef void put_integer(Buffer* out, int64_t value) noexcept:
    cdef char text[24]
    put_bulk(out, text, <size_t>format_int64(text, value))


cdef void put_unsigned(Buffer* out, uint64_t value) noexcept:
    cdef char text[24]
    put_bulk(out, text, <size_t>format_uint64(text, value))


cdef void put_id(Buffer* out, StreamId id) noexcept:
    cdef char text[48]
    cdef int size = format_uint64(text, id.ms)
    text[size] = c'-'
    put_bulk(out, text, <size_t>(size + 1 + format_uint64(text + size + 1, id.seq)))


cdef class CommandEncoder:
    """The commands of one database, in chunks. While it lives no key may be added or removed."""

    cdef Keyspace db
    cdef TableIterator iterator
    cdef Buffer buffer
    cdef int64_t open_items               # items that the running command still takes
    cdef int64_t items_left               # of the running key
    cdef readonly int64_t keys

    def __cinit__(self, Keyspace db not None):
        self.db = db
        table_iterate(&db.keys, &self.iterator)

    def __dealloc__(self):
        table_stop(&self.iterator)
        buffer_release(&self.buffer)

    def next_chunk(self, size_t target):
        """Commands of about `target` bytes in all, or None at the end."""
        cdef Entry* entry
        self.buffer.length = 0
        while self.buffer.length < target and self.iterator.table != NULL:
            entry = <Entry*>table_next(&self.iterator)
            if entry == NULL:
                break
            self.put_value(entry)
            if entry.expire_ms != NO_EXPIRE:
                put_number(&self.buffer, c'*', 3)
                put_bulk(&self.buffer, b"PEXPIREAT", 9)
                put_bulk(&self.buffer, key_of(entry), entry.key_length)
                put_integer(&self.buffer, entry.expire_ms)
            self.keys += 1
        if self.buffer.length == 0:
            return None
        return PyBytes_FromStringAndSize(self.buffer.data, <Py_ssize_t>self.buffer.length)

    cdef void begin_item(self, Entry* entry, const char* name, size_t name_length, int words) noexcept:
        """Start the next command when the running one is full; `words` per item."""
        cdef int64_t items
        if self.open_items == 0:
            items = self.items_left if self.items_left < ITEMS_PER_COMMAND else ITEMS_PER_COMMAND
            put_number(&self.buffer, c'*', 2 + items * words)
            put_bulk(&self.buffer, name, name_length)
            put_bulk(&self.buffer, key_of(entry), entry.key_length)
            self.open_items = items
        self.open_items -= 1
        self.items_left -= 1

    cdef void put_element(self, uint8_t* element) noexcept:
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t length
        cdef const char* text = lp_text(element, &length, scratch)
        put_bulk(&self.buffer, text, length)

    cdef int put_value(self, Entry* entry) except -1:
        cdef int type = type_of(entry)
        self.open_items = 0
        if type == TYPE_STRING:
            self.put_string(entry)
        elif type == TYPE_LIST:
            self.put_list(entry)
        elif type == TYPE_SET:
            self.put_set(entry)
        elif type == TYPE_HASH:
            self.put_hash(entry)
        elif type == TYPE_STREAM:
            self.put_stream(entry)
        else:
            self.put_sorted_set(entry)
        return 0

    cdef void put_string(self, Entry* entry) noexcept:
        cdef RawString* raw
        put_number(&self.buffer, c'*', 3)
        put_bulk(&self.buffer, b"SET", 3)
        put_bulk(&self.buffer, key_of(entry), entry.key_length)
        if encoding_of(entry) == ENCODING_INT:
            put_integer(&self.buffer, <int64_t>entry.value)
        elif encoding_of(entry) == ENCODING_EMBSTR:
            put_bulk(&self.buffer, key_of(entry) + entry.key_length, <size_t>entry.value)
        else:
            raw = <RawString*>entry.value
            put_bulk(&self.buffer, raw_bytes(raw), raw.length)

    cdef void put_list(self, Entry* entry) noexcept:
        cdef ListCursor cursor
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t length
        cdef const char* text
        cdef bint more
        self.items_left = (<Quicklist*>entry.value).count
        more = quicklist_seek(<Quicklist*>entry.value, 0, &cursor)
        while more:
            self.begin_item(entry, b"RPUSH", 5, 1)
            text = cursor_text(&cursor, &length, scratch)
            put_bulk(&self.buffer, text, length)
            more = cursor_next(&cursor)

    cdef void put_set(self, Entry* entry) noexcept:
        cdef TableIterator iterator
        cdef Member* member
        cdef uint8_t* at
        cdef uint32_t i
        if encoding_of(entry) == ENCODING_INTSET:
            self.items_left = (<Intset*>entry.value).length
            for i in range((<Intset*>entry.value).length):
                self.begin_item(entry, b"SADD", 4, 1)
                put_integer(&self.buffer, intset_get(<Intset*>entry.value, i))
        elif encoding_of(entry) == ENCODING_LISTPACK:
            self.items_left = lp_count(<uint8_t*>entry.value)
            at = lp_first(<uint8_t*>entry.value)
            while at != NULL:
                self.begin_item(entry, b"SADD", 4, 1)
                self.put_element(at)
                at = lp_next(<uint8_t*>entry.value, at)
        else:
            self.items_left = table_length(<Table*>entry.value)
            table_iterate(<Table*>entry.value, &iterator)
            while True:
                member = <Member*>table_next(&iterator)
                if member == NULL:
                    break
                self.begin_item(entry, b"SADD", 4, 1)
                put_bulk(&self.buffer, member_bytes(member), member.length)

    cdef void put_hash(self, Entry* entry) noexcept:
        cdef TableIterator iterator
        cdef Field* field
        cdef uint8_t* at
        if encoding_of(entry) == ENCODING_LISTPACK:
            self.items_left = lp_count(<uint8_t*>entry.value) // 2
            at = lp_first(<uint8_t*>entry.value)
            while at != NULL:
                self.begin_item(entry, b"HMSET", 5, 2)
                self.put_element(at)
                at = lp_next(<uint8_t*>entry.value, at)
                self.put_element(at)
                at = lp_next(<uint8_t*>entry.value, at)
        else:
            self.items_left = table_length(<Table*>entry.value)
            table_iterate(<Table*>entry.value, &iterator)
            while True:
                field = <Field*>table_next(&iterator)
                if field == NULL:
                    break
                self.begin_item(entry, b"HMSET", 5, 2)
                put_bulk(&self.buffer, field_name(field), field.length)
                put_bulk(&self.buffer, field_value(field), field.value_length)
            if encoding_of(entry) == ENCODING_TIMED_TABLE:
                self.put_field_times(entry, <TimedHash*>entry.value)

    cdef void put_field_times(self, Entry* entry, TimedHash* timed) noexcept:
        cdef IdCursor cursor
        cdef FieldTime* time
        cdef bint more = idmap_first(&timed.order, &cursor)
        while more:
            time = <FieldTime*>cursor_entry(&cursor).value
            self.begin_command(6, b"HPEXPIREAT", NULL, entry)
            put_integer(&self.buffer, time.expire_ms)
            self.put_word(b"FIELDS")
            self.put_word(b"1")
            put_bulk(&self.buffer, timed_name(time), time.length)
            more = idmap_next(&cursor)

    cdef int put_sorted_set(self, Entry* entry) except -1:
        cdef SkipNode* node
        cdef uint8_t* at
        cdef uint8_t* score_at
        cdef char text[48]
        if encoding_of(entry) == ENCODING_LISTPACK:
            self.items_left = lp_count(<uint8_t*>entry.value) // 2
            at = lp_first(<uint8_t*>entry.value)
            while at != NULL:
                score_at = lp_next(<uint8_t*>entry.value, at)
                self.begin_item(entry, b"ZADD", 4, 2)
                self.put_element(score_at)
                self.put_element(at)
                at = lp_next(<uint8_t*>entry.value, score_at)
        else:
            self.items_left = table_length(&(<SortedSet*>entry.value).members)
            node = level_of((<SortedSet*>entry.value).head, 0).forward
            while node != NULL:
                self.begin_item(entry, b"ZADD", 4, 2)
                put_bulk(&self.buffer, text, <size_t>format_double(text, node.score))
                put_bulk(&self.buffer, member_of(node), node.length)
                node = level_of(node, 0).forward
        return 0

    cdef void begin_command(self, int64_t words, const char* name, const char* subcommand, Entry* entry) noexcept:
        put_number(&self.buffer, c'*', words)
        put_bulk(&self.buffer, name, strlen(name))
        if subcommand != NULL:
            put_bulk(&self.buffer, subcommand, strlen(subcommand))
        put_bulk(&self.buffer, key_of(entry), entry.key_length)

    cdef void put_word(self, const char* word) noexcept:
        put_bulk(&self.buffer, word, strlen(word))

    cdef void put_stream(self, Entry* entry) noexcept:
        cdef Stream* stream = <Stream*>entry.value
        cdef StreamIterator iterator
        cdef StreamId low, high
        cdef uint8_t* name
        cdef uint8_t* value
        cdef int64_t i
        cdef bint empty = True
        low.ms = low.seq = 0
        high.ms = high.seq = <uint64_t>-1
        stream_iterate(stream, &iterator, low, high, False)
        while stream_next(&iterator):
            empty = False
            self.begin_command(3 + 2 * iterator.field_count, b"XADD", NULL, entry)
            put_id(&self.buffer, iterator.id)
            while stream_field(&iterator, &name, &value):
                self.put_element(name)
                self.put_element(value)
        if empty:
            # An entry that its own command trims away: the one way to make a stream without entries.
            self.begin_command(7, b"XADD", NULL, entry)
            self.put_word(b"MAXLEN")
            self.put_word(b"0")
            self.put_word(b"0-1")
            self.put_word(b"x")
            self.put_word(b"y")
        self.begin_command(7, b"XSETID", NULL, entry)
        put_id(&self.buffer, stream.last_id)
        self.put_word(b"ENTRIESADDED")
        put_unsigned(&self.buffer, stream.entries_added)
        self.put_word(b"MAXDELETEDID")
        put_id(&self.buffer, stream.max_deleted_id)
        for i in range(stream.group_count):
            self.put_group(entry, stream.groups[i])

    cdef void put_group(self, Entry* entry, Group* group) noexcept:
        cdef IdCursor cursor
        cdef Pending* pending
        cdef Consumer* consumer
        cdef int64_t i
        cdef bint more
        self.begin_command(7, b"XGROUP", b"CREATE", entry)
        put_bulk(&self.buffer, group.named.name, group.named.name_length)
        put_id(&self.buffer, group.last_id)
        self.put_word(b"ENTRIESREAD")
        put_integer(&self.buffer, group.entries_read)
        for i in range(group.consumer_count):
            consumer = group.consumers[i]
            self.begin_command(5, b"XGROUP", b"CREATECONSUMER", entry)
            put_bulk(&self.buffer, group.named.name, group.named.name_length)
            put_bulk(&self.buffer, consumer.named.name, consumer.named.name_length)
            more = idmap_first(&consumer.pending, &cursor)
            while more:
                pending = <Pending*>cursor_entry(&cursor).value
                self.begin_command(12, b"XCLAIM", NULL, entry)
                put_bulk(&self.buffer, group.named.name, group.named.name_length)
                put_bulk(&self.buffer, consumer.named.name, consumer.named.name_length)
                self.put_word(b"0")
                put_id(&self.buffer, cursor_entry(&cursor).id)
                self.put_word(b"TIME")
                put_integer(&self.buffer, pending.delivered_ms)
                self.put_word(b"RETRYCOUNT")
                put_unsigned(&self.buffer, pending.deliveries)
                self.put_word(b"JUSTID")
                self.put_word(b"FORCE")
                more = idmap_next(&cursor)
