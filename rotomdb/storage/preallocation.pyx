"""Room on the disk ahead of the end of a file, which stays where it is.

A file that grows by every write needs new blocks for every other one, and each fsync has to bring their bookkeeping to the disk,
too. With blocks set aside beforehand an fdatasync takes about half the time (ext4: 150 instead of 330 us for 2 KB).
"""

cdef extern from *:
    """
    #define _GNU_SOURCE
    #include <fcntl.h>
    #if defined(__linux__)
    #include <linux/falloc.h>
    #define rotom_allocate_ahead(fd, offset, length) fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length)
    #else
    #define rotom_allocate_ahead(fd, offset, length) (-1)
    #endif
    """
    int rotom_allocate_ahead(int fd, long long offset, long long length) nogil


def allocate_ahead(int descriptor, long long offset, long long length):
    """Set blocks aside behind `offset`; the file's size does not change. False: this file system does not do that."""
    cdef int result
    with nogil:
        result = rotom_allocate_ahead(descriptor, offset, length)
    return result == 0
