"""LZF, the compression of RDB strings (docs/formats: literal runs of 1-32 bytes, matches of 3-264 within 8 KiB).

The encoder keeps its hash table between calls and tells stale slots by a rising base instead of clearing 64 KiB per
string: clearing would cost more than compressing the short strings that fill most snapshots.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    HASH_BITS = 14
    MAX_LITERAL = 32
    MAX_DISTANCE = 8192
    MAX_MATCH = 264

cdef uint32_t positions[1 << HASH_BITS]
cdef uint32_t base = 1            # slots below `base` belong to earlier calls


cdef inline uint32_t hash3(const uint8_t* p) noexcept nogil:
    cdef uint32_t window = (<uint32_t>p[0] << 16) | (<uint32_t>p[1] << 8) | p[2]
    return <uint32_t>(window * <uint32_t>2654435761U) >> (32 - HASH_BITS)


cdef size_t lzf_compress(const uint8_t* source, size_t length, uint8_t* out, size_t budget) noexcept nogil:
    global base
    cdef size_t i = 0, o = 1, literals = 0, match_length, limit, distance, candidate
    cdef uint32_t slot, seen, start
    if length < 4 or budget < 4 or length > 0x40000000:
        return 0
    if base > 0xffffffffU - <uint32_t>length:
        memset(positions, 0, sizeof(positions))
        base = 1
    start = base
    base += <uint32_t>length
    while i + 2 < length:
        slot = hash3(source + i)
        seen = positions[slot]
        positions[slot] = start + <uint32_t>i
        if seen >= start:
            candidate = seen - start
            distance = i - candidate - 1
            # A match never starts in the last two bytes, which keeps the three-byte compare inside the input.
            if (distance < MAX_DISTANCE and candidate < i and source[candidate] == source[i]
                    and source[candidate + 1] == source[i + 1] and source[candidate + 2] == source[i + 2]):
                match_length = 3
                limit = length - i
                if limit > MAX_MATCH:
                    limit = MAX_MATCH
                while match_length < limit and source[candidate + match_length] == source[i + match_length]:
                    match_length += 1
                if o + 3 + 1 > budget:
                    return 0
                if literals:
                    out[o - literals - 1] = <uint8_t>(literals - 1)
                else:
                    o -= 1                 # the run header reserved below was not needed
                literals = 0
                if match_length - 2 < 7:
                    out[o] = <uint8_t>(((match_length - 2) << 5) | (distance >> 8))
                    o += 1
                else:
                    out[o] = <uint8_t>((7 << 5) | (distance >> 8))
                    out[o + 1] = <uint8_t>(match_length - 2 - 7)
                    o += 2
                out[o] = <uint8_t>(distance & 0xff)
                o += 2                     # one for the byte, one to reserve the next run header
                # Index the inside of the match too: repeats that start there are found.
                limit = i + match_length
                i += 1
                while i < limit:
                    if i + 2 < length:
                        positions[hash3(source + i)] = start + <uint32_t>i
                    i += 1
                continue
        if o >= budget:
            return 0
        out[o] = source[i]
        o += 1
        i += 1
        literals += 1
        if literals == MAX_LITERAL:
            out[o - literals - 1] = <uint8_t>(literals - 1)
            literals = 0
            o += 1
    while i < length:
        if o >= budget:
            return 0
        out[o] = source[i]
        o += 1
        i += 1
        literals += 1
        if literals == MAX_LITERAL:
            out[o - literals - 1] = <uint8_t>(literals - 1)
            literals = 0
            o += 1
    if literals:
        out[o - literals - 1] = <uint8_t>(literals - 1)
    else:
        o -= 1
    return o if o <= budget else 0


cdef uint64_t lzf_inflated_size(const uint8_t* source, size_t length) noexcept nogil:
    cdef size_t i = 0
    cdef uint64_t size = 0
    cdef uint8_t control
    while i < length:
        control = source[i]
        i += 1
        if control < 32:
            size += <uint64_t>control + 1
            i += <size_t>control + 1
        elif control >> 5 < 7:
            size += (control >> 5) + 2
            i += 1
        else:
            if i >= length:
                return 0
            size += <uint64_t>source[i] + 9
            i += 2
    return size if i == length else 0


cdef bint lzf_decompress(const uint8_t* source, size_t length, uint8_t* out, size_t expected) noexcept nogil:
    cdef size_t i = 0, o = 0, run, distance
    cdef uint8_t control
    while i < length:
        control = source[i]
        i += 1
        if control < 32:
            run = <size_t>control + 1
            if run > length - i or run > expected - o:
                return False
            memcpy(out + o, source + i, run)
            i += run
            o += run
            continue
        run = control >> 5
        if run == 7:
            if i >= length:
                return False
            run += source[i]
            i += 1
        if i >= length:
            return False
        distance = ((<size_t>control & 31) << 8) + source[i] + 1
        i += 1
        run += 2
        if distance > o or run > expected - o:
            return False
        if distance >= run:
            memcpy(out + o, out + o - distance, run)
            o += run
        else:
            # Source and destination overlap: the copy repeats what it has just written.
            for _ in range(run):
                out[o] = out[o - distance]
                o += 1
    return o == expected


def compress(bytes data):
    """LZF form of `data`, or None when it would not be at least 4 bytes shorter (RDB's rule)."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
    cdef bytes out
    cdef size_t written
    if length <= 8:
        return None
    out = PyBytes_FromStringAndSize(NULL, length)
    written = lzf_compress(<uint8_t*>PyBytes_AS_STRING(data), length, <uint8_t*>PyBytes_AS_STRING(out), length - 4)
    return out[:written] if written else None


def decompress(bytes data, Py_ssize_t expected):
    """Inflate `data` to exactly `expected` bytes; ValueError when it does not."""
    # A claim that the tokens do not make good is refused before memory is taken for it.
    if expected < 0 or <uint64_t>expected != lzf_inflated_size(<uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)):
        raise ValueError("corrupt LZF data")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, expected)
    if not lzf_decompress(<uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
                          <uint8_t*>PyBytes_AS_STRING(out), expected):
        raise ValueError("corrupt LZF data")
    return out
