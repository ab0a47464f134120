/* SPDX-License-Identifier: MIT */
#include "base/bells.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bells_thread.h"
#include "base/uring_queue.h"

/* At once; more go in several rounds. */
#define ENTRIES 64

enum state { NONE = 0, NEW, WAITING, OVER };

struct bell {
    struct weir__bell of;
    uint32_t generation; /* of its waits: that of the last one */
    uint8_t state;
    bool has_wait; /* the kernel may have one of this generation */
};

struct weir__bells {
    int eventfd;
    bool has_uring, is_uring_useless;
    bool was_handed; /* another thread than the one before has waited */
    struct weir__uring_queue queue;
    struct weir__bells_thread *thread; /* in place of the queue */
    uint32_t count;
    struct bell *bells;
    struct weir__bell *copy; /* for the thread */
};

int weir__bells_open(struct weir__bells **bells, int eventfd)
{
    struct weir__bells *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->eventfd = eventfd;
    *bells = made;
    return 0;
}

static void close_queue(struct weir__bells *bells)
{
    bool has_uring = bells->has_uring;
    bells->has_uring = false; /* first: see weir__uring_queue_close() */
    if (has_uring)
        weir__uring_queue_close(&bells->queue);
}

void weir__bells_close(struct weir__bells *bells, bool is_ours)
{
    if (!bells)
        return;
    weir__bells_thread_end(bells->thread, is_ours);
    close_queue(bells);
    free(bells->bells);
    free(bells->copy);
    free(bells);
}

int weir__bells_grow(struct weir__bells *bells, uint32_t count)
{
    if (count <= bells->count)
        return 0;
    uint32_t room = count < 16 ? 16 : count + count / 2;
    struct bell *more = realloc(bells->bells, room * sizeof *more);
    if (more)
        bells->bells = more;
    struct weir__bell *copy = more ? realloc(bells->copy, room * sizeof *copy) : NULL;
    if (!copy)
        return -ENOMEM;
    bells->copy = copy;
    memset(more + bells->count, 0, (room - bells->count) * sizeof *more);
    bells->count = room;
    return 0;
}

void weir__bells_set(struct weir__bells *bells, uint32_t index, const weir__atomic_u32 *word,
                     uint32_t value)
{
    struct bell *bell = &bells->bells[index];
    bell->of = (struct weir__bell){ word, value };
    bell->state = NEW;
}

void weir__bells_drop(struct weir__bells *bells, uint32_t index)
{
    struct bell *bell = &bells->bells[index];
    if (bells->thread && bell->of.word)
        weir__bells_thread_drop(bells->thread, bell->of.word);
    /* What the kernel waits for goes with the next wait(); it does not read the word. */
    bell->of.word = NULL;
    bell->state = NONE;
}

bool weir__bells_is_waiting(const struct weir__bells *bells, uint32_t index)
{
    return bells->bells[index].state == WAITING;
}

static uint64_t name_of(const struct weir__bells *bells, uint32_t index)
{
    return (uint64_t)bells->bells[index].generation << 32 | index;
}

/* Takes what is complete. 0; else what a wait ended with that should not. */
static int take_completions(struct weir__bells *bells)
{
    struct io_uring_cqe one;
    int result = 0;
    while (weir__uring_queue_take(&bells->queue, &one)) {
        uint32_t index = (uint32_t)one.user_data;
        if (one.user_data >> 32 == 0 || index >= bells->count ||
            name_of(bells, index) != one.user_data)
            continue; /* a cancellation, or a former wait */
        struct bell *bell = &bells->bells[index];
        bell->has_wait = false;
        if (bell->state == WAITING)
            bell->state = OVER;
        if (one.res == -EINVAL || one.res == -EOPNOTSUPP || one.res == -ENOSYS)
            result = one.res; /* the kernel knows no such wait */
    }
    return result;
}

/* An entry; those that are added go to the kernel when there is no room. */
static int add_entry(struct weir__bells *bells, struct io_uring_sqe **entry)
{
    *entry = weir__uring_queue_add(&bells->queue);
    if (*entry)
        return 0;
    int result = weir__uring_queue_submit(&bells->queue);
    if (result == 0)
        result = take_completions(bells);
    if (result == 0)
        *entry = weir__uring_queue_add(&bells->queue);
    return result;
}

