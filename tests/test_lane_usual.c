/* SPDX-License-Identifier: MIT */
/*
 * Goal: a stream of messages that are alike is written, counted and read on a way of its own; each that is not, and
 * each that comes behind such, is what it is. Method: runs of messages of one size and one type, in a ring
 * that is gone round hundreds of times, written and read by all calls in turns, each with all its bytes.
 */
#include "pair.h"

#include <errno.h>
#include <string.h>

enum { SIZE_MAX_BYTES = 300, BURST = 24, MESSAGES = 300000 };

/* Around each size at which a copy takes another way, and 8 bytes twice. */
static const uint16_t sizes[] = { 0,  1,  3,  4,  7,  8,  8,  9,  12, 15, 16,  17,
                                  24, 31, 32, 33, 40, 48, 56, 63, 64, 65, 128, SIZE_MAX_BYTES };
#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

/* What the next message is; the same seed gives a reader the same run. */
struct run {
    uint64_t seed, number;
    unsigned left, size_bytes;
    uint32_t type;
};

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

/* Most of the time the next one is as the last; a run may differ in its type alone. */
static void advance(struct run *run)
{
    run->number++;
    if (run->left-- > 0)
        return;
    run->left = draw(&run->seed, 4) ? (unsigned)draw(&run->seed, 40) : 0;
    if (draw(&run->seed, 3))
        run->size_bytes = sizes[draw(&run->seed, SIZE_COUNT)];
    run->type = (uint32_t)draw(&run->seed, 3) * 21845;
}

static void fill(void *bytes, const struct run *run)
{
    pair_fill(bytes, run->size_bytes, (unsigned)run->number);
}

static void expect(struct run *run, const struct weir_message *message)
{
    unsigned char bytes[SIZE_MAX_BYTES];
    fill(bytes, run);
    assert_int_equal(message->size_bytes, run->size_bytes);
    assert_int_equal(message->type, run->type);
    assert_int_equal(message->sequence, run->number);
    assert_int_equal(message->session, 1);
    assert_int_equal(message->missed, 0);
    assert_int_equal((uintptr_t)message->data % 8, 0);
    assert_memory_equal(message->data, bytes, run->size_bytes);
    advance(run);
}

/* Those of the run that are alike, from here on, into places that were lent. How many. */
static unsigned alike(struct run *run, void **places, unsigned most)
{
    unsigned count = 0, size_bytes = run->size_bytes;
    uint32_t type = run->type;
    for (; count < most && run->size_bytes == size_bytes && run->type == type; count++) {
        fill(places[count], run);
        advance(run);
    }
    return count;
}

static int loan_one(struct weir_publisher *publisher, struct run *run, size_t more)
{
    void *data;
    int result = weir_publisher_loan_until(publisher, run->size_bytes + more, &data, NOW);
    if (result != 0)
        return result;
    fill(data, run);
    assert_result(weir_publisher_commit(publisher, run->size_bytes, run->type), 0);
    advance(run);
    return 0;
}

static int loan_burst(struct weir_publisher *publisher, struct run *run)
{
    void *places[BURST];
    uint32_t types[BURST];
    uint32_t type = run->type;
    int count = weir_publisher_loan_many_until(publisher, run->size_bytes, places, BURST, NOW);
    if (count < 0)
        return count;
    count = (int)alike(run, places, (unsigned)count);
    for (int i = 0; i < count; i++)
        types[i] = type;
    assert_result(weir_publisher_commit_many(publisher, NULL, type ? types : NULL, (size_t)count),
                  0);
    return 0;
}

static int send_one(struct weir_publisher *publisher, struct run *run)
{
    unsigned char bytes[SIZE_MAX_BYTES];
    fill(bytes, run);
    int result = weir_publisher_send_until(publisher, bytes, run->size_bytes, run->type, NOW);
    if (result == 0)
        advance(run);
    return result;
}

/* So many messages of the run, by any of the calls, until there is no room. */
static void publish(struct weir_publisher *publisher, struct run *run, uint64_t *seed,
                    unsigned bursts)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < bursts; i++) {
        uint64_t way = draw(seed, 5);
        if (way == 0)
            assert_result(weir_publisher_batch_begin(publisher), 0);
        for (unsigned n = 0; result == 0 && n < BURST; n++)
            result =
                way < 2 ? send_one(publisher, run) : loan_one(publisher, run, way == 2 ? 9 : 0);
        if (way == 0)
            assert_result(weir_publisher_batch_end(publisher), 0);
        if (result == 0 && way == 4)
            result = loan_burst(publisher, run);
    }
    assert_true(result == 0 || result == -EAGAIN);
}

