/* Readiness of many descriptors: epoll on Linux, poll(2) elsewhere (or with -DROTOM_USE_POLL, for its tests). */
#ifndef ROTOMDB_POLLER_H
#define ROTOMDB_POLLER_H

#include <errno.h>
#include <stdlib.h>

enum { ROTOM_READABLE = 1, ROTOM_WRITABLE = 2 };

/* An error or a peer that hung up counts as readable: reading tells which. */
typedef struct {
    int fd;
    int mask;
} rotom_event;

#if defined(__linux__) && !defined(ROTOM_USE_POLL)
#include <sys/epoll.h>
#include <unistd.h>

typedef struct {
    int epoll;
} rotom_poller;

static inline int rotom_poller_open(rotom_poller *poller) {
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    return poller->epoll < 0 ? -1 : 0;
}

static inline void rotom_poller_close(rotom_poller *poller) {
    if (poller->epoll >= 0)
        close(poller->epoll);
    poller->epoll = -1;
}

/* What to report of `fd` from now on, instead of `before`; 0: nothing, it is forgotten. -1 with errno. */
static inline int rotom_poller_set(rotom_poller *poller, int fd, int before, int mask) {
    struct epoll_event event = {.data.fd = fd};
    event.events = (mask & ROTOM_READABLE ? EPOLLIN : 0) | (mask & ROTOM_WRITABLE ? EPOLLOUT : 0);
    return epoll_ctl(poller->epoll, mask == 0 ? EPOLL_CTL_DEL : before ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

/* How many events were put into `out`; -1 with errno. A negative timeout has no end. */
static inline int rotom_poller_wait(rotom_poller *poller, rotom_event *out, int room, int timeout_ms) {
    struct epoll_event events[256];
    int i, count = epoll_wait(poller->epoll, events, room < 256 ? room : 256, timeout_ms);
    for (i = 0; i < count; i++) {
        out[i].fd = events[i].data.fd;
        out[i].mask = (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? ROTOM_READABLE : 0) |
                      (events[i].events & EPOLLOUT ? ROTOM_WRITABLE : 0);
    }
    return count;
}

#else
#include <poll.h>

typedef struct {
    struct pollfd *watched;
    int count, room;
} rotom_poller;

static inline int rotom_poller_open(rotom_poller *poller) {
    poller->watched = NULL;
    poller->count = poller->room = 0;
    return 0;
}

static inline void rotom_poller_close(rotom_poller *poller) {
    free(poller->watched);
    rotom_poller_open(poller);
}

static inline int rotom_poller_set(rotom_poller *poller, int fd, int before, int mask) {
    int i = 0;
    while (i < poller->count && poller->watched[i].fd != fd)
        i++;
    if (mask == 0) {
        if (i < poller->count)
            poller->watched[i] = poller->watched[--poller->count];
        return 0;
    }
    if (i == poller->room) {
        int room = poller->room * 2 + 16;
        struct pollfd *grown = realloc(poller->watched, room * sizeof *grown);
        if (grown == NULL)
            return -1;
        poller->watched = grown;
        poller->room = room;
    }
    if (i == poller->count)
        poller->count++;
    poller->watched[i].fd = fd;
    poller->watched[i].events = (mask & ROTOM_READABLE ? POLLIN : 0) | (mask & ROTOM_WRITABLE ? POLLOUT : 0);
    return 0;
}

static inline int rotom_poller_wait(rotom_poller *poller, rotom_event *out, int room, int timeout_ms) {
    int i, count = 0;
    int ready = poll(poller->watched, poller->count, timeout_ms);
    if (ready <= 0)
        return ready;
    for (i = 0; i < poller->count && count < room; i++) {
        short seen = poller->watched[i].revents;
        if (seen) {
            out[count].fd = poller->watched[i].fd;
            out[count].mask = (seen & (POLLIN | POLLHUP | POLLERR | POLLNVAL) ? ROTOM_READABLE : 0) |
                              (seen & POLLOUT ? ROTOM_WRITABLE : 0);
            count++;
        }
    }
    return count;
}
#endif
#endif
