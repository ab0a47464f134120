/* SPDX-License-Identifier: MIT */
/*
 * Goal: a member that shows what is not there keeps nobody busy: a loop that polls is told a few times, and
 *       then once a slice; and once it shows what is there it is met at once. One that shows false lanes, one
 *       after the other, keeps a subscriber no more than a part of its time from the others, and nobody
 *       from it who comes.
 * Method: the test writes into the slot of a member of its own, which the other side has not met; or into a
 *         free one, which shows segments that are made up.
 */
#include "fixture.h"
#include "pair.h"
#include "readable.h"

#include <errno.h>
#include <sys/shm.h>

#include <weir/clock.h>
#include <weir/waitset.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

/* How often it may be for nothing: as it has come, and once or twice if the test is held up for a slice. */
enum { FEW = 10, MANY = 100, A_MOMENT_MS = 50 };

static struct pair pair;

static const struct weir__side *side_of(bool is_publisher)
{
    return is_publisher ? &pair.publisher->side : &pair.subscriber->side;
}

static int removed_id(void)
{
    int id = shmget(IPC_PRIVATE, 4096, 0600);
    assert_true(id >= 0);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    return id;
}

/* As its owner does it, who is the liar. */
static void show(const struct weir__side *liar, uint64_t page)
{
    const struct weir__slots *own = weir__side_own(liar);
    atomic_store(&own->at[liar->number].page, page);
    weir__slots_changed(own);
    weir__slots_ring(weir__side_others(liar));
}

static void show_what_is_gone(const struct weir__side *liar)
{
    show(liar, weir__page_word(liar->me, removed_id()));
}

/* Of the victim: there is nothing, and no room. */
static void call_in_vain(bool is_publisher, int64_t deadline_ns, int expected)
{
    struct weir_message message;
    int result = is_publisher ? weir_publisher_send_until(pair.publisher, "text", 4, 0, deadline_ns)
                              : weir_subscriber_take_until(pair.subscriber, &message, deadline_ns);
    assert_result(result, expected);
}

/* The victim is there, and has called; then the liar comes, and lies before it is met. */
static void begin(bool is_publisher)
{
    if (is_publisher) {
        assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
        assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), -EAGAIN);
        assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    } else {
        assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
        call_in_vain(false, NOW, -EAGAIN);
        assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    }
    show_what_is_gone(side_of(!is_publisher));
}

/* It has been in the middle of showing: no note of what was there before hides it. */
static void expect_sound(bool is_publisher)
{
    const struct weir__side *liar = side_of(!is_publisher);
    show(liar, liar->shown);
    if (is_publisher) {
        assert_true(weir__publisher_is_ready(pair.publisher));
    } else {
        assert_true(weir__subscriber_is_ready(pair.subscriber));
        call_in_vain(false, NOW, -EAGAIN); /* it attaches */
    }
    pair_send_text(&pair, "text");
    struct weir_message message = pair_take_text(&pair, "text");
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    pair_close(&pair);
}

static void poll_in_vain(bool is_publisher)
{
    unsigned told = 0;
    begin(is_publisher);
    int fd = is_publisher ? weir_publisher_fd(pair.publisher) : weir_subscriber_fd(pair.subscriber);
    assert_true(fd >= 0);
    call_in_vain(is_publisher, NOW, -EAGAIN);
    for (; told < MANY && is_readable(fd, A_MOMENT_MS); told++)
        call_in_vain(is_publisher, NOW, -EAGAIN);
    assert_in_range(told, 0, FEW);
    /* It may be there by now. */
    assert_true(is_readable(fd, 20000));
    call_in_vain(is_publisher, NOW, -EAGAIN);
    expect_sound(is_publisher);
}

static void test_a_subscriber_that_polls(void **state)
{
    (void)state;
    poll_in_vain(false);
}

static void test_a_publisher_that_polls(void **state)
{
    (void)state;
    poll_in_vain(true);
}

