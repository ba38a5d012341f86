"""HyperLogLog in Redis's two representations, so that values move between servers byte for byte.

    "HYLL" | encoding u8 (0 dense, 1 sparse) | 3 unused | cached cardinality u64 (top bit: stale) | registers

Dense is 16384 registers of 6 bits; sparse is a run-length code: ZERO 00llllll, XZERO 01llllll llllllll, VAL 1vvvvvll.
The estimator is Otmar Ertl's, "New cardinality estimation algorithms for HyperLogLog sketches" (2017).

Values are immutable here: every function takes the string and returns a new one.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport INFINITY, llroundl, sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    REGISTERS = 16384
    INDEX_BITS = 14
    HASH_BITS = 50                    # bits of the hash that are not the index
    HEADER = 16
    DENSE_SIZE = 12304
    VALUE_MAX = 32                    # that a VAL opcode can hold
    ZERO_MAX = 64
    VAL_RUN_MAX = 4
    DENSE = 0
    SPARSE = 1

cdef double ALPHA_INFINITY = 0.721347520444481703680


cdef uint64_t murmur(const uint8_t* data, size_t length) noexcept nogil:
    """MurmurHash64A with Redis's seed."""
    cdef uint64_t m = 0xc6a4a7935bd1e995ULL
    cdef uint64_t h = 0xadc83b19ULL ^ (<uint64_t>length * m)
    cdef uint64_t k
    while length >= 8:
        memcpy(&k, data, 8)
        k *= m
        k ^= k >> 47
        k *= m
        h ^= k
        h *= m
        data += 8
        length -= 8
    if length:
        k = 0
        memcpy(&k, data, length)
        h ^= k
        h *= m
    h ^= h >> 47
    h *= m
    h ^= h >> 47
    return h


cdef int rank_of(const uint8_t* data, size_t length, int* index) noexcept nogil:
    """Register of an element, and the length of its run of zeros plus one."""
    cdef uint64_t h = murmur(data, length)
    cdef int count = 1
    index[0] = <int>(h & (REGISTERS - 1))
    h = (h >> INDEX_BITS) | (<uint64_t>1 << HASH_BITS)
    while h & 1 == 0:
        count += 1
        h >>= 1
    return count


cdef inline int dense_get(const uint8_t* registers, int index) noexcept nogil:
    cdef int at = index * 6 // 8, shift = (index * 6) & 7
    # The last register ends with the block: it never spills into a byte behind it.
    cdef int high = registers[at + 1] if shift > 2 else 0
    return ((registers[at] >> shift) | (high << (8 - shift))) & 63


cdef inline void dense_put(uint8_t* registers, int index, int value) noexcept nogil:
    cdef int at = index * 6 // 8, shift = (index * 6) & 7
    registers[at] = <uint8_t>((registers[at] & ~(63 << shift)) | (value << shift))
    if shift > 2:
        registers[at + 1] = <uint8_t>((registers[at + 1] & ~(63 >> (8 - shift))) | (value >> (8 - shift)))


cdef inline int run_of(const uint8_t* p, int* length, int* value) noexcept nogil:
    """Size of the opcode at `p`, its run length and its value (0 for both kinds of zeros)."""
    value[0] = 0
    if p[0] & 0x80:
        value[0] = ((p[0] >> 2) & 31) + 1
        length[0] = (p[0] & 3) + 1
        return 1
    if p[0] & 0x40:
        length[0] = (((p[0] & 0x3f) << 8) | p[1]) + 1
        return 2
    length[0] = (p[0] & 0x3f) + 1
    return 1


cdef inline int put_zeros(uint8_t* out, int length) noexcept nogil:
    if length > ZERO_MAX:
        out[0] = <uint8_t>(((length - 1) >> 8) | 0x40)
        out[1] = <uint8_t>((length - 1) & 0xff)
        return 2
    out[0] = <uint8_t>(length - 1)
    return 1


cdef inline void put_value(uint8_t* out, int value, int length) noexcept nogil:
    out[0] = <uint8_t>(((value - 1) << 2) | (length - 1) | 0x80)


