from libc.stdint cimport uint8_t

from rotomdb.engine.buffer cimport Buffer

cdef enum BytesForm:
    FORM_AUTO                             # text where the bytes are UTF-8, else {"b64": "..."}
    FORM_ESCAPED                          # text, with \xHH for what is no UTF-8 (and \\ for a backslash)
    FORM_BASE64
    FORM_HEX

cdef void put_json_bytes(Buffer* out, const char* data, size_t size, int form) noexcept nogil
cdef void put_encoded(Buffer* out, const char* data, size_t size) noexcept nogil
cdef void put_unquoted(Buffer* out, const char* data, size_t size, int form) noexcept nogil
cdef bint is_text(const uint8_t* data, size_t size) noexcept nogil
cdef void put_hex(Buffer* out, const uint8_t* data, size_t size) noexcept nogil
