/* Socket calls that fail on command: put in front of libc with LD_PRELOAD.
 *
 * FAILING_SOCKETS names a file of one `rule` for each call, in the order of `enum call`. A rule makes the next `left` calls
 * fail with `error`; a negative `left` has no end. The test writes the file, and sees there how many failures are left. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum call { ACCEPT, GETSOCKNAME, GETPEERNAME, SETSOCKOPT, RECV, SEND, EPOLL_CTL, EPOLL_WAIT, CALLS };

typedef struct {
    int error;
    int left;
} rule;

static volatile rule *rules;

__attribute__((constructor)) static void map_rules(void) {
    const char *path = getenv("FAILING_SOCKETS");
    int fd = path == NULL ? -1 : open(path, O_RDWR);
    void *mapped;
    if (fd < 0)
        return;
    mapped = mmap(NULL, CALLS * sizeof(rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        rules = mapped;
}

static int fails(enum call call) {
    if (rules == NULL || rules[call].left == 0)
        return 0;
    if (rules[call].left > 0)
        rules[call].left--;
    errno = rules[call].error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    return fails(ACCEPT) ? -1 : REAL(accept4)(fd, address, length, flags);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length) {
    return fails(GETSOCKNAME) ? -1 : REAL(getsockname)(fd, address, length);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *length) {
    return fails(GETPEERNAME) ? -1 : REAL(getpeername)(fd, address, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
    return fails(SETSOCKOPT) ? -1 : REAL(setsockopt)(fd, level, name, value, length);
}

ssize_t recv(int fd, void *buffer, size_t length, int flags) {
    return fails(RECV) ? -1 : REAL(recv)(fd, buffer, length, flags);
}

ssize_t send(int fd, const void *buffer, size_t length, int flags) {
    return fails(SEND) ? -1 : REAL(send)(fd, buffer, length, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    return fails(EPOLL_CTL) ? -1 : REAL(epoll_ctl)(epoll, operation, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int room, int timeout) {
    return fails(EPOLL_WAIT) ? -1 : REAL(epoll_wait)(epoll, events, room, timeout);
}
