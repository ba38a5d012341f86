# Bounds-checked view over borrowed bytes, header only. Only cursor_take() moves `position`; the caller keeps the
# buffer exported for as long as the cursor lives. An error is recorded once, with its offset, and sticks.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef struct Cursor:
    const uint8_t* base
    size_t position                  # bytes consumed; 0 <= position <= size
    size_t size                      # bytes available
    const char* error                # NULL: none
    size_t error_offset
    int error_kind                   # CursorError

cdef enum CursorError:
    CURSOR_CORRUPT = 0
    CURSOR_TRUNCATED = 1
    CURSOR_UNSUPPORTED = 2

cdef inline bint cursor_fail(Cursor* cursor, const char* reason, size_t offset) noexcept nogil:
    if cursor.error == NULL:
        cursor.error = reason
        cursor.error_offset = offset
        cursor.error_kind = CURSOR_CORRUPT
    return False

cdef inline const uint8_t* cursor_take(Cursor* cursor, uint64_t count) noexcept nogil:
    """Pointer to the next `count` bytes, then skips them; NULL, with the error recorded, when there are fewer."""
    cdef const uint8_t* taken
    if count > cursor.size - cursor.position:
        if cursor.error == NULL:
            cursor.error = "unexpected end of data"
            cursor.error_offset = cursor.position
            cursor.error_kind = CURSOR_TRUNCATED
        return NULL
    taken = cursor.base + cursor.position
    cursor.position += count
    return taken
