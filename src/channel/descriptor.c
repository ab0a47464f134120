/* SPDX-License-Identifier: MIT */
#include "channel/descriptor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/clock.h>

#include "base/error.h"

struct weir__descriptor {
    struct weir__descriptor_watch watch;
    struct weir__waiter waiter; /* the handle's, but that this one never spins */
    int fd;
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool is_armed;
    bool is_busy; /* the thread looks at its copy */
    bool is_ending;
    bool is_readable; /* the eventfd's count is not 0 */
    void *view;       /* what to look at, the handle's copy */
    void *copy;       /* the thread's, while busy */

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

/* With the lock held. An eventfd of 0 takes a 1, and one that is not 0 gives all, at once. */
static void set_readable(struct weir__descriptor *descriptor, bool is_readable)
{
    uint64_t count = 1;
    if (descriptor->is_readable == is_readable)
        return;
    ssize_t moved = is_readable ? write(descriptor->fd, &count, sizeof count)
                                : read(descriptor->fd, &count, sizeof count);
    if (moved == sizeof count || errno == EAGAIN)
        descriptor->is_readable = is_readable;
}

static void *watch(void *argument)
{
    struct weir__descriptor *descriptor = argument;
    struct turn turn = { .descriptor = descriptor };
    pthread_mutex_lock(&descriptor->lock);
    while (!descriptor->is_ending) {
        if (!descriptor->is_armed) {
            pthread_cond_wait(&descriptor->changed, &descriptor->lock);
            continue;
        }
        memcpy(descriptor->copy, descriptor->view, descriptor->watch.view_bytes);
        /* Relaxed: the lock orders it. */
        turn.turn = atomic_load_explicit(&descriptor->turn, memory_order_relaxed);
        descriptor->is_busy = true;
        pthread_mutex_unlock(&descriptor->lock);
        int result = weir__wait(&descriptor->waiter, is_over, &turn, WEIR_NEVER);
        if (result == WEIR__WAITED_SLICE)
            descriptor->watch.at_slice(descriptor->copy);
        pthread_mutex_lock(&descriptor->lock);
        bool is_current =
            turn.turn == atomic_load_explicit(&descriptor->turn, memory_order_relaxed);
        if (is_current && descriptor->is_armed && descriptor->watch.is_ready(descriptor->copy)) {
            descriptor->is_armed = false;
            set_readable(descriptor, true);
        }
        descriptor->is_busy = false;
        pthread_cond_broadcast(&descriptor->changed);
    }
    pthread_mutex_unlock(&descriptor->lock);
    return NULL;
}

/* A thread that takes no signals: they are the program's. */
static int start(struct weir__descriptor *descriptor)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&descriptor->thread, NULL, watch, descriptor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void discard(struct weir__descriptor *descriptor)
{
    if (descriptor->fd >= 0)
        close(descriptor->fd);
    free(descriptor->view);
    free(descriptor->copy);
    free(descriptor);
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
    made->view = calloc(1, asked->view_bytes);
    made->copy = calloc(1, asked->view_bytes);
    made->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = made->fd < 0 ? errno : 0;
    if (error == 0 && (!made->view || !made->copy))
        error = ENOMEM;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    if (error == 0)
        error = start(made);
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
        pthread_mutex_lock(&descriptor->lock);
        descriptor->is_ending = true;
        next_turn(descriptor);
        pthread_cond_broadcast(&descriptor->changed);
        pthread_mutex_unlock(&descriptor->lock);
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
    pthread_mutex_lock(&descriptor->lock);
    descriptor->is_armed = false;
    next_turn(descriptor);
    if (descriptor->is_busy)
        weir__ring(descriptor->waiter.doorbell);
    while (descriptor->is_busy)
        pthread_cond_wait(&descriptor->changed, &descriptor->lock);
    pthread_mutex_unlock(&descriptor->lock);
}

void weir__descriptor_arm(struct weir__descriptor *descriptor, void *view)
{
    bool is_ready = descriptor->watch.is_ready(view);
    pthread_mutex_lock(&descriptor->lock);
    descriptor->is_armed = !is_ready;
    set_readable(descriptor, is_ready);
    memcpy(descriptor->view, view, descriptor->watch.view_bytes);
    next_turn(descriptor);
    if (descriptor->is_busy)
        weir__ring(descriptor->waiter.doorbell);
    pthread_cond_broadcast(&descriptor->changed);
    pthread_mutex_unlock(&descriptor->lock);
}
