/* SPDX-License-Identifier: MIT */
#include "base/bells_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/section.h"
#include "base/thread.h"

/* FUTEX_WAITV, as the kernel has it; newer than the headers of some. */
#define SYS_WAITV 449
#define WAITV_OF_32_BITS 0x02
#define WAITV_MAX (WEIR__BELLS_THREAD_MOST + 1) /* one of them is our own turn */

struct waitv {
    uint64_t value;
    uint64_t word;
    uint32_t flags;
    uint32_t reserved;
};

#define LOOK_NS 1000000

struct weir__bells_thread {
    pthread_t thread;
    int eventfd;

    pthread_mutex_t lock; /* of what follows, and of the eventfd */
    pthread_cond_t changed;
    struct weir__bell *bells;
    uint32_t count, room;
    bool has_waitv;
    bool is_armed;
    bool is_idle; /* it sleeps until it is told of something to do */
    bool is_ending;

    weir__atomic_u32 turn; /* changes when the thread shall look up from its wait */
    struct waitv waits[WAITV_MAX];
};

/* With the lock held. */
static bool is_rung(const struct weir__bells_thread *thread)
{
    for (uint32_t i = 0; i < thread->count; i++) {
        const struct weir__bell *bell = &thread->bells[i];
        /* Relaxed: only a reason to look. */
        if (bell->word && atomic_load_explicit(bell->word, memory_order_relaxed) != bell->value)
            return true;
    }
    return false;
}

/* With the lock held: for kernels without FUTEX_WAITV, or for too many. */
static void nap(struct weir__bells_thread *thread)
{
    const struct timespec time = { 0, LOOK_NS };
    pthread_mutex_unlock(&thread->lock);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    pthread_mutex_lock(&thread->lock);
}

static void add_wait(struct waitv *wait, const weir__atomic_u32 *word, uint32_t value)
{
    *wait = (struct waitv){ .value = value,
                            .word = (uint64_t)(uintptr_t)word,
                            .flags = WAITV_OF_32_BITS };
}

/*
 * With the lock held. The kernel alone reads the words meanwhile: one that has been unmapped gives
 * an error, and is not among the bells any more. false: it has no such call, or it is forbidden.
 */
static bool sleep_on_all(struct weir__bells_thread *thread)
{
    unsigned count = 0;
    /* Relaxed: the lock orders it. */
    add_wait(&thread->waits[count++], &thread->turn,
             atomic_load_explicit(&thread->turn, memory_order_relaxed));
    for (uint32_t i = 0; i < thread->count; i++)
        if (thread->bells[i].word)
            add_wait(&thread->waits[count++], thread->bells[i].word, thread->bells[i].value);
    pthread_mutex_unlock(&thread->lock);
    long result = syscall(SYS_WAITV, thread->waits, count, 0, NULL, CLOCK_MONOTONIC);
    bool is_short = result < 0 && errno == ENOMEM; /* for this once */
    bool is_there = result >= 0 || errno == EAGAIN || errno == EINTR || errno == EFAULT;
    pthread_mutex_lock(&thread->lock);
    if (is_short)
        nap(thread);
    return is_there || is_short;
}

/* With the lock held, and armed. */
static void watch_once(struct weir__bells_thread *thread)
{
    const uint64_t one = 1;
    if (!thread->has_waitv || thread->count >= WAITV_MAX)
        nap(thread);
    else if (!sleep_on_all(thread))
        thread->has_waitv = false;
    if (!thread->is_armed || !is_rung(thread))
        return;
    if (write(thread->eventfd, &one, sizeof one) == sizeof one || errno == EAGAIN)
        thread->is_armed = false;
}

static void *watch(void *argument)
{
    struct weir__bells_thread *thread = argument;
    pthread_mutex_lock(&thread->lock);
    while (!thread->is_ending) {
        if (thread->is_armed) {
            watch_once(thread);
            continue;
        }
        thread->is_idle = true;
        pthread_cond_wait(&thread->changed, &thread->lock);
        thread->is_idle = false;
    }
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

/* With the lock held: the thread is to see what has changed. */
static void tell(struct weir__bells_thread *thread)
{
    /* Relaxed: the lock orders it; the kernel compares it once more. */
    atomic_fetch_add_explicit(&thread->turn, 1, memory_order_relaxed);
    if (thread->is_idle)
        pthread_cond_signal(&thread->changed);
    else
        weir__futex_wake(&thread->turn);
}

int weir__bells_thread_wait(struct weir__bells_thread *thread, const struct weir__bell *bells,
                            uint32_t count)
{
    uint64_t cleared;
    int saved_errno = errno;
    int section = weir__section_enter(&thread->lock);
    if (count > thread->room) {
        struct weir__bell *more = realloc(thread->bells, count * sizeof *more);
        if (!more) {
            weir__section_leave(&thread->lock, section);
            return -ENOMEM;
        }
        thread->bells = more;
        thread->room = count;
    }
    if (count > 0)
        memcpy(thread->bells, bells, count * sizeof *bells);
    thread->count = count;
    thread->is_armed = true;
    if (read(thread->eventfd, &cleared, sizeof cleared) < 0)
        errno = saved_errno; /* it was clear */
    tell(thread);
    weir__section_leave(&thread->lock, section);
    return 0;
}

void weir__bells_thread_drop(struct weir__bells_thread *thread, const weir__atomic_u32 *word)
{
    int section = weir__section_enter(&thread->lock);
    for (uint32_t i = 0; i < thread->count; i++)
        if (thread->bells[i].word == word)
            thread->bells[i].word = NULL;
    tell(thread);
    weir__section_leave(&thread->lock, section);
}

int weir__bells_thread_start(struct weir__bells_thread **thread, int eventfd)
{
    int saved_errno = errno;
    struct weir__bells_thread *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->eventfd = eventfd;
    made->has_waitv = true;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    int error = weir__thread_start(&made->thread, watch, made);
    if (error == 0)
        *thread = made;
    else
        free(made);
    errno = saved_errno;
    return -error;
}

void weir__bells_thread_end(struct weir__bells_thread *thread, bool is_ours)
{
    if (!thread)
        return;
    if (is_ours) {
        int section = weir__section_enter(&thread->lock);
        thread->is_ending = true;
        tell(thread);
        weir__section_leave(&thread->lock, section);
        pthread_join(thread->thread, NULL);
    }
    free(thread->bells);
    free(thread);
}