def new():
    """An empty sparse sketch."""
    return b"HYLL\x01\0\0\0" + bytes(8) + bytes([0x7f, 0xff])


def problem(bytes data not None):
    """None when the bytes are a sketch, `type` when they are something else, `corrupt` when the runs do not add up."""
    cdef const uint8_t* p
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = HEADER
    cdef int total = 0, length, value
    if size < HEADER or data[:4] != b"HYLL" or data[4] > SPARSE:
        return "type"
    if data[4] == DENSE:
        return None if size == DENSE_SIZE else "type"
    p = <const uint8_t*>PyBytes_AS_STRING(data)
    while at < size:
        if p[at] & 0xc0 == 0x40 and at + 1 >= size:
            return "corrupt"
        at += run_of(p + at, &length, &value)
        total += length
        if total > REGISTERS:
            return "corrupt"         # at once: a sum of many runs would wrap round to the right one
    return None if total == REGISTERS else "corrupt"


def to_dense(bytes data not None):
    """The dense form of a sound sketch."""
    cdef bytearray out
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = HEADER
    cdef int index = 0, length, value, i
    cdef uint8_t* registers
    if data[4] == DENSE:
        return data
    out = bytearray(DENSE_SIZE)
    out[:HEADER] = data[:HEADER]
    out[4] = DENSE
    registers = <uint8_t*>PyByteArray_AS_STRING(out) + HEADER
    while at < size:
        at += run_of(p + at, &length, &value)
        if value:
            for i in range(index, index + length):
                dense_put(registers, i, value)
        index += length
    return bytes(out)


cdef int sparse_put(bytearray data, int index, int count, Py_ssize_t size_max):
    """Raise a register of a sparse sketch: 1 raised, 0 not higher, -1 it has to become dense."""
    cdef uint8_t* base = <uint8_t*>PyByteArray_AS_STRING(data)
    cdef Py_ssize_t size = PyByteArray_GET_SIZE(data), at = HEADER, previous = -1
    cdef int first = 0, length, value, opcode_size, last, made = 0, scans = 5, other_length, other_value
    cdef uint8_t made_codes[5]
    if count > VALUE_MAX:
        return -1
    while True:
        opcode_size = run_of(base + at, &length, &value)
        if index <= first + length - 1:
            break
        previous = at
        at += opcode_size
        first += length
    last = first + length - 1
    if value >= count:
        return 0
    if length == 1 and opcode_size == 1:
        put_value(base + at, count, 1)
    else:
        if index != first:
            if value:
                put_value(made_codes, value, index - first)
                made = 1
            else:
                made = put_zeros(made_codes, index - first)
        put_value(made_codes + made, count, 1)
        made += 1
        if index != last:
            if value:
                put_value(made_codes + made, value, last - index)
                made += 1
            else:
                made += put_zeros(made_codes + made, last - index)
        if made > opcode_size and size + made - opcode_size > size_max:
            return -1
        data[at:at + opcode_size] = (<char*>made_codes)[:made]
        base = <uint8_t*>PyByteArray_AS_STRING(data)
        size = PyByteArray_GET_SIZE(data)
    # Equal neighbours become one opcode, as Redis does it: from the opcode before, five steps.
    at = previous if previous >= 0 else HEADER
    while at < size and scans:
        scans -= 1
        opcode_size = run_of(base + at, &length, &value)
        if value and at + 1 < size:
            run_of(base + at + 1, &other_length, &other_value)
            if other_value == value and length + other_length <= VAL_RUN_MAX:
                put_value(base + at + 1, value, length + other_length)
                del data[at:at + 1]
                base = <uint8_t*>PyByteArray_AS_STRING(data)
                size -= 1
                continue
        at += opcode_size
    return 1


cdef bint raise_register(list holder, int index, int count, Py_ssize_t size_max):
    """Raise a register of holder[0] (a bytearray), which may become dense on the way."""
    cdef bytearray data = holder[0]
    cdef uint8_t* registers
    cdef int result
    if data[4] == SPARSE:
        result = sparse_put(data, index, count, size_max)
        if result >= 0:
            return result == 1
        data = bytearray(to_dense(bytes(data)))
        holder[0] = data
    registers = <uint8_t*>PyByteArray_AS_STRING(data) + HEADER
    if dense_get(registers, index) >= count:
        return False
    dense_put(registers, index, count)
    return True