static void wait_in_vain(bool is_publisher)
{
    struct weir_wait_event event;
    struct weir_wait_set *set;
    unsigned told = 0;
    begin(is_publisher);
    assert_result(weir_wait_set_open(&set, NULL), 0);
    if (is_publisher)
        assert_true(weir_wait_set_add_publisher(set, pair.publisher, 1) >= 0);
    else
        assert_true(weir_wait_set_add_subscriber(set, pair.subscriber, 1) >= 0);
    call_in_vain(is_publisher, NOW, -EAGAIN);
    for (; told < MANY; told++) {
        int64_t until_ns = weir_deadline_ns(A_MOMENT_MS * WEIR_MILLISECOND_NS);
        if (weir_wait_set_wait_until(set, &event, 1, until_ns) != 1)
            break;
        call_in_vain(is_publisher, NOW, -EAGAIN);
    }
    assert_in_range(told, 0, FEW);
    assert_int_equal(weir_wait_set_wait_until(set, &event, 1, SOON), 1);
    weir_wait_set_close(set);
    call_in_vain(is_publisher, NOW, -EAGAIN);
    expect_sound(is_publisher);
}

static void test_wait_sets(void **state)
{
    (void)state;
    wait_in_vain(false);
    wait_in_vain(true);
}

/* A call that waits sleeps meanwhile: without it it would look once a millisecond. */
static void test_calls_that_wait(void **state)
{
    (void)state;
    for (int is_publisher = 0; is_publisher < 2; is_publisher++) {
        begin(is_publisher);
        struct weir__stats_shm *stats = weir__side_stats(side_of(is_publisher));
        uint64_t before = atomic_load(&stats->looks);
        call_in_vain(is_publisher, weir_deadline_ns(MANY * WEIR_MILLISECOND_NS), -ETIMEDOUT);
        assert_in_range(atomic_load(&stats->looks) - before, 1, FEW);
        expect_sound(is_publisher);
    }
}

/* --- lanes that are false, one after the other ------------------------------------------------- */

#define LARGE (UINT64_C(16) << 20)

/* What is shown by turns, in the second slot. */
struct lie {
    const char *what;
    uint64_t ring_bytes, magic;
    uint64_t header; /* of each record */
    bool has_ended;  /* behind the last one, which is 0 */
    bool is_late;    /* the header stands there once the lane is attached */
};

static const struct lie lies[] = {
    { "walked over", LARGE, WEIR__LANE_MAGIC, WEIR__RECORD_MARK, false, false },
    { "walked over to its end", LARGE, WEIR__LANE_MAGIC, WEIR__RECORD_MARK, true, false },
    { "nonsense", WEIR_RING_BYTES_MIN, WEIR__LANE_MAGIC, UINT64_MAX, false, false },
    { "nonsense, later", WEIR_RING_BYTES_MIN, WEIR__LANE_MAGIC, UINT64_MAX, false, true },
    { "no lane", WEIR_RING_BYTES_MIN, WEIR__PAGE_MAGIC, 0, false, false },
};

/* As many as a quick one may be told at once, and some. */
enum { TURNS = 200, TOLD_MOST = 16 + FEW };

/* The owner of all that is false. */
static uint64_t liar;
static struct weir__lane_shm *false_lanes[2];
static uint64_t shown_by_turns[2];

static weir__atomic_u64 *headers_of(struct weir__lane_shm *lane)
{
    return (void *)((char *)lane + WEIR__LANE_RING_OFFSET);
}

/* What shows it. The segment lives until it is detached. */
static uint64_t make_lane(const struct lie *lie, struct weir__lane_shm **made)
{
    int id = shmget(IPC_PRIVATE, WEIR__LANE_RING_OFFSET + lie->ring_bytes, 0600);
    struct weir__lane_shm *lane = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
    assert_true(lane != (void *)-1);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    lane->member.magic = lie->magic;
    lane->member.owner = liar;
    lane->trust = WEIR_TRUST_ANYONE;
    for (uint64_t i = 0; i < lie->ring_bytes / 8 - lie->has_ended && !lie->is_late; i++)
        atomic_store(&headers_of(lane)[i], lie->header);
    atomic_store(&lane->ended, lie->has_ended);
    *made = lane;
    return weir__page_word(liar, id);
}

