from libc.stdint cimport int64_t

from rotomdb.formats.aof.annotation_writer cimport BlockWriter
from rotomdb.storage.propagation cimport PropagationStream

cdef class LogAppender:
    cdef readonly object disk, options, log, machine, sync_thread, reserve
    cdef readonly PropagationStream stream
    cdef readonly BlockWriter blocks
    cdef public object file                   # DiskFile, or None
    cdef public bint waiting
    cdef public bytes unwritten               # annotated, and not taken by write(2) yet
    cdef public list rewrite_buffer           # single layout: writes since the rewrite's fork
    cdef public object child_active           # tells whether a child writes to the disk
    cdef public object write_error, failed_sync
    cdef public int64_t size                  # of all files
    cdef public int64_t base_size             # when the last rewrite ended
    cdef public int64_t delayed_fsyncs
    cdef object marks                         # which stream offset each length of the file stands for
    cdef public int64_t synced_offset, written_offset
    cdef readonly int64_t last_sync_ms
    cdef int64_t last_error_log_ms
    cdef int database_before                  # that the last write left selected
    cdef bint slow_sync_noted
    cdef bint is_synced(self) except -1
    cdef bint is_suspended(self) except -1
    cdef int64_t find_durable_offset(self) except -1
    cdef int collect(self, int64_t now, bint end_block) except -1
    cdef int write_out(self, int64_t now) except -1
    cdef int write_failed(self, object file, int64_t before, object error, int64_t now) except -1
    cdef int exit_if_configured(self, object error) except -1
    cdef int sync_as_policy_says(self, int64_t now) except -1
    cdef bint start_sync(self) except -1
    cdef int note_slow_sync(self) except -1
    cdef int notice_failed_sync(self) except -1
