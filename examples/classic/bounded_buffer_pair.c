/* SPDX-License-Identifier: MIT */
/* The two sides of a bounded buffer: how they come together and notice each other's end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/segment.h>
#include <weir/semset.h>

#include "bounded_buffer_parts.h"

/* How often the object under the name may turn out to be used up before we give up. */
#define RETRIES 1000

/* How long a newcomer waits for the end of who has its role, before it is refused. */
#define GRACE_NS 250000000

#define SLOTS_MAX 1024

static size_t bytes_offset(uint32_t slots)
{
    size_t head = sizeof(struct buffer_shm) + slots * sizeof(struct slot_shm);
    return (head + 4095) & ~(size_t)4095;
}

/*
 * The role: coming, going, and whether an object is used up
 */

static int claim(struct bounded_buffer *buffer)
{
    uint16_t came = (uint16_t)(CAME + buffer->role), lives = (uint16_t)(LIVES + buffer->role);
    struct weir_sem_op sender[] = {
        { came, 0, 0 },
        { came, 1, 0 },
        { lives, 1, WEIR_SEM_UNDO },
        { FULL, 2, 0 },
        { FULL, -2, WEIR_SEM_UNDO },
    };
    struct weir_sem_op receiver[] = {
        { came, 0, 0 },
        { came, 1, 0 },
        { lives, 1, WEIR_SEM_UNDO },
        { EMPTY, 2, 0 },
        { EMPTY, -2, WEIR_SEM_UNDO },
        { DONE, 1, 0 },
        { DONE, -1, WEIR_SEM_UNDO },
    };
    int result =
        buffer->role == SENDER
            ? weir_semset_try_op(buffer->set, sender, sizeof sender / sizeof *sender)
            : weir_semset_try_op(buffer->set, receiver, sizeof receiver / sizeof *receiver);
    buffer->joined = result == 0;
    return result;
}

/* What the kernel would do at our end, now and in one step. */
static void unclaim(struct bounded_buffer *buffer)
{
    uint16_t lives = (uint16_t)(LIVES + buffer->role);
    struct weir_sem_op sender[] = {
        { lives, -1, WEIR_SEM_UNDO },
        { FULL, 2, WEIR_SEM_UNDO },
    };
    struct weir_sem_op receiver[] = {
        { lives, -1, WEIR_SEM_UNDO },
        { EMPTY, 2, WEIR_SEM_UNDO },
        { DONE, 1, WEIR_SEM_UNDO },
    };
    /* Should it fail, the set is gone or the kernel does it later. */
    if (buffer->role == SENDER)
        weir_semset_try_op(buffer->set, sender, sizeof sender / sizeof *sender);
    else
        weir_semset_try_op(buffer->set, receiver, sizeof receiver / sizeof *receiver);
    buffer->joined = false;
}

/* 1: this role has come and ended; 0: it has not come, or lives. */
static int has_ended(const struct bounded_buffer *buffer, enum bounded_buffer_role role)
{
    int came = weir_semset_value(buffer->set, CAME + (uint32_t)role);
    if (came <= 0)
        return came;
    int lives = weir_semset_value(buffer->set, LIVES + (uint32_t)role);
    return lives < 0 ? lives : lives == 0;
}

static int is_used_up(const struct bounded_buffer *buffer)
{
    int ended = has_ended(buffer, SENDER);
    return ended != 0 ? ended : has_ended(buffer, RECEIVER);
}

int bounded_buffer_take_name_away(struct bounded_buffer *buffer, int64_t deadline_ns)
{
    struct weir_sem_op lock[] = { { ENDING, 0, 0 }, { ENDING, 1, WEIR_SEM_UNDO } };
    struct weir_sem_op unlock = { ENDING, -1, WEIR_SEM_UNDO };
    struct weir_segment_stat mine = { .size = sizeof mine }, found = { .size = sizeof found };
    int result;
    do
        result = weir_semset_op_until(buffer->set, lock, 2, deadline_ns);
    while (result == -EINTR);
    if (result != 0)
        return result;
    /* CRASH 9 */
    result = weir_segment_stat(buffer->segment, &mine);
    if (result == 0)
        result = weir_segment_lookup(weir_by_name(buffer->name), &found);
    if (result == 0 && found.nonce == mine.nonce)
        result = weir_segment_remove(weir_by_name(buffer->name));
    weir_semset_op(buffer->set, &unlock, 1);
    /* Gone by another hand, or another object stands there: it has not our name any more. */
    return result == -ENOENT || result == -EIDRM || result == -EPROTO ? 0 : result;
}

uint32_t bounded_buffer_peer_word(const struct bounded_buffer *buffer)
{
    /* Acquire [buffer.verdict]: what a side did comes before its verdict. Pairs with
     * bounded_buffer_fail() and bounded_buffer_accept(). */
    return buffer->role == SENDER
               ? atomic_load_explicit(&buffer->shm->receiver.verdict, memory_order_acquire)
               : atomic_load_explicit(&buffer->shm->sender.failed, memory_order_acquire);
}

/* -ESTALE: the other one came and ended before anything was begun. */
static int wait_for_other(struct bounded_buffer *buffer, int64_t deadline_ns)
{
    uint16_t came = (uint16_t)(CAME + bounded_buffer_other(buffer)),
             lives = (uint16_t)(LIVES + buffer->role);
    struct weir_sem_op arrival[] = { { came, -1, 0 }, { came, 1, 0 } };
    struct weir_sem_op give_up[] = { { came, 0, 0 }, { lives, -1, WEIR_SEM_UNDO } };
    int result = weir_semset_op_until(buffer->set, arrival, 2, deadline_ns);
    if (result == -ETIMEDOUT || result == -EINTR) {
        if (weir_semset_try_op(buffer->set, give_up, 2) == 0) {
            buffer->joined = false;
            return result;
        }
        result = 0; /* it came at the last moment */
    }
    if (result != 0)
        return result;
    int ended = has_ended(buffer, bounded_buffer_other(buffer));
    return ended > 0 && bounded_buffer_peer_word(buffer) == 0 ? -ESTALE : ended < 0 ? ended : 0;
}

