/* Calls on the disk, and others that a process makes of the system, that fail on command: put in front of libc with LD_PRELOAD.
 *
 * FAILING_DISK names a file that holds one `control`, which the test maps, too, and changes while the process runs. A call is
 * a candidate when the path or descriptor that it is about lies below `prefix` (empty: wherever it lies); calls about no
 * file (fork, pipe, threads, waiting) always are. Of the candidates whose bit is in `calls` the first `skip` succeed, the
 * next `left` fail with `error`, a negative `left` has no end. `seen` counts all candidates by call, so that a test learns
 * what an operation does before it lets any of it fail. Children inherit the mapping.
 *
 * Only what is called through a symbol of libc passes here: which is all that CPython and the native modules do. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the order of CALLS in tests/crash/failing_disk.py. */
enum call {
    OPEN, READ, WRITE, FSYNC, TRUNCATE, ALLOCATE, CLOSE, RENAME, UNLINK, LINK, MKDIR, RMDIR, STAT, FSTAT, SCAN, STATVFS, MODE,
    LOCK, MAP, FORK, PIPE, THREAD, WAIT, CALLS
};

#define PATH_ROOM 1024

typedef struct {
    unsigned calls;
    int error;
    int skip;
    int left;
    int failed;
    unsigned seen[CALLS];
    char prefix[256];
} control;

static control *controlled;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("FAILING_DISK");
    long fd = path == NULL ? -1 : syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    long mapped;
    if (fd < 0)
        return;
    mapped = syscall(SYS_mmap, 0L, sizeof(control), (long)(PROT_READ | PROT_WRITE), (long)MAP_SHARED, fd, 0L);
    syscall(SYS_close, fd);
    if (mapped != -1)
        controlled = (control *)mapped;
}

static int below_prefix(const char *path) {
    return strncmp(path, controlled->prefix, strlen(controlled->prefix)) == 0;
}

static int of_descriptor(int fd) {
    char name[32], path[PATH_ROOM];
    long length;
    if (controlled->prefix[0] == 0)
        return 1;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return below_prefix(path);
}

static int of_path(int directory, const char *path) {
    char here[PATH_ROOM];
    if (path == NULL)
        return 0;
    if (path[0] == '/')
        return below_prefix(path);
    if (directory != AT_FDCWD)
        return of_descriptor(directory);
    if (controlled->prefix[0] == 0)
        return 1;
    return syscall(SYS_getcwd, here, sizeof here) > 0 && below_prefix(here);
}

/* Whether this candidate fails; errno is set then. */
static int fails(enum call call) {
    __atomic_add_fetch(&controlled->seen[call], 1, __ATOMIC_RELAXED);
    if (!(controlled->calls >> call & 1))
        return 0;
    if (__atomic_load_n(&controlled->skip, __ATOMIC_RELAXED) > 0) {
        __atomic_sub_fetch(&controlled->skip, 1, __ATOMIC_RELAXED);
        return 0;
    }
    if (__atomic_load_n(&controlled->left, __ATOMIC_RELAXED) == 0)
        return 0;
    if (controlled->left > 0)
        __atomic_sub_fetch(&controlled->left, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&controlled->failed, 1, __ATOMIC_RELAXED);
    errno = controlled->error;
    return 1;
}

#define PATH_FAILS(call, directory, path) (controlled != NULL && of_path(directory, path) && fails(call))
#define FD_FAILS(call, fd) (controlled != NULL && of_descriptor(fd) && fails(call))
#define FAILS(call) (controlled != NULL && fails(call))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(more, int) : 0;
}

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; \
        mode_t mode; \
        va_start(more, flags); \
        mode = mode_of(flags, more); \
        va_end(more); \
        return PATH_FAILS(OPEN, AT_FDCWD, path) ? -1 : REAL(name)(path, flags, mode); \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
    int name(int directory, const char *path, int flags, ...) { \
        va_list more; \
        mode_t mode; \
        va_start(more, flags); \
        mode = mode_of(flags, more); \
        va_end(more); \
        return PATH_FAILS(OPEN, directory, path) ? -1 : REAL(name)(directory, path, flags, mode); \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

int creat(const char *path, mode_t mode) {
    return PATH_FAILS(OPEN, AT_FDCWD, path) ? -1 : REAL(creat)(path, mode);
}

ssize_t read(int fd, void *buffer, size_t length) {
    return FD_FAILS(READ, fd) ? -1 : REAL(read)(fd, buffer, length);
}

#define READS_AT(name, offset_type) \
    ssize_t name(int fd, void *buffer, size_t length, offset_type offset) { \
        return FD_FAILS(READ, fd) ? -1 : REAL(name)(fd, buffer, length, offset); \
    }
READS_AT(pread, off_t)
READS_AT(pread64, off64_t)

ssize_t write(int fd, const void *buffer, size_t length) {
    return FD_FAILS(WRITE, fd) ? -1 : REAL(write)(fd, buffer, length);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    return FD_FAILS(WRITE, fd) ? -1 : REAL(writev)(fd, pieces, count);
}

#define WRITES_AT(name, offset_type) \
    ssize_t name(int fd, const void *buffer, size_t length, offset_type offset) { \
        return FD_FAILS(WRITE, fd) ? -1 : REAL(name)(fd, buffer, length, offset); \
    }
WRITES_AT(pwrite, off_t)
WRITES_AT(pwrite64, off64_t)

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags) {
    return FD_FAILS(WRITE, to) ? -1 : REAL(copy_file_range)(from, from_offset, to, to_offset, length, flags);
}

