/* SPDX-License-Identifier: MIT */
/*
 * Goal: what befalls a lane from outside: a publisher halted between two stores, a fork, another
 * uid, another namespace, pages that are not there. Method: each is brought about in order, in one
 * process or with a child that is killed.
 */
#include "pair.h"
#include "readable.h"
#include "tracer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "channel/directory.h"
#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "segment/identity.h"

static struct pair pair;

/* The lane of the publisher, as itself writes it. */
static struct weir__lane_shm *find_lane(char **base)
{
    struct shm_info info;
    struct shmid_ds found;
    /* shmctl(2): the address is of the type that the command says. */
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int index = 0; index <= last; index++) {
        int id = shmctl(index, SHM_STAT, &found);
        char *memory = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
        if (memory == (void *)-1)
            continue;
        for (size_t at = 0; at <= 4096 && found.shm_segsz >= 3 * (size_t)4096; at += 4096) {
            struct weir__lane_shm *lane = (void *)(memory + at);
            if (lane->member.magic == WEIR__LANE_MAGIC)
                return *base = memory, lane;
        }
        shmdt(memory);
    }
    return NULL;
}

/* Halted between the stores of the boundary, it cannot be joined; afterwards it can. */
static void test_a_boundary_that_is_being_stored(void **state)
{
    struct weir_message message;
    (void)state;
    if (geteuid() != 0)
        skip(); /* a lane has mode 0400 */
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    char *base = NULL;
    struct weir__lane_shm *lane = find_lane(&base);
    assert_non_null(lane);
    atomic_store(&lane->boundary_before, 8);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    int64_t before_ns = weir_now_ns();
    assert_result(
        weir_subscriber_take_until(pair.subscriber, &message, weir_deadline_ns(SECOND_NS / 20)),
        -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns < SECOND_NS);
    atomic_store(&lane->boundary_before, 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    pair_send_text(&pair, "now");
    pair_take_text(&pair, "now");
    shmdt(base);
    pair_close(&pair);
}

/* One that is stopped there wakes nobody again and again. */
static void test_a_boundary_that_stays_half_stored(void **state)
{
    struct weir_message message;
    unsigned readable = 0;
    (void)state;
    if (geteuid() != 0)
        skip(); /* a lane has mode 0400 */
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    char *base = NULL;
    struct weir__lane_shm *lane = find_lane(&base);
    assert_non_null(lane);
    atomic_store(&lane->boundary_before, 8);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    struct pollfd entry = { .fd = weir_subscriber_fd(pair.subscriber), .events = POLLIN };
    int64_t begun_ns = weir_now_ns(), until_ns = begun_ns + SECOND_NS;
    while (weir_now_ns() < until_ns) {
        if (poll(&entry, 1, 50) != 1)
            continue;
        readable++;
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    }
    int64_t slices = (weir_now_ns() - begun_ns) / WEIR__SLICE_NS;
    assert_in_range(readable, 1, WEIR__TORN_TRIES + slices + 1);
    atomic_store(&lane->boundary_before, 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    pair_send_text(&pair, "now");
    pair_take_text(&pair, "now");
    shmdt(base);
    pair_close(&pair);
}

static void take_in_child(void *argument)
{
    struct weir_message message;
    (void)argument;
    CHECK_RESULT(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_wait_publisher(pair.subscriber, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_fd(pair.subscriber), -ECHILD);
    weir_publisher_close(pair.publisher);
    weir_subscriber_close(pair.subscriber);
}

static void test_a_child_with_a_full_table(void **state)
{
    (void)state;
    pair_open(&pair);
    for (int i = 0; i < WEIR_HOLDS_MAX; i++) {
        pair_send_text(&pair, "x");
        pair_take_text(&pair, "x");
    }
    in_child(take_in_child, NULL);
    pair_close(&pair);
}

/* The child has the descriptor, and neither its thread nor the memory that it looks at. */
static void test_a_child_with_a_descriptor(void **state)
{
    (void)state;
    pair_open(&pair);
    int fd = weir_subscriber_fd(pair.subscriber);
    assert_true(fd >= 0);
    in_child(take_in_child, NULL);
    assert_false(is_readable(fd, 0));
    pair_send_text(&pair, "x");
    assert_true(is_readable(fd, 20000));
    pair_take_text(&pair, "x");
    pair_close(&pair);
}

static void open_as_another(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(seteuid(OTHER_UID) == 0);
    CHECK_RESULT(weir_publisher_open(&pair.publisher, "lane", NULL), -EPERM);
}

/* The kernel would confirm its life for the former uid alone: it would be taken for dead. */
static void test_a_beacon_of_another_uid(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(open_as_another, NULL);
}

/* --- a joiner halted between its claim and its page ------------------------------------------ */

static struct halted {
    struct weir__directory_shm *directory;
    struct weir_channel_options options;
    atomic_bool *is_over;
    int foreign_id; /* of another user's segment */
} halted;

static void make_foreign_segment(void *key)
{
    become(OTHER_UID);
    CHECK(shmget(*(const key_t *)key, 4096, IPC_CREAT | IPC_EXCL | 0600) >= 0);
}

/* The slot is as a former owner left it, whose key is that of the session that this process takes next. */
static void leave_next_session(void *unused)
{
    struct weir__slot_shm *slot = &halted.directory->slots[0];
    (void)unused;
    CHECK_RESULT(weir_publisher_open(&pair.publisher, "lane", &halted.options), 0);
    uint64_t last = atomic_load(&slot->owner), session = (last + 1) & WEIR_IDENTITY_SESSION_MAX;
    weir_publisher_close(pair.publisher);
    atomic_store(&slot->page,
                 weir__page_word((last & ~WEIR_IDENTITY_SESSION_MAX) | session, halted.foreign_id));
}

static void join_again(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_publisher_open(&pair.publisher, "lane", &halted.options), 0);
    atomic_store(halted.is_over, true);
    pause();
}

static void expect_alive(void *unused)
{
    const struct weir__slot_shm *slot = &halted.directory->slots[0];
    uint64_t owner = atomic_load(&slot->owner);
    (void)unused;
    if (owner != 0)
        assert_int_equal(weir__slot_life(slot, owner), WEIR_LIFE_ALIVE);
}

/* Who has claimed a slot, and shows nothing yet, is not asked for as who showed something before. */
static void test_a_page_of_the_same_key(void **state)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *handle;
    key_t key = (key_t)getpid();
    (void)state;
    /* The steps are those of the library as it is delivered. */
    if (SANITIZED || COUNTED || !has_other_users() || !tracer_works())
        skip();
    halted.options = small_ring;
    halted.options.publishers_max = 1;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", &halted.options), 0);
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&handle, weir_by_name("lane"), 0, &options), 0);
    halted.directory = weir_segment_data(handle);
    in_child(make_foreign_segment, &key);
    halted.foreign_id = shmget(key, 0, 0);
    assert_true(halted.foreign_id >= 0);
    halted.is_over = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct change_walk walk = { .what = "join",
                                      .prepare = leave_next_session,
                                      .act = join_again,
                                      .changed = expect_alive,
                                      .memory = &halted.directory->slots[0],
                                      .bytes = sizeof halted.directory->slots[0],
                                      .is_over = halted.is_over };
    walk_changes(&walk);
    assert_int_equal(shmctl(halted.foreign_id, IPC_RMID, NULL), 0);
    munmap(halted.is_over, 4096);
    weir_segment_close(handle);
    weir_subscriber_close(pair.subscriber);
}