static int open_object(struct bounded_buffer *buffer)
{
    uint16_t values[SEMAPHORES] = { [EMPTY] = (uint16_t)buffer->slots };
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    size_t offset = bytes_offset(buffer->slots);
    uint64_t size = offset + (uint64_t)buffer->slots * buffer->slot_bytes;
    options.kind = "stream";
    options.semaphores = SEMAPHORES;
    options.semaphore_values = values;
    int result =
        weir_segment_create_or_open(&buffer->segment, weir_by_name(buffer->name), size, &options);
    if (result < 0)
        return result;
    struct weir_segment_stat stat = { .size = sizeof stat };
    result = weir_segment_stat(buffer->segment, &stat);
    if (result == 0 && (stat.size_bytes != size || stat.semaphores != SEMAPHORES))
        result = -EPROTONOSUPPORT;
    if (result != 0) {
        weir_segment_close(buffer->segment);
        buffer->segment = NULL;
        return result;
    }
    buffer->set = weir_segment_semset(buffer->segment);
    buffer->shm = weir_segment_data(buffer->segment);
    buffer->bytes = (unsigned char *)buffer->shm + offset;
    return 0;
}

/*
 * The role is taken, by somebody who may be just ending: killed a moment ago, he
 * is not dead before the kernel says so. -ESTALE at his end, else -EBUSY.
 */
static int wait_for_former(struct bounded_buffer *buffer, int64_t deadline_ns)
{
    struct weir_sem_op ended = { (uint16_t)(LIVES + buffer->role), 0, 0 };
    int64_t grace_ns = weir_deadline_ns(GRACE_NS);
    int result = weir_semset_op_until(buffer->set, &ended, 1,
                                      grace_ns < deadline_ns ? grace_ns : deadline_ns);
    return result == 0 ? -ESTALE : result == -ETIMEDOUT ? -EBUSY : result;
}

/* One object: 0 when the pair is complete, -ESTALE when it is used up. */
static int join_once(struct bounded_buffer *buffer, int64_t deadline_ns)
{
    int result = open_object(buffer);
    if (result != 0)
        return result;
    /* CRASH 1 */
    int claimed = claim(buffer);
    if (claimed != 0 && claimed != -EAGAIN)
        return claimed;
    /* CRASH 2 */
    if (claimed == 0) {
        /* Who has come and ended since our claim may have met us: its verdict says so. */
        result = wait_for_other(buffer, deadline_ns);
    } else {
        result = is_used_up(buffer);
        if (result < 0)
            return result;
        result = result > 0 ? -ESTALE : wait_for_former(buffer, deadline_ns);
    }
    if (result == -ESTALE) {
        int taken = bounded_buffer_take_name_away(buffer, deadline_ns);
        if (taken != 0)
            return taken;
    }
    return result;
}

static void let_go(struct bounded_buffer *buffer)
{
    if (buffer->joined)
        unclaim(buffer);
    weir_segment_close(buffer->segment);
    buffer->segment = NULL;
}

int bounded_buffer_join(struct bounded_buffer **buffer, const char *name,
                        enum bounded_buffer_role role, uint32_t slots, uint32_t slot_bytes,
                        int64_t deadline_ns)
{
    if (slots == 0 || slots > SLOTS_MAX || slot_bytes == 0)
        return -EINVAL;
    struct bounded_buffer *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->role = role;
    made->slots = slots;
    made->slot_bytes = slot_bytes;
    made->name = strdup(name);
    int result = made->name ? -ESTALE : -ENOMEM;
    /* -EIDRM: the object vanished between the opening and the claim. */
    for (int i = 0; i < RETRIES && (result == -ESTALE || result == -EIDRM); i++) {
        result = join_once(made, deadline_ns);
        if (result != 0)
            let_go(made);
    }
    if (result != 0) {
        free(made->name);
        free(made);
        return result;
    }
    *buffer = made;
    return 0;
}

void bounded_buffer_leave(struct bounded_buffer *buffer)
{
    if (!buffer)
        return;
    let_go(buffer);
    free(buffer->name);
    free(buffer);
}

/*
 * The other side's end
 */

int bounded_buffer_peer(const struct bounded_buffer *buffer)
{
    if (bounded_buffer_peer_word(buffer) & FAILED)
        return -ECANCELED;
    int ended = has_ended(buffer, bounded_buffer_other(buffer));
    return ended > 0 || ended == -EIDRM ? -EPIPE : ended;
}

int bounded_buffer_peer_error(const struct bounded_buffer *buffer)
{
    return (int)(bounded_buffer_peer_word(buffer) & ERROR_MASK);
}

void bounded_buffer_fail(struct bounded_buffer *buffer, int error)
{
    uint32_t word = FAILED | ((uint32_t)error & ERROR_MASK);
    struct weir_sem_op sender[] = { { FULL, 1, 0 } };
    struct weir_sem_op receiver[] = { { EMPTY, 1, 0 }, { DONE, 1, 0 } };
    /* Release [buffer.verdict]. Pairs with bounded_buffer_peer_word(). */
    if (buffer->role == SENDER) {
        atomic_store_explicit(&buffer->shm->sender.failed, word, memory_order_release);
        weir_semset_try_op(buffer->set, sender, 1);
    } else {
        atomic_store_explicit(&buffer->shm->receiver.verdict, word, memory_order_release);
        weir_semset_try_op(buffer->set, receiver, 2);
    }
}
