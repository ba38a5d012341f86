"""Crash reports of native faults: what the signal handler of crash_signals.h needs from Python, and how it is set up.

One process has one handler, as it has one set of signals.
"""

import os
import signal

from cpython.exc cimport PyErr_Clear

cdef extern from "Python.h":
    ctypedef struct PyThreadState
    PyThreadState* PyGILState_GetThisThreadState() nogil

ctypedef void (*Section)(int fd) noexcept nogil
ctypedef void (*DumpTraceback)(int fd, PyThreadState* state) noexcept nogil

cdef extern from "crash_signals.h" nogil:
    void* dlsym(void* handle, const char* name)
    void* RTLD_DEFAULT
    int rotom_crash_install()
    void rotom_crash_uninstall()
    int rotom_crash_begin(int number)
    void rotom_crash_end(int fd)
    void rotom_crash_stacks(int fd)
    void rotom_crash_rest(int fd)
    void rotom_crash_put(int fd, const char* text)
    void rotom_crash_now()
    void rotom_crash_configure(
        const char* path, const char* product, long utc_offset, unsigned int seconds, Section write_rest, Section write_python_stack)

# Async-signal-safe, and not part of the stable interface: looked up, so that its absence costs a section only.
cdef DumpTraceback dump_traceback = <DumpTraceback>dlsym(RTLD_DEFAULT, "_Py_DumpTraceback")
cdef object report_rest = None


cdef void python_stack(int fd) noexcept nogil:
    cdef PyThreadState* state = PyGILState_GetThisThreadState()
    if dump_traceback == NULL or state == NULL:
        rotom_crash_put(fd, "none in this thread\n")
    else:
        dump_traceback(fd, state)


cdef void rest(int fd) noexcept with gil:
    """The sections that Python writes: the state that it is in may be anything."""
    PyErr_Clear()
    try:
        report_rest(fd)
    except BaseException as error:
        os.write(fd, f"\nThe rest of the report failed: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))


def configure(str path, str product, long utc_offset, write_rest, unsigned int seconds=10):
    """Say where the report goes (an empty path: standard output) and who writes its second part.

    Args:
        utc_offset: Seconds that local time is ahead.
        write_rest: Called with a descriptor; what takes it more than `seconds` is left out.
    """
    global report_rest
    report_rest = write_rest
    rotom_crash_configure(os.fsencode(path), product.encode(), utc_offset, seconds, rest, python_stack)


def enable(bint wanted):
    """Report crashes, or let the system's default happen. Raises OSError."""
    if not wanted:
        rotom_crash_uninstall()
    elif rotom_crash_install() < 0:
        raise OSError("signal handlers cannot be installed")


def abort_with_report(list lines):
    """A report of what Python found out, then the end by SIGABRT."""
    cdef int fd = rotom_crash_begin(signal.SIGABRT)
    for line in lines:
        os.write(fd, line.encode("utf-8", "replace") + b"\n")
    rotom_crash_stacks(fd)
    rotom_crash_rest(fd)
    rotom_crash_end(fd)
    rotom_crash_uninstall()
    os.abort()


def segfault():
    """DEBUG SEGFAULT."""
    rotom_crash_now()