/*
 * A slot without an owner shows nothing, whatever stands in its page: with a key of the session
 * alone, one publisher of 8,192 was told of by wait sets after it had left.
 */
static void test_nobody_shows_nothing(void **state)
{
    struct weir__slot_shm slots[] = { { .page = weir__page_word(0, 5) },
                                      { .owner = 1, .page = weir__page_word(1, 5) },
                                      { .owner = 2, .page = weir__page_word(1, 5) },
                                      { .owner = 3, .page = weir__page_word(3, INT32_MAX) + 1 },
                                      { .owner = 4, .page = weir__page_word(4, -1) },
                                      { .owner = 5, .page = weir__page_word(5, INT32_MAX) } };
    const struct weir__slots all = { .at = slots, .count = ARRAY_SIZE(slots) };
    (void)state;
    assert_int_equal(weir__shown_id(weir__slot_page(&slots[0]), 0), -1);
    assert_int_equal(weir__shown_id(weir__slot_page(&slots[1]), 1), 5);
    assert_int_equal(weir__shown_id(weir__slot_page(&slots[5]), 5), INT32_MAX);
    assert_int_equal(weir__slots_shown(&all), 2);
}

/* A lane of huge pages that are not there: whoever touched one would be killed. */
static void test_a_lane_of_huge_pages(void **state)
{
    const size_t size_bytes = WEIR__LANE_RING_OFFSET + ((size_t)1 << 27);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *handle;
    struct weir_message message;
    uint64_t identity;
    (void)state;
    int id = shmget(IPC_PRIVATE, size_bytes, 0600 | SHM_HUGETLB | SHM_NORESERVE);
    if (id < 0) {
        print_message("no segment of huge pages may be made here\n");
        skip();
    }
    void *memory = shmat(id, NULL, SHM_RDONLY);
    if (memory == (void *)-1) { /* an emulator finds no address for it */
        shmctl(id, IPC_RMID, NULL);
        print_message("no segment of huge pages can be attached here\n");
        skip();
    }
    shmdt(memory);
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&handle, weir_by_name("lane"), 0, &options), 0);
    struct weir__directory_shm *directory = weir_segment_data(handle);
    atomic_store(&directory->slots[0].owner, identity | 5);
    atomic_store(&directory->slots[0].page, weir__page_word(identity | 5, id));
    atomic_fetch_add(&directory->roles[WEIR__PUBLISHER].changes, 1);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EPROTO);
    atomic_store(&directory->slots[0].owner, 0);
    shmctl(id, IPC_RMID, NULL);
    weir_segment_close(handle);
    weir_subscriber_close(pair.subscriber);
}

