/* SPDX-License-Identifier: MIT */
/* The transfer through a bounded buffer; bounded_buffer_parts.h says why it is right. */
#include <errno.h>

#include <weir/clock.h>
#include <weir/semset.h>

#include "bounded_buffer_parts.h"

/* How long the receiver tries to take the name away; another one may be stopped in the lock. */
#define TAKE_NAME_NS 100000000

/* After a unit that stands for no slot: why it was posted. */
static int broken(struct bounded_buffer *buffer)
{
    int result = bounded_buffer_peer(buffer);
    buffer->broken = result != 0 ? result : -EUCLEAN;
    return buffer->broken;
}

static int corrupt(struct bounded_buffer *buffer)
{
    buffer->broken = -EUCLEAN;
    return buffer->broken;
}

/*
 * The sender
 */

int bounded_buffer_reserve(struct bounded_buffer *buffer, void **slot)
{
    if (!buffer->broken && (bounded_buffer_peer_word(buffer) & FAILED))
        buffer->broken = -ECANCELED;
    if (buffer->broken)
        return buffer->broken;
    *slot = buffer->bytes + buffer->sequence % buffer->slots * buffer->slot_bytes;
    if (buffer->reserved)
        return 0;
    int result = weir_semset_wait(buffer->set, EMPTY, 0);
    if (result == -EIDRM)
        return broken(buffer);
    if (result != 0)
        return result;
    /* Acquire [buffer.freed]: the slot's last reading comes before we write. Pairs with
     * bounded_buffer_release(). */
    uint64_t freed = atomic_load_explicit(&buffer->shm->receiver.freed, memory_order_acquire);
    if (freed < buffer->freed_seen || freed > buffer->sequence)
        return corrupt(buffer);
    buffer->freed_seen = freed;
    if (buffer->sequence - freed >= buffer->slots)
        return broken(buffer);
    buffer->reserved = true;
    return 0;
}

static int commit(struct bounded_buffer *buffer, uint32_t bytes, uint32_t flags)
{
    struct slot_shm *slot = &buffer->shm->slot[buffer->sequence % buffer->slots];
    buffer->total += bytes;
    buffer->sequence++;
    buffer->reserved = false;
    slot->length = bytes;
    slot->flags = flags;
    slot->total = buffer->total;
    /* CRASH 3 */
    /* Release [buffer.commit]: the slot before its sequence. Pairs with bounded_buffer_next(). */
    atomic_store_explicit(&slot->sequence, buffer->sequence, memory_order_release);
    /* CRASH 4 */
    return weir_semset_post(buffer->set, FULL, 0);
}

int bounded_buffer_commit(struct bounded_buffer *buffer, uint32_t bytes)
{
    if (!buffer->reserved || bytes == 0 || bytes > buffer->slot_bytes)
        return -EINVAL;
    int result = commit(buffer, bytes, 0);
    return result == -EIDRM ? broken(buffer) : result;
}

int bounded_buffer_end(struct bounded_buffer *buffer)
{
    void *slot;
    int result;
    if (!buffer->ended) {
        result = bounded_buffer_reserve(buffer, &slot);
        if (result == 0)
            result = commit(buffer, 0, SLOT_END);
        if (result != 0)
            return result == -EIDRM ? broken(buffer) : result;
        buffer->ended = true;
        /* CRASH 6 */
    }
    result = weir_semset_wait(buffer->set, DONE, 0);
    if (result != 0 && result != -EIDRM)
        return result;
    return bounded_buffer_peer_word(buffer) == ACCEPTED ? 0 : broken(buffer);
}

/*
 * The receiver
 */

int bounded_buffer_next(struct bounded_buffer *buffer, const void **data, uint32_t *bytes)
{
    if (buffer->broken)
        return buffer->broken;
    if (buffer->ended)
        return 0;
    int result = weir_semset_wait(buffer->set, FULL, 0);
    if (result == -EIDRM)
        return broken(buffer);
    if (result != 0)
        return result;
    uint64_t index = buffer->sequence % buffer->slots;
    const struct slot_shm *slot = &buffer->shm->slot[index];
    /* Acquire [buffer.commit]: the sequence before what it commits. Pairs with commit(). */
    if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != buffer->sequence + 1)
        return broken(buffer);
    /* Copied once: whoever writes there now changes nothing that we checked. */
    uint32_t length = *(const volatile uint32_t *)&slot->length;
    uint32_t flags = *(const volatile uint32_t *)&slot->flags;
    uint64_t total = *(const volatile uint64_t *)&slot->total;
    if (length > buffer->slot_bytes || flags > SLOT_END || (flags == SLOT_END) != (length == 0) ||
        total != buffer->total + length)
        return corrupt(buffer);
    buffer->total = total;
    buffer->ended = flags == SLOT_END;
    *data = buffer->bytes + index * buffer->slot_bytes;
    *bytes = length;
    return !buffer->ended;
}

int bounded_buffer_release(struct bounded_buffer *buffer)
{
    buffer->sequence++;
    /* Release [buffer.freed]: we have read the slot before it is free. Pairs with
     * bounded_buffer_reserve(). */
    atomic_store_explicit(&buffer->shm->receiver.freed, buffer->sequence, memory_order_release);
    /* CRASH 5 */
    int result = weir_semset_post(buffer->set, EMPTY, 0);
    return result == -EIDRM ? broken(buffer) : result;
}

int bounded_buffer_accept(struct bounded_buffer *buffer)
{
    if (!buffer->ended)
        return -EINVAL;
    /* Should it fail, the next one that comes finds the object used up, and does it. */
    bounded_buffer_take_name_away(buffer, weir_deadline_ns(TAKE_NAME_NS));
    /* CRASH 7 */
    /* Release [buffer.verdict]. Pairs with bounded_buffer_peer_word(). */
    atomic_store_explicit(&buffer->shm->receiver.verdict, ACCEPTED, memory_order_release);
    /* CRASH 8 */
    int result = weir_semset_post(buffer->set, DONE, 0);
    /* The set may be gone with the sender: all has arrived, whoever is left to hear it. */
    return result == -EIDRM ? 0 : result;
}
