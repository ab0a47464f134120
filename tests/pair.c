/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <string.h>

const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                 .ring_bytes = WEIR_RING_BYTES_MIN };

void pair_open(struct pair *pair)
{
    assert_result(weir_publisher_open(&pair->publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&pair->subscriber, "lane", NULL), 0);
}

void pair_close(struct pair *pair)
{
    weir_publisher_close(pair->publisher);
    weir_subscriber_close(pair->subscriber);
}

void pair_send_text(struct pair *pair, const char *text)
{
    assert_result(weir_publisher_send_until(pair->publisher, text, strlen(text), 0, NOW), 0);
}

struct weir_message pair_take_text(struct pair *pair, const char *text)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(pair->subscriber, &message, NOW), 0);
    assert_int_equal(message.size_bytes, strlen(text));
    assert_memory_equal(message.data, text, strlen(text));
    return message;
}

void pair_fill(void *bytes, size_t size_bytes, unsigned seed)
{
    for (size_t i = 0; i < size_bytes; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

void pair_publish_and_wait(struct companion *companion, void *argument)
{
    struct weir_publisher *publisher;
    int count = *(int *)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    for (int i = 0; i < count; i++)
        CHECK_RESULT(weir_publisher_send(publisher, &i, sizeof i), 0);
    companion_arrive(companion);
}

void pair_flood(struct companion *companion, void *argument)
{
    struct weir_publisher *publisher;
    uint64_t words[64];
    int count = *(int *)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    for (int i = 0; i < count; i++) {
        size_t words_now = (size_t)i * 7 % 64 + 1;
        for (size_t k = 0; k < words_now; k++)
            words[k] = (uint64_t)i;
        CHECK_RESULT(weir_publisher_send(publisher, words, words_now * 8), 0);
    }
    weir_publisher_close(publisher); /* at once: what was committed still arrives */
    (void)companion;
}
