/* SPDX-License-Identifier: MIT */
#include "channel/descriptor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/clock.h>

#include "base/error.h"
#include "base/kept.h"
#include "base/section.h"
#include "base/thread.h"
#include "base/uring.h"

/* How often a wait by the ring that was over at once is begun again. */
#define TRIES 8

struct weir__descriptor {
    struct weir__descriptor_watch watch;
    struct weir__waiter waiter; /* the handle's, but that this one never spins */
    int fd;
    pthread_t thread;
    bool is_settled; /* readable, until it is armed; the handle's thread alone knows */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct weir__uring *uring; /* NULL: the thread waits for the doorbell */
    bool is_second;            /* that ring; after it there is none */
    int poke;                  /* an eventfd that ends the thread's slice; -1: never had a ring */
    int pidfd;                 /* of peer, or -1; the thread alone opens and closes it */
    uint64_t peer;
    bool is_armed;
    bool is_busy; /* the thread looks at its copy */
    bool is_idle; /* the thread sleeps until it is told of something to do */
    bool is_ending;
    bool is_readable;  /* of one that never had a ring: the eventfd's count is not 0 */
    void *view;        /* what to look at, the handle's copy */
    size_t used_bytes; /* of it */
    void *copy;        /* the thread's, while busy */

    weir__atomic_u32 turn; /* changes when the thread shall look up from its wait */
};

struct turn {
    struct weir__descriptor *descriptor;
    uint32_t turn;
};

static bool is_over(void *argument)
{
    const struct turn *turn = argument;
    struct weir__descriptor *descriptor = turn->descriptor;
    /* Acquire [descriptor.turn]. Pairs with next_turn(). */
    return atomic_load_explicit(&descriptor->turn, memory_order_acquire) != turn->turn ||
           descriptor->watch.is_ready(descriptor->copy);
}

/* With the lock held: the thread's present wait is to end. */
static void next_turn(struct weir__descriptor *descriptor)
{
    /* Release [descriptor.turn], before the ring. Pairs with is_over(). */
    atomic_fetch_add_explicit(&descriptor->turn, 1, memory_order_release);
}

/*
 * With the lock held. An eventfd of 0 takes a 1, and one that is not 0 gives all, at once. With a
 * ring the kernel adds to it, too, also while the ring goes, and nobody knows what it is.
 */
static void set_readable(struct weir__descriptor *descriptor, bool is_readable)
{
    uint64_t count = 1;
    int saved_errno = errno;
    if (descriptor->poke < 0 && descriptor->is_readable == is_readable)
        return;
    ssize_t moved = is_readable ? write(descriptor->fd, &count, sizeof count)
                                : read(descriptor->fd, &count, sizeof count);
    if (moved == sizeof count || errno == EAGAIN)
        descriptor->is_readable = is_readable;
    errno = saved_errno;
}

/* With the lock held: readable, and whoever polls is told, be it readable already. */
static void tell_readable(struct weir__descriptor *descriptor)
{
    descriptor->is_readable = false;
    set_readable(descriptor, true);
}

/* With the lock held. */
static void set_armed(struct weir__descriptor *descriptor, bool is_armed)
{
    descriptor->is_armed = is_armed;
    weir__state(&descriptor->watch.waiter->stats->armed, is_armed);
}

/* A wait is over also when somebody has rung for nothing: of many others each ask costs system calls. */
static bool ask_if_due(struct weir__descriptor *descriptor)
{
    int64_t now_ns = weir_now_ns();
    if (!weir__slice_is_over(descriptor->waiter.asked_ns, now_ns))
        return false;
    descriptor->waiter.asked_ns = now_ns;
    return descriptor->watch.ask(descriptor->copy);
}

/* With the lock held, and armed: the doorbell is the thread's to wait for. */
static void wait_in_place(struct weir__descriptor *descriptor)
{
    struct turn turn = { .descriptor = descriptor };
    memcpy(descriptor->copy, descriptor->view, descriptor->used_bytes);
    /* Relaxed: the lock orders it. */
    turn.turn = atomic_load_explicit(&descriptor->turn, memory_order_relaxed);
    descriptor->is_busy = true;
    pthread_mutex_unlock(&descriptor->lock);
    int result = weir__wait(&descriptor->waiter, is_over, &turn, WEIR_NEVER);
    bool is_news = result == WEIR__WAITED_SLICE && ask_if_due(descriptor);
    pthread_mutex_lock(&descriptor->lock);
    bool is_current = turn.turn == atomic_load_explicit(&descriptor->turn, memory_order_relaxed);
    if (is_current && descriptor->is_armed &&
        (is_news || descriptor->watch.is_ready(descriptor->copy))) {
        set_armed(descriptor, false);
        set_readable(descriptor, true);
    }
    descriptor->is_busy = false;
    pthread_cond_broadcast(&descriptor->changed);
}