/* Shown in that publishers' slot, by one who lives, and like a lane where its first words are looked at. */
static int show_empty_lane(struct weir__directory_shm *directory, uint32_t number,
                           uint64_t ring_bytes, uint64_t owner)
{
    int id = shmget(IPC_PRIVATE, WEIR__LANE_RING_OFFSET + ring_bytes, 0600 | SHM_NORESERVE);
    struct weir__lane_shm *lane = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
    if (lane == (void *)-1) {
        if (id >= 0)
            shmctl(id, IPC_RMID, NULL);
        return -1;
    }
    lane->member.magic = WEIR__LANE_MAGIC;
    lane->member.owner = owner;
    shmdt(lane);
    atomic_store(&directory->slots[number].owner, owner);
    atomic_store(&directory->slots[number].page, weir__page_word(owner, id));
    atomic_fetch_add(&directory->roles[WEIR__PUBLISHER].changes, 1);
    return id;
}

static uint64_t present_bytes(int id)
{
    struct shmid_ds found;
    char line[256];
    unsigned long bytes = 0;
    int seen = -1;
    FILE *table = fopen("/proc/sysvipc/shm", "re");
    assert_int_equal(shmctl(id, IPC_STAT, &found), 0);
    while (table && seen != id && fgets(line, sizeof line, table))
        if (sscanf(line, "%*d %d %*o %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu", &seen,
                   &bytes) != 2)
            seen = -1;
    fclose(table);
    assert_int_equal(seen, id);
    return bytes;
}

enum { EMPTY_LANES = 6 };

/*
 * Lanes that are large and empty cost who shows them nothing: of all of them together no more is brought
 * in than of one, and what is larger than the machine's memory is not attached at all.
 */
