"""Longest common subsequence of two strings (LCS), by the classic table."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc


def table_bytes(bytes a, bytes b):
    """Memory that the table takes while it is filled."""
    return (PyBytes_GET_SIZE(a) + 1) * (PyBytes_GET_SIZE(b) + 1) * sizeof(uint32_t)


def longest_common_subsequence(bytes a not None, bytes b not None):
    """The subsequence and its runs (start in a, start in b, length), last run first. MemoryError without room for the table."""
    cdef Py_ssize_t rows = PyBytes_GET_SIZE(a), columns = PyBytes_GET_SIZE(b), i, j
    cdef const char* left = PyBytes_AS_STRING(a)
    cdef const char* right = PyBytes_AS_STRING(b)
    cdef Py_ssize_t width = columns + 1
    cdef uint32_t* table = <uint32_t*>malloc(<size_t>(rows + 1) * <size_t>width * sizeof(uint32_t))
    cdef uint32_t above, before
    cdef Py_ssize_t run_start = -1, other_start = -1, length
    cdef bytearray sequence = bytearray()
    cdef list runs = []
    if table == NULL:
        raise MemoryError()
    for j in range(width):
        table[j] = 0
    for i in range(1, rows + 1):
        table[i * width] = 0
        for j in range(1, width):
            if left[i - 1] == right[j - 1]:
                table[i * width + j] = table[(i - 1) * width + j - 1] + 1
            else:
                above = table[(i - 1) * width + j]
                before = table[i * width + j - 1]
                table[i * width + j] = above if above > before else before
    i = rows
    j = columns
    while i and j:
        if left[i - 1] == right[j - 1]:
            sequence.append(<unsigned char>left[i - 1])
            length = 1
            if runs and run_start == i and other_start == j:
                length += runs.pop()[2]
            run_start = i - 1
            other_start = j - 1
            runs.append((run_start, other_start, length))
            i -= 1
            j -= 1
        elif table[(i - 1) * width + j] > table[i * width + j - 1]:
            i -= 1
        else:
            j -= 1
    free(table)
    sequence.reverse()
    return bytes(sequence), runs
