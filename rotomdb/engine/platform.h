/* What the kernel needs from the platform beyond ISO C. */
#ifndef ROTOMDB_PLATFORM_H
#define ROTOMDB_PLATFORM_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <sys/mman.h>

#if defined(__APPLE__)
#include <malloc/malloc.h>
#define rotom_allocation_size(p) malloc_size(p)
#define rotom_trim_memory() 0
#define rotom_tune_allocator() ((void)0)
#else
#include <malloc.h>
#define rotom_allocation_size(p) malloc_usable_size(p)
#if defined(__GLIBC__)
#define rotom_trim_memory() malloc_trim(0)
/* Without fast bins, whose consolidation after millions of small frees is another stall. */
#define rotom_tune_allocator() (mallopt(M_TRIM_THRESHOLD, 2 << 20), mallopt(M_MMAP_THRESHOLD, 1 << 20), mallopt(M_MXFAST, 0))
#else
#define rotom_trim_memory() 0
#define rotom_tune_allocator() ((void)0)
#endif
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rotomdb reads and writes little-endian structures in place; big-endian hosts are not supported"
#endif

/* Monotonic clock in nanoseconds; a vDSO call, no system call. */
static inline int64_t rotom_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t rotom_unix_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int rotom_trailing_zeros(uint32_t value) { return __builtin_ctz(value); }
static inline int rotom_bit_count(uint32_t value) { return __builtin_popcount(value); }
static inline uint64_t rotom_reverse_bits(uint64_t v) {
    v = ((v >> 1) & 0x5555555555555555ULL) | ((v & 0x5555555555555555ULL) << 1);
    v = ((v >> 2) & 0x3333333333333333ULL) | ((v & 0x3333333333333333ULL) << 2);
    v = ((v >> 4) & 0x0f0f0f0f0f0f0f0fULL) | ((v & 0x0f0f0f0f0f0f0f0fULL) << 4);
    return __builtin_bswap64(v);
}

static inline int rotom_add_overflows(int64_t a, int64_t b, int64_t *sum) {
    return __builtin_add_overflow(a, b, sum);
}

/* Hands the pages inside [start, start + length) back to the kernel; their content is lost. */
static inline void rotom_release_pages(void *start, size_t length) { madvise(start, length, MADV_DONTNEED); }

#endif
