/* SPDX-License-Identifier: MIT */
/*
 * Goal: who makes a channel makes its own memory under the same draft; who loses the race for the name
 *       joins what the winner made, with that memory if it fits, and nothing is left in either case.
 * Method: handles of one process; weir__draft_publish() is replaced by one before which another member
 *         makes the channel, weir__entry_vacate() by one after which it leaves, and weir__draft_begin() by one
 *         that counts.
 */
#include "fixture.h"
#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#include <weir/channel.h>

#include "segment/draft.h"

static unsigned begun;
static void (*before_publish)(void), (*after_vacate)(void);

int __real_weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                             const struct weir__record *record, bool is_published);
int __wrap_weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                             const struct weir__record *record, bool is_published);
int __real_weir__draft_publish(struct weir__draft *draft, const char *directory);
int __wrap_weir__draft_publish(struct weir__draft *draft, const char *directory);

int __wrap_weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                             const struct weir__record *record, bool is_published)
{
    begun++;
    return __real_weir__draft_begin(draft, dir, record, is_published);
}

int __wrap_weir__draft_publish(struct weir__draft *draft, const char *directory)
{
    void (*act)(void) = before_publish;
    before_publish = NULL;
    if (act)
        act();
    return __real_weir__draft_publish(draft, directory);
}

int __real_weir__entry_vacate(const struct weir__rundir *dir, const char *directory,
                              const char *what);
int __wrap_weir__entry_vacate(const struct weir__rundir *dir, const char *directory,
                              const char *what);

int __wrap_weir__entry_vacate(const struct weir__rundir *dir, const char *directory,
                              const char *what)
{
    int result = __real_weir__entry_vacate(dir, directory, what);
    void (*act)(void) = after_vacate;
    after_vacate = NULL;
    if (act)
        act();
    return result;
}

static struct pair pair;
static struct weir_channel_options other;

static int start(void **state)
{
    (void)state;
    begun = 0;
    other = small_ring;
    return 0;
}

static void open_other_publisher(void)
{
    assert_result(weir_publisher_open(&pair.publisher, "lane", &other), 0);
}

static void open_other_subscriber(void)
{
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", &other), 0);
}

static void check_message(void)
{
    struct weir_message none;
    /* Whoever came first, each has met the other after this. */
    assert_result(weir_subscriber_take_until(pair.subscriber, &none, NOW), -EAGAIN);
    pair_send_text(&pair, "text");
    struct weir_message message = pair_take_text(&pair, "text");
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
}

static void test_one_draft(void **state)
{
    (void)state;
    open_other_publisher();
    assert_int_equal(begun, 1);
    open_other_subscriber(); /* its page, in a channel that is there */
    assert_int_equal(begun, 2);
    check_message();
    pair_close(&pair);
    open_other_subscriber();
    assert_int_equal(begun, 3);
    open_other_publisher();
    assert_int_equal(begun, 4);
    check_message();
    pair_close(&pair);
}

static void test_a_publisher_that_comes_second(void **state)
{
    (void)state;
    before_publish = open_other_subscriber;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_int_equal(begun, 2);
    check_message();
    pair_close(&pair);
}

static void test_a_subscriber_that_comes_second(void **state)
{
    (void)state;
    before_publish = open_other_publisher;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_int_equal(begun, 2);
    check_message();
    pair_close(&pair);
}

/* Its page has room for fewer publishers than the channel has. */
static void test_a_page_that_does_not_fit(void **state)
{
    (void)state;
    other.publishers_max = 1000;
    before_publish = open_other_publisher;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_int_equal(begun, 3);
    check_message();
    pair_close(&pair);
}

static void close_other_publisher(void)
{
    weir_publisher_close(pair.publisher);
    pair.publisher = NULL;
}

/* It lives when it is found in the way, and is gone when it is to be joined: then all is made anew. */
static void test_a_winner_that_leaves_at_once(void **state)
{
    (void)state;
    before_publish = open_other_publisher;
    after_vacate = close_other_publisher;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_null(pair.publisher);
    assert_int_equal(begun, 3);
    open_other_publisher();
    check_message();
    pair_close(&pair);
}

static void test_a_channel_of_another_type(void **state)
{
    struct weir_channel_options typed = small_ring;
    struct weir_publisher *publisher = NULL;
    (void)state;
    other.type_name = "theirs";
    typed.type_name = "ours";
    before_publish = open_other_subscriber;
    assert_result(weir_publisher_open(&publisher, "lane", &typed), -EPROTOTYPE);
    assert_null(publisher);
    open_other_publisher();
    check_message();
    pair_close(&pair);
}

/* A persistent channel would stay, and the name be taken by it. */
static void test_a_lane_for_which_there_is_no_room(void **state)
{
    struct weir_publisher *publisher = NULL;
    struct weir_channel_options huge = WEIR_CHANNEL_OPTIONS;
    (void)state;
    huge.ring_bytes = UINT64_C(1) << 50;
    huge.flags = WEIR_CHANNEL_PERSISTENT;
    assert_true(weir_publisher_open(&publisher, "lane", &huge) < 0);
    assert_null(publisher);
    assert_int_equal(names_now(), 0);
}

static unsigned long resident_pages(void)
{
    struct shm_info info;
    /* shmctl(2): the address is of the type that the command says. */
    assert_true(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) >= 0);
    return info.shm_rss;
}

/* What says that it is a directory is not brought in before that was looked at: it may be huge. */
static void test_no_directory_at_all(void **state)
{
    struct weir_segment *segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_publisher *publisher = NULL;
    (void)state;
    options.kind = "channel";
    assert_result(weir_segment_create(&segment, weir_by_name("lane"), 64 << 20, &options), 0);
    unsigned long before = resident_pages();
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), -EUCLEAN);
    assert_null(publisher);
    assert_true(resident_pages() - before < 100);
    weir_segment_close(segment);
}

static void limit_descriptors(unsigned more)
{
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(next >= 0);
    close(next);
    struct rlimit limit = { .rlim_cur = (rlim_t)next + more, .rlim_max = (rlim_t)next + more };
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Whichever step fails, the run directory that was made for it goes again. */
static void open_with_few(void *argument)
{
    struct weir_publisher *publisher;
    uint64_t identity;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(access(run_directory(), F_OK) != 0);
    limit_descriptors(*(const unsigned *)argument);
    int result = weir_publisher_open(&publisher, "lane", &small_ring);
    CHECK(result == 0 || result == -EMFILE);
    CHECK(result == 0 || strstr(weir_last_error(), "run directory"));
    if (result == 0)
        weir_publisher_close(publisher);
    CHECK(access(run_directory(), F_OK) != 0);
}

static void open_with_short_files(void *argument)
{
    const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, limit = { 10, RLIM_INFINITY };
    struct weir_publisher *publisher;
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), -E2BIG);
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0); /* builds that count lines write them at the end */
    CHECK(access(run_directory(), F_OK) != 0);
}

static void test_short_files(void **state)
{
    (void)state;
    in_child(open_with_short_files, NULL);
}

static void test_few_descriptors(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 6; more++)
        in_child(open_with_few, &more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_draft, start, fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_a_publisher_that_comes_second, start,
                                        fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_a_subscriber_that_comes_second, start,
                                        fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_a_page_that_does_not_fit, start, fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_a_winner_that_leaves_at_once, start,
                                        fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_a_channel_of_another_type, start, fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_a_lane_for_which_there_is_no_room, start,
                                        fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_no_directory_at_all, start, fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_few_descriptors, start, fixture_check_alive),
        cmocka_unit_test_setup_teardown(test_short_files, start, fixture_check_alive),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
