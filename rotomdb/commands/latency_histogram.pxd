from libc.stdint cimport int64_t

cdef struct LatencyHistogram:
    int64_t total                    # durations counted
    int64_t counts[3072]             # by slot


cdef LatencyHistogram* histogram_make() noexcept nogil
cdef void histogram_count(LatencyHistogram* histogram, int64_t nanoseconds) noexcept nogil
cdef int64_t histogram_percentile(const LatencyHistogram* histogram, double percent) noexcept nogil
cdef list histogram_steps(const LatencyHistogram* histogram)
