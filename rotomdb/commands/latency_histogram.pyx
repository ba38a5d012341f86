"""Histograms of durations, from a nanosecond to a second, with two significant digits.

The first 256 slots are a nanosecond wide; behind them each power of two is divided into 128. That is the layout of an HDR
histogram with two digits, which Redis keeps, so that LATENCY HISTOGRAM and INFO latencystats give the figures it would give.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc

cdef extern from *:
    int __builtin_clzll(unsigned long long value) noexcept nogil

cdef enum:
    HALF_BITS = 7                    # a power of two is divided into so many bits' worth of slots
    HALF = 128
    SLOTS = 3072
    FIRST_STEP_NS = 1024             # where LATENCY HISTOGRAM begins; each further step is twice as long

cdef int64_t LONGEST_NS = 1000000000


cdef LatencyHistogram* histogram_make() noexcept nogil:
    """An empty one; NULL when there is no memory. It is given back with free()."""
    return <LatencyHistogram*>calloc(1, sizeof(LatencyHistogram))


cdef inline int width_bits(int64_t nanoseconds) noexcept nogil:
    """log2 of the width of the slot that the duration falls into."""
    return 64 - __builtin_clzll(<unsigned long long>nanoseconds | (2 * HALF - 1)) - (HALF_BITS + 1)


cdef inline int slot_of(int64_t nanoseconds) noexcept nogil:
    cdef int bits = width_bits(nanoseconds)
    return ((bits + 1) << HALF_BITS) + <int>(nanoseconds >> bits) - HALF


cdef inline int64_t lowest_of(int slot) noexcept nogil:
    """The shortest duration that falls into a slot."""
    if slot < 2 * HALF:
        return slot
    return <int64_t>((slot & (HALF - 1)) + HALF) << ((slot >> HALF_BITS) - 1)


cdef inline int64_t highest_of(int slot) noexcept nogil:
    return lowest_of(slot + 1) - 1


cdef void histogram_count(LatencyHistogram* histogram, int64_t nanoseconds) noexcept nogil:
    """Count a duration; what is too short or too long counts as the nearest that can be told."""
    if nanoseconds < 1:
        nanoseconds = 1
    elif nanoseconds > LONGEST_NS:
        nanoseconds = LONGEST_NS
    histogram.counts[slot_of(nanoseconds)] += 1
    histogram.total += 1


cdef int64_t histogram_percentile(const LatencyHistogram* histogram, double percent) noexcept nogil:
    """Nanoseconds that this share of the durations, in percent, did not exceed; for 0 the shortest of them."""
    cdef int64_t seen = 0
    cdef int64_t wanted = <int64_t>(percent / 100 * <double>histogram.total + 0.5)
    cdef int slot
    if wanted < 1:
        wanted = 1
    for slot in range(SLOTS - 1):
        seen += histogram.counts[slot]
        if seen >= wanted:
            return lowest_of(slot) if percent == 0 else highest_of(slot)
    return 0


cdef list histogram_steps(const LatencyHistogram* histogram):
    """[microseconds, durations that did not exceed so many, ...], doubling, where the second number grows."""
    cdef list steps = []
    cdef int64_t step = FIRST_STEP_NS
    cdef int64_t seen = 0
    cdef int64_t before = 0
    cdef int slot = 0
    while seen < histogram.total:
        while slot <= slot_of(step) and slot < SLOTS:
            seen += histogram.counts[slot]
            slot += 1
        if seen != before:
            steps += (highest_of(slot_of(step)) // 1000, seen)
            before = seen
        step *= 2
    return steps


def measured(nanoseconds, percents):
    """The percentiles in ns, and the steps in microseconds, of a list of durations: the functions above, for tests."""
    cdef LatencyHistogram histogram
    histogram.total = 0
    for slot in range(SLOTS):
        histogram.counts[slot] = 0
    for duration in nanoseconds:
        histogram_count(&histogram, duration)
    return [histogram_percentile(&histogram, percent) for percent in percents], histogram_steps(&histogram)
