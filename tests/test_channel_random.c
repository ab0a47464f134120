/* SPDX-License-Identifier: MIT */
/*
 * Goal: two publishers and two subscribers of which one is killed at a random moment, again and
 *       again: nobody misses a message, sees one twice or torn; the survivors go on within a
 *       second; and nothing stays. And what opens and closes in between disturbs nobody.
 * Method: members that do what they do without a pause, in processes; the board tells how far each
 *       is. WEIR_CROWD_CYCLES, WEIR_CROWD_OPENS: how many kills, how many opens.
 */
#include "crowd.h"
#include "fixture.h"
#include "unrun.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { EACH = 2, MEMBERS = 2 * EACH, LIVES_MAX = CROWD_WHO_MAX / EACH };

static uint32_t how_many(const char *variable, uint32_t usual, uint32_t most)
{
    const char *text = getenv(variable);
    uint32_t count = text ? (uint32_t)atoi(text) : SANITIZED ? usual / 5 : usual;
    return count < most ? count : most;
}

/* A life of the one with this number: its messages' who. */
static void publish_for_ever(void *argument)
{
    uint32_t who = *(const uint32_t *)argument;
    uint64_t seed = who + 1;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    atomic_fetch_add(&board->ready, 1);
    while (!crowd_is_over())
        CHECK_RESULT(crowd_send(publisher, who, 16 + crowd_draw(&seed, 500),
                                weir_deadline_ns(20 * SECOND_NS)),
                     0);
    weir_publisher_close(publisher);
}

/* Until the end of the last publisher; the killed ones' ends are none. */
static void follow_for_ever(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    struct weir_subscriber *subscriber = crowd_subscriber();
    for (uint32_t who = 0; who < CROWD_WHO_MAX; who++)
        if (atomic_load(&board->seen[number][who].first) != 0)
            atomic_store(&board->seen[number][who].first, 0);
    atomic_fetch_add(&board->ready, 1);
    for (;;) {
        int result = crowd_take(subscriber, number, weir_deadline_ns(20 * SECOND_NS));
        CHECK(result == 0 || result == -ENODATA || result == -EPIPE);
        if (result != 0 && crowd_is_over())
            break;
    }
    weir_subscriber_close(subscriber);
}

struct world {
    pid_t pids[MEMBERS];
    uint32_t lives[EACH]; /* of each publisher */
};

static uint32_t who_is(const struct world *world, unsigned member)
{
    return world->lives[member] * EACH + member;
}

/* The notes of a publisher: a bit for each subscriber that is there from before its begin. */
static void note_who_is_there(const struct world *world, unsigned member)
{
    if (member < EACH)
        atomic_store(&board->notes[who_is(world, member)], (1 << EACH) - 1);
    for (uint32_t who = 0; member >= EACH && who < CROWD_WHO_MAX; who++)
        if (atomic_load(&board->notes[who]) != 0)
            atomic_fetch_and(&board->notes[who], ~(UINT64_C(1) << (member - EACH)));
}

static void bring(struct world *world, unsigned member)
{
    uint32_t ready = atomic_load(&board->ready);
    uint32_t argument = member < EACH ? who_is(world, member) : member - EACH;
    world->pids[member] = crowd_fork(member < EACH ? publish_for_ever : follow_for_ever, &argument);
    crowd_await_ready(ready + 1);
}

static uint64_t progress(const struct world *world, unsigned member)
{
    return member < EACH ? atomic_load(&board->sure[who_is(world, member)])
                         : atomic_load(&board->received[member - EACH]);
}

/* Each survivor goes on, within a second of what it was run: the longest that one of them took in all. */
static int64_t see_progress(const struct world *world, unsigned but, int64_t since_ns)
{
    struct unrun unrun;
    pid_t survivors[MEMBERS];
    unsigned count = 0;
    for (unsigned i = 0; i < MEMBERS; i++)
        if (i != but)
            survivors[count++] = world->pids[i];
    unrun_begin(&unrun, survivors, count);
    for (unsigned i = 0; i < MEMBERS; i++) {
        uint64_t before = progress(world, i);
        while (i != but && progress(world, i) < before + 2) {
            assert_true(weir_now_ns() - since_ns < 20 * SECOND_NS);
            unrun_nap(&unrun);
        }
    }
    int64_t took_ns = weir_now_ns() - since_ns;
    assert_true(took_ns - unrun_ns(&unrun) < SECOND_NS);
    return took_ns;
}

