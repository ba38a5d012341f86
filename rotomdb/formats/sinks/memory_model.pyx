"""How much memory a server takes for each key: an estimate of what MEMORY USAGE says there.

The sizes of the structures are those of 64-bit builds; every allocation is rounded up to the allocator's next size class. What
a file cannot tell is taken as it is on average (levels of skip list nodes) or as it is after a load (no spare room in strings).
Measured against redis-server 7.0.15: docs/benchmarks.md.
"""

from dataclasses import dataclass

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr

from heapq import heappush, heapreplace

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_release
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.listpack cimport LISTPACK_HEADER, lp_encoded_size
from rotomdb.engine.number cimport format_double, parse_int64
from rotomdb.formats.rdb.format cimport RDB_SET_INTSET
from rotomdb.formats.rdb.record cimport record_key
from rotomdb.formats.sinks.sink cimport (
    KIND_ARRAY, KIND_HASH, KIND_LIST, KIND_MODULE, KIND_SET, KIND_STREAM, KIND_STRING, KIND_ZSET, ValueSink,
)

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES
from rotomdb.formats.sinks.summary import TTL_SPANS

cdef enum:
    POINTER = 8
    OBJECT = 16                           # robj
    QUICKLIST = 40
    QUICKLIST_NODE = 40
    SORTED_SET = 16
    SKIP_LIST = 32
    SKIP_NODE = 24                        # before its levels
    SKIP_LEVEL = 16
    SKIP_LEVELS_MAX = 32
    STREAM = 80
    STREAM_ID = 16
    RADIX_NODE = 4 + 30 * 8               # as the server counts one
    GROUP = 40
    NACK = 24
    CONSUMER = 24
    STREAM_PREALLOCATED = 4096            # the listpack that is being written to
    LIST_NODE_BYTES = 8192                # list-max-listpack-size -2
    EMBEDDED_MAX = 44                     # bytes of a string that stands in its object
    SPANS = 9
    DEPTH_MAX = 20
    HEXADECIMAL_MIN = 8                   # digits that make a part of letters and digits an identifier


@dataclass(frozen=True)
class MemoryModel:
    """The sizes that differ from server to server."""

    dict_bytes: int
    entry_bytes: int
    set_entry_bytes: int                  # of a member, which has no value
    packed_lists: bool                    # a small list is one listpack, without a quicklist
    packed_sets: bool
    hash_entries: int = 512
    hash_value: int = 64
    zset_entries: int = 128
    zset_value: int = 64
    set_entries: int = 128
    set_value: int = 64
    intset_entries: int = 512


MODELS = {
    "redis-5.0": MemoryModel(96, 24, 24, False, False),
    "redis-6.0": MemoryModel(96, 24, 24, False, False),
    "redis-6.2": MemoryModel(96, 24, 24, False, False),
    "redis-7.0": MemoryModel(56, 24, 24, False, False),
    "redis-7.2": MemoryModel(56, 24, 16, True, True),
    "redis-7.4": MemoryModel(56, 24, 16, True, True),
    "redis-8.0": MemoryModel(56, 24, 16, True, True),
    "valkey-7.2": MemoryModel(56, 24, 16, True, True),
    "valkey-8.0": MemoryModel(56, 24, 16, True, True),
}


cdef int64_t[7] SPAN_ENDS_MS = [0, 60000, 3600000, 86400000, 604800000, 2592000000, 31536000000]


cdef inline int64_t power_of_two(int64_t count) noexcept nogil:
    cdef int64_t size = 4
    while size < count:
        size *= 2
    return size


def radix_nodes(keys):
    """Nodes of the compressed radix tree over the (sorted, different, equally long) keys."""
    if not keys:
        return 1
    pending, nodes = [(0, len(keys), 0)], 0
    while pending:
        low, high, depth = pending.pop()
        first, last = keys[low], keys[high - 1]
        common = depth
        while common < len(first) and first[common] == last[common]:
            common += 1
        nodes += 1 if common > depth else 0
        nodes += 1                        # a branching node, or the leaf
        if high - low > 1:
            start = low
            for at in range(low + 1, high + 1):
                if at == high or keys[at][common] != keys[start][common]:
                    pending.append((start, at, common + 1))
                    start = at
    return nodes


