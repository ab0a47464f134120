/* SPDX-License-Identifier: MIT */
/*
 * Goal: the members of a channel are seen from outside as they are, nobody notices it, and
 *       nothing that stands in shared memory makes who looks read outside of it, hang or crash.
 * Method: members of this process and of others, alive, dead and busy; then every word of the
 *       shared memory with every lie, and a liar that writes while we look, between guard pages.
 */
#include "fixture.h"
#include "guard.h"
#include "liar.h"
#include "onlooker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEN_MAX = 8 };

struct seen {
    unsigned count;
    struct weir_channel_member members[SEEN_MAX];
    struct weir_channel_reading readings[SEEN_MAX]; /* the first one's of each */
};

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct seen *seen = argument;
    assert_int_equal(member->size, sizeof *member);
    assert_true(seen->count < SEEN_MAX);
    if (member->reading_count > 0)
        seen->readings[seen->count] = member->readings[0];
    seen->members[seen->count++] = *member;
    return 0;
}

static struct seen look(void)
{
    struct seen seen = { .count = 0 };
    assert_result(weir_inspect_channel("lane", visit, &seen), 0);
    return seen;
}

static void test_what_is_true(void **state)
{
    struct weir_message message;
    (void)state;
    onlooker_begin();
    struct seen seen = look();
    assert_int_equal(seen.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(seen.members[i].state, WEIR_MEMBER_SHOWN);
        assert_int_equal(seen.members[i].life, WEIR_LIFE_ALIVE);
        assert_int_equal(seen.members[i].pid, getpid());
        assert_int_equal(seen.members[i].uid, geteuid());
        assert_int_equal(seen.members[i].slot, 0);
    }
    assert_int_equal(seen.members[0].role, WEIR_MEMBER_PUBLISHER);
    assert_int_equal(seen.members[0].ring_bytes, CAPACITY);
    assert_int_equal(seen.members[0].committed_bytes, 48);
    assert_int_equal(seen.members[0].committed_messages, 3);
    assert_int_equal(seen.members[0].is_exact, 1);
    assert_int_equal(seen.members[0].has_ended, 0);
    assert_int_equal(seen.members[1].role, WEIR_MEMBER_SUBSCRIBER);
    assert_int_equal(seen.members[1].reading_count, 1);
    assert_int_equal(seen.readings[1].state, WEIR_READING_ATTACHED);
    assert_int_equal(seen.readings[1].released_bytes, 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(victim_subscriber, &message), 0);
    assert_result(weir_publisher_batch_begin(victim_publisher), 0);
    assert_result(weir_publisher_send_until(victim_publisher, "a", 1, 0, NOW), 0);
    seen = look();
    assert_int_equal(seen.members[0].committed_messages, 3); /* a batch is not committed */
    assert_int_equal(seen.readings[1].released_bytes, 16);
    assert_result(weir_publisher_batch_end(victim_publisher), 0);
    assert_result(weir_publisher_end(victim_publisher), 0);
    seen = look();
    assert_int_equal(seen.members[0].committed_messages, 4);
    assert_int_equal(seen.members[0].has_ended, 1);
    onlooker_end();
}

/* Several times round the ring, so that the boundary is not at its begin. */
static void test_round_the_ring(void **state)
{
    static const unsigned char data[1000];
    struct weir_message message;
    (void)state;
    onlooker_begin();
    for (int i = 0; i < 1000; i++) {
        assert_result(weir_publisher_send_until(victim_publisher, data, sizeof data, 0, NOW), 0);
        if (i % 30 != 29)
            continue;
        while (weir_subscriber_take_until(victim_subscriber, &message, NOW) == 0)
            assert_result(weir_subscriber_release(victim_subscriber, &message), 0);
        assert_int_equal(look().members[0].committed_messages, i + 4);
        assert_int_equal(look().members[0].is_exact, 1);
        assert_int_equal(look().members[0].committed_bytes, look().readings[1].released_bytes);
    }
    onlooker_end();
}

static void test_nobody_notices(void **state)
{
    static unsigned char before[4096], page[512];
    (void)state;
    onlooker_begin();
    size_t attached = guard_count(), bytes = weir__directory_bytes(liar_directory->counts);
    uint64_t segments = segments_now();
    memcpy(before, liar_directory, bytes < sizeof before ? bytes : sizeof before);
    memcpy(page, liar_page, sizeof page);
    look();
    assert_memory_equal(before, liar_directory, bytes < sizeof before ? bytes : sizeof before);
    assert_memory_equal(page, liar_page, sizeof page);
    assert_int_equal(guard_count(), attached);
    assert_int_equal(segments_now(), segments);
    onlooker_end();
}

static void publish_and_die(void *argument)
{
    struct weir_publisher *publisher;
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), 0);
    raise(SIGKILL);
}

