/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/error.h>

#include "channel/publisher.h"

#include "guard.h"

/* A call that takes longer is late; see LLVMFuzzerTestOneInput(). */
#define LATE_NS INT64_C(2000000000)
#define WAIT_NS INT64_C(30000)

/* What was sent, by number; messages of eight bytes or more begin with theirs. */
enum { LOG_MAX = 8192 };
static struct {
    size_t size_bytes;
    uint32_t type;
} sent[LOG_MAX];

int target_expect(const char *call, int result, int64_t before_ns, const int *allowed)
{
    bool is_allowed = result == 0;
    int64_t took_ns = weir_now_ns() - before_ns;
    for (; *allowed; allowed++)
        is_allowed |= result == -*allowed;
    if (target.is_honest && (result == -EUCLEAN || result == -EPROTO))
        is_allowed = false;
    if (!target.is_honest &&
        (result == -EACCES || result == -EPERM)) /* not for us, or not to be trusted */
        is_allowed = true;
    if (result == -EOVERFLOW) /* of a take: a publisher has not waited */
        is_allowed = !target.is_honest || (target.has_evicted && !target.is_lossy);
    if (!is_allowed)
        world_fail("%s gives %s: %s", call, weir_strerror_name(result), weir_last_error());
    if (took_ns > LATE_NS) {
        fprintf(stderr, "fuzz: %s takes %lld ms\n", call, (long long)(took_ns / 1000000));
        target.is_late = true;
    }
    return result;
}

size_t target_size_of(unsigned class_and_number)
{
    size_t number = class_and_number & 63;
    switch (class_and_number >> 6 & 3) {
    case 0:
        return number;
    case 1:
        return MOST - 56 + number; /* 7 more than there may be */
    case 2:
        return (size_t)1 << number % 15;
    default:
        return number * 250;
    }
}

int64_t target_deadline_of(unsigned wait)
{
    return (wait & 0xe0) == 128 ? weir_deadline_ns(WAIT_NS) : 0;
}

void target_fill(unsigned char *data, size_t size_bytes, uint32_t type)
{
    memset(data, (int)target.sent_count, size_bytes);
    if (size_bytes >= sizeof target.sent_count)
        memcpy(data, &target.sent_count, sizeof target.sent_count);
    sent[target.sent_count % LOG_MAX].size_bytes = size_bytes;
    sent[target.sent_count % LOG_MAX].type = type;
}

bool target_may_be_refused(size_t size_bytes)
{
    return size_bytes > MOST || (!target.may_send_any && size_bytes != TYPE_BYTES) ||
           !target.is_honest;
}

/* What is missed is missed by a lossy one, or one that was evicted, and all of it is told. */
static void check_sequence(const struct weir_message *message)
{
    if (message->missed != 0 && !target.is_lossy && !target.has_evicted)
        world_fail("%llu messages were missed", (unsigned long long)message->missed);
    if (message->session == target.last_session &&
        message->sequence != target.next_sequence + message->missed)
        world_fail("message %llu comes after %llu, %llu were missed",
                   (unsigned long long)message->sequence,
                   (unsigned long long)target.next_sequence - 1,
                   (unsigned long long)message->missed);
    target.last_session = message->session;
    target.next_sequence = message->sequence + 1;
}

void target_check_message(const struct weir_message *message, bool is_new, bool is_held)
{
    static volatile unsigned sum;
    const unsigned char *bytes = message->data;
    uint64_t number;
    if (((uintptr_t)bytes & 7) != 0)
        world_fail("a message of %zu bytes at %p", message->size_bytes, message->data);
    for (size_t i = 0; i < message->size_bytes; i++)
        sum = sum + bytes[i];
    int overwritten =
        is_held && target.subscriber ? weir_subscriber_check(target.subscriber, message) : 0;
    if (overwritten != 0 &&
        (overwritten != -EOVERFLOW ||
         (target.is_honest && ((!target.is_lossy && !target.has_evicted) || is_new))))
        world_fail("check gives %s", weir_strerror_name(overwritten));
    if (target.is_honest && is_new)
        check_sequence(message);
    if (!target.is_honest || overwritten != 0 || message->size_bytes < sizeof number)
        return;
    memcpy(&number, bytes, sizeof number);
    if (number >= target.sent_count || sent[number % LOG_MAX].size_bytes != message->size_bytes ||
        sent[number % LOG_MAX].type != message->type ||
        bytes[message->size_bytes - 1] !=
            (message->size_bytes > sizeof number ? number & 0xff : bytes[sizeof number - 1]))
        world_fail("message %llu is not what was sent", (unsigned long long)number);
    if (is_new && target.last_received != UINT64_MAX && number <= target.last_received)
        world_fail("message %llu comes after %llu", (unsigned long long)number,
                   (unsigned long long)target.last_received);
    if (is_new)
        target.last_received = number;
}

void target_check_place(const struct weir_message *message)
{
    if (!guard_holds(message->data, message->size_bytes) ||
        message->size_bytes > world_longest(message->data))
        world_fail("a message of %zu bytes is not inside a ring", message->size_bytes);
}

void target_check_held(void)
{
    for (unsigned i = 0; i < target.held_count; i++) {
        target_check_place(&target.held[i]);
        target_check_message(&target.held[i], false, true);
    }
}

/* Nothing behind the cursor, or pads alone; unless a lie stands there, which the publisher does not
 * read. */
static bool is_all(const struct weir__lane_shm *lane, uint64_t cursor, uint64_t committed)
{
    const char *ring = (const char *)lane + WEIR__LANE_RING_OFFSET;
    while (cursor != committed) {
        uint64_t header;
        memcpy(&header, ring + cursor % WORLD_CAPACITY, sizeof header);
        if ((header & WEIR__RECORD_PAD) == 0 || weir__pad_bytes(header) > committed - cursor)
            return !target.is_ring_true;
        cursor += weir__pad_bytes(header);
    }
    return true;
}

/* Of one whom it waits for. Nobody asks for the cursor of a lossy one; too far behind is evicted. */
static void check_reader(const struct weir__reader *reader, const struct weir__lane_shm *lane,
                         uint64_t shown, bool is_taken)
{
    if (target.has_evicted || weir__owner_is_lossy(reader->peer.owner) ||
        (is_taken && atomic_load(&reader->entry->lane) != shown))
        return;
    uint64_t cursor = atomic_load(&reader->entry->cursor), committed = atomic_load(&lane->boundary);
    if (cursor > committed || committed - cursor > WORLD_CAPACITY ||
        (is_taken && !is_all(lane, cursor, committed)))
        world_fail("the cursor %llu was believed, %llu is committed", (unsigned long long)cursor,
                   (unsigned long long)committed);
}

/* Whom it has met, whatever their slots say by now. */
void target_check_cursor(bool is_taken)
{
    const struct weir_publisher *publisher = target.publisher;
    unsigned attached = 0;
    for (uint32_t i = 0; i < publisher->reader_count; i++) {
        const struct weir__reader *reader = &publisher->readers[i];
        if (!reader->page || !reader->is_attached)
            continue;
        attached++;
        check_reader(reader, world_lane().memory, publisher->side.shown, is_taken);
    }
    if (attached == 0 && !is_taken)
        world_fail("attached, and no reader was met");
}
