/* SPDX-License-Identifier: MIT */
/*
 * Goal: where memory or mappings are scarce at the moment that a member is met, the call says -ENOMEM and is
 *       tried again by the next one: nobody is taken for somebody of another kind, and no message is lost.
 *       Of one publisher whose ring there is no room for it is told, and the others are read. A directory
 *       of huge pages, which may not be there, is no channel's to any who opens it.
 * Method: handles of one process, whose address space is limited; madvise(2) is replaced by one that
 *         fails as the kernel's does at vm.max_map_count, where advice for a part of a mapping would
 *         split it, and as it does for a part of a huge page. A real one as well, where it can be had. shmat(2)
 *         is replaced by one that fails as in a process that has locked its memory, up to its limit.
 */
#include "fixture.h"
#include "pair.h"
#include "readable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/inspect.h>
#include <weir/tap.h>
#include <weir/waitset.h>

#include "channel/subscriber.h"

static bool is_scarce, is_huge;

int __real_madvise(void *memory, size_t length, int advice);
int __wrap_madvise(void *memory, size_t length, int advice);

int __wrap_madvise(void *memory, size_t length, int advice)
{
    if (!(is_scarce || is_huge) || advice != MADV_RANDOM)
        return __real_madvise(memory, length, advice);
    errno = is_huge ? EINVAL : ENOMEM; /* the kernel's for a part of a huge page */
    return -1;
}

static bool is_locked;

void *__real_shmat(int id, const void *address, int flags);
void *__wrap_shmat(int id, const void *address, int flags);

void *__wrap_shmat(int id, const void *address, int flags)
{
    if (!is_locked)
        return __real_shmat(id, address, flags);
    errno = EAGAIN; /* the kernel's over RLIMIT_MEMLOCK, after mlockall(MCL_FUTURE) */
    return (void *)-1;
}

static struct pair pair;

static int take(void)
{
    struct weir_message message;
    int result = weir_subscriber_take_until(pair.subscriber, &message, NOW);
    return result == 0 ? weir_subscriber_release(pair.subscriber, &message) : result;
}

static int send(void)
{
    return weir_publisher_send_until(pair.publisher, "text", 4, 0, NOW);
}

static void test_a_take_that_meets_a_publisher(void **state)
{
    (void)state;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    is_scarce = true;
    for (int i = 0; i < 3; i++)
        assert_result(take(), -ENOMEM);
    assert_result(send(), -ENOMEM); /* it has not met the subscriber either */
    is_scarce = false;
    assert_result(take(), -EAGAIN);
    assert_result(send(), 0);
    assert_result(take(), 0);
    pair_close(&pair);
}

/* EAGAIN of the kernel is not that of a member who has not shown its memory yet. */
static void test_locked_memory(void **state)
{
    struct weir_tap *tap;
    void *data;
    char text[4];
    (void)state;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_tap_open(&tap, "lane", NULL), 0);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    is_locked = true;
    assert_result(take(), -ENOMEM);
    assert_non_null(strstr(weir_last_error(), "ulimit -l"));
    assert_result(send(), -ENOMEM);
    assert_result(weir_tap_receive_until(tap, text, sizeof text, NULL, NOW), -ENOMEM);
    struct weir_subscriber *second;
    assert_result(weir_subscriber_open(&second, "lane", NULL), -ENOMEM);
    struct weir_segment *segment;
    assert_result(weir_segment_create(&segment, weir_by_name("locked"), 100, NULL), -ENOMEM);
    is_locked = false;
    assert_result(weir_segment_create(&segment, weir_by_name("locked"), 100, NULL), 0);
    is_locked = true;
    assert_result(weir_segment_attach(segment, NULL, 0, &data), -ENOMEM);
    is_locked = false;
    weir_segment_close(segment);
    assert_result(take(), -EAGAIN);
    assert_result(send(), 0);
    assert_result(take(), 0);
    weir_tap_close(tap);
    pair_close(&pair);
}