/* All from the first one on, if it was there from before; else from where it began. */
static void has_what_is_sure(unsigned number, uint32_t who)
{
    const struct crowd_seen *seen = &board->seen[number][who];
    uint64_t first = atomic_load(&seen->first), sure = atomic_load(&board->sure[who]);
    if ((atomic_load(&board->notes[who]) >> number & 1) != 0 && sure > 0)
        assert_int_equal(first, 1);
    if (first != 0)
        assert_true(atomic_load(&seen->next) >= sure);
}

static void test_random_kills(void **state)
{
    (void)state;
    struct world world = { .lives = { 0 } };
    uint64_t seed = (uint64_t)weir_now_ns() | 1, first_seed = seed;
    uint32_t cycles = how_many("WEIR_CROWD_CYCLES", 60, LIVES_MAX - 1);
    int64_t worst_ns = 0;
    for (unsigned i = MEMBERS; i > 0; i--)
        bring(&world, i - 1);
    for (uint32_t cycle = 0; cycle < cycles; cycle++) {
        const struct timespec nap = { 0, (long)crowd_draw(&seed, 20000000) };
        unsigned member = (unsigned)crowd_draw(&seed, MEMBERS);
        nanosleep(&nap, NULL);
        crowd_kill(world.pids[member]);
        int64_t took_ns = see_progress(&world, member, weir_now_ns());
        worst_ns = took_ns > worst_ns ? took_ns : worst_ns;
        if (member < EACH)
            world.lives[member]++;
        note_who_is_there(&world, member);
        bring(&world, member);
    }
    atomic_store(&board->is_over, 1);
    for (unsigned i = 0; i < MEMBERS; i++)
        crowd_end(world.pids[i]);
    for (unsigned number = 0; number < EACH; number++)
        for (uint32_t who = 0; who < CROWD_WHO_MAX; who++)
            has_what_is_sure(number, who);
    print_message("%u kills (seed %llu): the survivors went on after %lld ms at most\n", cycles,
                  (unsigned long long)first_seed, (long long)(worst_ns / MS_NS));
}

static void test_opens_under_traffic(void **state)
{
    (void)state;
    struct world world = { .lives = { 0 } };
    uint32_t opens = how_many("WEIR_CROWD_OPENS", 700, CROWD_WHO_MAX - EACH);
    for (unsigned i = MEMBERS; i > 0; i--) /* the subscribers first: to them all must come */
        bring(&world, i - 1);
    for (uint32_t i = 1; i <= opens; i++) {
        struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
        struct weir_subscriber *subscriber = crowd_subscriber();
        assert_int_equal(crowd_send(publisher, EACH - 1 + i, 100, weir_deadline_ns(5 * SECOND_NS)),
                         0);
        weir_publisher_close(publisher);
        weir_subscriber_close(subscriber);
    }
    atomic_store(&board->is_over, 1);
    for (unsigned i = 0; i < MEMBERS; i++)
        crowd_end(world.pids[i]);
    for (unsigned number = 0; number < EACH; number++)
        for (uint32_t who = 0; who < EACH + opens; who++)
            assert_int_equal(atomic_load(&board->seen[number][who].next),
                             atomic_load(&board->sure[who]));
    uint64_t beside = 0;
    for (unsigned i = 0; i < EACH; i++)
        beside += atomic_load(&board->sure[i]);
    print_message("%u opens of each role: %u subscribers had each one's message, and %llu of %u "
                  "publishers beside them\n",
                  opens, (unsigned)EACH, (unsigned long long)beside, (unsigned)EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_random_kills),
        CROWD_TEST(test_opens_under_traffic),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
