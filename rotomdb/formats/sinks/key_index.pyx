"""Where the keys of several data sets stand, in little memory: 40 bytes a key, in parts that each fit.

A sink notes every key in the part that a hash of its name chooses, so that a key is in the same part of each data set; the parts
go to the disk as they fill, and are looked at one after another. A name stands there as a 128-bit hash, keyed anew in every
process: two names are never told apart by chance or on purpose.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_release
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.compare cimport compare_uint64
from rotomdb.formats.sinks.digest cimport DigestSink

cdef enum:
    PART_COUNT = 64                       # a power of two
    SPILL_BYTES = 1 << 15

PARTS = PART_COUNT

cdef struct Entry:
    uint64_t name, name_again             # two hashes of database and key
    uint64_t digest                       # of the value
    int64_t expires                       # ms; NO_EXPIRE
    uint64_t offset                       # of the record

cdef struct Sourced:
    Entry entry
    int64_t source


cdef int compare_sourced(const void* a, const void* b) noexcept nogil:
    cdef Sourced* x = <Sourced*>a
    cdef Sourced* y = <Sourced*>b
    if x.entry.name != y.entry.name:
        return 1 if x.entry.name > y.entry.name else -1
    if x.entry.name_again != y.entry.name_again:
        return 1 if x.entry.name_again > y.entry.name_again else -1
    if x.source != y.source:
        return 1 if x.source > y.source else -1
    return (x.entry.offset > y.entry.offset) - (x.entry.offset < y.entry.offset)


cdef class IndexSink(DigestSink):
    """Notes the keys that it is handed.

    Args:
        write: Takes the number of a part, and bytes of it.
    """

    cdef object write
    cdef Buffer parts[PART_COUNT]

    def __cinit__(self, write):
        self.write = write

    def __dealloc__(self):
        cdef size_t i
        for i in range(PART_COUNT):
            buffer_release(&self.parts[i])

    cdef int end_key(self) except -1:
        cdef Entry entry
        cdef uint64_t database = self.record.database
        cdef size_t part
        entry.name = self.mix(self.record.key, self.record.key_length, &database, 8)
        entry.name_again = self.mix(self.record.key, self.record.key_length, &entry.name, 8)
        entry.digest = self.digest
        entry.expires = self.record.expire_ms
        entry.offset = self.record.start
        part = entry.name & (PART_COUNT - 1)
        buffer_append(&self.parts[part], &entry, sizeof(Entry))
        if self.parts[part].length >= SPILL_BYTES:
            self.spill_part(part)
        return 0

    cdef int spill_part(self, size_t part) except -1:
        self.write(part, PyBytes_FromStringAndSize(self.parts[part].data, <Py_ssize_t>self.parts[part].length))
        self.parts[part].length = 0
        return 0

    def flush(self):
        """Hand on everything."""
        cdef size_t part
        for part in range(PART_COUNT):
            if self.parts[part].length:
                self.spill_part(part)


cdef Sourced* sorted_entries(list contents, size_t* count) except NULL:
    """The entries of one part of several data sets, equal names side by side in the order of their sources. To be freed."""
    cdef size_t total = 0, i, at = 0
    cdef int64_t source = 0
    cdef Sourced* entries
    cdef const char* data
    for content in contents:
        total += <size_t>len(content) // sizeof(Entry)
    entries = <Sourced*>malloc(total * sizeof(Sourced) + 1)
    if entries == NULL:
        raise MemoryError()
    for content in contents:
        data = PyBytes_AS_STRING(<bytes>content)
        for i in range(<size_t>PyBytes_GET_SIZE(<bytes>content) // sizeof(Entry)):
            memcpy(&entries[at].entry, data + i * sizeof(Entry), sizeof(Entry))
            entries[at].source = source
            at += 1
        source += 1
    qsort(entries, total, sizeof(Sourced), compare_sourced)
    count[0] = total
    return entries


cdef bint same_name(Sourced* a, Sourced* b) noexcept nogil:
    return a.entry.name == b.entry.name and a.entry.name_again == b.entry.name_again


cdef bint same_time(int64_t a, int64_t b, int64_t tolerance) noexcept nogil:
    """Whether two expire times are equal, as far as that is asked. A negative tolerance: any two are."""
    if tolerance < 0 or a == b:
        return True
    if a == NO_EXPIRE or b == NO_EXPIRE:
        return False
    # Without a sign, since the difference of two times of a file may be more than one holds.
    return (<uint64_t>a - <uint64_t>b if a > b else <uint64_t>b - <uint64_t>a) <= <uint64_t>tolerance


def differences(bytes a not None, bytes b not None, int64_t tolerance):
    """What differs between one part of two data sets: [(offset in a, offset in b, whether the values differ)], with -1 for no key.

    Args:
        tolerance: Of expire times, in ms; negative: they do not count.
    """
    cdef size_t count = 0, i = 0
    cdef Sourced* entries = sorted_entries([a, b], &count)
    cdef Sourced* old
    cdef Sourced* new
    found = []
    try:
        while i < count:
            old = &entries[i]
            new = NULL
            if i + 1 < count and same_name(old, &entries[i + 1]):
                new = &entries[i + 1]
            if new == NULL or new.source == old.source:  # alone, or twice on one side
                if old.source == 0:
                    found.append((old.entry.offset, -1, True))
                else:
                    found.append((-1, old.entry.offset, True))
                i += 1
                continue
            if old.entry.digest != new.entry.digest or not same_time(old.entry.expires, new.entry.expires, tolerance):
                found.append((old.entry.offset, new.entry.offset, old.entry.digest != new.entry.digest))
            i += 2
    finally:
        free(entries)
    return found


def contested(list contents not None, bint last, bint lasting):
    """Keys that several data sets have: [[(source, offset), ...], ...], for each key those that it is not taken from behind the one
    that it is.

    Args:
        last: Take it from the last that has it, else from the first.
        lasting: Take it from the one where it expires last, the first of those.
    """
    cdef size_t count = 0, i = 0, end, j, chosen
    cdef Sourced* entries = sorted_entries(contents, &count)
    found = []
    try:
        while i < count:
            end = i + 1
            chosen = i
            while end < count and same_name(&entries[i], &entries[end]):
                if last or (lasting and outlives(entries[end].entry.expires, entries[chosen].entry.expires)):
                    chosen = end
                end += 1
            if end > i + 1:
                key = [(entries[chosen].source, entries[chosen].entry.offset)]
                for j in range(i, end):
                    if j != chosen:
                        key.append((entries[j].source, entries[j].entry.offset))
                found.append(key)
            i = end
    finally:
        free(entries)
    return found


def sort_offsets(uint64_t[::1] offsets not None):
    """In place: a list of Python's would take five times the memory."""
    if offsets.shape[0]:
        qsort(&offsets[0], <size_t>offsets.shape[0], 8, compare_uint64)


cdef bint outlives(int64_t a, int64_t b) noexcept nogil:
    if b == NO_EXPIRE:
        return False
    return a == NO_EXPIRE or a > b