def add(bytes data not None, elements, Py_ssize_t sparse_max):
    """(the sketch with the elements, how many of them changed it)."""
    cdef list holder = [bytearray(data)]
    cdef int64_t changes = 0
    cdef int index, count
    cdef bytes element
    for element in elements:
        count = rank_of(<const uint8_t*>PyBytes_AS_STRING(element), PyBytes_GET_SIZE(element), &index)
        if raise_register(holder, index, count, sparse_max):
            changes += 1
    if not changes:
        return data, 0
    return stale(bytes(holder[0])), changes


def stale(bytes data not None):
    """The sketch with its cached cardinality marked as out of date."""
    return data[:15] + bytes([data[15] | 0x80]) + data[16:]


def cached(bytes data not None):
    """The cardinality in the header, or None when it is out of date."""
    return None if data[15] & 0x80 else int.from_bytes(data[8:16], "little")


def with_cache(bytes data not None, int64_t cardinality):
    """Beyond all numbers (registers that no element makes) it is the lowest of all: it reads as out of date again."""
    return data[:8] + cardinality.to_bytes(8, "little", signed=True) + data[16:]


def registers_of(bytes data not None):
    """All 16384 registers, a byte each."""
    cdef bytes dense = to_dense(data)
    cdef const uint8_t* registers = <const uint8_t*>PyBytes_AS_STRING(dense) + HEADER
    cdef bytearray out = bytearray(REGISTERS)
    cdef uint8_t* values = <uint8_t*>PyByteArray_AS_STRING(out)
    cdef int i
    for i in range(REGISTERS):
        values[i] = <uint8_t>dense_get(registers, i)
    return bytes(out)


def merge_registers(list all_registers not None):
    """The highest of each register."""
    cdef bytearray out = bytearray(REGISTERS)
    cdef uint8_t* values = <uint8_t*>PyByteArray_AS_STRING(out)
    cdef const uint8_t* others
    cdef bytes registers
    cdef int i
    for registers in all_registers:
        others = <const uint8_t*>PyBytes_AS_STRING(registers)
        for i in range(REGISTERS):
            if others[i] > values[i]:
                values[i] = others[i]
    return bytes(out)


def store_registers(bytes data not None, bytes registers not None, Py_ssize_t sparse_max):
    """The sketch with every register at least as high as given; its cached cardinality is out of date."""
    cdef list holder = [bytearray(data)]
    cdef const uint8_t* values = <const uint8_t*>PyBytes_AS_STRING(registers)
    cdef int i
    for i in range(REGISTERS):
        if values[i]:
            raise_register(holder, i, values[i], sparse_max)
    return stale(bytes(holder[0]))


cdef double tau(double x) noexcept nogil:
    cdef double y = 1, z = 1 - x, previous = 0
    if x == 0 or x == 1:
        return 0
    while previous != z:
        x = sqrt(x)
        previous = z
        y *= 0.5
        z -= (1 - x) * (1 - x) * y
    return z / 3


cdef double sigma(double x) noexcept nogil:
    cdef double y = 1, z = x, previous = -1
    if x == 1:
        return INFINITY
    while previous != z:
        x *= x
        previous = z
        z += x * y
        y += y
    return z


def estimate(bytes registers not None):
    """Cardinality that the registers speak of."""
    cdef int histogram[64]
    cdef const uint8_t* values = <const uint8_t*>PyBytes_AS_STRING(registers)
    cdef double m = REGISTERS, z
    cdef int i
    memset(histogram, 0, sizeof(histogram))
    for i in range(REGISTERS):
        histogram[values[i]] += 1
    z = m * tau((m - histogram[HASH_BITS + 1]) / m)
    i = HASH_BITS
    while i >= 1:
        z += histogram[i]
        z *= 0.5
        i -= 1
    z += m * sigma(histogram[0] / m)
    return llroundl(ALPHA_INFINITY * m * m / z)
