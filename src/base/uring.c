/* SPDX-License-Identifier: MIT */
#include "base/uring.h"

#include <errno.h>
#include <stdlib.h>

#include "base/uring_queue.h"

/* A cancellation and a wait at once; of completions, those of both and of the former wait. */
#define ENTRIES 4

/* What a completion is of; waits are numbered from FIRST_WAIT. */
#define CANCELLATION 0
#define FIRST_WAIT 1

struct weir__uring {
    struct weir__uring_queue queue;
    uint64_t wait;   /* the number of the last one */
    bool is_waiting; /* its completion has not been seen */
};

/* Takes what is complete. 0, or the last wait's error; the wait itself: is_waiting. */
static int take_completions(struct weir__uring *uring)
{
    struct io_uring_cqe one;
    int result = 0;
    while (weir__uring_queue_take(&uring->queue, &one)) {
        if (one.user_data == uring->wait) {
            uring->is_waiting = false;
            result = one.res == -EAGAIN ? 0 : one.res;
        }
    }
    return result;
}

/* The cancellation of the wait, if there is one. */
static void add_cancellation(struct weir__uring *uring)
{
    if (!uring->is_waiting)
        return;
    struct io_uring_sqe *cancellation = weir__uring_queue_add(&uring->queue);
    cancellation->opcode = IORING_OP_ASYNC_CANCEL;
    cancellation->addr = uring->wait;
    cancellation->user_data = CANCELLATION;
}

int weir__uring_wait(struct weir__uring *uring, const weir__atomic_u32 *word, uint32_t value,
                     uint32_t mask)
{
    struct weir__uring_queue *queue = &uring->queue;
    weir__uring_queue_mute(queue, true);
    take_completions(uring);
    add_cancellation(uring);
    struct io_uring_sqe *entry = weir__uring_queue_add(queue);
    weir__uring_entry_wait(entry, word, value, mask);
    entry->user_data = ++uring->wait;
    uring->is_waiting = true;
    int result = weir__uring_queue_submit(queue);
    if (result == 0)
        result = take_completions(uring);
    if (result < 0)
        return result; /* and muted: what still ends after it is nobody's news */
    weir__uring_queue_mute(queue, false);
    /* Cleared, then looked: a signal that is cleared was given after its completion was
     * announced. */
    weir__uring_queue_clear_eventfd(queue);
    if (weir__uring_queue_has_completions(queue) && (result = weir__uring_queue_submit(queue)) >= 0)
        result = take_completions(uring);
    if (result < 0)
        weir__uring_queue_mute(queue, true);
    return result < 0 ? result : uring->is_waiting;
}

/* A wait that must be over at once, since the word is something else. */
static int try_it(struct weir__uring *uring)
{
    static const weir__atomic_u32 word;
    int result = weir__uring_wait(uring, &word, 1, 1);
    weir__uring_queue_clear_eventfd(&uring->queue);
    return result == 1 ? -EOPNOTSUPP : result;
}

int weir__uring_open(struct weir__uring **uring, int eventfd)
{
    struct weir__uring *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->wait = FIRST_WAIT - 1;
    int result = weir__uring_queue_open(&made->queue, ENTRIES, eventfd);
    if (result == 0)
        result = try_it(made);
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
    weir__uring_queue_close(&uring->queue);
    free(uring);
}
