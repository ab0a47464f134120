/* SPDX-License-Identifier: MIT */
/*
 * Goal: a process that writes lies at full speed, into the other side's hands and between its
 *       check and its use, gets it errors and nothing else: never a crash, a byte outside the
 *       ring or a call beyond its deadline; and it can leave and join again.
 * Method: the liar is the other side, in a process of its own. It plays its part, and between
 *       its calls writes into its own memory, or into all there is; most of all it turns the
 *       header that the subscriber reads next between what is sound and what is not. The victim
 *       opens, uses all calls, closes, and again, between guard pages.
 */
#include "fixture.h"
#include "guard.h"
#include "liar.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct part {
    bool is_publisher;  /* the liar */
    bool is_everywhere; /* else it writes into its own memory alone */
};

/* As whoever it says it is: else the victim would meet nobody. */
static void play(const struct part *part)
{
    struct weir_message message;
    if (part->is_publisher && !victim_publisher)
        victim_open(true);
    if (!part->is_publisher && !victim_subscriber)
        victim_open(false);
    if (victim_publisher) {
        for (int i = 0; i < 3; i++)
            weir_publisher_send_until(victim_publisher, "12345678", 8, 0, NOW);
    } else if (victim_subscriber) {
        while (weir_subscriber_take_until(victim_subscriber, &message, NOW) == 0)
            weir_subscriber_release(victim_subscriber, &message);
    }
}

static weir__atomic_u32 *steps; /* of the victim; shared */

/* A lie stands for as long as it takes the victim to be run: where both share a core, or with many
 * others, one that is taken back at once is seen by nobody. */
static void let_it_stand(void)
{
    uint32_t begun = atomic_load(steps);
    while (atomic_load(steps) == begun)
        sched_yield();
}

/* The headers that the subscriber reads next, now sound and now not, as fast as it goes. */
static void turn_headers(uint64_t *random)
{
    unsigned char *ring = (unsigned char *)liar_lane + WEIR__LANE_RING_OFFSET;
    const uint64_t sound = weir__record_header(8, 0, 0);
    const uint64_t lies[] = {
        weir__record_header(UINT32_MAX, 0, 0),
        weir__record_header(CAPACITY / 4 - 7, 0, 0),
        weir__record_header(CAPACITY / 4 - 8, 0, 0),
        weir__record_header(CAPACITY, 0, 0),
        weir__record_header(UINT32_MAX, 0, WEIR__RECORD_PAD),
    };
    uint64_t lie = lies[liar_random(random) % ARRAY_SIZE(lies)];
    for (int i = 0; i < 300; i++) {
        uint64_t cursor =
            atomic_load_explicit(&liar_entry()->cursor, memory_order_relaxed) & ~UINT64_C(7);
        for (unsigned at = 0; at <= 32; at += 16) {
            weir__atomic_u64 *header = weir__header_at(ring, CAPACITY, cursor + at);
            atomic_store_explicit(header, sound, memory_order_relaxed);
            atomic_store_explicit(header, lie, memory_order_relaxed);
            if (i == 0)
                let_it_stand();
            atomic_store_explicit(header, sound, memory_order_relaxed);
        }
    }
}

/* Likewise the cursor, which the publisher looks at when it needs room. */
static void turn_cursor(uint64_t *random)
{
    uint64_t truth = atomic_load(&liar_entry()->cursor);
    const uint64_t lies[] = { truth - 8, truth + 8, truth + CAPACITY, UINT64_MAX, 0 };
    uint64_t lie = lies[liar_random(random) % ARRAY_SIZE(lies)];
    for (int i = 0; i < 300; i++) {
        atomic_store_explicit(&liar_entry()->cursor, lie, memory_order_relaxed);
        if (i == 0)
            let_it_stand();
        atomic_store_explicit(&liar_entry()->cursor, truth, memory_order_relaxed);
    }
}

/* What keeps everybody from joining, or the victim from meeting us, would end the test. */
static bool is_of_a_header(const struct liar_word *word)
{
    const void *const headers[] = { liar_header, liar_directory, liar_lane, liar_page };
    const size_t sizes[] = { sizeof *liar_header, offsetof(struct weir__directory_shm, roles),
                             sizeof liar_lane->member, sizeof liar_page->member };
    bool is_of_one = false;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        is_of_one |= headers[i] && (uintptr_t)word->at - (uintptr_t)headers[i] < sizes[i];
    return is_of_one;
}

/* A lie, and mostly the truth again; sometimes for good. */
static void tell_lies(unsigned which, uint64_t *random)
{
    struct liar_word words[LIAR_WORDS_MAX];
    size_t count = liar_words(words, which);
    for (int i = 0; i < 300 && count > 0; i++) {
        struct liar_word *word = &words[liar_random(random) % count];
        uint64_t truth = liar_load(word), value = liar_random(random);
        if (value % 8 != 0)
            liar_value((unsigned)(value >> 8) % liar_value_count(), truth, &value);
        liar_store(word, value);
        if (liar_random(random) % 16 != 0 || is_of_a_header(word))
            liar_store(word, truth);
    }
}

