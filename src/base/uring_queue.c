/* SPDX-License-Identifier: MIT */
#include "base/uring_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/kept.h"

/* Newer than the headers of Debian 12. */
#define OP_FUTEX_WAIT 51
#define FUTEX2_OF_32_BITS 0x02

static weir__atomic_u32 *word_at(const struct weir__uring_queue *queue, uint32_t offset)
{
    return (weir__atomic_u32 *)(void *)(queue->rings + offset);
}

struct io_uring_sqe *weir__uring_queue_add(struct weir__uring_queue *queue)
{
    const struct io_sqring_offsets *offsets = &queue->params.sq_off;
    if (queue->added == queue->params.sq_entries)
        return NULL;
    /* Relaxed: we alone write the tail; the kernel reads it inside of submit(). */
    uint32_t tail =
        atomic_load_explicit(word_at(queue, offsets->tail), memory_order_relaxed) + queue->added++;
    uint32_t index = tail & (queue->params.sq_entries - 1);
    atomic_store_explicit(word_at(queue, offsets->array + 4 * index), index, memory_order_relaxed);
    return memset(&queue->entries[index], 0, sizeof queue->entries[index]);
}

void weir__uring_entry_wait(struct io_uring_sqe *entry, const weir__atomic_u32 *word,
                            uint32_t value, uint32_t mask)
{
    entry->opcode = OP_FUTEX_WAIT;
    entry->fd = FUTEX2_OF_32_BITS;
    entry->addr = (uint64_t)(uintptr_t)word;
    entry->addr2 = value;
    entry->addr3 = mask;
}

int weir__uring_queue_submit(struct weir__uring_queue *queue)
{
    weir__atomic_u32 *tail = word_at(queue, queue->params.sq_off.tail);
    unsigned count = queue->added;
    int saved_errno = errno;
    queue->added = 0;
    /* Release, for the kernel: the entries before the tail. */
    atomic_fetch_add_explicit(tail, count, memory_order_release);
    int result =
        (int)syscall(SYS_io_uring_enter, queue->fd, count, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    if (result < 0)
        result = -errno;
    errno = saved_errno;
    return result < 0 ? result : result == (int)count ? 0 : -EIO;
}

bool weir__uring_queue_take(struct weir__uring_queue *queue, struct io_uring_cqe *completion)
{
    const struct io_cqring_offsets *offsets = &queue->params.cq_off;
    const struct io_uring_cqe *all =
        (const struct io_uring_cqe *)(const void *)(queue->rings + offsets->cqes);
    weir__atomic_u32 *head_word = word_at(queue, offsets->head);
    /* Relaxed: we alone write the head. */
    uint32_t head = atomic_load_explicit(head_word, memory_order_relaxed);
    /* Acquire, from the kernel: the completions before the tail. */
    if (head == atomic_load_explicit(word_at(queue, offsets->tail), memory_order_acquire))
        return false;
    memcpy(completion, &all[head & (queue->params.cq_entries - 1)], sizeof *completion);
    /* Release, for the kernel: it was read before its place is free. */
    atomic_store_explicit(head_word, head + 1, memory_order_release);
    return true;
}

void weir__uring_queue_mute(struct weir__uring_queue *queue, bool is_muted)
{
    /* Sequentially consistent: unmuted, then our look for completions that came meanwhile. The
     * kernel announces one, then looks here. (Should it see the former value all the same, then
     * a look at the end of a slice finds what was not signalled.) */
    atomic_store(word_at(queue, queue->params.cq_off.flags),
                 is_muted ? IORING_CQ_EVENTFD_DISABLED : 0);
    atomic_thread_fence(memory_order_seq_cst);
}

bool weir__uring_queue_has_completions(const struct weir__uring_queue *queue)
{
    const struct io_uring_params *params = &queue->params;
    /* Acquire, from the kernel, as in take(). */
    return (atomic_load_explicit(word_at(queue, params->sq_off.flags), memory_order_acquire) &
            IORING_SQ_TASKRUN) ||
           atomic_load_explicit(word_at(queue, params->cq_off.tail), memory_order_acquire) !=
               atomic_load_explicit(word_at(queue, params->cq_off.head), memory_order_relaxed);
}

void weir__uring_queue_clear_eventfd(const struct weir__uring_queue *queue)
{
    uint64_t count;
    int saved_errno = errno;
    if (read(queue->eventfd, &count, sizeof count) < 0)
        errno = saved_errno; /* it was clear */
}

static int map_rings(struct weir__uring_queue *queue)
{
    const struct io_uring_params *params = &queue->params;
    size_t completions =
        params->cq_off.cqes + (size_t)params->cq_entries * sizeof(struct io_uring_cqe);
    queue->rings_bytes = params->sq_off.array + (size_t)params->sq_entries * sizeof(uint32_t);
    if (queue->rings_bytes < completions)
        queue->rings_bytes = completions;
    queue->entries_bytes = (size_t)params->sq_entries * sizeof(struct io_uring_sqe);
    queue->rings = mmap(NULL, queue->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd,
                        IORING_OFF_SQ_RING);
    queue->entries = mmap(NULL, queue->entries_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd,
                          IORING_OFF_SQES);
    if (queue->rings == MAP_FAILED || (void *)queue->entries == MAP_FAILED)
        return -errno;
    return syscall(SYS_io_uring_register, queue->fd, IORING_REGISTER_EVENTFD, &queue->eventfd, 1) <
                   0
               ? -errno
               : 0;
}

int weir__uring_queue_open(struct weir__uring_queue *queue, unsigned entries, int eventfd)
{
    int saved_errno = errno;
    *queue = (struct weir__uring_queue){ .eventfd = eventfd,
                                         .rings = MAP_FAILED,
                                         .entries = MAP_FAILED };
    queue->params.flags =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    queue->fd = weir__kept((int)syscall(SYS_io_uring_setup, entries, &queue->params));
    int result = queue->fd < 0 ? -errno : map_rings(queue);
    errno = saved_errno;
    return result;
}

/* A thread may be cancelled in close(2): what is gone by then is not here any more. */
void weir__uring_queue_close(struct weir__uring_queue *queue)
{
    struct weir__uring_queue gone = *queue;
    queue->rings = MAP_FAILED;
    queue->entries = MAP_FAILED;
    queue->fd = -1;
    if (gone.rings != MAP_FAILED)
        munmap(gone.rings, gone.rings_bytes);
    if ((void *)gone.entries != MAP_FAILED)
        munmap(gone.entries, gone.entries_bytes);
    if (gone.fd >= 0)
        close(gone.fd);
}
