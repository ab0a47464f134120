/* SPDX-License-Identifier: MIT */
/*
 * Goal: a look at a channel takes as long, and as much memory, as what is there: the slots, and what
 *       they show, once each. Two members of one process whose words are alike are still two.
 * Method: one who shows one memory in all slots of a role; what the look attaches and tells is
 *       counted. What a reader's readings are searched for, against a plain search; and the
 *       processor's time where all publishers wait, against that where none does.
 */
#include "everywhere.h"
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "inspect/channel.h"

enum { SLOTS = 1024 };

static unsigned attaches;

void *__wrap_shmat(int id, const void *address, int flags);
void *__real_shmat(int id, const void *address, int flags);

void *__wrap_shmat(int id, const void *address, int flags)
{
    attaches++;
    return __real_shmat(id, address, flags);
}

/* What a look tells, and takes. */
struct seen {
    unsigned members, readings, attaches;
    unsigned shown[WEIR_MEMBER_SUBSCRIBER + 1]; /* by role */
    uint32_t slowest;                           /* of the publisher that is shown last */
    uint64_t ring_bytes;                        /* of all publishers */
};

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct seen *seen = argument;
    seen->members++;
    seen->readings += (unsigned)member->reading_count;
    seen->ring_bytes += member->ring_bytes;
    if (member->state == WEIR_MEMBER_SHOWN) {
        seen->shown[member->role]++;
        if (member->role == WEIR_MEMBER_PUBLISHER)
            seen->slowest = member->slowest;
    } else {
        assert_int_equal(member->state, WEIR_MEMBER_FALSE);
        assert_int_equal(member->reading_count, 0);
    }
    assert_int_equal(member->life, WEIR_LIFE_ALIVE);
    return 0;
}

static struct seen look(void)
{
    struct seen seen = { .members = 0 };
    attaches = 0;
    assert_result(weir_inspect_channel("lane", visit, &seen), 0);
    seen.attaches = attaches;
    return seen;
}

static void test_one_in_all_slots(void **state)
{
    struct everywhere liar;
    (void)state;
    assert_result(everywhere_open(&liar, "lane", SLOTS), 0);
    struct seen honest = look();
    assert_int_equal(honest.members, 2);
    assert_int_equal(honest.shown[WEIR_MEMBER_PUBLISHER], 1);
    assert_int_equal(honest.shown[WEIR_MEMBER_SUBSCRIBER], 1);
    assert_int_equal(honest.readings, 1);
    everywhere_lie(&liar);
    struct seen seen = look();
    assert_int_equal(seen.members, 2 * SLOTS);
    assert_int_equal(seen.attaches, honest.attaches);
    assert_int_equal(seen.shown[WEIR_MEMBER_PUBLISHER], 1);
    assert_int_equal(seen.shown[WEIR_MEMBER_SUBSCRIBER], 1);
    assert_int_equal(seen.readings, SLOTS); /* of the one page that is there */
    assert_int_equal(seen.ring_bytes, WEIR_RING_BYTES_MIN);
    assert_int_equal(seen.slowest, 1); /* it is there, and has not attached the ring */
    everywhere_close(&liar);
}

/* A process that has joined often enough gives a session again: memory tells the two from one. */
static void test_two_of_one_owner(void **state)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publishers[2];
    struct weir_subscriber *subscribers[2];
    struct weir_message message;
    (void)state;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    for (int i = 0; i < 2; i++) {
        atomic_store(&weir__sessions, 1000);
        assert_result(weir_publisher_open(&publishers[i], "lane", &options), 0);
        assert_result(weir_subscriber_open(&subscribers[i], "lane", &options), 0);
    }
    assert_true(publishers[0]->side.me == publishers[1]->side.me);
    assert_true(subscribers[0]->side.me == subscribers[1]->side.me);
    assert_result(weir_subscriber_take_until(subscribers[0], &message, 0),
                  -EAGAIN); /* it attaches */
    struct seen seen = look();
    assert_int_equal(seen.members, 4);
    assert_int_equal(seen.shown[WEIR_MEMBER_PUBLISHER], 2);
    assert_int_equal(seen.shown[WEIR_MEMBER_SUBSCRIBER], 2);
    assert_int_equal(seen.readings, 4);
    assert_int_equal(seen.ring_bytes, 2 * WEIR_RING_BYTES_MIN);
    for (int i = 0; i < 2; i++) {
        weir_subscriber_close(subscribers[i]);
        weir_publisher_close(publishers[i]);
    }
}

/* --- who has not attached --------------------------------------------------------------------- */

enum { SUBSCRIBERS = 16, PUBLISHERS = 4096 };

