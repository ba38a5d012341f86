from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum NodeContainer:             # ON DISK (RDB type 18): never renumber
    NODE_PLAIN = 1
    NODE_PACKED = 2

cdef struct Node:
    Node* previous
    Node* following
    uint8_t* data                    # a listpack (PACKED) or the bytes of one element (PLAIN)
    uint32_t size                    # bytes at data
    uint32_t count                   # elements
    uint8_t container

cdef struct Quicklist:
    Node* head
    Node* tail
    int64_t count                    # elements of all nodes
    int64_t nodes

cdef struct ListCursor:              # one element; node NULL: none
    Node* node
    uint8_t* element                 # NULL in a PLAIN node
    int64_t index                    # inside the node

cdef Quicklist* quicklist_new() noexcept nogil
cdef void quicklist_free(Quicklist* list) noexcept nogil
# `fill` is list-max-listpack-size: > 0 elements per node, < 0 a size class of 4 to 64 KiB.
cdef void quicklist_push(Quicklist* list, const char* data, size_t length, bint at_head, int fill) noexcept nogil
cdef void quicklist_append_node(Quicklist* list, uint8_t* data, size_t size, uint32_t count, uint8_t container) noexcept nogil
cdef bint quicklist_seek(Quicklist* list, int64_t index, ListCursor* cursor) noexcept nogil
cdef bint cursor_next(ListCursor* cursor) noexcept nogil
cdef bint cursor_previous(ListCursor* cursor) noexcept nogil
cdef const char* cursor_text(ListCursor* cursor, uint32_t* length, char* scratch) noexcept nogil
# Removes the element; the cursor moves to the one after it (node NULL at the end).
cdef void quicklist_delete(Quicklist* list, ListCursor* cursor) noexcept nogil
cdef void quicklist_delete_range(Quicklist* list, int64_t start, int64_t count) noexcept nogil
cdef void quicklist_insert(Quicklist* list, ListCursor* cursor, const char* data, size_t length, bint after,
                           int fill) noexcept nogil
cdef void quicklist_replace(Quicklist* list, ListCursor* cursor, const char* data, size_t length, int fill) noexcept nogil
cdef bint fits_one_node(size_t bytes, int64_t count, int fill) noexcept nogil