/* It must not write on as if that one were no reader of it. */
static void test_a_send_that_meets_a_subscriber(void **state)
{
    unsigned sent = 0;
    (void)state;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    is_scarce = true;
    for (int i = 0; i < 3; i++)
        assert_result(send(), -ENOMEM);
    is_scarce = false;
    while (send() == 0)
        sent++;
    assert_true(sent > 0);
    for (; sent > 0; sent--)
        assert_result(take(), 0);
    assert_result(take(), -EAGAIN);
    pair_close(&pair);
}

/* An open that says 0 has attached who is there. */
static void test_an_open(void **state)
{
    (void)state;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    is_scarce = true;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), -ENOMEM);
    is_scarce = false;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(send(), 0);
    assert_result(take(), 0);
    pair_close(&pair);
}

static void test_a_tap(void **state)
{
    struct weir_tap *tap;
    struct weir_message message;
    char text[4];
    (void)state;
    pair_open(&pair);
    assert_result(weir_tap_open(&tap, "lane", NULL), 0);
    struct weir_publisher *later;
    assert_result(weir_publisher_open(&later, "lane", &small_ring), 0);
    assert_result(take(), -EAGAIN);
    assert_result(weir_publisher_send_until(later, "text", 4, 0, NOW), 0);
    is_scarce = true;
    for (int i = 0; i < 3; i++)
        assert_result(weir_tap_receive_until(tap, text, sizeof text, &message, NOW), -ENOMEM);
    /* One that waits has a pace: other tries than the first come after a slice. */
    int64_t begun_ns = weir_now_ns();
    int result = weir_tap_receive_until(tap, text, sizeof text, &message,
                                        weir_deadline_ns(50 * WEIR_MILLISECOND_NS));
    if (result != -ENOMEM || weir_now_ns() - begun_ns < WEIR__SLICE_NS)
        assert_result(result, -ETIMEDOUT);
    begun_ns = weir_now_ns();
    assert_result(weir_tap_receive_until(tap, text, sizeof text, &message,
                                         weir_deadline_ns(20 * WEIR_SECOND_NS)),
                  -ENOMEM);
    assert_true(weir_now_ns() - begun_ns >= WEIR__SLICE_NS);
    struct weir_tap *other;
    assert_result(weir_tap_open(&other, "lane", NULL), -ENOMEM);
    is_scarce = false;
    assert_result(weir_tap_receive_until(tap, text, sizeof text, &message, NOW), 0);
    weir_tap_close(tap);
    weir_publisher_close(later);
    assert_result(take(), 0);
    pair_close(&pair);
}

static int count(const struct weir_channel_member *member, void *argument)
{
    assert_int_equal(member->state, WEIR_MEMBER_SHOWN);
    ++*(unsigned *)argument;
    return 0;
}

static void test_who_inspects(void **state)
{
    unsigned found = 0;
    (void)state;
    pair_open(&pair);
    is_scarce = true;
    assert_result(weir_inspect_channel("lane", count, &found), -ENOMEM);
    is_scarce = false;
    assert_int_equal(found, 0);
    assert_result(weir_inspect_channel("lane", count, &found), 0);
    assert_int_equal(found, 2);
    pair_close(&pair);
}

/* --- a directory of huge pages ------------------------------------------------------------- */

static void expect_no_channel(void)
{
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = NULL;
    struct weir_tap *tap = NULL;
    struct weir_wait_set *set;
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), -EPROTO);
    assert_non_null(strstr(weir_last_error(), "huge pages"));
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), -EPROTO);
    assert_non_null(strstr(weir_last_error(), "huge pages"));
    assert_result(weir_tap_open(&tap, "lane", NULL), -EPROTO);
    assert_result(weir_wait_set_open(&set, NULL), 0);
    assert_result(weir_wait_set_add_members(set, "lane", NULL, WEIR_WAIT_PUBLISHERS, 0), -EPROTO);
    weir_wait_set_close(set);
    assert_null(publisher);
    assert_null(subscriber);
    assert_null(tap);
}