/* With the lock held. At no moment has a child of fork the number of a file that is closed. */
static void close_pidfd(struct weir__descriptor *descriptor)
{
    int pidfd = descriptor->pidfd;
    descriptor->pidfd = -1;
    if (pidfd >= 0)
        close(pidfd);
}

/* With the lock held: the pidfd is that of the peer that is_ready waits for. */
static void follow_peer(struct weir__descriptor *descriptor)
{
    uint64_t peer = descriptor->watch.peer(descriptor->view);
    if (peer == descriptor->peer)
        return;
    close_pidfd(descriptor);
    descriptor->peer = peer;
    descriptor->pidfd = peer ? descriptor->watch.open_pidfd(descriptor->view) : -1;
}

/* With the lock held: until it is told of something, a slice at most. */
static void wait_without_poll(struct weir__descriptor *descriptor)
{
    int64_t until_ns = weir_deadline_ns(WEIR__SLICE_NS);
    const struct timespec until = { until_ns / WEIR_SECOND_NS, until_ns % WEIR_SECOND_NS };
    pthread_cond_timedwait(&descriptor->changed, &descriptor->lock, &until);
}

/*
 * With the lock held, and armed: the kernel waits for the doorbell, and the thread for deaths and
 * lost rings. It looks with the lock held, so that disarm() has nothing to wait for.
 */
static void watch_slice(struct weir__descriptor *descriptor)
{
    uint64_t count;
    follow_peer(descriptor);
    struct pollfd polls[] = { { .fd = descriptor->poke, .events = POLLIN },
                              { .fd = descriptor->pidfd, .events = POLLIN } };
    pthread_mutex_unlock(&descriptor->lock);
    int ready = poll(polls, 2, WEIR__SLICE_NS / 1000000);
    int error = ready < 0 ? errno : 0;
    pthread_mutex_lock(&descriptor->lock);
    bool is_forbidden = error == EINVAL; /* RLIMIT_NOFILE is less than two, by now */
    if ((polls[0].revents || is_forbidden) && read(descriptor->poke, &count, sizeof count) > 0)
        return;
    if (error != 0 && !is_forbidden)
        return;
    if (is_forbidden && descriptor->is_armed)
        wait_without_poll(descriptor);
    if (!descriptor->is_armed)
        return;
    if (descriptor->watch.ask(descriptor->view) || descriptor->watch.is_ready(descriptor->view)) {
        set_armed(descriptor, false);
        set_readable(descriptor, true);
    }
    if (polls[1].revents) /* it has told; whom the beacon still calls alive is asked by slices */
        close_pidfd(descriptor);
}

/* With the lock held: the thread is to see what has changed. */
static void tell_thread(struct weir__descriptor *descriptor)
{
    const uint64_t one = 1;
    int saved_errno = errno;
    pthread_cond_broadcast(&descriptor->changed);
    if (descriptor->poke >= 0 && write(descriptor->poke, &one, sizeof one) < 0)
        errno = saved_errno; /* full: it has been told already */
}

static void *watch(void *argument)
{
    struct weir__descriptor *descriptor = argument;
    pthread_mutex_lock(&descriptor->lock);
    while (!descriptor->is_ending) {
        if (!descriptor->is_armed) {
            descriptor->is_idle = true;
            pthread_cond_wait(&descriptor->changed, &descriptor->lock);
            descriptor->is_idle = false;
        } else if (descriptor->uring) {
            watch_slice(descriptor);
        } else {
            wait_in_place(descriptor);
        }
    }
    pthread_mutex_unlock(&descriptor->lock);
    return NULL;
}

static void discard(struct weir__descriptor *descriptor)
{
    weir__uring_close(descriptor->uring);
    const int fds[] = { descriptor->fd, descriptor->poke, descriptor->pidfd };
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(descriptor->view);
    free(descriptor->copy);
    free(descriptor);
}

