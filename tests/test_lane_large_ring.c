/* SPDX-License-Identifier: MIT */
/*
 * Goal: a ring of 1 GiB carries its longest message, a quarter of it, copied and in place, behind each
 *       other, and around its end, where a pad stands.
 * Method: two sides in one process. A short message first, so that none of the long ones ends with the ring;
 *         then each way to send with each way to take, every word checked, and where each lies; on to
 *         positions of more than 32 bits. At last as many as it holds. It takes 1.25 GiB, and is skipped
 *         where there is not twice as much to spare.
 */
#include "pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "channel/layout.h"

#define GIB (UINT64_C(1) << 30)
#define RING_BYTES GIB
#define RECORD_BYTES (RING_BYTES / 4)
#define LONGEST (RECORD_BYTES - WEIR__RECORD_HEADER_BYTES)
#define NEEDED_BYTES (5 * GIB / 2)

static struct pair pair;
static unsigned char *bytes;   /* of the longest message */
static uint64_t next_position; /* where the next one begins, unless a pad comes first */
static uint64_t next_number;
static unsigned pads;

/* Its first number behind the label, in so many bytes; what is not said, or not a number, is no limit. */
static uint64_t bytes_said(const char *path, const char *label, uint64_t unit)
{
    char line[256];
    uint64_t found = UINT64_MAX;
    FILE *file = fopen(path, "re");
    while (file && found == UINT64_MAX && fgets(line, sizeof line, file)) {
        char *end, *number = line + strlen(label);
        if (strncmp(line, label, strlen(label)) != 0)
            continue;
        uint64_t value = strtoull(number, &end, 10);
        if (end != number)
            found = value * unit;
    }
    if (file)
        fclose(file);
    return found;
}

static bool has_memory(void)
{
    return bytes_said("/proc/meminfo", "MemAvailable:", 1024) >= NEEDED_BYTES &&
           bytes_said("/sys/fs/cgroup/memory.max", "", 1) >= NEEDED_BYTES;
}

static uint64_t word_of(uint64_t number, size_t at)
{
    return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + at;
}

static void fill(void *data, uint64_t number)
{
    uint64_t *words = data;
    for (size_t i = 0; i < LONGEST / sizeof *words; i++)
        words[i] = word_of(number, i);
}

static void check(const void *data, const struct weir_message *message)
{
    const uint64_t *words = data;
    size_t wrong = 0;
    for (size_t i = 0; i < LONGEST / sizeof *words; i++)
        wrong += words[i] != word_of(next_number, i);
    assert_int_equal(wrong, 0);
    assert_int_equal(message->size_bytes, LONGEST);
    assert_int_equal(message->sequence, next_number);
    uint64_t left = RING_BYTES - (next_position & (RING_BYTES - 1));
    if (left < RECORD_BYTES) {
        next_position += left;
        pads++;
    }
    assert_int_equal(message->position, next_position);
    next_position += RECORD_BYTES;
    next_number++;
}

static void send_copied(uint64_t number)
{
    fill(bytes, number);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, LONGEST, 0, NOW), 0);
    memset(bytes, 0, LONGEST);
}

static void send_in_place(uint64_t number)
{
    void *data;
    assert_result(weir_publisher_loan_until(pair.publisher, LONGEST, &data, NOW), 0);
    fill(data, number);
    assert_result(weir_publisher_commit(pair.publisher, LONGEST, 0), 0);
}

static void take_copied(void)
{
    struct weir_message message;
    assert_result(weir_subscriber_receive_until(pair.subscriber, bytes, LONGEST, &message, NOW), 0);
    check(bytes, &message);
}

static void take_in_place(void)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    check(message.data, &message);
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
}

/* Then none of the long ones ends with the ring, before a pad puts them right again. */
static void pass_a_short_one(void)
{
    pair_send_text(&pair, "short");
    struct weir_message message = pair_take_text(&pair, "short");
    assert_int_equal(message.position, next_position);
    assert_int_equal(message.sequence, next_number);
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    next_position += weir__record_bytes(message.size_bytes);
    next_number++;
}

static void open_pair(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = RING_BYTES;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    bytes = mmap(NULL, LONGEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(bytes != MAP_FAILED);
}

static void test_a_ring_of_a_gibibyte(void **state)
{
    uint64_t sent = 1;
    (void)state;
    if (SANITIZED || !has_memory()) {
        print_message(
            "less than 2.5 GiB to spare, or sanitizers, which take several times as much\n");
        skip();
    }
    open_pair();
    pass_a_short_one();
    assert_result(weir_publisher_send_until(pair.publisher, bytes, LONGEST + 1, 0, NOW), -EMSGSIZE);
    send_copied(sent++);
    take_in_place();
    send_in_place(sent++);
    take_copied();
    send_copied(sent++);
    take_copied();
    assert_int_equal(pads, 0);
    send_in_place(sent++);
    take_in_place();
    assert_int_equal(pads, 1);
    while (next_position <= UINT32_MAX) {
        send_in_place(sent++);
        take_in_place();
    }
    pass_a_short_one();
    sent++;
    /* Three at once: before a fourth there would have to be a pad, and it would end behind the first. */
    send_copied(sent++);
    send_in_place(sent++);
    send_in_place(sent++);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, LONGEST, 0, NOW), -EAGAIN);
    take_in_place();
    take_copied();
    take_in_place();
    assert_int_equal(next_number, sent);
    weir_subscriber_close(pair.subscriber);
    weir_publisher_close(pair.publisher);
    assert_int_equal(munmap(bytes, LONGEST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_ring_of_a_gibibyte),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
