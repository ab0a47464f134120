/* SPDX-License-Identifier: MIT */
/* A subscriber's calls, and what each may give. */
#include "target.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <weir/error.h>

#include "guard.h"

static void do_take(unsigned count, unsigned wait)
{
    for (unsigned i = 0; i <= (count & 63); i++) {
        struct weir_message message;
        int64_t before_ns = weir_now_ns();
        int result =
            weir_subscriber_take_until(target.subscriber, &message, target_deadline_of(wait));
        EXPECT("take", result, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE, ENOBUFS, EUCLEAN, EPROTO);
        if ((result == -ENOBUFS) != (target.held_count == HELD_MAX))
            world_fail("take gives %s with %u held", weir_strerror_name(result), target.held_count);
        if (result != 0)
            break;
        target_check_place(&message);
        target_check_message(&message, true, true);
        target.held[target.held_count++] = message;
    }
}

static void do_release(unsigned which)
{
    const struct weir_message none = { .position = 4 };
    if (target.held_count == 0) {
        if (weir_subscriber_release(target.subscriber, &none) != -EINVAL)
            world_fail("what is not held was released");
        return;
    }
    which %= target.held_count;
    target_check_held();
    struct weir_message message = target.held[which];
    if (weir_subscriber_release(target.subscriber, &message) != 0)
        world_fail("release: %s", weir_last_error());
    memmove(&target.held[which], &target.held[which + 1],
            (--target.held_count - which) * sizeof *target.held);
    if (weir_subscriber_release(target.subscriber, &message) != -EINVAL)
        world_fail("a message was released twice");
}

static void do_receive(unsigned size, unsigned count, unsigned wait)
{
    static unsigned char *end;
    size_t room = target_size_of(size);
    if (!end)
        end = (unsigned char *)guard_new(4 * MOST) + 4 * MOST;
    for (unsigned i = 0; i <= (count & 15); i++) {
        struct weir_message message;
        int64_t before_ns = weir_now_ns();
        int result = weir_subscriber_receive_until(target.subscriber, end - room, room, &message,
                                                   target_deadline_of(wait));
        EXPECT("receive", result, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE, EMSGSIZE, EUCLEAN,
               EPROTO);
        if ((result == 0 && message.size_bytes > room) ||
            (result == -EMSGSIZE && message.size_bytes <= room))
            world_fail("a message of %zu bytes: %s", message.size_bytes,
                       weir_strerror_name(result));
        if (result != 0)
            break;
        memmove(end - 4 * MOST, end - room, message.size_bytes);
        message.data = end - 4 * MOST; /* aligned */
        target_check_message(&message, true, false);
    }
}

static void do_take_many(unsigned count, unsigned wait)
{
    struct weir_message messages[HELD_MAX];
    unsigned most = HELD_MAX - target.held_count;
    count %= HELD_MAX + 1;
    int64_t before_ns = weir_now_ns();
    int result = weir_subscriber_take_many_until(target.subscriber, messages, count,
                                                 target_deadline_of(wait));
    EXPECT("take_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE, ENOBUFS,
           EUCLEAN, EPROTO);
    if ((result == -ENOBUFS) != (most == 0 && count > 0) || (result == 0) != (count == 0) ||
        result > (int)count || result > (int)most)
        world_fail("take_many of %u gives %d with %u held", count, result, target.held_count);
    for (int i = 0; i < result; i++) {
        target_check_place(&messages[i]);
        target_check_message(&messages[i], true, true);
        target.held[target.held_count++] = messages[i];
    }
}

static void do_release_many(unsigned from, unsigned count, unsigned how)
{
    struct weir_message messages[HELD_MAX + 1];
    if (target.held_count == 0)
        return;
    target_check_held();
    from %= target.held_count;
    count %= target.held_count - from + 1;
    for (unsigned i = 0; i < count; i++)
        messages[i] = target.held[how & 1 ? from + count - 1 - i : from + i];
    if (how & 2) { /* one twice: nothing is released */
        messages[count] = messages[0] = target.held[from];
        if (weir_subscriber_release_many(target.subscriber, messages, count + 1) !=
            (count > 0 ? -EINVAL : 0))
            world_fail("a message was released twice");
        count = count > 0 ? 0 : 1;
    } else if (weir_subscriber_release_many(target.subscriber, messages, count) != 0) {
        world_fail("release_many: %s", weir_last_error());
    }
    target.held_count -= count;
    memmove(&target.held[from], &target.held[from + count],
            (target.held_count - from) * sizeof *target.held);
}

static void do_receive_many(unsigned size, unsigned count, unsigned wait)
{
    static unsigned char *end;
    struct weir_message messages[MANY_MAX];
    size_t room = target_size_of(size);
    if (!end)
        end = (unsigned char *)guard_new(4 * MOST) + 4 * MOST;
    room &= ~(size_t)7; /* so that what is there is aligned */
    count %= MANY_MAX + 1;
    int64_t before_ns = weir_now_ns();
    int result = weir_subscriber_receive_many_until(target.subscriber, end - room, room, messages,
                                                    count, target_deadline_of(wait));
    EXPECT("receive_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE,
           EMSGSIZE, EUCLEAN, EPROTO);
    if ((result == -EMSGSIZE && messages[0].size_bytes <= room) || (result == 0) != (count == 0) ||
        result > (int)count)
        world_fail("receive_many of %u gives %d", count, result);
    const unsigned char *free_from = end - room;
    for (int i = 0; i < result; i++) {
        const unsigned char *data = messages[i].data;
        if (data < free_from || messages[i].size_bytes > (size_t)(end - data))
            world_fail("a message of %zu bytes is not in its room", messages[i].size_bytes);
        free_from = data + messages[i].size_bytes;
        target_check_message(&messages[i], true, false);
    }
}

static void do_descriptor(void)
{
    int64_t before_ns = weir_now_ns();
    int fd = weir_subscriber_fd(target.subscriber);
    struct pollfd one = { .fd = fd, .events = POLLIN };
    if (fd < 0 || poll(&one, 1, 0) < 0)
        world_fail("fd: %s", weir_last_error());
    target_expect("fd", 0, before_ns, (const int[]){ 0 });
}

void target_subscribe(unsigned what, const uint8_t *step)
{
    switch (what) {
    case FUZZ_TAKE:
        do_take(step[2], step[3]);
        break;
    case FUZZ_RELEASE:
        do_release(step[1]);
        break;
    case FUZZ_RECEIVE:
        do_receive(step[1], step[2], step[3]);
        break;
    case FUZZ_TAKE_MANY:
        do_take_many(step[2], step[3]);
        break;
    case FUZZ_RELEASE_MANY:
        do_release_many(step[1], step[2], step[3]);
        break;
    case FUZZ_RECEIVE_MANY:
        do_receive_many(step[1], step[2], step[3]);
        break;
    default:
        if (step[1] < 32)
            do_descriptor();
    }
}
