"""Finding damage with a CRC64 that was meant to notice it: a short burst of wrong bytes can be located and undone.

The checksum is linear: what was computed and what was recorded differ by the checksum of the error alone. Run backwards over
zero bytes, the difference is at each position the eight bytes that would explain it; where only the first few of them are not
zero, that is the damage. By chance this happens once in 2**(64 - 8 * bytes) positions.
"""

from libc.stdint cimport uint8_t, uint64_t

from rotomdb.storage.checksum import crc64

cdef uint64_t[256] STEP                   # of the register, by its low byte
cdef uint8_t[256] BACK                    # the low byte that gave the high byte


cdef void fill() noexcept:
    cdef int i, bit
    cdef uint64_t value
    for i in range(256):
        value = <uint64_t>i
        for bit in range(8):
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


def repaired(data, uint64_t recorded, int longest):
    """The bytes with a burst undone so that they give the recorded checksum; None when there is none or several."""
    found = find_burst(len(data), crc64(data) ^ recorded, longest)
    if found is None:
        return None
    at, error = found
    content = bytearray(data)
    for i in range(len(error)):
        content[at + i] = content[at + i] ^ error[i]
    whole = bytes(content)
    return whole if crc64(whole) == recorded else None
