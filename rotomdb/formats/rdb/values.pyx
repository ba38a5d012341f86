"""Values of every type, handed to a sink piece by piece: none is ever held whole.

Only what is one blob in the file (a listpack, a compressed string) is looked at as a whole. The structure of each blob is
validated before it is taken apart; members that occur twice are found by a sink that looks for them (formats/sinks/check.pyx).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rotomdb.formats.rdb.format cimport (
    CELL_DOUBLE, CELL_INTEGER, CELL_LONG_TEXT, CELL_TEXT, FIELD_TIME_MAX, NAMES_PACKED, RDB_ARRAY, RDB_HASH,
    RDB_HASH_LISTPACK, RDB_HASH_TIMED, RDB_HASH_TIMED_LISTPACK, RDB_HASH_TIMED_LISTPACK_PRE_RELEASE,
    RDB_HASH_TIMED_PRE_RELEASE, RDB_HASH_ZIPMAP, RDB_LIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2, RDB_LIST_ZIPLIST,
    RDB_MODULE, RDB_MODULE_PRE_RELEASE, RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STRING, RDB_TEMPLATE_ARRAY_REF,
    RDB_TEMPLATE_LISTPACK, RDB_TEMPLATE_LISTPACK_REF, RDB_VALKEY_HASH_TIMED, RDB_VALKEY_HASH_UNRELEASED, RDB_ZSET,
    RDB_ZSET_2, RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST, STREAM_ID_BYTES, is_stream, is_template_hash,
)
from rotomdb.formats.rdb.cursor cimport cursor_take
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.intset cimport Intset, intset_get, intset_validate
from rotomdb.engine.listpack cimport (
    LISTPACK_INTEGER_TEXT, lp_bytes, lp_count, lp_first, lp_get, lp_integer, lp_next, lp_text, lp_validate,
)
from rotomdb.engine.memory cimport mem_free
from rotomdb.engine.number cimport format_double, format_int64, parse_double
from rotomdb.engine.quicklist cimport NODE_PACKED, NODE_PLAIN
from rotomdb.formats.rdb.records cimport RdbRecords
from rotomdb.formats.rdb.stream_tail cimport take_tail
from rotomdb.formats.rdb.streams cimport NodeSummary, check_node, raw_id
from rotomdb.engine.stream cimport ENTRY_DELETED, ENTRY_SAME_FIELDS
from rotomdb.formats.rdb.old_packs cimport listpack_of_ziplist, listpack_of_zipmap
from rotomdb.formats.rdb.ziplist cimport ziplist_validate
from rotomdb.formats.sinks.sink cimport (
    KIND_ARRAY, KIND_HASH, KIND_LIST, KIND_MODULE, KIND_SET, KIND_STREAM, KIND_ZSET, NO_FIELD_TIME, ValueSink,
)

from rotomdb.formats.rdb.records import module_name


cdef class RdbValues(RdbRecords):
    """Takes values apart."""

    cdef bint visit_value(self, ValueSink sink) except -1:
        cdef int type = self.record.type
        cdef size_t start = self.cursor.position
        cdef const char* data
        cdef size_t size
        cdef uint64_t identifier
        if type == RDB_STRING:
            if not self.text(1, &data, &size):
                return False
            sink.string(data, size)
            return True
        if type == RDB_LIST or type == RDB_LIST_QUICKLIST or type == RDB_LIST_QUICKLIST_2:
            return self.visit_list(sink, type)
        if type == RDB_SET:
            return self.visit_items(sink, KIND_SET)
        if type == RDB_ZSET or type == RDB_ZSET_2:
            return self.visit_scored(sink, type)
        if type == RDB_HASH:
            return self.visit_pairs(sink)
        if is_stream(type):
            return self.visit_stream(sink, type)
        if type == RDB_HASH_TIMED_LISTPACK or (type == RDB_HASH_TIMED_LISTPACK_PRE_RELEASE and not self.valkey):
            return self.visit_timed_elements(sink)
        if type == RDB_HASH_TIMED_PRE_RELEASE or type == RDB_HASH_TIMED:
            return self.visit_timed_pairs(sink, type)
        if type == RDB_ARRAY:
            return self.visit_array(sink)
        if is_template_hash(type):
            return self.visit_template_hash(sink, type)
        if type == RDB_MODULE:
            if not self.plain_length(&identifier) or not self.skip_module_value():
                return False
            self.record.end = self.cursor.position
            sink.begin(KIND_MODULE, 0)
            sink.module(module_name(identifier))
            return True
        if type == RDB_MODULE_PRE_RELEASE:
            return self.unsupported(b"pre-release module value, cannot be read without its module", start)
        if type == RDB_VALKEY_HASH_UNRELEASED:
            return self.unsupported(b"hash of an unreleased Valkey", start)
        return self.visit_packed(sink, type)

    cdef bint visit_items(self, ValueSink sink, int kind) except -1:
        cdef uint64_t count
        cdef const char* data
        cdef size_t size
        if not self.plain_length(&count):
            return False
        sink.begin(kind, <int64_t>count)
        for _ in range(count):
            if not self.text(1, &data, &size):
                return False
            sink.item(data, size)
        return True

    cdef bint visit_list(self, ValueSink sink, int type) except -1:
        cdef uint64_t nodes, container = NODE_PACKED
        cdef const char* data
        cdef const char* problem
        cdef size_t size, start
        cdef uint8_t* lp
        if type == RDB_LIST:
            return self.visit_items(sink, KIND_LIST)
        if not self.plain_length(&nodes):
            return False
        sink.begin(KIND_LIST, -1)
        for _ in range(nodes):
            start = self.cursor.position
            if type == RDB_LIST_QUICKLIST_2 and not self.plain_length(&container):
                return False
            if container != NODE_PACKED and container != NODE_PLAIN:
                return self.corrupt(b"unknown quicklist container", start)
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if container == NODE_PLAIN:
                if size == 0:
                    return self.corrupt(b"empty plain quicklist node", start)
                sink.packed(size, 1)
                sink.item(data, size)
                continue
            if type == RDB_LIST_QUICKLIST:
                problem = ziplist_validate(<const uint8_t*>data, size)
                if problem != NULL:
                    return self.corrupt(problem, start)
                lp = listpack_of_ziplist(<const uint8_t*>data)
                try:
                    self.visit_elements(sink, KIND_LIST, lp, start)
                finally:
                    mem_free(lp)
                continue
            problem = lp_validate(<const uint8_t*>data, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            self.visit_elements(sink, KIND_LIST, <uint8_t*>data, start)
        return True

    cdef bint visit_pairs(self, ValueSink sink) except -1:
        cdef uint64_t count
        cdef const char* name
        cdef const char* data
        cdef size_t name_size, size
        if not self.plain_length(&count):
            return False
        sink.begin(KIND_HASH, <int64_t>count)
        for _ in range(count):
            if not self.text(0, &name, &name_size) or not self.text(1, &data, &size):
                return False
            sink.pair(name, name_size, data, size, NO_FIELD_TIME)
        return True

    cdef bint visit_scored(self, ValueSink sink, int type) except -1:
        cdef uint64_t count
        cdef const char* data
        cdef const uint8_t* p
        cdef size_t size, start
        cdef double score
        if not self.plain_length(&count):
            return False
        sink.begin(KIND_ZSET, <int64_t>count)
        for _ in range(count):
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if type == RDB_ZSET:
                if not self.text_double(&score):
                    return False
            else:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    return False
                memcpy(&score, p, 8)
                if isnan(score):
                    return self.corrupt(b"score is not a number", start)
            sink.scored(data, size, score)
        return True

    cdef bint visit_packed(self, ValueSink sink, int type) except -1:
        """Values that are one blob: intset, listpack, ziplist, zipmap."""
        cdef size_t start = self.cursor.position, size
        cdef const char* data
        cdef const char* problem = NULL
        cdef uint8_t* lp
        cdef int kind = KIND_HASH
        if not self.text(1, &data, &size):
            return False
        if type == RDB_SET_INTSET:
            return self.visit_intset(sink, data, size, start)
        if type == RDB_LIST_ZIPLIST:
            kind = KIND_LIST
        elif type == RDB_SET_LISTPACK:
            kind = KIND_SET
        elif type == RDB_ZSET_ZIPLIST or type == RDB_ZSET_LISTPACK:
            kind = KIND_ZSET
        if type == RDB_HASH_LISTPACK or type == RDB_ZSET_LISTPACK or type == RDB_SET_LISTPACK:
            problem = lp_validate(<const uint8_t*>data, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            sink.begin(kind, lp_count(<uint8_t*>data) // (1 if kind == KIND_SET else 2))
            return self.visit_elements(sink, kind, <uint8_t*>data, start)
        lp = NULL
        if type == RDB_HASH_ZIPMAP:
            lp = listpack_of_zipmap(<const uint8_t*>data, size, &problem)
        else:
            problem = ziplist_validate(<const uint8_t*>data, size)
            if problem == NULL:
                lp = listpack_of_ziplist(<const uint8_t*>data)
        if problem != NULL:
            return self.corrupt(problem, start)
        try:
            sink.begin(kind, lp_count(lp) // (1 if kind == KIND_LIST else 2))
            return self.visit_elements(sink, kind, lp, start)
        finally:
            mem_free(lp)

    cdef bint visit_intset(self, ValueSink sink, const char* data, size_t size, size_t start) except -1:
        cdef const char* problem = intset_validate(<const uint8_t*>data, size)
        cdef Intset* members = <Intset*>data
        cdef char text[24]
        cdef uint32_t i
        if problem != NULL:
            return self.corrupt(problem, start)
        sink.begin(KIND_SET, members.length)
        sink.packed(size, members.length)
        if not sink.skips_elements:
            for i in range(members.length):
                sink.item(text, <size_t>format_int64(text, intset_get(members, i)))
        return True

    cdef bint visit_elements(self, ValueSink sink, int kind, uint8_t* lp, size_t start) except -1:
        """The elements of a sound listpack."""
        cdef uint8_t* at = lp_first(lp)
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef char value_scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t length, value_length
        cdef int64_t integer
        cdef const char* text
        cdef const char* value
        cdef double score = 0
        cdef bint single = kind == KIND_LIST or kind == KIND_SET
        if not single and lp_count(lp) & 1:
            return self.corrupt(b"odd number of elements where pairs belong", start)
        sink.packed(lp_bytes(lp), lp_count(lp))
        if sink.skips_elements and kind != KIND_ZSET:
            return True
        while at != NULL:
            text = lp_text(at, &length, scratch)
            at = lp_next(lp, at)
            if single:
                sink.item(text, length)
                continue
            if kind == KIND_HASH:
                value = lp_text(at, &value_length, value_scratch)
                sink.pair(text, length, value, value_length, NO_FIELD_TIME)
            else:
                value = lp_get(at, &value_length, &integer)
                if value == NULL:
                    score = <double>integer
                elif not parse_double(value, value_length, &score):
                    return self.corrupt(b"score is not a number", start)
                sink.scored(text, length, score)
            at = lp_next(lp, at)
        return True

    cdef bint visit_timed_pairs(self, ValueSink sink, int type) except -1:
        """Fields one by one, with a time each (docs/formats.md, 2.8)."""
        cdef size_t start = self.cursor.position, name_size, size
        cdef uint64_t count, ttl = 0
        cdef int64_t earliest = 0, expire_ms
        cdef const uint8_t* p
        cdef const char* name
        cdef const char* data
        cdef bint time_last = type == RDB_VALKEY_HASH_TIMED and self.valkey
        if type == RDB_HASH_TIMED:
            p = cursor_take(&self.cursor, 8)
            if p == NULL:
                return False
            memcpy(&earliest, p, 8)
            if not 0 <= earliest <= FIELD_TIME_MAX:
                return self.corrupt(b"impossible minimum of the field expire times", start)
        if not self.plain_length(&count):
            return False
        sink.begin(KIND_HASH, <int64_t>count)
        for _ in range(count):
            start = self.cursor.position
            if not time_last and not self.plain_length(&ttl):
                return False
            if not self.text(0, &name, &name_size) or not self.text(1, &data, &size):
                return False
            if time_last:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    return False
                memcpy(&expire_ms, p, 8)
                ttl = expire_ms != -1
            elif type == RDB_HASH_TIMED:
                # A distance from the earliest time, plus one.
                expire_ms = earliest + <int64_t>ttl - 1 if ttl <= FIELD_TIME_MAX + 1 else -1
            else:
                expire_ms = <int64_t>ttl
            if ttl and not 0 <= expire_ms <= FIELD_TIME_MAX:
                return self.corrupt(b"impossible field expire time", start)
            sink.pair(name, name_size, data, size, expire_ms if ttl and expire_ms else NO_FIELD_TIME)
        return True

    cdef bint visit_timed_elements(self, ValueSink sink) except -1:
        """A listpack of field, value, expire time."""
        cdef size_t start = self.cursor.position, size
        cdef const char* data
        cdef const char* problem
        cdef uint8_t* lp
        cdef uint8_t* at
        cdef char name_scratch[LISTPACK_INTEGER_TEXT]
        cdef char value_scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t name_length, value_length, ignored
        cdef int64_t expire, earliest = 0
        cdef const char* name
        cdef const char* value
        if self.record.type == RDB_HASH_TIMED_LISTPACK and cursor_take(&self.cursor, 8) == NULL:
            return False
        if not self.text(1, &data, &size):
            return False
        lp = <uint8_t*>data
        problem = lp_validate(lp, size)
        if problem == NULL and lp_count(lp) % 3:
            problem = b"number of elements is no multiple of three"
        if problem != NULL:
            return self.corrupt(problem, start)
        sink.begin(KIND_HASH, lp_count(lp) // 3)
        sink.packed(size, lp_count(lp))
        at = lp_first(lp)
        while at != NULL:
            name = lp_text(at, &name_length, name_scratch)
            at = lp_next(lp, at)
            value = lp_text(at, &value_length, value_scratch)
            at = lp_next(lp, at)
            if lp_get(at, &ignored, &expire) != NULL:
                return self.corrupt(b"field expire time is no integer", start)
            if not 0 <= expire <= FIELD_TIME_MAX:
                return self.corrupt(b"impossible field expire time", start)
            if expire and expire < earliest:
                return self.corrupt(b"field expire times out of order", start)
            earliest = expire if expire else FIELD_TIME_MAX + 1            # those without one stand last
            sink.pair(name, name_length, value, value_length, expire if expire else NO_FIELD_TIME)
            at = lp_next(lp, at)
        return True

    cdef bint visit_array(self, ValueSink sink) except -1:
        cdef uint64_t count, index, tag, ignored
        cdef int64_t integer
        cdef double number
        cdef const uint8_t* p
        cdef const char* data
        cdef size_t size, start
        cdef char text[48]
        if not self.plain_length(&count) or not self.plain_length(&ignored):
            return False
        if ignored and not self.plain_length(&ignored):
            return False
        sink.begin(KIND_ARRAY, <int64_t>count)
        for _ in range(count):
            start = self.cursor.position
            if not self.plain_length(&index) or not self.plain_length(&tag):
                return False
            data = text
            if tag == CELL_INTEGER or tag == CELL_DOUBLE:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    return False
                memcpy(&integer, p, 8)
                memcpy(&number, p, 8)
                size = <size_t>(format_int64(text, integer) if tag == CELL_INTEGER else format_double(text, number))
            elif tag != CELL_TEXT and tag != CELL_LONG_TEXT:
                return self.corrupt(b"unknown kind of array element", start)
            elif not self.text(1, &data, &size):
                return False
            sink.cell(index, data, size)
        return True

    cdef bint visit_template_hash(self, ValueSink sink, int type) except -1:
        """Hashes that share their field names (docs/formats.md, 2.11)."""
        cdef size_t start = self.cursor.position, size
        cdef uint64_t form, count
        cdef const char* data
        cdef const char* problem
        cdef uint8_t* lp
        cdef uint8_t* at = NULL
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t length
        cdef bint packed = type == RDB_TEMPLATE_LISTPACK or type == RDB_TEMPLATE_LISTPACK_REF
        names = None
        if type == RDB_TEMPLATE_ARRAY_REF:
            names = self.templates.get(self.read_length())
        elif type != RDB_TEMPLATE_LISTPACK_REF:
            if not self.plain_length(&form):
                return False
            if form == NAMES_PACKED:
                if not self.text(1, &data, &size):
                    return False
                lp = <uint8_t*>data
                if lp_validate(lp, size) != NULL:
                    return self.corrupt(b"damaged field names", start)
                names = []
                at = lp_first(lp)
                while at != NULL:
                    data = lp_text(at, &length, scratch)
                    names.append(PyBytes_FromStringAndSize(data, length))
                    at = lp_next(lp, at)
            else:
                if not self.plain_length(&count):
                    return False
                names = []
                for _ in range(count):
                    names.append(self.read_string())
        if packed:
            if not self.text(1, &data, &size):
                return False
            lp = <uint8_t*>data
            problem = lp_validate(lp, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            at = lp_first(lp)
            if at == NULL:
                return self.corrupt(b"template hash without its ID", start)
            if type == RDB_TEMPLATE_LISTPACK_REF:
                names = self.templates.get(lp_integer(at))
            at = lp_next(lp, at)
            count = lp_count(lp) - 1
        elif type == RDB_TEMPLATE_ARRAY_REF:
            if not self.plain_length(&count):
                return False
        else:
            count = <uint64_t>len(names)
        if names is None:
            return self.corrupt(b"hash with an unknown template", start)
        if count != <uint64_t>len(names):
            return self.corrupt(b"hash with another number of values than its template has fields", start)
        sink.begin(KIND_HASH, <int64_t>count)
        for name in names:
            if packed:
                data = lp_text(at, &length, scratch)
                size = length
                at = lp_next(lp, at)
            elif not self.text(1, &data, &size):
                return False
            sink.pair(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), data, size, NO_FIELD_TIME)
        return True

    # Streams

    cdef bint visit_stream(self, ValueSink sink, int type) except -1:
        cdef uint64_t nodes
        cdef const char* data
        cdef const char* problem
        cdef size_t size, start
        cdef StreamId master
        cdef NodeSummary summary
        memset(&summary, 0, sizeof(summary))
        if not self.plain_length(&nodes):
            return False
        sink.begin(KIND_STREAM, -1)
        if sink.looks_ahead:
            start = self.cursor.position
            if not self.skip_texts(nodes) or not self.skip_texts(nodes):
                return False
            tail = take_tail(self, type, self.first_entry)
            if tail is None:
                return False
            sink.tail_ahead(tail)
            self.cursor.position = start
        self.entry_seen = False
        self.first_entry.ms = self.first_entry.seq = 0
        for _ in range(nodes):
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if size != STREAM_ID_BYTES:
                return self.corrupt(b"stream node with a master ID that is not 16 bytes long", start)
            master = raw_id(<const uint8_t*>data)
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            problem = lp_validate(<const uint8_t*>data, size)
            if problem == NULL:
                problem = check_node(<uint8_t*>data, master, &summary)
            if problem != NULL:
                return self.corrupt(problem, start)
            sink.packed(size, lp_count(<uint8_t*>data))
            sink.node(master, data, size)
            self.visit_node(sink, master, <uint8_t*>data)
        start = self.cursor.position
        tail = take_tail(self, type, self.first_entry)
        if tail is None:
            return False
        if tail.length and not nodes:
            return self.corrupt(b"stream with a length and no nodes", start)
        self.record.end = self.cursor.position
        sink.stream_tail(tail)
        return True

    cdef bint visit_node(self, ValueSink sink, StreamId master, uint8_t* lp) except -1:
        """The live entries of a sound node."""
        cdef uint8_t* at = lp_first(lp)
        cdef uint8_t* names
        cdef uint8_t* name_at
        cdef char name_scratch[LISTPACK_INTEGER_TEXT]
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef const char* name
        cdef const char* data
        cdef uint32_t name_length, length
        cdef int64_t master_fields, fields, flags
        cdef StreamId id
        cdef bint live
        at = lp_next(lp, lp_next(lp, at))
        master_fields = lp_integer(at)
        names = at = lp_next(lp, at)
        for _ in range(master_fields + 1):
            at = lp_next(lp, at)
        while at != NULL:
            flags = lp_integer(at)
            live = not flags & ENTRY_DELETED
            at = lp_next(lp, at)
            id.ms = master.ms + <uint64_t>lp_integer(at)
            at = lp_next(lp, at)
            id.seq = master.seq + <uint64_t>lp_integer(at)
            at = lp_next(lp, at)
            fields = master_fields
            name_at = names
            if not flags & ENTRY_SAME_FIELDS:
                fields = lp_integer(at)
                at = lp_next(lp, at)
            if live and not self.entry_seen:
                self.first_entry = id
                self.entry_seen = True
            if live:
                sink.begin_entry(id, fields)
            for _ in range(fields):
                if not flags & ENTRY_SAME_FIELDS:
                    name_at = at
                    at = lp_next(lp, at)
                if live:
                    name = lp_text(name_at, &name_length, name_scratch)
                    data = lp_text(at, &length, scratch)
                    sink.entry_field(name, name_length, data, length)
                if flags & ENTRY_SAME_FIELDS:
                    name_at = lp_next(lp, name_at)
                at = lp_next(lp, at)
            if live:
                sink.end_entry()
            at = lp_next(lp, at)
        return True