static void init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int weir__descriptor_open(struct weir__descriptor **descriptor,
                          const struct weir__descriptor_watch *asked)
{
    struct weir__descriptor *made = calloc(1, sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a descriptor");
    made->watch = *asked;
    made->waiter = *asked->waiter;
    made->waiter.spin_ns = 0;
    made->waiter.stats = NULL; /* the handle's thread counts */
    made->poke = made->pidfd = -1;
    made->view = calloc(1, asked->view_bytes);
    made->copy = calloc(1, asked->view_bytes);
    made->fd = weir__kept(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int error = made->fd < 0 ? errno : 0;
    if (error == 0 && (!made->view || !made->copy))
        error = ENOMEM;
    pthread_mutex_init(&made->lock, NULL);
    init_changed(&made->changed);
    if (error == 0 && asked->is_ring_enough)
        made->poke = weir__kept(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    /* No ring, for whatever reason: then without. */
    if (made->poke >= 0 && weir__uring_open(&made->uring, made->fd) != 0) {
        close(made->poke);
        made->poke = -1;
    }
    if (error == 0)
        error = weir__thread_start(&made->thread, watch, made);
    if (error != 0) {
        discard(made);
        return weir__fail(error, "no descriptor to poll: %s", strerror(error));
    }
    *descriptor = made;
    return 0;
}

void weir__descriptor_close(struct weir__descriptor *descriptor, bool is_ours)
{
    if (!descriptor)
        return;
    if (is_ours) {
        int section = weir__section_enter(&descriptor->lock);
        descriptor->is_ending = true;
        next_turn(descriptor);
        tell_thread(descriptor);
        weir__section_leave(&descriptor->lock, section);
        /* Ends the thread's sleep; or the io_uring's, which a child of fork would keep asleep. */
        weir__ring(descriptor->waiter.doorbell);
        pthread_join(descriptor->thread, NULL);
    }
    discard(descriptor);
}

int weir__descriptor_fd(const struct weir__descriptor *descriptor)
{
    return descriptor->fd;
}

void weir__descriptor_disarm(struct weir__descriptor *descriptor)
{
    int section = weir__section_enter(&descriptor->lock);
    set_armed(descriptor, false);
    next_turn(descriptor);
    if (descriptor->is_busy)
        weir__ring(descriptor->waiter.doorbell);
    while (descriptor->is_busy)
        pthread_cond_wait(&descriptor->changed, &descriptor->lock);
    weir__section_leave(&descriptor->lock, section);
}

/*
 * With the lock held: the kernel waits for the doorbell from now on. true: or there is no need
 * to. Whoever else rang it, for nothing, again and again, makes the descriptor readable.
 */
static bool wait_by_ring(struct weir__descriptor *descriptor)
{
    const struct weir__waiter *waiter = &descriptor->waiter;
    for (int try = 0; try < TRIES && descriptor->uring; try++) {
        struct weir__sleep sleep = weir__sleep_begin(waiter);
        int result = weir__uring_wait(descriptor->uring, waiter->doorbell, sleep.bell,
                                      weir__epoch_bit(sleep.epoch));
        if (result >= 0 && descriptor->watch.is_ready(descriptor->view))
            return true;
        if (result == 1)
            return false;
        if (result == 0)
            continue;
        /*
         * It is another thread's ring; or the kernel has changed its mind. The close interrupts that thread,
         * so of a handle that goes to and fro the second ring is the last.
         */
        weir__uring_close(descriptor->uring);
        descriptor->uring = NULL;
        if (!descriptor->is_second)
            weir__uring_open(&descriptor->uring, descriptor->fd);
        descriptor->is_second = true;
    }
    return descriptor->uring != NULL;
}

void weir__descriptor_arm(struct weir__descriptor *descriptor, void *view, size_t bytes,
                          bool was_refused)
{
    bool is_ready = descriptor->watch.is_ready(view);
    if (is_ready && descriptor->is_settled && !was_refused)
        return;
    int section = weir__section_enter(&descriptor->lock);
    memcpy(descriptor->view, view, bytes);
    descriptor->used_bytes = bytes;
    if (!is_ready && descriptor->uring)
        is_ready = wait_by_ring(descriptor); /* clears the eventfd, too */
    if (is_ready && was_refused)
        tell_readable(descriptor);
    else if (is_ready || !descriptor->uring)
        set_readable(descriptor, is_ready);
    descriptor->is_settled = is_ready;
    set_armed(descriptor, !is_ready);
    next_turn(descriptor);
    if (descriptor->is_busy)
        weir__ring(descriptor->waiter.doorbell);
    if (descriptor->is_idle || !descriptor->uring ||
        (descriptor->is_armed && descriptor->watch.peer(view) != descriptor->peer))
        tell_thread(descriptor);
    weir__section_leave(&descriptor->lock, section);
}