cdef class MemorySink(ValueSink):
    """Adds up what keys take.

    Args:
        model: Of the server.
        quantum: The allocator's: 16 for the jemalloc of distributions, 8 for the one that comes with Redis.
        live: The last node of a stream has room for more, as in a server that adds to it.
        now_ms: What times to live are counted from.
        top: How many of the largest keys to remember.
        separator, depth: Prefixes end behind the depth-th separator.
        patterns: Instead of prefixes: the first `depth` parts of the key, with `#` for those that are numbers.
        prefixes_max: What would be more is counted under shorter ones, and under None in the end.
        on_key: Called with (db, key, type number, bytes, elements, expire ms or None) of each key; None: not.
    """

    cdef object model, on_key
    cdef int64_t dict_bytes, entry_bytes, set_entry_bytes, hash_entries, hash_value, zset_entries, zset_value
    cdef int64_t set_entries, set_value, intset_entries, quantum, top, prefixes_max, now_ms
    cdef bint packed_lists, packed_sets, live
    cdef char separator
    cdef int depth
    cdef bint patterns
    cdef Buffer parts                     # of the key in hand
    cdef int64_t classes[129]             # of sizes up to 1024, by steps of 8
    cdef double skip_node
    # Of the value in hand
    cdef int kind
    cdef int64_t elements, table_bytes, pack_bytes, longest, nodes, node_bytes, bytes_used, last_node
    cdef bint integers, from_pack
    cdef list node_ids
    # Totals
    cdef readonly int64_t total, keys
    cdef dict kinds, databases, prefixes
    cdef int64_t[SPANS] spans
    cdef int64_t[SPANS] span_keys
    cdef list largest

    def __cinit__(self, model, int quantum=16, bint live=True, int64_t now_ms=0, int64_t top=0, bytes separator=b":",
                  int depth=0, bint patterns=False, int64_t prefixes_max=100000, on_key=None):
        cdef int i
        self.model = model
        self.on_key = on_key
        self.dict_bytes, self.entry_bytes, self.set_entry_bytes = model.dict_bytes, model.entry_bytes, model.set_entry_bytes
        self.hash_entries, self.hash_value = model.hash_entries, model.hash_value
        self.zset_entries, self.zset_value = model.zset_entries, model.zset_value
        self.set_entries, self.set_value = model.set_entries, model.set_value
        self.intset_entries = model.intset_entries
        self.packed_lists, self.packed_sets = model.packed_lists, model.packed_sets
        self.quantum, self.live, self.now_ms, self.top = quantum, live, now_ms, top
        self.separator = separator[0]
        self.depth = min(depth, DEPTH_MAX)
        self.patterns = patterns
        self.prefixes_max = prefixes_max
        for i in range(129):
            self.classes[i] = self.size_class(i * 8)
        self.skip_node = self.average_skip_node()
        self.kinds, self.databases, self.prefixes, self.largest = {}, {}, {}, []

    def __dealloc__(self):
        buffer_release(&self.parts)

    cdef int64_t size_class(self, int64_t size) noexcept:
        """What jemalloc gives for a request: multiples of the quantum, then four classes for each doubling."""
        cdef int64_t group
        if size <= 8:
            return 8
        if size <= 128:
            return (size + self.quantum - 1) // self.quantum * self.quantum
        group = 128
        while group * 2 < size:
            group *= 2
        group //= 4
        return (size + group - 1) // group * group

    cdef inline int64_t allocated(self, int64_t size) noexcept:
        return self.classes[(size + 7) >> 3] if size <= 1024 else self.size_class(size)

    cdef double average_skip_node(self) noexcept:
        cdef double total = 0, share = 0.75
        cdef int level
        for level in range(1, 12):
            total += share * <double>self.allocated(SKIP_NODE + SKIP_LEVEL * level)
            share /= 4
        return total

    cdef inline int64_t sds(self, int64_t length) noexcept:
        """A dynamic string: header, bytes, terminator."""
        cdef int64_t header = 1 if 0 < length < 32 else 3 if length < 256 else 5 if length < 65536 else 9 if length < (1LL << 32) else 17
        return self.allocated(header + length + 1)

    cdef inline int64_t table(self, int64_t count) noexcept:
        return self.dict_bytes + POINTER * power_of_two(count)

    cdef int begin_key(self) except -1:
        self.kind = KIND_STRING
        self.elements = self.table_bytes = self.longest = self.nodes = self.node_bytes = self.last_node = 0
        self.pack_bytes = LISTPACK_HEADER + 1
        self.integers = True
        self.from_pack = False
        self.bytes_used = 0
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        cdef int64_t integer
        self.elements = 1
        if size <= 20 and parse_int64(data, <Py_ssize_t>size, &integer):
            self.bytes_used = OBJECT
        elif size <= EMBEDDED_MAX:
            self.bytes_used = self.allocated(OBJECT + 3 + <int64_t>size + 1)
        else:
            self.bytes_used = OBJECT + self.sds(<int64_t>size)
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        if kind == KIND_STREAM:
            self.node_ids = []
        return 0

    cdef int packed(self, size_t size, int64_t count) except -1:
        self.from_pack = True
        self.nodes += 1
        self.last_node = self.allocated(<int64_t>size)
        self.node_bytes += self.last_node
        return 0

    cdef inline void measure(self, const char* data, size_t size) noexcept:
        if <int64_t>size > self.longest:
            self.longest = <int64_t>size
        if not self.from_pack and self.elements <= 512 and self.longest <= 64:
            self.pack_bytes += <int64_t>lp_encoded_size(data, size)

    cdef int item(self, const char* data, size_t size) except -1:
        cdef int64_t integer
        self.elements += 1
        if self.kind == KIND_LIST:
            if not self.from_pack:
                self.pack_bytes += <int64_t>lp_encoded_size(data, size)
                if self.pack_bytes > LIST_NODE_BYTES:
                    self.nodes += 1
                    self.node_bytes += self.allocated(self.pack_bytes)
                    self.pack_bytes = LISTPACK_HEADER + 1
            return 0
        self.integers = self.integers and size <= 20 and parse_int64(data, <Py_ssize_t>size, &integer)
        self.table_bytes += self.sds(<int64_t>size) + self.set_entry_bytes
        self.measure(data, size)
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        self.elements += 1
        self.table_bytes += self.sds(<int64_t>name_size) + self.sds(<int64_t>size) + self.entry_bytes
        self.measure(name, name_size)
        self.measure(data, size)
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        cdef char digits[48]
        self.elements += 1
        self.table_bytes += self.sds(<int64_t>size) + self.entry_bytes
        self.measure(data, size)
        if not self.from_pack and self.elements <= 512:
            self.pack_bytes += <int64_t>lp_encoded_size(digits, <size_t>format_double(digits, score))
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        self.elements += 1
        self.table_bytes += self.sds(<int64_t>size) + POINTER
        return 0

    cdef int node(self, StreamId master, const char* data, size_t size) except -1:
        self.node_ids.append((<uint64_t>master.ms, <uint64_t>master.seq))
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.elements += 1
        return 0

    cdef int64_t radix(self, ids) except -1:
        keys = [ms.to_bytes(8, "big") + seq.to_bytes(8, "big") for ms, seq in ids]
        return <int64_t>len(keys) * STREAM_ID + <int64_t>radix_nodes(keys) * RADIX_NODE

    cdef int stream_tail(self, tail) except -1:
        self.bytes_used = OBJECT + STREAM + self.radix(self.node_ids) + self.node_bytes
        if self.live and self.nodes and self.last_node < STREAM_PREALLOCATED:
            self.bytes_used += STREAM_PREALLOCATED - self.last_node
        for group in tail.groups:
            self.bytes_used += GROUP + self.radix(sorted(group.pending)) + NACK * <int64_t>len(group.pending)
            for consumer in group.consumers:
                self.bytes_used += CONSUMER + <int64_t>len(consumer.name) + self.radix(sorted(consumer.pending))
        return 0

    cdef int module(self, name) except -1:
        # Nobody but the module knows; its bytes in the file are the best guess.
        self.bytes_used = OBJECT + <int64_t>(self.record.end - self.record.value_start)
        return 0

    cdef int64_t pack(self) noexcept:
        return self.node_bytes if self.from_pack else self.allocated(self.pack_bytes)

    cdef void settle(self) noexcept:
        """The bytes of an aggregate, in the encoding that the server gives it."""
        if self.kind == KIND_LIST:
            if not self.from_pack and self.pack_bytes > LISTPACK_HEADER + 1:
                self.nodes += 1
                self.node_bytes += self.allocated(self.pack_bytes)
            self.bytes_used = OBJECT + self.node_bytes
            if not (self.packed_lists and self.nodes <= 1):
                self.bytes_used += QUICKLIST + QUICKLIST_NODE * self.nodes
        elif self.kind == KIND_SET:
            if self.integers and self.elements <= self.intset_entries:
                self.bytes_used = OBJECT + (self.node_bytes if self.from_pack and self.record.type == RDB_SET_INTSET
                                            else self.allocated(8 + 8 * self.elements))
            elif self.packed_sets and self.elements <= self.set_entries and self.longest <= self.set_value:
                self.bytes_used = OBJECT + self.pack()
            else:
                self.bytes_used = OBJECT + self.table(self.elements) + self.table_bytes
        elif self.kind == KIND_HASH:
            if self.elements <= self.hash_entries and self.longest <= self.hash_value:
                self.bytes_used = OBJECT + self.pack()
            else:
                self.bytes_used = OBJECT + self.table(self.elements) + self.table_bytes
        elif self.kind == KIND_ZSET:
            if self.elements <= self.zset_entries and self.longest <= self.zset_value:
                self.bytes_used = OBJECT + self.pack()
            else:
                self.bytes_used = (
                    OBJECT + SORTED_SET + SKIP_LIST + self.table(self.elements) + self.table_bytes
                    + self.allocated(SKIP_NODE + SKIP_LEVEL * SKIP_LEVELS_MAX) + <int64_t>(self.skip_node * self.elements)
                )
        elif self.kind == KIND_ARRAY:
            self.bytes_used = OBJECT + self.table_bytes

    cdef int end_key(self) except -1:
        cdef int64_t used, ttl, expire_ms = self.record.expire_ms
        cdef int step
        cdef int type = self.record.type
        if self.kind != KIND_STRING and self.kind != KIND_STREAM and self.kind != KIND_MODULE:
            self.settle()
        used = self.bytes_used + self.sds(<int64_t>self.record.key_length) + self.entry_bytes
        self.total += used
        self.keys += 1
        add(self.kinds, type, used, self.elements)
        add(self.databases, self.record.database, used, self.elements)
        step = SPANS - 1
        if expire_ms != NO_EXPIRE:
            ttl = expire_ms - self.now_ms
            step = 0
            while step < 7 and ttl > SPAN_ENDS_MS[step]:
                step += 1
        self.spans[step] += used
        self.span_keys[step] += 1
        if self.depth:
            self.add_prefix(used)
        if self.top:
            if <int64_t>len(self.largest) < self.top:
                heappush(self.largest, (used, self.record.database, record_key(self.record), type, self.elements))
            elif used > <int64_t>self.largest[0][0]:
                heapreplace(self.largest, (used, self.record.database, record_key(self.record), type, self.elements))
        if self.on_key is not None:
            self.on_key(self.record.database, record_key(self.record), type, used, self.elements, None if self.record.expire_ms == NO_EXPIRE else self.record.expire_ms)
        return 0

    cdef int add_prefix(self, int64_t used) except -1:
        """Count the key under its prefix; under a shorter one when there is no room for more."""
        cdef size_t[DEPTH_MAX + 1] ends
        cdef int parts = self.split_key(ends)
        prefix = b""
        while parts > 0:
            prefix = PyBytes_FromStringAndSize(self.parts.data, <Py_ssize_t>ends[parts - 1])
            if prefix in self.prefixes or <int64_t>len(self.prefixes) < self.prefixes_max:
                break
            parts -= 1
            if parts == 0:
                prefix = None
        add(self.prefixes, prefix, used, self.elements)
        return 0

    cdef int split_key(self, size_t* ends) noexcept:
        """The key's parts one behind the other in `parts`, where each ends in `ends`; returns how many there are."""
        cdef const char* at = self.record.key
        cdef const char* end = at + self.record.key_length
        cdef const char* found
        cdef int count = 0
        self.parts.length = 0
        while count < self.depth:
            found = <const char*>memchr(at, self.separator, <size_t>(end - at))
            if found == NULL:
                if not self.patterns:
                    break
                found = end
            if self.patterns and is_identifier(at, <size_t>(found - at)):
                buffer_append(&self.parts, b"#", 1)
            else:
                buffer_append(&self.parts, at, <size_t>(found - at))
            if found == end:
                ends[count] = self.parts.length
                return count + 1
            buffer_append(&self.parts, found, 1)
            ends[count] = self.parts.length
            count += 1
            at = found + 1
        return count

    def by_type(self):
        """{type: [keys, bytes, elements]}."""
        found = {}
        for number, (keys, used, elements) in self.kinds.items():
            row = found.setdefault(LOGICAL_TYPES[number], [0, 0, 0])
            row[0] += keys
            row[1] += used
            row[2] += elements
        return found

    def by_database(self):
        return {database: list(row) for database, row in self.databases.items()}

    def by_prefix(self):
        """{prefix: [keys, bytes, elements]}; b"" stands for keys without one, None for those beyond `prefixes_max`."""
        return {prefix: list(row) for prefix, row in self.prefixes.items()}

    def by_ttl(self):
        """{upper end of a span from now: [keys, bytes]}."""
        return {name: [self.span_keys[i], self.spans[i]] for i, name in enumerate(TTL_SPANS)}

    def largest_keys(self):
        """(bytes, db, key, type, elements), the largest first."""
        ordered = sorted(self.largest, reverse=True)
        return [(used, db, key, LOGICAL_TYPES[type], elements) for used, db, key, type, elements in ordered]


cdef bint is_identifier(const char* text, size_t size) noexcept nogil:
    """Whether a part of a key tells one thing from another of its kind: digits, or a long hexadecimal number."""
    cdef size_t i, digits = 0
    for i in range(size):
        if c'0' <= text[i] <= c'9':
            digits += 1
        elif not (c'a' <= text[i] <= c'f' or c'A' <= text[i] <= c'F' or text[i] == c'-') or size < HEXADECIMAL_MIN:
            return False
    return digits > 0


cdef inline int add(dict rows, object name, int64_t used, int64_t elements) except -1:
    row = rows.get(name)
    if row is None:
        rows[name] = [1, used, elements]
    else:
        (<list>row)[0] += 1
        (<list>row)[1] += used
        (<list>row)[2] += elements
    return 0