/* Until it is killed. */
static void lie_on(struct companion *companion, void *argument)
{
    const struct part *part = argument;
    unsigned own = part->is_publisher ? LIAR_LANE | LIAR_RECORDS : LIAR_PAGE;
    uint64_t random = 0x9e3779b97f4a7c15;
    snprintf(victim_place, sizeof victim_place, "the liar");
    play(part);
    companion_arrive(companion);
    for (;;) {
        if (!liar_is_current() && !liar_attach())
            continue;
        play(part);
        /* One that writes into its own memory alone turns only headers of its own. */
        if (liar_lane && liar_page && liar_random(&random) % 2 == 0 &&
            (part->is_publisher || part->is_everywhere))
            turn_headers(&random);
        if (liar_page && !part->is_publisher && liar_random(&random) % 2 == 0)
            turn_cursor(&random);
        tell_lies(part->is_everywhere ? LIAR_ALL : own, &random);
        if (liar_random(&random) % 16 == 0) {
            victim_close();
            if (part->is_everywhere)
                liar_restore_directory();
            liar_detach();
        }
    }
}

static struct companion liar;

static int end_liar(void **state)
{
    (void)state;
    if (liar.pid) { /* the test has failed */
        kill(liar.pid, SIGKILL);
        companion_end(&liar);
        liar.pid = 0;
    }
    return 0;
}

/* It was no idle liar, and no victim that got nothing at all. */
static bool is_enough(unsigned rounds)
{
    return rounds >= 10 && victim_seen(-EUCLEAN) >= 10 && victim_seen(0) > rounds;
}

/* Opens, uses and closes for two seconds, longer where that is not enough; returns how often. */
static unsigned suffer(bool is_publisher)
{
    unsigned rounds = 0;
    int64_t begin_ns = weir_now_ns(), until_ns = begin_ns + 2 * SECOND_NS;
    while (weir_now_ns() < until_ns ||
           (!is_enough(rounds) && weir_now_ns() < begin_ns + 20 * SECOND_NS)) {
        atomic_fetch_add(steps, 1);
        if (victim_open(is_publisher) != 0)
            continue;
        if (!is_publisher && rounds % 4 == 0) { /* its thread looks into the lane, too */
            struct pollfd poll_fd = { .fd = weir_subscriber_fd(victim_subscriber),
                                      .events = POLLIN };
            assert_true(poll_fd.fd >= 0);
            assert_true(poll(&poll_fd, 1, 1) >= 0);
        }
        for (int i = 0; i < 4; i++) {
            atomic_fetch_add(steps, 1);
            victim_bursts_first = i % 2;
            if (is_publisher)
                victim_use_publisher(MS_NS / 20);
            else
                victim_use_subscriber(MS_NS / 20);
        }
        victim_close();
        rounds++;
    }
    return rounds;
}

static void against(bool is_publisher, bool is_everywhere)
{
    struct weir__header_shm header;
    struct part part = { .is_publisher = is_publisher, .is_everywhere = is_everywhere };
    snprintf(victim_place, sizeof victim_place, "against a %s that writes %s",
             is_publisher ? "publisher" : "subscriber",
             is_everywhere ? "everywhere" : "into its own memory");
    companion_start(&liar, lie_on, &part);
    companion_meet(&liar);
    assert_true(liar_attach());
    header = *liar_header;
    companion_release(&liar);
    victim_forget();
    unsigned rounds = suffer(!is_publisher);
    assert_int_equal(kill(liar.pid, SIGKILL), 0);
    int status = companion_end(&liar);
    liar.pid = 0;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    print_message("           %u rounds, %u calls succeeded, %u were told of lies\n", rounds,
                  victim_seen(0), victim_seen(-EUCLEAN) + victim_seen(-EPROTO));
    assert_true(is_enough(rounds));
    if (is_everywhere) { /* the directory's writers may block one another: put it right */
        *liar_header = header;
        liar_restore_directory();
    }
    victim_expect_sound();
    victim_close();
    liar_detach();
    assert_int_equal(guard_count(), 1); /* the beacon */
}

static void test_a_publisher_that_lies(void **state)
{
    (void)state;
    against(true, false);
}

static void test_a_publisher_that_lies_everywhere(void **state)
{
    (void)state;
    against(true, true);
}

static void test_a_subscriber_that_lies(void **state)
{
    (void)state;
    against(false, false);
}

static void test_a_subscriber_that_lies_everywhere(void **state)
{
    (void)state;
    against(false, true);
}

int main(void)
{
    steps = mmap(NULL, sizeof *steps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (steps == MAP_FAILED)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_publisher_that_lies, end_liar),
        cmocka_unit_test_teardown(test_a_publisher_that_lies_everywhere, end_liar),
        cmocka_unit_test_teardown(test_a_subscriber_that_lies, end_liar),
        cmocka_unit_test_teardown(test_a_subscriber_that_lies_everywhere, end_liar),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