static const struct weir__slots *publishers(void)
{
    return weir__side_others(&pair.subscriber->side);
}

static void show_by_turns(uint32_t number, unsigned turn)
{
    atomic_store(&publishers()->at[number].page, shown_by_turns[turn % 2]);
    weir__slots_changed(publishers());
}

/* The slot is the liar's, who may show what it likes there. */
static void take_place(uint32_t number)
{
    atomic_store(&publishers()->at[number].owner, liar);
}

static void free_place(uint32_t number)
{
    atomic_store(&publishers()->at[number].owner, 0);
    weir__slots_changed(publishers());
}

static void begin_lies(const struct lie *lie)
{
    uint64_t identity;
    pair_open(&pair);
    assert_result(weir_identity(&identity), 0);
    liar = identity | 5;
    for (unsigned i = 0; i < 2; i++)
        shown_by_turns[i] = make_lane(lie, &false_lanes[i]);
    take_place(1);
}

static void end_lies(void)
{
    free_place(1);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(shmdt(false_lanes[i]), 0);
}

/* Whether something is taken, or there is nothing; else a lie was told. */
static bool take_truth(int expected)
{
    struct weir_message message;
    int result = weir_subscriber_take_until(pair.subscriber, &message, NOW);
    if (result == -EUCLEAN || result == -EPROTO)
        return false;
    assert_result(result, expected);
    if (result == 0)
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    return true;
}

/* How many calls it takes until one that has come is met, and can send. */
static unsigned calls_until_met(struct weir_publisher *newcomer)
{
    int64_t until_ns = SOON;
    unsigned calls = 0;
    for (; weir_publisher_wait_subscribers(newcomer, 1, NOW) != 0; calls++) {
        assert_true(weir_now_ns() < until_ns);
        take_truth(-EAGAIN);
    }
    assert_result(weir_publisher_send_until(newcomer, "text", 4, 0, NOW), 0);
    while (!take_truth(0)) {
    }
    return calls;
}

static void expect_truth_between(const struct lie *lie)
{
    unsigned told = 0, ready = 0, rows = 1;
    int64_t begun_ns = weir_now_ns();
    begin_lies(lie);
    uint32_t attached = pair.subscriber->numbers;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        int64_t turn_ns = weir_now_ns();
        show_by_turns(1, turn);
        ready += weir__subscriber_is_ready(pair.subscriber);
        told += !take_truth(-EAGAIN);
        if (lie->is_late) {
            atomic_store(headers_of(false_lanes[turn % 2]), lie->header);
            told += !take_truth(-EAGAIN);
            atomic_store(headers_of(false_lanes[turn % 2]), 0);
        }
        pair_send_text(&pair, "text");
        while (!take_truth(0))
            told++;
        rows += weir_now_ns() - turn_ns > WEIR__SLICE_NS; /* they may not be in a row any more */
    }
    attached = pair.subscriber->numbers - attached;
    uint64_t most = rows * TOLD_MOST + (uint64_t)((weir_now_ns() - begun_ns) / WEIR__SLICE_NS);
    if (told > most || ready > most || attached > most)
        print_error("%s\n", lie->what);
    assert_true(told + attached > 0);
    assert_in_range(ready, 1, most);
    assert_in_range(told, 0, most);
    assert_in_range(attached, 0, most);
}

static void test_false_lanes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct weir_publisher *elsewhere, *after;
        expect_truth_between(&lies[i]);
        assert_result(weir_publisher_open(&elsewhere, "lane", &small_ring), 0);
        assert_in_range(calls_until_met(elsewhere), 1, 3);
        end_lies();
        assert_result(weir_publisher_open(&after, "lane", &small_ring), 0);
        assert_int_equal(after->side.number, 1);
        calls_until_met(after);
        weir_publisher_close(after);
        weir_publisher_close(elsewhere);
        pair_close(&pair);
    }
}