static int receive_one(struct weir_subscriber *subscriber, struct run *run, bool is_told)
{
    _Alignas(8) unsigned char bytes[SIZE_MAX_BYTES + 1], kept[SIZE_MAX_BYTES];
    struct weir_message message;
    memset(bytes, 0xa5, sizeof bytes);
    int result = weir_subscriber_receive_until(subscriber, bytes, run->size_bytes,
                                               is_told ? &message : NULL, NOW);
    if (result != 0)
        return result;
    assert_int_equal(bytes[run->size_bytes], 0xa5);
    if (is_told) {
        assert_ptr_equal(message.data, bytes);
        expect(run, &message);
    } else {
        fill(kept, run);
        assert_memory_equal(bytes, kept, run->size_bytes);
        advance(run);
    }
    return 0;
}

static int take_burst(struct weir_subscriber *subscriber, struct run *run, unsigned most)
{
    struct weir_message messages[BURST];
    int count = weir_subscriber_take_many_until(subscriber, messages, most, NOW);
    for (int i = 0; i < count; i++)
        expect(run, &messages[i]);
    if (count > 0)
        assert_result(weir_subscriber_release_many(subscriber, messages, (size_t)count), 0);
    return count < 0 ? count : 0;
}

/* Some are held beside each other, and given back the other way round. */
static int take_some(struct weir_subscriber *subscriber, struct run *run, unsigned most)
{
    struct weir_message messages[BURST];
    unsigned count = 0;
    int result = 0;
    for (; result == 0 && count < most; count += result == 0) {
        result = weir_subscriber_take_until(subscriber, &messages[count], NOW);
        if (result == 0)
            expect(run, &messages[count]);
    }
    for (; count > 0; count--)
        assert_result(weir_subscriber_release(subscriber, &messages[count - 1]), 0);
    return result;
}

/* All that is there, by any of the calls. */
static void read_all(struct weir_subscriber *subscriber, struct run *run, uint64_t *seed)
{
    int result = 0;
    while (result == 0) {
        uint64_t way = draw(seed, 5);
        if (way == 0)
            result = take_burst(subscriber, run, 1 + (unsigned)draw(seed, BURST));
        for (unsigned n = 0; way > 0 && result == 0 && n < BURST; n++)
            result = way < 3 ? receive_one(subscriber, run, way == 1)
                             : take_some(subscriber, run, way == 3 ? 1 : 3);
    }
    assert_result(result, -EAGAIN);
}

static void test_runs(void **state)
{
    struct pair pair;
    struct run out = { .seed = 20261129 }, in = { .seed = 20261129 };
    uint64_t seed = 7;
    (void)state;
    pair_open(&pair);
    while (in.number < MESSAGES) {
        publish(pair.publisher, &out, &seed, 1 + (unsigned)draw(&seed, 60));
        read_all(pair.subscriber, &in, &seed);
        assert_int_equal(in.number, out.number);
    }
    pair_close(&pair);
}

/* What does not fit stays, also where it is as the one before it. */
static void test_too_little_room(void **state)
{
    struct pair pair;
    uint64_t word = 42, found = 0;
    (void)state;
    pair_open(&pair);
    for (unsigned i = 0; i < 20; i++)
        assert_result(weir_publisher_send_until(pair.publisher, &word, sizeof word, 0, NOW), 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_result(weir_subscriber_receive_until(pair.subscriber, &found, 7, NULL, NOW),
                      -EMSGSIZE);
        assert_result(weir_subscriber_receive_until(pair.subscriber, &found, 8, NULL, NOW), 0);
        assert_int_equal(found, word);
    }
    pair_close(&pair);
}

/* The end of a loan of many is a commit of its first place, too. */
static void loan_word(struct weir_publisher *publisher, uint64_t word, bool of_many)
{
    void *data;
    if (of_many)
        assert_result(weir_publisher_loan_many_until(publisher, sizeof word, &data, 1, NOW), 1);
    else
        assert_result(weir_publisher_loan_until(publisher, sizeof word, &data, NOW), 0);
    memcpy(data, &word, sizeof word);
    assert_result(weir_publisher_commit(publisher, sizeof word, 0), 0);
}

