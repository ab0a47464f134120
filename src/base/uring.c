/* SPDX-License-Identifier: MIT */
#include "base/uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#define OP_FUTEX_WAIT 51
#define FUTEX2_OF_32_BITS 0x02

/* A cancellation and a wait at once; of completions, those of both and of the former wait. */
#define ENTRIES 4

/* What a completion is of; waits are numbered from FIRST_WAIT. */
#define CANCELLATION 0
#define FIRST_WAIT 1

struct weir__uring {
    int fd;
    int eventfd;
    struct io_uring_params params;
    unsigned char *rings;
    size_t rings_bytes;
    struct io_uring_sqe *entries;
    size_t entries_bytes;
    uint64_t wait;   /* the number of the last one */
    bool is_waiting; /* its completion has not been seen */
};

static weir__atomic_u32 *word_at(const struct weir__uring *uring, uint32_t offset)
{
    return (weir__atomic_u32 *)(void *)(uring->rings + offset);
}

static int enter(const struct weir__uring *uring, unsigned count)
{
    int saved_errno = errno;
    int result =
        (int)syscall(SYS_io_uring_enter, uring->fd, count, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    if (result < 0)
        result = -errno;
    errno = saved_errno;
    return result;
}

/* An empty entry of the submission queue, for the next enter(). */
static struct io_uring_sqe *next_entry(struct weir__uring *uring, unsigned ahead)
{
    const struct io_sqring_offsets *offsets = &uring->params.sq_off;
    /* Relaxed: we alone write the tail; the kernel reads it inside of enter(). */
    uint32_t tail =
        atomic_load_explicit(word_at(uring, offsets->tail), memory_order_relaxed) + ahead;
    uint32_t index = tail & (uring->params.sq_entries - 1);
    atomic_store_explicit(word_at(uring, offsets->array + 4 * index), index, memory_order_relaxed);
    return memset(&uring->entries[index], 0, sizeof uring->entries[index]);
}

static int submit(struct weir__uring *uring, unsigned count)
{
    weir__atomic_u32 *tail = word_at(uring, uring->params.sq_off.tail);
    /* Release, for the kernel: the entries before the tail. */
    atomic_fetch_add_explicit(tail, count, memory_order_release);
    int result = enter(uring, count);
    return result < 0 ? result : result == (int)count ? 0 : -EIO;
}

/* Takes what is complete. 0, or the last wait's error; the wait itself: is_waiting. */
static int take_completions(struct weir__uring *uring)
{
    const struct io_cqring_offsets *offsets = &uring->params.cq_off;
    const struct io_uring_cqe *all =
        (const struct io_uring_cqe *)(const void *)(uring->rings + offsets->cqes);
    weir__atomic_u32 *head_word = word_at(uring, offsets->head);
    /* Relaxed: we alone write the head. */
    uint32_t head = atomic_load_explicit(head_word, memory_order_relaxed);
    int result = 0;
    /* Acquire, from the kernel: the completions before the tail. */
    while (head != atomic_load_explicit(word_at(uring, offsets->tail), memory_order_acquire)) {
        const struct io_uring_cqe *one = &all[head++ & (uring->params.cq_entries - 1)];
        if (one->user_data == uring->wait) {
            uring->is_waiting = false;
            result = one->res == -EAGAIN ? 0 : one->res;
        }
        /* Release, for the kernel: it was read before its place is free. */
        atomic_store_explicit(head_word, head, memory_order_release);
    }
    return result;
}

/* While muted, completions leave the eventfd alone. */
static void mute(struct weir__uring *uring, bool is_muted)
{
    /* Sequentially consistent: unmuted, then our look for completions that came meanwhile. The
     * kernel announces one, then looks here. (Should it see the former value all the same, then
     * the descriptor's thread finds at its slice what was not signalled.) */
    atomic_store(word_at(uring, uring->params.cq_off.flags),
                 is_muted ? IORING_CQ_EVENTFD_DISABLED : 0);
    atomic_thread_fence(memory_order_seq_cst);
}

/* Whether a completion is there, or on its way: the kernel puts it off until enter(). */
static bool has_completions(const struct weir__uring *uring)
{
    const struct io_uring_params *params = &uring->params;
    /* Acquire, from the kernel, as in take_completions(). */
    return (atomic_load_explicit(word_at(uring, params->sq_off.flags), memory_order_acquire) &
            IORING_SQ_TASKRUN) ||
           atomic_load_explicit(word_at(uring, params->cq_off.tail), memory_order_acquire) !=
               atomic_load_explicit(word_at(uring, params->cq_off.head), memory_order_relaxed);
}

static void clear_eventfd(const struct weir__uring *uring)
{
    uint64_t count;
    int saved_errno = errno;
    if (read(uring->eventfd, &count, sizeof count) < 0)
        errno = saved_errno; /* it was clear */
}

/* The cancellation of the wait, if there is one: how many entries more. */
static unsigned add_cancellation(struct weir__uring *uring)
{
    if (!uring->is_waiting)
        return 0;
    struct io_uring_sqe *cancellation = next_entry(uring, 0);
    cancellation->opcode = IORING_OP_ASYNC_CANCEL;
    cancellation->addr = uring->wait;
    cancellation->user_data = CANCELLATION;
    return 1;
}

int weir__uring_wait(struct weir__uring *uring, const weir__atomic_u32 *word, uint32_t value,
                     uint32_t mask)
{
    mute(uring, true);
    take_completions(uring);
    unsigned count = add_cancellation(uring);
    struct io_uring_sqe *entry = next_entry(uring, count++);
    entry->opcode = OP_FUTEX_WAIT;
    entry->fd = FUTEX2_OF_32_BITS;
    entry->addr = (uint64_t)(uintptr_t)word;
    entry->addr2 = value;
    entry->addr3 = mask;
    entry->user_data = ++uring->wait;
    uring->is_waiting = true;
    int result = submit(uring, count);
    if (result == 0)
        result = take_completions(uring);
    if (result < 0)
        return result; /* and muted: what still ends after it is nobody's news */
    mute(uring, false);
    /* Cleared, then looked: a signal that is cleared was given after its completion was
     * announced. */
    clear_eventfd(uring);
    if (has_completions(uring) && (result = enter(uring, 0)) >= 0)
        result = take_completions(uring);
    if (result < 0)
        mute(uring, true);
    return result < 0 ? result : uring->is_waiting;
}

static int map_rings(struct weir__uring *uring)
{
    const struct io_uring_params *params = &uring->params;
    size_t completions =
        params->cq_off.cqes + (size_t)params->cq_entries * sizeof(struct io_uring_cqe);
    uring->rings_bytes = params->sq_off.array + (size_t)params->sq_entries * sizeof(uint32_t);
    if (uring->rings_bytes < completions)
        uring->rings_bytes = completions;
    uring->entries_bytes = (size_t)params->sq_entries * sizeof(struct io_uring_sqe);
    uring->rings = mmap(NULL, uring->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd,
                        IORING_OFF_SQ_RING);
    uring->entries = mmap(NULL, uring->entries_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd,
                          IORING_OFF_SQES);
    if (uring->rings == MAP_FAILED || (void *)uring->entries == MAP_FAILED)
        return -errno;
    return syscall(SYS_io_uring_register, uring->fd, IORING_REGISTER_EVENTFD, &uring->eventfd, 1) <
                   0
               ? -errno
               : 0;
}

/* A wait that must be over at once, since the word is something else. */
static int try_it(struct weir__uring *uring)
{
    static const weir__atomic_u32 word;
    int result = weir__uring_wait(uring, &word, 1, 1);
    clear_eventfd(uring);
    return result == 1 ? -EOPNOTSUPP : result;
}

int weir__uring_open(struct weir__uring **uring, int eventfd)
{
    int saved_errno = errno;
    struct weir__uring *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->eventfd = eventfd;
    made->wait = FIRST_WAIT - 1;
    made->rings = MAP_FAILED;
    made->entries = MAP_FAILED;
    made->params.flags =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    made->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &made->params);
    int result = made->fd < 0 ? -errno : map_rings(made);
    if (result == 0)
        result = try_it(made);
    errno = saved_errno;
    if (result == 0)
        *uring = made;
    else
        weir__uring_close(made);
    return result;
}

void weir__uring_close(struct weir__uring *uring)
{
    if (!uring)
        return;
    if (uring->rings != MAP_FAILED)
        munmap(uring->rings, uring->rings_bytes);
    if ((void *)uring->entries != MAP_FAILED)
        munmap(uring->entries, uring->entries_bytes);
    if (uring->fd >= 0)
        close(uring->fd);
    free(uring);
}
