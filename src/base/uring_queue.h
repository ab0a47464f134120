/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_URING_QUEUE_H
#define WEIR_BASE_URING_QUEUE_H

/*
 * The two queues of an io_uring: what is asked of the kernel, and what it has completed. An
 * eventfd becomes readable with a completion, signalled by whoever caused it.
 *
 * They are one thread's, whose task work is deferred: it disturbs no call of that thread. When
 * that thread ends, the kernel ends what was asked, and another thread's call says so (-EEXIST).
 */

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"

struct weir__uring_queue {
    int fd;
    int eventfd;
    unsigned added; /* entries for the next submit */
    struct io_uring_params params;
    unsigned char *rings;
    size_t rings_bytes;
    struct io_uring_sqe *entries;
    size_t entries_bytes;
};

/*
 * With so many entries at least. 0; -ENOSYS, -EPERM, -EINVAL and the like: not allowed, or too
 * old. Also after a failure it is to be closed.
 */
int weir__uring_queue_open(struct weir__uring_queue *queue, unsigned entries, int eventfd);
void weir__uring_queue_close(struct weir__uring_queue *queue);

/* An empty entry for the next submit; NULL: it has as many as fit. */
struct io_uring_sqe *weir__uring_queue_add(struct weir__uring_queue *queue);

/* The entry becomes a wait while *word is value, for wakes whose bits meet mask. */
void weir__uring_entry_wait(struct io_uring_sqe *entry, const weir__atomic_u32 *word,
                            uint32_t value, uint32_t mask);

/* 0: the kernel has all that was added, and what it has completed is there; else -errno. */
int weir__uring_queue_submit(struct weir__uring_queue *queue);

/* The next completion, if there is one. */
bool weir__uring_queue_take(struct weir__uring_queue *queue, struct io_uring_cqe *completion);

/* While muted, completions leave the eventfd alone. */
void weir__uring_queue_mute(struct weir__uring_queue *queue, bool is_muted);

/* Whether a completion is there, or on its way: the kernel puts it off until a submit. */
bool weir__uring_queue_has_completions(const struct weir__uring_queue *queue);

/* The eventfd is not readable. */
void weir__uring_queue_clear_eventfd(const struct weir__uring_queue *queue);

#endif