/* As the kernel would say it of one. */
static void test_a_directory_of_huge_pages(void **state)
{
    (void)state;
    pair_open(&pair);
    is_huge = true;
    expect_no_channel();
    is_huge = false;
    assert_int_equal(weir_publisher_subscribers(pair.publisher), 1); /* nobody has a place there */
    assert_int_equal(weir_subscriber_publishers(pair.subscriber), 1);
    assert_result(send(), 0);
    assert_result(take(), 0);
    pair_close(&pair);
}

static bool make_real_one(struct weir_segment **segment)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    options.kind = WEIR__DIRECTORY_KIND;
    options.flags = WEIR_SEGMENT_HUGE_PAGES;
    assert_result(weir_segment_create(segment, weir_by_name("lane"), 1 << 20, &options), 0);
    assert_result(weir_segment_stat(*segment, &stat), 0);
    return stat.pages == WEIR_PAGES_HUGETLB;
}

static long huge_pages_before = -1;

static int give_huge_pages_back(void **state)
{
    if (huge_pages_before >= 0)
        reserved_huge_pages(huge_pages_before);
    return fixture_check_alive(state);
}

static void test_a_real_directory_of_huge_pages(void **state)
{
    struct weir_segment *segment = NULL;
    (void)state;
    huge_pages_before = reserved_huge_pages(-1);
    bool is_made = huge_pages_before >= 0 &&
                   reserved_huge_pages(huge_pages_before + 2) >= huge_pages_before + 2 &&
                   make_real_one(&segment);
    if (is_made)
        expect_no_channel();
    weir_segment_close(segment);
    if (!is_made) {
        print_message("no huge pages can be reserved here\n");
        skip();
    }
}

/* --- a ring for which there is no room ----------------------------------------------------- */

#define LARGE_BYTES (UINT64_C(32) << 20)

static struct rlimit unlimited;

/* From now on no mapping of LARGE_BYTES can be had, while smaller ones can. */
static void limit_addresses(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    assert_int_equal(getrlimit(RLIMIT_AS, &unlimited), 0);
    struct rlimit limit = unlimited;
    limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + LARGE_BYTES / 2;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void lift_the_limit(void)
{
    assert_int_equal(setrlimit(RLIMIT_AS, &unlimited), 0);
}

static struct weir_publisher *open_large(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = LARGE_BYTES;
    assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
    return publisher;
}

static int send_of(struct weir_publisher *publisher)
{
    return weir_publisher_send_until(publisher, "text", 4, 0, NOW);
}

static void test_no_room_for_one_of_several(void **state)
{
    struct weir_publisher *later;
    (void)state;
    pair_open(&pair);
    assert_result(take(), -EAGAIN);
    struct weir_publisher *large = open_large();
    limit_addresses();
    assert_result(send(), 0);
    assert_result(take(), -ENOMEM); /* once, although there is a message */
    assert_non_null(strstr(weir_last_error(), "ulimit -v"));
    for (int i = 0; i < 3; i++) {
        assert_result(take(), 0); /* the others are read on */
        assert_result(take(), -ENOMEM);
        assert_result(send(), 0);
    }
    assert_result(send_of(large), -EAGAIN); /* it is waited for, and loses nothing */
    assert_result(weir_publisher_open(&later, "lane", &small_ring), 0);
    assert_result(take(), 0); /* and who comes later is attached */
    assert_result(take(), -ENOMEM);
    assert_result(weir_subscriber_wait_publisher(pair.subscriber, NOW), 0);
    assert_result(send_of(later), 0);
    assert_result(take(), 0);
    weir_publisher_close(later);
    assert_result(take(), -ENOMEM);
    lift_the_limit();
    assert_result(take(), -EAGAIN);
    assert_result(send_of(large), 0);
    assert_result(take(), 0);
    weir_publisher_close(large);
    pair_close(&pair);
}

static void test_no_room_for_the_only_one(void **state)
{
    (void)state;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    struct weir_publisher *large = open_large();
    limit_addresses();
    for (int i = 0; i < 3; i++) {
        assert_result(weir_subscriber_wait_publisher(pair.subscriber, WEIR_NEVER), -ENOMEM);
        struct weir_message message;
        assert_result(weir_subscriber_take(pair.subscriber, &message), -ENOMEM);
    }
    weir_subscriber_close(pair.subscriber);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), -ENOMEM);
    lift_the_limit();
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    weir_publisher_close(large);
    weir_subscriber_close(pair.subscriber);
    pair.subscriber = NULL;
}