/* Another one than the subscriber has left. */
static void show_another(uint32_t number)
{
    show_by_turns(number, pair.subscriber->berths[number].finished_shown == shown_by_turns[0]);
}

/* Who comes where a false one was is met between the lies of another place. */
static void test_each_has_its_turn(void **state)
{
    const struct lie lie = { .ring_bytes = WEIR_RING_BYTES_MIN,
                             .magic = WEIR__LANE_MAGIC,
                             .header = UINT64_MAX };
    struct weir_publisher *newcomer;
    (void)state;
    begin_lies(&lie);
    take_place(2);
    show_by_turns(2, 0);
    assert_false(take_truth(0));
    free_place(2);
    assert_result(weir_publisher_open(&newcomer, "lane", &small_ring), 0);
    assert_int_equal(newcomer->side.number, 2);
    unsigned told = 0;
    while (weir_publisher_wait_subscribers(newcomer, 1, NOW) != 0) {
        show_another(1);
        told += !take_truth(-EAGAIN);
        assert_in_range(told, 0, 2);
    }
    end_lies();
    weir_publisher_close(newcomer);
    pair_close(&pair);
}

/* Where one was false long ago, who comes is met at once, whatever others show. */
static void test_long_ago(void **state)
{
    struct weir_publisher *newcomer;
    (void)state;
    begin_lies(&lies[0]);
    take_place(2);
    show_by_turns(2, 0);
    assert_false(take_truth(0));
    free_place(2);
    pair.subscriber->berths[2].false_ns -= 3600 * SECOND_NS;
    pair.subscriber->rest.begun_ns -= 3600 * SECOND_NS;
    show_by_turns(1, 0);
    assert_false(take_truth(0));
    assert_result(weir_publisher_open(&newcomer, "lane", &small_ring), 0);
    assert_int_equal(newcomer->side.number, 2);
    assert_in_range(calls_until_met(newcomer), 1, 3);
    end_lies();
    weir_publisher_close(newcomer);
    pair_close(&pair);
}

/* One that is false at once, beside it, does not have it shown again sooner. */
static void test_a_rest_that_goes_on(void **state)
{
    struct weir__lane_shm *quick;
    const struct lie lie = { .ring_bytes = WEIR_RING_BYTES_MIN,
                             .magic = WEIR__LANE_MAGIC,
                             .header = UINT64_MAX };
    enum { PLACES = 12 };
    (void)state;
    begin_lies(&lies[0]);
    uint64_t page = make_lane(&lie, &quick);
    int64_t begun_ns = weir_now_ns();
    show_another(1);
    unsigned told = !take_truth(-EAGAIN);
    int64_t rest_ns = pair.subscriber->rest.ns;
    assert_true(rest_ns > 0);
    for (uint32_t i = 2; i < 2 + PLACES; i++) {
        take_place(i);
        atomic_store(&publishers()->at[i].page, page);
        weir__slots_changed(publishers());
        told += !take_truth(-EAGAIN);
        show_another(1);
        told += !take_truth(-EAGAIN);
    }
    assert_in_range(told, PLACES + 1, PLACES + 1 + (weir_now_ns() - begun_ns) / rest_ns);
    for (uint32_t i = 2; i < 2 + PLACES; i++)
        free_place(i);
    end_lies();
    assert_int_equal(shmdt(quick), 0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_subscriber_that_polls),
        PAIR_TEST(test_a_publisher_that_polls),
        PAIR_TEST(test_wait_sets),
        PAIR_TEST(test_calls_that_wait),
        PAIR_TEST(test_false_lanes),
        PAIR_TEST(test_each_has_its_turn),
        PAIR_TEST(test_long_ago),
        PAIR_TEST(test_a_rest_that_goes_on),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