static void test_the_dead(void **state)
{
    (void)state;
    assert_result(victim_open(false), 0);
    assert_int_equal(WTERMSIG(status_in_child(publish_and_die, NULL)), SIGKILL);
    struct seen seen = look();
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.members[0].role, WEIR_MEMBER_PUBLISHER);
    assert_int_equal(seen.members[0].life, WEIR_LIFE_DEAD);
    assert_int_equal(seen.members[0].state, WEIR_MEMBER_GONE);
    assert_int_equal(seen.members[0].pid, 0);
    victim_close();
}

static void test_what_is_no_channel(void **state)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct seen seen = { .count = 0 };
    (void)state;
    assert_result(weir_inspect_channel("lane", visit, &seen), -ENOENT);
    assert_result(weir_inspect_channel("", visit, &seen), -EINVAL);
    assert_result(weir_segment_create(&segment, weir_by_name("lane"), 4096, NULL), 0);
    assert_result(weir_inspect_channel("lane", visit, &seen), -EPROTO);
    weir_segment_close(segment);
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_create(&segment, weir_by_name("lane"), 8, &options), 0);
    assert_result(weir_inspect_channel("lane", visit, &seen), -EPROTO);
    weir_segment_close(segment);
    assert_int_equal(seen.count, 0);
}

static int stop_at_first(const struct weir_channel_member *member, void *argument)
{
    (void)member;
    ++*(int *)argument;
    return 42;
}

static void test_a_visit_that_ends_it(void **state)
{
    int visits = 0;
    (void)state;
    onlooker_begin();
    assert_int_equal(weir_inspect_channel("lane", stop_at_first, &visits), 42);
    assert_int_equal(visits, 1);
    onlooker_end();
}

static void test_each_lie(void **state)
{
    (void)state;
    onlooker_begin();
    onlooker_meet_each_lie(LIAR_ALL | LIAR_STATISTICS | LIAR_MARKS, onlooker_look_at_lies);
    struct seen seen = look();
    assert_int_equal(seen.members[0].committed_messages, 3);
    onlooker_end();
}

static void test_lies_by_name(void **state)
{
    (void)state;
    onlooker_begin();
    uint64_t *ring = (void *)((char *)liar_lane + WEIR__LANE_RING_OFFSET);
    ring[2] = (uint64_t)UINT32_MAX << 32 | 1;
    assert_int_equal(look().members[0].state, WEIR_MEMBER_FALSE);
    ring[2] = weir__record_header(8, 0, 0);
    assert_int_equal(look().members[0].state, WEIR_MEMBER_SHOWN);
    /* A ring without an end: the walk has one. */
    for (size_t i = 0; i < CAPACITY / 8; i += 2)
        ring[i] = weir__record_header(8, 0, 0);
    assert_int_equal(look().members[0].state, WEIR_MEMBER_FALSE);
    atomic_store(&liar_lane->boundary, 4);
    atomic_store(&liar_lane->boundary_before, 4);
    assert_int_equal(look().members[0].state, WEIR_MEMBER_FALSE);
    assert_int_equal(look().members[0].used_bytes, 0);
    atomic_store(&liar_lane->boundary, 8); /* for ever between two stores */
    assert_int_equal(look().members[0].is_exact, 0);
    liar_page->member.owner ^= 1;
    assert_int_equal(look().members[1].state, WEIR_MEMBER_FALSE);
    onlooker_end();
}

static void test_lies_of_numbers(void **state)
{
    (void)state;
    onlooker_begin();
    struct seen seen = look();
    assert_int_equal(seen.members[0].used_bytes, 48);
    assert_int_equal(seen.readings[1].lag_messages, 3);
    atomic_store(&liar_entry()->released, 4); /* more than was sent */
    seen = look();
    assert_int_equal(seen.readings[1].has_lag, WEIR_LAG_BYTES);
    assert_int_equal(seen.readings[1].lag_messages, 0);
    atomic_store(&liar_entry()->released, UINT64_MAX / 2); /* or less than can be */
    assert_int_equal(look().readings[1].has_lag, WEIR_LAG_BYTES);
    atomic_store(&liar_entry()->cursor, 56);
    seen = look();
    assert_int_equal(seen.readings[1].has_lag, 0);
    assert_int_equal(seen.readings[1].lag_bytes, 0);
    assert_int_equal(seen.members[0].used_bytes, 0);
    assert_int_equal(seen.members[0].slowest, WEIR_SLOT_NONE);
    assert_int_equal(seen.members[1].is_exact, 1);
    atomic_fetch_add(&liar_page->stats.version, 1); /* for ever between two attaches */
    seen = look();
    assert_int_equal(seen.members[1].is_exact, 0);
    assert_int_equal(seen.members[1].released_messages, 0);
    atomic_store(&liar_page->stats.common.waits_for, 77);
    assert_int_equal(look().members[1].need, WEIR_NEED_NOTHING);
    atomic_store(&liar_page->stats.missed, UINT64_MAX);
    assert_true(look().members[1].missed_messages == UINT64_MAX);
    onlooker_end();
}

