# The key in hand: what a file says of it beside its value. Filled in by a reader, shown to sinks and selections, which know
# nothing of the reader.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef struct Record:
    int type                         # of the value; -1: none in hand; above RDB_TYPE_LAST an opcode
    bint valkey                      # whether numbers that clash mean what Valkey means by them
    uint64_t database
    const char* key
    size_t key_length
    int64_t expire_ms                # NO_EXPIRE
    int64_t idle_seconds, frequency  # -1: not said
    const uint8_t* base              # of the buffer that the offsets are in
    size_t start, value_start        # of the attributes, of the value
    size_t end                       # of the value, once it has been walked over

cdef inline bytes record_key(const Record* record):
    return PyBytes_FromStringAndSize(record.key, <Py_ssize_t>record.key_length)

cdef inline bint has_control_characters(const Record* record) noexcept nogil:
    cdef size_t i
    for i in range(record.key_length):
        if <uint8_t>record.key[i] < 0x20 or <uint8_t>record.key[i] == 0x7f:
            return True
    return False