int fsync(int fd) {
    return FD_FAILS(FSYNC, fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return FD_FAILS(FSYNC, fd) ? -1 : REAL(fdatasync)(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
    return FD_FAILS(FSYNC, fd) ? -1 : REAL(sync_file_range)(fd, offset, length, flags);
}

int ftruncate(int fd, off_t size) {
    return FD_FAILS(TRUNCATE, fd) ? -1 : REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    return FD_FAILS(TRUNCATE, fd) ? -1 : REAL(ftruncate64)(fd, size);
}

int truncate(const char *path, off_t size) {
    return PATH_FAILS(TRUNCATE, AT_FDCWD, path) ? -1 : REAL(truncate)(path, size);
}

int truncate64(const char *path, off64_t size) {
    return PATH_FAILS(TRUNCATE, AT_FDCWD, path) ? -1 : REAL(truncate64)(path, size);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return FD_FAILS(ALLOCATE, fd) ? -1 : REAL(fallocate)(fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return FD_FAILS(ALLOCATE, fd) ? -1 : REAL(fallocate64)(fd, mode, offset, length);
}

/* The descriptor is gone all the same, as with Linux. */
int close(int fd) {
    int failing = FD_FAILS(CLOSE, fd), error = errno, result = REAL(close)(fd);
    if (!failing)
        return result;
    errno = error;
    return -1;
}

int rename(const char *from, const char *to) {
    return PATH_FAILS(RENAME, AT_FDCWD, from) ? -1 : REAL(rename)(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    return PATH_FAILS(RENAME, from_directory, from) ? -1 : REAL(renameat)(from_directory, from, to_directory, to);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    return PATH_FAILS(RENAME, from_directory, from) ? -1 : REAL(renameat2)(from_directory, from, to_directory, to, flags);
}

int unlink(const char *path) {
    return PATH_FAILS(UNLINK, AT_FDCWD, path) ? -1 : REAL(unlink)(path);
}

int unlinkat(int directory, const char *path, int flags) {
    return PATH_FAILS(UNLINK, directory, path) ? -1 : REAL(unlinkat)(directory, path, flags);
}

int link(const char *from, const char *to) {
    return PATH_FAILS(LINK, AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    return PATH_FAILS(LINK, to_directory, to) ? -1 : REAL(linkat)(from_directory, from, to_directory, to, flags);
}

int mkdir(const char *path, mode_t mode) {
    return PATH_FAILS(MKDIR, AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
    return PATH_FAILS(MKDIR, directory, path) ? -1 : REAL(mkdirat)(directory, path, mode);
}

int rmdir(const char *path) {
    return PATH_FAILS(RMDIR, AT_FDCWD, path) ? -1 : REAL(rmdir)(path);
}

#define STATS(name, type) \
    int name(const char *path, type *found) { \
        return PATH_FAILS(STAT, AT_FDCWD, path) ? -1 : REAL(name)(path, found); \
    }
STATS(stat, struct stat)
STATS(stat64, struct stat64)
STATS(lstat, struct stat)
STATS(lstat64, struct stat64)

int fstatat(int directory, const char *path, struct stat *found, int flags) {
    return PATH_FAILS(STAT, directory, path) ? -1 : REAL(fstatat)(directory, path, found, flags);
}

int fstatat64(int directory, const char *path, struct stat64 *found, int flags) {
    return PATH_FAILS(STAT, directory, path) ? -1 : REAL(fstatat64)(directory, path, found, flags);
}

int fstat(int fd, struct stat *found) {
    return FD_FAILS(FSTAT, fd) ? -1 : REAL(fstat)(fd, found);
}

int fstat64(int fd, struct stat64 *found) {
    return FD_FAILS(FSTAT, fd) ? -1 : REAL(fstat64)(fd, found);
}

DIR *opendir(const char *path) {
    return PATH_FAILS(SCAN, AT_FDCWD, path) ? NULL : REAL(opendir)(path);
}

DIR *fdopendir(int fd) {
    return FD_FAILS(SCAN, fd) ? NULL : REAL(fdopendir)(fd);
}

struct dirent64 *readdir64(DIR *directory) {
    return FD_FAILS(SCAN, dirfd(directory)) ? NULL : REAL(readdir64)(directory);
}

#define STATS_FILE_SYSTEM(name, type) \
    int name(const char *path, type *found) { \
        return PATH_FAILS(STATVFS, AT_FDCWD, path) ? -1 : REAL(name)(path, found); \
    }
STATS_FILE_SYSTEM(statvfs, struct statvfs)
STATS_FILE_SYSTEM(statvfs64, struct statvfs64)

int fchmod(int fd, mode_t mode) {
    return FD_FAILS(MODE, fd) ? -1 : REAL(fchmod)(fd, mode);
}

int fchown(int fd, uid_t owner, gid_t group) {
    return FD_FAILS(MODE, fd) ? -1 : REAL(fchown)(fd, owner, group);
}

int flock(int fd, int operation) {
    return FD_FAILS(LOCK, fd) ? -1 : REAL(flock)(fd, operation);
}

/* Of files; memory without one is no call on the disk. */
#define MAPS(name, offset_type) \
    void *name(void *address, size_t length, int protection, int flags, int fd, offset_type offset) { \
        return fd >= 0 && FD_FAILS(MAP, fd) ? MAP_FAILED : REAL(name)(address, length, protection, flags, fd, offset); \
    }
MAPS(mmap, off_t)
MAPS(mmap64, off64_t)

pid_t fork(void) {
    return FAILS(FORK) ? -1 : REAL(fork)();
}

int pipe2(int ends[2], int flags) {
    return FAILS(PIPE) ? -1 : REAL(pipe2)(ends, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    return FAILS(THREAD) ? controlled->error : REAL(pthread_create)(thread, attributes, start, argument);
}

pid_t waitpid(pid_t pid, int *status, int options) {
    return FAILS(WAIT) ? -1 : REAL(waitpid)(pid, status, options);
}