/* A segment of that size with a member's words, shown in the first slot: what is said of it. */
static void look_at_size(enum weir__role role, uint64_t magic, size_t size_bytes)
{
    uint64_t identity;
    assert_result(weir_identity(&identity), 0);
    int id = shmget(IPC_PRIVATE, size_bytes, 0600 | SHM_NORESERVE);
    assert_true(id >= 0);
    struct weir__member_shm *member = shmat(id, NULL, 0);
    assert_true(member != (void *)-1);
    *member = (struct weir__member_shm){ .magic = magic, .owner = identity | 5 };
    shmdt(member);
    liar_show(role, id, identity | 5);
    struct seen seen = look();
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.members[0].state, WEIR_MEMBER_FALSE);
    shmctl(id, IPC_RMID, NULL);
    assert_int_equal(look().members[0].state, WEIR_MEMBER_GONE);
    liar_restore_directory();
}

static void test_other_sizes(void **state)
{
    static const size_t lanes[] = { sizeof(struct weir__member_shm), WEIR__LANE_RING_OFFSET,
                                    WEIR__LANE_RING_OFFSET + CAPACITY - 8,
                                    WEIR__LANE_RING_OFFSET + 3 * CAPACITY };
    const size_t page = weir__page_bytes(WEIR_CHANNEL_MEMBERS_DEFAULT);
    const size_t pages[] = { sizeof(struct weir__member_shm), sizeof(struct weir__page_shm),
                             page - 8, page + WEIR__HEADER_BYTES + 8,
                             (size_t)1 << (SANITIZED ? 38 : 40) };
    (void)state;
    onlooker_begin();
    liar_restore_directory();
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++)
        look_at_size(WEIR__PUBLISHER, WEIR__LANE_MAGIC, lanes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        look_at_size(WEIR__SUBSCRIBER, WEIR__PAGE_MAGIC, pages[i]);
    onlooker_end();
}

static void test_lies_while_we_look(void **state)
{
    (void)state;
    onlooker_begin();
    onlooker_meet_a_liar(LIAR_ALL | LIAR_STATISTICS | LIAR_MARKS, onlooker_look_at_lies);
    onlooker_end();
}

/* Both ends of traffic, until it is killed. */
static void be_busy(struct companion *companion, void *argument)
{
    static const char bytes[50];
    struct weir_message message;
    (void)argument;
    CHECK(victim_open(true) == 0 && victim_open(false) == 0);
    companion_arrive(companion);
    for (;;) {
        for (unsigned i = 0; i < 50; i++)
            CHECK_RESULT(weir_publisher_send(victim_publisher, bytes, i), 0);
        while (weir_subscriber_take_until(victim_subscriber, &message, NOW) == 0)
            weir_subscriber_release(victim_subscriber, &message);
    }
}

static void test_traffic(void **state)
{
    struct companion companion;
    uint64_t committed = 0, released = 0;
    unsigned exact = 0;
    (void)state;
    companion_start(&companion, be_busy, NULL);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t until_ns = weir_deadline_ns(SECOND_NS), most_ns = weir_deadline_ns(60 * SECOND_NS);
    /* A second's; more of it on a machine that has little time for them. */
    while (weir_now_ns() < until_ns ||
           ((exact <= 10 || released == 0) && weir_now_ns() < most_ns)) {
        struct seen seen = look();
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.members[0].state, WEIR_MEMBER_SHOWN);
        assert_true(seen.readings[1].released_bytes >= released);
        released = seen.readings[1].released_bytes;
        if (!seen.members[0].is_exact)
            continue;
        exact++;
        assert_true(seen.members[0].committed_bytes >= committed);
        assert_true(seen.members[0].committed_bytes >= released);
        committed = seen.members[0].committed_bytes;
    }
    assert_true(exact > 10);
    assert_true(released > 0);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_int_equal(companion_end(&companion), SIGKILL);
    clear_everything();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_true),       cmocka_unit_test(test_round_the_ring),
        cmocka_unit_test(test_nobody_notices),     cmocka_unit_test(test_the_dead),
        cmocka_unit_test(test_what_is_no_channel), cmocka_unit_test(test_a_visit_that_ends_it),
        cmocka_unit_test(test_each_lie),           cmocka_unit_test(test_lies_by_name),
        cmocka_unit_test(test_lies_of_numbers),    cmocka_unit_test(test_other_sizes),
        cmocka_unit_test(test_lies_while_we_look), cmocka_unit_test(test_traffic),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
