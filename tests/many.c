/* SPDX-License-Identifier: MIT */
#include "many.h"

#include <errno.h>

size_t many_size(unsigned n)
{
    return n % 7 == 3 ? 0 : n % 5 == 1 ? n * 131 % MESSAGE_BYTES_MAX : n * 13 % 90;
}

uint32_t many_type(unsigned n)
{
    return n * 77 % 65536;
}

void many_expect(const struct weir_message *message, unsigned n)
{
    unsigned char bytes[MESSAGE_BYTES_MAX];
    assert_int_equal(message->sequence, n);
    assert_int_equal(message->size_bytes, many_size(n));
    assert_int_equal(message->type, many_type(n));
    assert_int_equal((uintptr_t)message->data % 8, 0);
    pair_fill(bytes, message->size_bytes, n);
    assert_memory_equal(message->data, bytes, message->size_bytes);
}

const struct weir_outgoing *many_outgoing(unsigned n, unsigned count)
{
    static unsigned char bytes[MANY][MESSAGE_BYTES_MAX];
    static struct weir_outgoing messages[MANY];
    for (unsigned i = 0; i < count; i++) {
        pair_fill(bytes[i], many_size(n + i), n + i);
        messages[i] = (struct weir_outgoing){ many_size(n + i) ? bytes[i] : NULL, many_size(n + i),
                                              many_type(n + i) };
    }
    return messages;
}

void many_take_all(struct weir_subscriber *subscriber, unsigned *n, unsigned end)
{
    struct weir_message messages[HOLDS];
    while (*n < end) {
        int count = weir_subscriber_take_many_until(subscriber, messages, HOLDS, NOW);
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            many_expect(&messages[i], (*n)++);
        assert_result(weir_subscriber_release_many(subscriber, messages, (size_t)count), 0);
    }
    assert_result(weir_subscriber_take_many_until(subscriber, messages, 1, NOW), -EAGAIN);
}