/* Also where a record ends with the ring: what stood at its begin a lap ago is no message. */
static void test_nothing_behind(void **state)
{
    struct pair pair;
    uint64_t found = 0;
    (void)state;
    pair_open(&pair);
    for (uint64_t i = 0; i < 6 * WEIR_RING_BYTES_MIN / 16; i++) {
        switch (i / (WEIR_RING_BYTES_MIN / 16) % 3) {
        case 0:
            assert_result(weir_publisher_send_until(pair.publisher, &i, sizeof i, 0, NOW), 0);
            break;
        case 1:
            loan_word(pair.publisher, i, false);
            break;
        default:
            loan_word(pair.publisher, i, true);
        }
        assert_result(weir_subscriber_receive_until(pair.subscriber, &found, 8, NULL, NOW), 0);
        assert_int_equal(found, i);
        assert_result(weir_subscriber_receive_until(pair.subscriber, &found, 8, NULL, NOW),
                      -EAGAIN);
    }
    pair_close(&pair);
}

/* After so many that are usual what may not be is refused as ever, and what may be is as long as it was said to be. */
static void test_refused(void **state)
{
    struct pair pair;
    struct weir_publisher *publisher;
    struct weir_message message;
    uint64_t word = 0;
    void *data;
    (void)state;
    pair_open(&pair);
    publisher = pair.publisher;
    for (uint64_t i = 0; i < 40; i++, word = i) {
        for (unsigned n = 0; n < 3; n++)
            loan_word(publisher, word, false);
        assert_result(weir_publisher_commit(publisher, 8, 0), -EINVAL);
        assert_result(weir_publisher_loan_until(publisher, SIZE_MAX, &data, NOW), -EMSGSIZE);
        assert_result(weir_publisher_send_until(publisher, &word, SIZE_MAX, 0, NOW), -EMSGSIZE);
        assert_result(weir_publisher_send_until(publisher, &word, 8, UINT16_MAX + 1, NOW), -EINVAL);
        assert_result(weir_publisher_loan_until(publisher, 8, &data, NOW), 0);
        assert_result(weir_publisher_send_until(publisher, &word, 8, 0, NOW), -EINVAL);
        assert_result(weir_publisher_loan_until(publisher, 8, &data, NOW), -EINVAL);
        assert_result(weir_publisher_commit(publisher, 9, 0), -EINVAL);
        assert_result(weir_publisher_commit(publisher, SIZE_MAX, 0), -EINVAL);
        assert_result(weir_publisher_commit(publisher, 8, UINT16_MAX + 1), -EINVAL);
        assert_result(weir_publisher_commit(publisher, 7, 0), 0);
        assert_result(weir_publisher_commit(publisher, 8, 0), -EINVAL);
        assert_result(weir_publisher_loan_until(publisher, 100, &data, NOW), 0);
        assert_result(weir_publisher_commit(publisher, 8, 0), 0);
        assert_result(weir_publisher_commit(publisher, 8, 0), -EINVAL);
        for (unsigned n = 0; n < 5; n++) {
            assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
            assert_int_equal(message.size_bytes, n == 3 ? 7 : 8);
            assert_int_equal(message.sequence, 5 * i + n);
            assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        }
    }
    pair_close(&pair);
}

/* A look while a loan is out leaves nothing known of the room: the ring is filled, and no further. */
static void test_a_look_within(void **state)
{
    struct pair pair;
    uint64_t sent = 0, found = 0, received = 0;
    void *data;
    (void)state;
    pair_open(&pair);
    for (unsigned lap = 0; lap < 5; lap++) {
        int result = weir_publisher_loan_until(pair.publisher, sizeof sent, &data, NOW);
        assert_result(result, 0);
        memcpy(data, &sent, sizeof sent);
        assert_result(weir_publisher_wait_subscribers(pair.publisher, lap % 2, NOW), 0);
        for (result = weir_publisher_commit(pair.publisher, sizeof sent, 0); result == 0;) {
            sent++;
            result = weir_publisher_send_until(pair.publisher, &sent, sizeof sent, 0, NOW);
        }
        assert_result(result, -EAGAIN);
        assert_in_range(sent - received, 1, WEIR_RING_BYTES_MIN / 16);
        for (; received < sent; received++) {
            assert_result(weir_subscriber_receive_until(pair.subscriber, &found, 8, NULL, NOW), 0);
            assert_int_equal(found, received);
        }
    }
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_runs),    PAIR_TEST(test_too_little_room), PAIR_TEST(test_nothing_behind),
        PAIR_TEST(test_refused), PAIR_TEST(test_a_look_within),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