/* Of a bell: the cancellation of a wait that is not wanted any more, and the one that is. */
static int add_bell(struct weir__bells *bells, uint32_t index)
{
    struct bell *bell = &bells->bells[index];
    struct io_uring_sqe *entry;
    int result = 0;
    if (bell->has_wait && bell->state != WAITING) {
        result = add_entry(bells, &entry);
        if (result != 0)
            return result;
        entry->opcode = IORING_OP_ASYNC_CANCEL;
        entry->addr = name_of(bells, index);
        bell->has_wait = false;
    }
    if (bell->state != NEW)
        return 0;
    result = add_entry(bells, &entry);
    if (result != 0)
        return result;
    if (++bell->generation == 0)
        bell->generation = 1; /* 0 is that of cancellations */
    weir__uring_entry_wait(entry, bell->of.word, bell->of.value, UINT32_MAX);
    entry->user_data = name_of(bells, index);
    bell->has_wait = true;
    bell->state = WAITING;
    return 0;
}

static int wait_by_uring(struct weir__bells *bells)
{
    struct weir__uring_queue *queue = &bells->queue;
    int result = 0;
    weir__uring_queue_mute(queue, true);
    for (uint32_t i = 0; i < bells->count && result == 0; i++)
        result = add_bell(bells, i);
    if (result == 0)
        result = weir__uring_queue_submit(queue);
    if (result == 0)
        result = take_completions(bells);
    if (result != 0)
        return result;
    weir__uring_queue_mute(queue, false);
    /* Cleared, then looked: a signal that is cleared was given after its completion was
     * announced. */
    weir__uring_queue_clear_eventfd(queue);
    if (weir__uring_queue_has_completions(queue) && (result = weir__uring_queue_submit(queue)) == 0)
        result = take_completions(bells);
    return result;
}

/* Of a queue that is new, or of a thread: all that waited is to be waited for again. */
static void begin_anew(struct weir__bells *bells)
{
    for (uint32_t i = 0; i < bells->count; i++) {
        struct bell *bell = &bells->bells[i];
        bell->has_wait = false;
        if (bell->state == WAITING)
            bell->state = NEW;
    }
}

static uint32_t count_words(const struct weir__bells *bells)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < bells->count; i++)
        count += bells->bells[i].of.word != NULL;
    return count;
}

/*
 * Its queue is another thread's. To close it interrupts that one, so of bells that go to and fro the second
 * one is the last; more than our thread can sleep on stay with the kernel all the same.
 */
static bool is_to_and_fro(struct weir__bells *bells)
{
    bool was_handed = bells->was_handed;
    bells->was_handed = true;
    return was_handed && count_words(bells) <= WEIR__BELLS_THREAD_MOST;
}

/* The kernel's wait, in this thread. Where it is another one's queue, a new one, once. */
static int try_uring(struct weir__bells *bells)
{
    int result = -EEXIST;
    for (int try = 0; try < 2; try++) {
        if (bells->has_uring && (result = wait_by_uring(bells)) == 0)
            return 0;
        if (bells->has_uring && result == -EEXIST && is_to_and_fro(bells))
            break;
        close_queue(bells);
        begin_anew(bells);
        result = weir__uring_queue_open(&bells->queue, ENTRIES, bells->eventfd);
        bells->has_uring = true;
        if (result != 0)
            break;
    }
    if (result == 0 && (result = wait_by_uring(bells)) == 0)
        return 0;
    close_queue(bells);
    begin_anew(bells);
    return result;
}

static int wait_by_thread(struct weir__bells *bells)
{
    uint32_t count = 0;
    int result = bells->thread ? 0 : weir__bells_thread_start(&bells->thread, bells->eventfd);
    if (result != 0)
        return result; /* without a thread none is waiting: see try_uring() */
    for (uint32_t i = 0; i < bells->count; i++) {
        struct bell *bell = &bells->bells[i];
        if (bell->state == NEW)
            bell->state = WAITING;
        if (bell->state == WAITING)
            bells->copy[count++] = bell->of;
    }
    result = weir__bells_thread_wait(bells->thread, bells->copy, count);
    if (result != 0)
        begin_anew(bells); /* it waits for its former list at most */
    return result;
}

static int wait_for_all(struct weir__bells *bells)
{
    if (!bells->is_uring_useless) {
        if (try_uring(bells) == 0)
            return 0;
        bells->is_uring_useless = true;
    }
    return wait_by_thread(bells);
}

/*
 * A thread that is cancelled here (close(2), read(2)) would leave a queue that is half closed, and who closes
 * the set would unmap the same addresses again, which may be somebody else's by then.
 */
int weir__bells_wait(struct weir__bells *bells)
{
    int cancelling;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    int result = wait_for_all(bells);
    pthread_setcancelstate(cancelling, NULL);
    return result;
}