/* A loop that polls is not kept busy by it, and learns when there is room. */
static void test_no_room_and_a_descriptor(void **state)
{
    (void)state;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    int fd = weir_subscriber_fd(pair.subscriber);
    assert_true(fd >= 0);
    assert_result(take(), -EAGAIN);
    struct weir_publisher *large = open_large();
    assert_true(is_readable(fd, 20000));
    limit_addresses();
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < 3; i++) {
        assert_result(take(), -ENOMEM);
        assert_true(is_readable(fd, 20000)); /* after a slice */
    }
    assert_true(weir_now_ns() - before_ns > 2 * WEIR__SLICE_NS);
    lift_the_limit();
    assert_true(is_readable(fd, 20000));
    assert_result(take(), -EAGAIN);
    assert_false(is_readable(fd, 0));
    assert_result(send_of(large), 0);
    assert_true(is_readable(fd, 20000));
    assert_result(take(), 0);
    weir_publisher_close(large);
    weir_subscriber_close(pair.subscriber);
    pair.subscriber = NULL;
}

/* Who has lost its place meanwhile is not kept in a call. */
static void test_no_room_and_no_place(void **state)
{
    struct weir_message message;
    uint64_t identity;
    (void)state;
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    const struct weir__side *side = &pair.subscriber->side;
    weir__atomic_u64 *owner = &weir__side_own(side)->at[side->number].owner;
    struct weir_publisher *large = open_large();
    limit_addresses();
    assert_result(take(), -ENOMEM);
    uint64_t mine = atomic_exchange(owner, identity | 4711);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, SOON), -EUCLEAN);
    atomic_store(owner, mine);
    assert_result(take(), -ENOMEM);
    lift_the_limit();
    assert_result(take(), -EAGAIN);
    weir_publisher_close(large);
    assert_result(take(), -ENODATA);
    weir_subscriber_close(pair.subscriber);
    pair.subscriber = NULL;
}

static void test_no_room_for_a_tap(void **state)
{
    struct weir_tap *tap;
    char text[4];
    (void)state;
    struct weir_publisher *large = open_large(); /* in front of the other one */
    pair_open(&pair);
    limit_addresses();
    assert_result(weir_tap_open(&tap, "lane", NULL), 0);
    lift_the_limit();
    assert_result(take(), -EAGAIN);
    assert_result(send(), 0); /* who was there at the open is seen from there on */
    limit_addresses();
    assert_result(weir_tap_receive_until(tap, text, sizeof text, NULL, NOW), -ENOMEM);
    for (int i = 0; i < 3; i++) {
        assert_result(weir_tap_receive_until(tap, text, sizeof text, NULL, NOW), 0);
        assert_result(weir_tap_receive_until(tap, text, sizeof text, NULL, NOW), -ENOMEM);
        assert_result(send(), 0);
    }
    assert_result(weir_tap_receive_until(tap, text, sizeof text, NULL, NOW), 0);
    lift_the_limit();
    assert_result(weir_tap_receive_until(tap, text, sizeof text, NULL, NOW), -EAGAIN);
    weir_tap_close(tap);
    weir_publisher_close(large);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_take_that_meets_a_publisher),
        PAIR_TEST(test_locked_memory),
        PAIR_TEST(test_a_send_that_meets_a_subscriber),
        PAIR_TEST(test_an_open),
        PAIR_TEST(test_a_tap),
        PAIR_TEST(test_who_inspects),
        PAIR_TEST(test_a_directory_of_huge_pages),
        cmocka_unit_test_teardown(test_a_real_directory_of_huge_pages, give_huge_pages_back),
        PAIR_TEST(test_no_room_for_one_of_several),
        PAIR_TEST(test_no_room_for_the_only_one),
        PAIR_TEST(test_no_room_and_a_descriptor),
        PAIR_TEST(test_no_room_and_no_place),
        PAIR_TEST(test_no_room_for_a_tap),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
