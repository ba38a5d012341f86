"""Quicklist: a doubly linked list of listpacks; an element too large for a node stands alone in a PLAIN one."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from rotomdb.engine.listpack cimport (
    LISTPACK_HEADER, lp_append, lp_bytes, lp_delete, lp_encoded_size, lp_first, lp_insert, lp_next, lp_new, lp_previous,
    lp_replace, lp_seek, lp_text,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free, mem_realloc

cdef enum:
    SAFETY_LIMIT = 8192              # bytes per node when the limit is a count of elements

cdef size_t[5] SIZE_CLASSES = [4096, 8192, 16384, 32768, 65536]


cdef inline size_t byte_limit(int fill) noexcept nogil:
    if fill >= 0:
        return SAFETY_LIMIT
    return SIZE_CLASSES[(-fill if fill > -5 else 5) - 1]


cdef bint fits_one_node(size_t bytes, int64_t count, int fill) noexcept nogil:
    return bytes <= byte_limit(fill) and (fill < 0 or count <= (fill if fill else 1))


cdef inline bint node_accepts(Node* node, size_t element_size, int fill) noexcept nogil:
    return (node.container == NODE_PACKED
            and fits_one_node(node.size + element_size, <int64_t>node.count + 1, fill))


cdef inline bint is_large(size_t length, int fill) noexcept nogil:
    return length > byte_limit(fill)


cdef Quicklist* quicklist_new() noexcept nogil:
    cdef Quicklist* list = <Quicklist*>mem_alloc(sizeof(Quicklist))
    list.head = NULL
    list.tail = NULL
    list.count = 0
    list.nodes = 0
    return list


cdef void quicklist_free(Quicklist* list) noexcept nogil:
    cdef Node* node = list.head
    cdef Node* following
    while node != NULL:
        following = node.following
        mem_free(node.data)
        mem_free(node)
        node = following
    mem_free(list)


cdef Node* new_node(uint8_t* data, size_t size, uint32_t count, uint8_t container) noexcept nogil:
    cdef Node* node = <Node*>mem_alloc(sizeof(Node))
    node.data = data
    node.size = <uint32_t>size
    node.count = count
    node.container = container
    node.previous = NULL
    node.following = NULL
    return node


cdef Node* node_of_element(const char* data, size_t length, int fill) noexcept nogil:
    cdef uint8_t* content
    if is_large(length, fill):
        content = <uint8_t*>mem_alloc(length)
        memcpy(content, data, length)
        return new_node(content, length, 1, NODE_PLAIN)
    content = lp_append(lp_new(LISTPACK_HEADER + 1 + length + 8), data, length)
    return new_node(content, lp_bytes(content), 1, NODE_PACKED)


cdef void link_node(Quicklist* list, Node* node, Node* before) noexcept nogil:
    """Link `node` in front of `before` (NULL: at the tail)."""
    cdef Node* previous = list.tail if before == NULL else before.previous
    node.previous = previous
    node.following = before
    if previous == NULL:
        list.head = node
    else:
        previous.following = node
    if before == NULL:
        list.tail = node
    else:
        before.previous = node
    list.count += node.count
    list.nodes += 1


cdef void unlink_node(Quicklist* list, Node* node) noexcept nogil:
    if node.previous == NULL:
        list.head = node.following
    else:
        node.previous.following = node.following
    if node.following == NULL:
        list.tail = node.previous
    else:
        node.following.previous = node.previous
    list.count -= node.count
    list.nodes -= 1
    mem_free(node.data)
    mem_free(node)


cdef void quicklist_append_node(Quicklist* list, uint8_t* data, size_t size, uint32_t count, uint8_t container) noexcept nogil:
    link_node(list, new_node(data, size, count, container), NULL)


cdef inline void insert_in_node(Quicklist* list, Node* node, size_t offset, const char* data, size_t length) noexcept nogil:
    node.data = lp_insert(node.data, offset, data, length)
    node.size = lp_bytes(node.data)
    node.count += 1
    list.count += 1


cdef void quicklist_push(Quicklist* list, const char* data, size_t length, bint at_head, int fill) noexcept nogil:
    cdef Node* node = list.head if at_head else list.tail
    if node != NULL and not is_large(length, fill) and node_accepts(node, lp_encoded_size(data, length), fill):
        insert_in_node(list, node, LISTPACK_HEADER if at_head else node.size - 1, data, length)
        return
    link_node(list, node_of_element(data, length, fill), list.head if at_head else NULL)


cdef bint quicklist_seek(Quicklist* list, int64_t index, ListCursor* cursor) noexcept nogil:
    cdef Node* node
    cursor.node = NULL
    if index < 0:
        index += list.count
    if index < 0 or index >= list.count:
        return False
    if index <= list.count // 2:
        node = list.head
        while index >= node.count:
            index -= node.count
            node = node.following
    else:
        index = list.count - 1 - index
        node = list.tail
        while index >= node.count:
            index -= node.count
            node = node.previous
        index = <int64_t>node.count - 1 - index
    cursor.node = node
    cursor.index = index
    cursor.element = lp_seek(node.data, index) if node.container == NODE_PACKED else NULL
    return True


cdef bint cursor_next(ListCursor* cursor) noexcept nogil:
    if cursor.index + 1 < cursor.node.count:
        cursor.index += 1
        cursor.element = lp_next(cursor.node.data, cursor.element)
        return True
    cursor.node = cursor.node.following
    if cursor.node == NULL:
        return False
    cursor.index = 0
    cursor.element = lp_first(cursor.node.data) if cursor.node.container == NODE_PACKED else NULL
    return True


cdef bint cursor_previous(ListCursor* cursor) noexcept nogil:
    if cursor.index > 0:
        cursor.index -= 1
        cursor.element = lp_previous(cursor.node.data, cursor.element)
        return True
    cursor.node = cursor.node.previous
    if cursor.node == NULL:
        return False
    cursor.index = <int64_t>cursor.node.count - 1
    cursor.element = lp_seek(cursor.node.data, -1) if cursor.node.container == NODE_PACKED else NULL
    return True


cdef const char* cursor_text(ListCursor* cursor, uint32_t* length, char* scratch) noexcept nogil:
    if cursor.node.container == NODE_PLAIN:
        length[0] = cursor.node.size
        return <const char*>cursor.node.data
    return lp_text(cursor.element, length, scratch)


cdef void delete_in_node(Quicklist* list, Node* node, size_t offset, uint32_t count) noexcept nogil:
    node.data = lp_delete(node.data, offset, count)
    node.size = lp_bytes(node.data)
    node.count -= count
    list.count -= count


cdef void quicklist_delete(Quicklist* list, ListCursor* cursor) noexcept nogil:
    cdef Node* node = cursor.node
    cdef size_t offset
    if node.count == 1:
        cursor.node = node.following
        unlink_node(list, node)
    else:
        offset = cursor.element - node.data
        delete_in_node(list, node, offset, 1)
        if cursor.index < node.count:
            cursor.element = node.data + offset
            return
        cursor.node = node.following
    cursor.index = 0
    if cursor.node != NULL:
        cursor.element = lp_first(cursor.node.data) if cursor.node.container == NODE_PACKED else NULL


cdef void quicklist_delete_range(Quicklist* list, int64_t start, int64_t count) noexcept nogil:
    cdef ListCursor cursor
    cdef Node* node
    cdef Node* following
    cdef int64_t inside, index
    if not quicklist_seek(list, start, &cursor):
        return
    node = cursor.node
    index = cursor.index
    while node != NULL and count > 0:
        following = node.following
        inside = <int64_t>node.count - index
        if inside > count:
            inside = count
        if inside == node.count:
            unlink_node(list, node)
        else:
            delete_in_node(list, node, lp_seek(node.data, index) - node.data, <uint32_t>inside)
        count -= inside
        index = 0
        node = following


cdef void split_node(Quicklist* list, Node* node, int64_t index) noexcept nogil:
    """Move the elements from `index` on into a new node behind `node`."""
    cdef uint8_t* lp = node.data
    cdef uint8_t* at = lp_seek(lp, index)
    cdef size_t offset = at - lp
    cdef size_t moved_bytes = node.size - 1 - offset
    cdef uint32_t moved = node.count - <uint32_t>index
    cdef uint8_t* second = <uint8_t*>mem_alloc(LISTPACK_HEADER + moved_bytes + 1)
    cdef Node* fresh
    memcpy(second + LISTPACK_HEADER, at, moved_bytes + 1)
    (<uint32_t*>second)[0] = <uint32_t>(LISTPACK_HEADER + moved_bytes + 1)
    second[4] = <uint8_t>(moved & 0xff) if moved < 65535 else 0xff
    second[5] = <uint8_t>(moved >> 8) if moved < 65535 else 0xff
    delete_in_node(list, node, offset, moved)
    fresh = new_node(second, lp_bytes(second), moved, NODE_PACKED)
    link_node(list, fresh, node.following)


cdef void quicklist_insert(Quicklist* list, ListCursor* cursor, const char* data, size_t length, bint after,
                           int fill) noexcept nogil:
    cdef Node* node = cursor.node
    cdef int64_t index = cursor.index + (1 if after else 0)
    cdef size_t offset
    cdef size_t size = lp_encoded_size(data, length)
    cdef Node* before
    if not is_large(length, fill):
        if node_accepts(node, size, fill):
            offset = node.size - 1 if index == node.count else lp_seek(node.data, index) - node.data
            insert_in_node(list, node, offset, data, length)
            return
        if index == 0 and node.previous != NULL and node_accepts(node.previous, size, fill):
            insert_in_node(list, node.previous, node.previous.size - 1, data, length)
            return
        if index == node.count and node.following != NULL and node_accepts(node.following, size, fill):
            insert_in_node(list, node.following, LISTPACK_HEADER, data, length)
            return
    if index == 0:
        before = node
    else:
        if index < node.count:
            split_node(list, node, index)
        before = node.following
    link_node(list, node_of_element(data, length, fill), before)


cdef void quicklist_replace(Quicklist* list, ListCursor* cursor, const char* data, size_t length, int fill) noexcept nogil:
    cdef Node* node = cursor.node
    cdef Node* following
    if node.container == NODE_PACKED and not is_large(length, fill):
        if fits_one_node(node.size + lp_encoded_size(data, length), node.count, fill):
            node.data = lp_replace(node.data, cursor.element - node.data, data, length)
            node.size = lp_bytes(node.data)
            return
    if node.container == NODE_PLAIN and is_large(length, fill):
        node.data = <uint8_t*>mem_realloc(node.data, length)
        memcpy(node.data, data, length)
        node.size = <uint32_t>length
        return
    # `data` may point into this very node: insert first, then drop the old element.
    if cursor.index + 1 < node.count:
        split_node(list, node, cursor.index + 1)
    following = node.following
    link_node(list, node_of_element(data, length, fill), following)
    if node.count == 1:
        unlink_node(list, node)
    else:
        delete_in_node(list, node, lp_seek(node.data, -1) - node.data, 1)
