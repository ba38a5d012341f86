from rotomdb.engine.buffer cimport Buffer
from rotomdb.formats.rdb.primitives cimport RdbCursor
from rotomdb.formats.rdb.record cimport Record

cdef class RdbRecords(RdbCursor):
    cdef Record record                    # the key in hand
    cdef readonly bint valkey             # numbers that clash mean what Valkey means by them
    cdef readonly object reading_key      # bytes, once a value could not be read
    cdef Buffer key_buffer                # the key being read, aside from the scratch buffers
    cdef public dict templates            # field names of template hashes, by ID
    cdef bint corrupt(self, const char* reason, size_t offset) noexcept
    cdef bint unsupported(self, const char* reason, size_t offset) noexcept
    cdef int key_attributes(self) except -2
    cdef void reset_attributes(self) noexcept
    cdef void begin_key(self, const char* key, size_t length) noexcept
    cdef int fail_in_key(self) except -1
    cdef bint text_double(self, double* value) noexcept
    cdef bint skip_value(self, int type) noexcept
    cdef bint skip_expiring_hash(self, int type) noexcept
    cdef bint skip_array(self) noexcept
    cdef bint skip_template_hash(self, int type) noexcept
    cdef bint skip_module_value(self) noexcept
    cdef bint skip_key_metadata(self) noexcept