/* Members as a look gathers them, in memory of our own. */
struct gathered {
    struct weir__member_seen seen[SUBSCRIBERS + PUBLISHERS];
    struct weir_channel_reading readings[SUBSCRIBERS][PUBLISHERS];
};

/* Publishers in every second slot; each subscriber reads from all, and nobody is behind. */
static void gather(struct gathered *all, uint32_t need)
{
    memset(all, 0, sizeof *all);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        struct weir_channel_member *member = &all->seen[i].member;
        member->role = WEIR_MEMBER_SUBSCRIBER;
        member->slot = i;
        member->state = WEIR_MEMBER_SHOWN;
        member->readings = all->seen[i].readings = all->readings[i];
        member->reading_count = PUBLISHERS;
        for (uint32_t k = 0; k < PUBLISHERS; k++)
            all->readings[i][k] = (struct weir_channel_reading){ .publisher = 2 * k,
                                                                 .state = WEIR_READING_ATTACHED,
                                                                 .identity = k + 1 };
    }
    for (uint32_t k = 0; k < PUBLISHERS; k++) {
        struct weir_channel_member *member = &all->seen[SUBSCRIBERS + k].member;
        member->role = WEIR_MEMBER_PUBLISHER;
        member->slot = 2 * k;
        member->state = WEIR_MEMBER_SHOWN;
        member->identity = k + 1;
        member->need = need;
        member->slowest = WEIR_SLOT_NONE;
        member->ring_bytes = WEIR_RING_BYTES_MIN;
    }
}

static bool reads_from(const struct weir_channel_member *subscriber,
                       const struct weir_channel_member *publisher)
{
    for (size_t i = 0; i < subscriber->reading_count; i++)
        if (subscriber->readings[i].publisher == publisher->slot &&
            subscriber->readings[i].identity == publisher->identity)
            return true;
    return false;
}

static uint32_t first_unattached(const struct gathered *all,
                                 const struct weir_channel_member *publisher)
{
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        if (!reads_from(&all->seen[i].member, publisher))
            return i;
    return WEIR_SLOT_NONE;
}

static void test_who_has_not_attached(void **state)
{
    static struct gathered all;
    uint64_t draws = 88172645463325252;
    unsigned waiting_for[SUBSCRIBERS] = { 0 }, for_nobody = 0;
    (void)state;
    gather(&all, WEIR_NEED_ROOM);
    /* Some readings are not there, and some are of who was in that slot before. */
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        size_t count = 0;
        for (uint32_t k = 0; k < PUBLISHERS; k++) {
            draws = draws * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint32_t draw = (uint32_t)(draws >> 40) % 16;
            all.readings[i][count] = all.readings[i][k];
            all.readings[i][count].identity += draw == 1 ? PUBLISHERS : 0;
            count += draw != 0;
        }
        all.seen[i].member.reading_count = count;
    }
    weir__find_lags(all.seen, SUBSCRIBERS + PUBLISHERS);
    for (uint32_t k = 0; k < PUBLISHERS; k += 16) {
        const struct weir_channel_member *publisher = &all.seen[SUBSCRIBERS + k].member;
        assert_int_equal(publisher->slowest, first_unattached(&all, publisher));
        if (publisher->slowest == WEIR_SLOT_NONE)
            for_nobody++;
        else
            waiting_for[publisher->slowest]++;
    }
    assert_true(for_nobody > 0 && waiting_for[0] > 0 && waiting_for[4] > 0);
}

/* One try, in nanoseconds of the processor; the least of this and those before. */
static int64_t least_cost(struct gathered *all, uint32_t need, int64_t least)
{
    struct timespec before, after;
    gather(all, need);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    weir__find_lags(all->seen, SUBSCRIBERS + PUBLISHERS);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    int64_t took =
        (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + (after.tv_nsec - before.tv_nsec);
    return took < least ? took : least;
}

/* By turns: what makes the machine slow for a while does so for both. */
static void test_all_wait(void **state)
{
    static struct gathered all;
    int64_t when_none = INT64_MAX, when_all = INT64_MAX;
    (void)state;
    for (int i = 0; i < 5; i++) {
        when_none = least_cost(&all, WEIR_NEED_NOTHING, when_none);
        when_all = least_cost(&all, WEIR_NEED_ROOM, when_all);
    }
    print_message("%lld us where nobody waits, %lld us where all do\n",
                  (long long)(when_none / 1000), (long long)(when_all / 1000));
    assert_true(when_all < 3 * when_none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_one_in_all_slots, fixture_check_alive),
        cmocka_unit_test_teardown(test_two_of_one_owner, fixture_check_alive),
        cmocka_unit_test(test_who_has_not_attached),
        cmocka_unit_test(test_all_wait),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