static void test_empty_lanes(void **state)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *handle;
    struct weir_message message;
    struct sysinfo memory;
    uint64_t identity, present = 0, more = UINT64_C(1) << 30;
    int ids[EMPTY_LANES];
    (void)state;
    assert_int_equal(sysinfo(&memory), 0);
    while (more <= (memory.totalram + memory.totalswap) * (uint64_t)memory.mem_unit)
        more *= 2;
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&handle, weir_by_name("lane"), 0, &options), 0);
    struct weir__directory_shm *directory = weir_segment_data(handle);
    for (uint32_t i = 0; i < EMPTY_LANES; i++) {
        ids[i] = show_empty_lane(directory, i, UINT64_C(1) << 25, identity | (5 + i));
        assert_true(ids[i] >= 0);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
        present += present_bytes(ids[i]);
    }
    assert_in_range(present, 1,
                    UINT64_C(80) << 20); /* two of six, and the first words of the others */
    int huge = show_empty_lane(directory, EMPTY_LANES, more, identity | 50);
    if (huge >= 0) {
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EPROTO);
        shmctl(huge, IPC_RMID, NULL);
    }
    for (uint32_t i = 0; i <= EMPTY_LANES; i++)
        atomic_store(&directory->slots[i].owner, 0);
    weir_segment_close(handle);
    weir_subscriber_close(pair.subscriber);
    for (uint32_t i = 0; i < EMPTY_LANES; i++)
        shmctl(ids[i], IPC_RMID, NULL);
}

enum { STRANGERS = 64 }; /* more than a namespace that is new has ids by then */

/* Where each id that the other side may show is another segment's. */
static void *look_from_elsewhere(void *strangers)
{
    struct weir_message message;
    new_ipc_namespace();
    for (int i = 0; i < *(const int *)strangers;
         i++) /* larger than all beacons, and never touched */
        CHECK(shmget(IPC_PRIVATE, WEIR__BEACON_SIZE_MAX * 2, 0600 | SHM_NORESERVE) >= 0);
    CHECK_RESULT(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EXDEV);
    CHECK_RESULT(weir_publisher_send_until(pair.publisher, "lost", 4, 0, NOW), -EXDEV);
    return NULL;
}

static void meet_from_elsewhere(void *strangers)
{
    pthread_t thread;
    char text[5];
    if (unshare(CLONE_NEWIPC) != 0)
        return; /* it may not be had here */
    CHECK_RESULT(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    CHECK_RESULT(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    CHECK(pthread_create(&thread, NULL, look_from_elsewhere, strangers) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RESULT(weir_publisher_send_until(pair.publisher, "early", 5, 0, NOW), -EAGAIN);
    CHECK_RESULT(weir_subscriber_receive_until(pair.subscriber, text, sizeof text, NULL, NOW),
                 -EAGAIN);
    CHECK_RESULT(weir_publisher_send_until(pair.publisher, "found", 5, 0, NOW), 0);
    CHECK_RESULT(weir_subscriber_receive_until(pair.subscriber, text, sizeof text, NULL, NOW), 0);
    pair_close(&pair);
}

/* A thread that is in another IPC namespace finds other segments under the same ids: neither side is
 * taken for a stranger for that. */
static void test_a_thread_in_another_namespace(void **state)
{
    int strangers = STRANGERS;
    (void)state;
    in_child(meet_from_elsewhere, &strangers);
}

/* Or nothing: then nobody is taken for dead. */
static void test_a_thread_where_there_is_nothing(void **state)
{
    int strangers = 0;
    (void)state;
    in_child(meet_from_elsewhere, &strangers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_boundary_that_is_being_stored),
        PAIR_TEST(test_a_child_with_a_full_table),
        PAIR_TEST(test_a_child_with_a_descriptor),
        PAIR_TEST(test_a_beacon_of_another_uid),
        PAIR_TEST(test_a_page_of_the_same_key),
        PAIR_TEST(test_nobody_shows_nothing),
        PAIR_TEST(test_a_thread_in_another_namespace),
        PAIR_TEST(test_a_boundary_that_stays_half_stored),
        PAIR_TEST(test_a_thread_where_there_is_nothing),
        PAIR_TEST(test_a_lane_of_huge_pages),
        PAIR_TEST(test_empty_lanes),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
