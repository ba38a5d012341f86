"""Where records follow again behind damage. Values say nowhere how long they are, so that only trying tells.

A place counts when several records in a row can be read from it, or all to the end of the file, and look like those before
the damage: of types that the version has, with keys of the same kind, with times of this era.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.rdb.format cimport (
    CHECKSUM_BYTES, LENGTH_32_BITS, OPCODE_EOF, OPCODE_FUNCTION2, OPCODE_IDLE, OPCODE_MODULE_AUX, OPCODE_RESIZEDB,
    OPCODE_SLOT_INFO, RDB_MODULE_PRE_RELEASE, RDB_NEVER_USED, STRING_ENCODED, STRING_LZF,
)
from rotomdb.formats.rdb.record cimport has_control_characters
from rotomdb.formats.rdb.walker cimport RdbWalker
from rotomdb.formats.sinks.sink cimport ValueSink

from rotomdb.errors import DATABASES_MAX, RdbValueError

cdef enum:
    PLAUSIBLE_TIME_MAX = 0x100000000000   # ms: the year 2527
    STRANGE_SHARE = 50                    # while fewer than one key of so many has control characters, none is believed to


cdef bint plausible_key(RdbWalker walker) noexcept:
    """Whether the key in hand looks like those before the damage."""
    if walker.record.key_length == 0:
        return False
    if walker.strange_keys * STRANGE_SHARE <= walker.selected and has_control_characters(&walker.record):
        return False
    return walker.record.expire_ms == NO_EXPIRE or 0 <= walker.record.expire_ms < PLAUSIBLE_TIME_MAX


cdef bint plausible_start(RdbWalker walker, size_t offset, int highest_type) noexcept:
    """A first look at one byte or two: most places are no start of a record."""
    cdef uint8_t lead = walker.cursor.base[offset], after
    if offset + 2 >= walker.cursor.size:
        return lead == OPCODE_EOF
    if lead >= OPCODE_IDLE:
        return lead != OPCODE_RESIZEDB
    if lead == OPCODE_SLOT_INFO or lead == OPCODE_FUNCTION2 or lead == OPCODE_MODULE_AUX:
        return True
    if lead > highest_type or lead == RDB_MODULE_PRE_RELEASE or lead == RDB_NEVER_USED:
        return False
    after = walker.cursor.base[offset + 1]
    return 0 < after <= LENGTH_32_BITS or STRING_ENCODED <= after <= STRING_ENCODED + STRING_LZF


def resynchronise(RdbWalker walker not None, size_t offset, int highest_type, int chain, int64_t keys_expected, read_opcode):
    """Look for the next place from which `chain` records in a row, or all to the end of the file, can be read.

    Args:
        highest_type: Of the file's version; a record of another is taken for chance.
        keys_expected: In the whole file, about: what tells usual sizes from suspicious ones.
        read_opcode: Reads the payload of an opcode that is no key attribute.

    Returns:
        The offset, where the walker stands then; -1 when there is none, or no file end.
    """
    cdef size_t at
    cdef int found
    cdef uint64_t database = walker.record.database, databases_max = DATABASES_MAX
    cdef ValueSink nothing = ValueSink()
    cdef size_t start = walker.record.start, previous_start = walker.previous_start
    cdef int64_t strange_keys = walker.strange_keys
    cdef size_t largest_start, largest_end, last = 0
    cdef size_t usual = 8 * (walker.cursor.size // (<size_t>keys_expected if keys_expected > 0 else 1)) + 256
    cdef int64_t keys = walker.keys, expires = walker.expires, expired = walker.expired, selected = walker.selected
    cdef int64_t result = -1
    for at in range(offset, walker.cursor.size):
        if last and at >= last:
            break
        if not plausible_start(walker, at, highest_type):
            continue
        walker.cursor.position = at
        walker.cursor.error = NULL
        found = 0
        largest_start = largest_end = 0
        try:
            while found < chain:
                if not walker.find_record():
                    if walker.record.type == OPCODE_EOF:
                        if walker.cursor.size - walker.cursor.position != CHECKSUM_BYTES and found < 2:
                            break
                        found = chain
                        continue
                    if walker.record.type == OPCODE_RESIZEDB and found == 0:
                        break
                    read_opcode(walker.record.type)
                    if walker.cursor.position - walker.record.start > largest_end - largest_start:
                        largest_start, largest_end = walker.record.start, walker.cursor.position
                    if walker.record.database >= databases_max:
                        break
                    continue
                if walker.record.type > highest_type or not plausible_key(walker):
                    break
                walker.take_value(nothing)
                found += 1
                if walker.cursor.position - walker.record.start > largest_end - largest_start:
                    largest_start, largest_end = walker.record.start, walker.cursor.position
        except RdbValueError:
            pass
        walker.record.database = database
        if found >= chain:
            result = <int64_t>at
            if largest_end - largest_start <= usual:
                break
            # One of the chain is so large that it may have swallowed others: look for a chain inside of it.
            last = largest_end if last == 0 or largest_end < last else last
    walker.keys, walker.expires, walker.expired, walker.selected = keys, expires, expired, selected
    walker.record.start, walker.previous_start, walker.strange_keys = start, previous_start, strange_keys
    walker.record.type = -1
    walker.cursor.error = NULL
    walker.reading_key = None
    walker.cursor.position = walker.cursor.size if result < 0 else <size_t>result
    return result
