"""Finding damage with a CRC64 that was meant to notice it: a short burst of wrong bytes can be located and undone.

The checksum is linear: what was computed and what was recorded differ by the checksum of the error alone. Run backwards over
zero bytes, the difference is at each position the eight bytes that would explain it; where only the first few of them are not
zero, that is the damage. By chance this happens once in 2**(64 - 8 * bytes) positions.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from rotomdb.formats.checksum import crc64

cdef enum:
    TWO_MAX = 16384                       # bytes among which two wrong ones are looked for

cdef uint64_t[256] STEP                   # of the register, by its low byte
cdef uint8_t[256] BACK                    # the low byte that gave the high byte


cdef void fill() noexcept:
    cdef int i
    cdef uint64_t value
    for i in range(256):
        value = <uint64_t>i
        for _ in range(8):
            value = (value >> 1) ^ (0x95ac9329ac4bc9b5U if value & 1 else 0)
        STEP[i] = value
        BACK[value >> 56] = <uint8_t>i


fill()


def find_burst(uint64_t size, uint64_t difference, int longest):
    """Where a burst of wrong bytes would explain a checksum.

    Args:
        size: Bytes that the checksum covers.
        difference: What was computed, XOR what was recorded.
        longest: Bytes of the burst at most, up to 7.

    Returns:
        (offset, bytes to XOR there) when there is exactly one such burst that is the shortest; None otherwise.
    """
    cdef uint64_t register = difference, at = size, limit = <uint64_t>1 << (8 * longest), best = 0, best_at = 0
    cdef uint8_t low
    cdef bint unique = False
    if difference == 0:
        return None
    while at > 0:
        low = BACK[register >> 56]
        register = ((register ^ STEP[low]) << 8) | low
        at -= 1
        if register < limit and register & 0xff:
            if best == 0 or bytes_of(register) < bytes_of(best):
                best, best_at, unique = register, at, True
            elif bytes_of(register) == bytes_of(best):
                unique = False
    if not unique or best_at + <uint64_t>bytes_of(best) > size:
        return None
    return best_at, best.to_bytes(bytes_of(best), "little")


cdef int bytes_of(uint64_t value) noexcept:
    cdef int count = 0
    while value:
        value >>= 8
        count += 1
    return count


cdef struct Wrong:
    uint64_t effect                       # on the checksum; 0: an empty slot
    uint32_t at
    uint8_t error


def find_two(uint64_t size, uint64_t difference):
    """Two single wrong bytes, anywhere, that explain a checksum together.

    By chance there are such in (255 * size)**2 / 2**65 of cases: a few in a hundred million for 4 KB. `size` is at most
    TWO_MAX, as it takes a table of 4 KB for each byte.

    Returns:
        ((offset, bytes to XOR), (offset, bytes to XOR)) when there are exactly two such bytes; None otherwise.
    """
    cdef uint64_t slots = 1, slot, wanted, effect
    cdef uint64_t[8] basis
    cdef Wrong* table
    cdef uint32_t at
    cdef int bit, error, found = 0
    cdef uint32_t first_at = 0, second_at = 0
    cdef uint8_t first = 0, second = 0
    if difference == 0 or size > TWO_MAX:
        return None
    while slots < size * 512:
        slots *= 2
    table = <Wrong*>calloc(slots, sizeof(Wrong))
    if table == NULL:
        raise MemoryError()
    for bit in range(8):
        basis[bit] = STEP[1 << bit]       # of the last byte
    for at in range(<uint32_t>size):
        for error in range(1, 256):
            effect = combined(basis, error)
            wanted = effect ^ difference
            slot = wanted * 0x9E3779B97F4A7C15U >> 20 & (slots - 1)
            while table[slot].effect:
                if table[slot].effect == wanted:
                    found += 1
                    first_at, first, second_at, second = at, <uint8_t>error, table[slot].at, table[slot].error
                slot = (slot + 1) & (slots - 1)
        for error in range(1, 256):       # two errors in one place would be one
            effect = combined(basis, error)
            slot = effect * 0x9E3779B97F4A7C15U >> 20 & (slots - 1)
            while table[slot].effect:
                slot = (slot + 1) & (slots - 1)
            table[slot].effect, table[slot].at, table[slot].error = effect, at, <uint8_t>error
        for bit in range(8):              # of the byte before: one more zero byte follows it
            basis[bit] = STEP[basis[bit] & 0xff] ^ (basis[bit] >> 8)
    free(table)
    if found != 1:
        return None
    return (<int64_t>size - 1 - first_at, bytes([first])), (<int64_t>size - 1 - second_at, bytes([second]))


cdef inline uint64_t combined(uint64_t* basis, int error) noexcept nogil:
    cdef uint64_t effect = 0
    cdef int bit
    for bit in range(8):
        if error >> bit & 1:
            effect ^= basis[bit]
    return effect


def repaired(data, uint64_t recorded, int longest):
    """The bytes with a short burst, or two single wrong bytes, undone so that they give the recorded checksum.

    None when that explains nothing, or is not the only explanation.
    """
    difference = crc64(data) ^ recorded
    burst = find_burst(len(data), difference, longest)
    errors = [burst] if burst is not None else find_two(len(data), difference)
    if errors is None:
        return None
    content = bytearray(data)
    for at, error in errors:
        for i in range(len(error)):
            content[at + i] = content[at + i] ^ error[i]
    whole = bytes(content)
    return whole if crc64(whole) == recorded else None
