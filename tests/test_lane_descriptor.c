/* SPDX-License-Identifier: MIT */
/*
 * Goal: the descriptors of both sides are readable exactly while a call would not wait, also
 * after a death and a lost ring; they cost nothing while nothing happens, and leave nothing.
 * Method: each turn in order, with both sides here; then with another process that is killed,
 * or silenced; then a loop that lives on poll alone. The subscriber's by io_uring, where that
 * is to be had, and (--without-io-uring) by a thread.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <weir/channel.h>

#include "channel/layout.h"
#include "channel/wait.h"
#include "silence.h"

static uint64_t segments_before;
static unsigned files_before;

/* Open files of this process whose kind contains the word. */
static unsigned files_now(const char *word)
{
    unsigned count = 0;
    DIR *files = opendir("/proc/self/fd");
    assert_non_null(files);
    for (struct dirent *entry; (entry = readdir(files)) != NULL;) {
        char target[100] = "";
        if (readlinkat(dirfd(files), entry->d_name, target, sizeof target - 1) > 0)
            count += strstr(target, word) != NULL;
    }
    closedir(files);
    return count;
}

static unsigned rings_now(void)
{
    return files_now("io_uring");
}

static int descriptor_start(void **state)
{
    uint64_t identity;
    int result = fixture_start(state);
    if (result == 0)
        result = weir_identity(&identity);
    segments_before = segments_now();
    files_before = files_now("");
    return result;
}

static int descriptor_check(void **state)
{
    (void)state;
    return segments_now() == segments_before && names_now() == 0 && files_now("") == files_before
               ? 0
               : -1;
}

#define NOW INT64_C(0)
#define SECOND_NS INT64_C(1000000000)
#define SOON weir_deadline_ns(20 * SECOND_NS)

static const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                        .ring_bytes = WEIR_RING_BYTES_MIN };

static unsigned char bytes[WEIR_RING_BYTES_MIN];
static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static int fd; /* of the side that a test is about */

static bool is_readable(int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    int count = poll(&poll_fd, 1, timeout_ms);
    return count == 1 && poll_fd.revents == POLLIN;
}

static void open_publisher(void)
{
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    fd = weir_publisher_fd(publisher);
    assert_true(fd >= 0);
    assert_int_equal(weir_publisher_fd(publisher), fd);
}

static void open_both(void)
{
    open_publisher();
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
}

static void close_both(void)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static int send_bytes(size_t size)
{
    return weir_publisher_send_until(publisher, bytes, size, 0, NOW);
}

/* Until the ring is full. */
static unsigned fill(size_t size)
{
    unsigned count = 0;
    int result;
    while ((result = send_bytes(size)) == 0)
        count++;
    assert_result(result, -EAGAIN);
    return count;
}

static void take_one(void)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
}

/* For each size: not readable as soon as refused, readable as soon as there is room. */
static void test_room(void **state)
{
    static const size_t sizes[] = { 0, 8, 1000, 16000 };
    (void)state;
    open_both();
    assert_true(is_readable(0));
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned count = fill(sizes[i]);
        assert_true(count > 2);
        for (int turn = 0; turn < 50; turn++) {
            assert_false(is_readable(0));
            take_one();
            unsigned taken = 1;
            while (taken < count && !is_readable(sizes[i] > 8 ? 20 : 1000)) {
                assert_result(send_bytes(sizes[i]), -EAGAIN); /* a pad takes the room of several */
                take_one();
                taken++;
            }
            assert_true(is_readable(0));
            assert_result(send_bytes(sizes[i]), 0);
            assert_true(is_readable(0));
            fill(sizes[i]);
        }
        while (weir_publisher_wait_taken(publisher, NOW) == -EAGAIN)
            take_one();
    }
    close_both();
}

/* It stands for the call that was refused, and not for a smaller message. */
static void test_room_for_what_was_refused(void **state)
{
    void *data;
    (void)state;
    open_both();
    size_t most = weir_publisher_max_bytes(publisher);
    unsigned count = fill(1000);
    assert_result(send_bytes(most), -EAGAIN);
    for (int i = 0; i < 4; i++)
        take_one();
    assert_false(is_readable(300)); /* longer than a slice, too */
    assert_result(send_bytes(1000), 0);
    assert_true(is_readable(0)); /* nothing is refused any more */
    assert_result(weir_publisher_loan_until(publisher, most, &data, NOW), -EAGAIN);
    assert_false(is_readable(0));
    for (unsigned i = 4; i < count + 1; i++)
        take_one();
    assert_true(is_readable(5000));
    assert_result(weir_publisher_loan_until(publisher, most, &data, NOW), 0);
    assert_result(weir_publisher_commit(publisher, most, 0), 0);
    assert_true(is_readable(0));
    close_both();
}

static void test_waiting_for_a_subscriber(void **state)
{
    int result;
    (void)state;
    open_publisher();
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
    assert_false(is_readable(300));
    assert_result(send_bytes(8), 0); /* to nobody; that is not refused */
    assert_true(is_readable(0));
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
    assert_false(is_readable(0));
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    do
        assert_true(is_readable(5000));
    while ((result = weir_publisher_wait_subscribers(publisher, 1, NOW)) == -EAGAIN);
    assert_result(result, 0);
    assert_true(is_readable(0));
    close_both();
}

static void test_waiting_until_all_is_taken(void **state)
{
    struct weir_message message;
    (void)state;
    open_both();
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    assert_result(send_bytes(8), 0);
    assert_result(weir_publisher_end(publisher), 0);
    assert_true(is_readable(0));
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_false(is_readable(0));
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_false(is_readable(300));
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    assert_true(is_readable(5000));
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    close_both();
}

static void test_subscriber_that_leaves(void **state)
{
    (void)state;
    open_both();
    fill(1000);
    assert_false(is_readable(0));
    weir_subscriber_close(subscriber);
    assert_true(is_readable(5000)); /* nobody is there to wait for */
    assert_result(send_bytes(1000), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    fill(1000);
    assert_false(is_readable(300));
    take_one();
    assert_true(is_readable(5000));
    close_both();
}

static void subscribe(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    companion_arrive(companion);
}

static void test_subscriber_that_is_killed(void **state)
{
    struct companion companion;
    (void)state;
    open_publisher();
    companion_start(&companion, subscribe, NULL);
    companion_meet(&companion);
    fill(1000);
    assert_false(is_readable(300));
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    assert_true(is_readable(1000));
    assert_result(send_bytes(1000), 0);
    weir_publisher_close(publisher);
}

/* A loan that is out may have left a pad in the ring: no message. */
static void test_pad_alone_is_no_message(void **state)
{
    void *data;
    (void)state;
    open_both();
    fd = weir_subscriber_fd(subscriber);
    uint64_t at = 0, size = 10000, record = size + 8;
    for (; at + record <= WEIR_RING_BYTES_MIN; at += record) {
        assert_result(send_bytes(size), 0);
        assert_true(is_readable(5000));
        take_one();
        assert_result(weir_subscriber_receive_until(subscriber, NULL, 0, NULL, NOW), -EAGAIN);
    }
    assert_result(weir_publisher_loan_until(publisher, size, &data, NOW), 0);
    assert_false(is_readable(300));
    assert_result(weir_publisher_commit(publisher, size, 0), 0);
    assert_true(is_readable(5000));
    take_one();
    close_both();
}

static void use_in_child(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_fd(publisher), -ECHILD);
    CHECK_RESULT(weir_subscriber_fd(subscriber), -ECHILD);
    CHECK_RESULT(send_bytes(8), -ECHILD);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_fork(void **state)
{
    (void)state;
    open_both();
    fill(1000);
    in_child(use_in_child, NULL);
    assert_false(is_readable(0));
    take_one();
    take_one(); /* one for the pad */
    assert_true(is_readable(5000));
    close_both();
}

/* The other side goes through the motions, and nobody is rung: a slice makes up for it. */
static void send_silently(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    companion_arrive(companion);
    if (!silence())
        _exit(77);
    CHECK_RESULT(send_bytes(8), 0);
    companion_arrive(companion);
}

static void test_lost_ring_of_a_publisher(void **state)
{
    struct companion companion;
    struct weir_message message;
    (void)state;
    companion_start(&companion, send_silently, NULL);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    fd = weir_subscriber_fd(subscriber);
    do
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    while (is_readable(500)); /* attached */
    companion_meet(&companion);
    companion_release(&companion);
    companion_meet(&companion);
    assert_true(is_readable(1000));
    take_one();
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_subscriber_close(subscriber);
}

static void take_silently(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    companion_arrive(companion);
    if (!silence())
        _exit(77);
    take_one();
    take_one(); /* one for the pad */
    companion_arrive(companion);
}

static void test_lost_ring_of_a_subscriber(void **state)
{
    struct companion companion;
    (void)state;
    open_publisher();
    companion_start(&companion, take_silently, NULL);
    companion_meet(&companion);
    fill(8000);
    companion_release(&companion);
    companion_meet(&companion);
    assert_true(is_readable(1000));
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(publisher);
}

static void publish(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    companion_arrive(companion);
}

/* Attached, and armed a moment ago: from now on, a slice. With a ring, the pidfd is open. */
static void await_attached(void)
{
    struct weir_message message;
    const int64_t deadline_ns = SOON;
    do {
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
        assert_true(weir_now_ns() < deadline_ns);
    } while (is_readable(0));
    while (rings_now() > 0 && files_now("pidfd") == 0)
        assert_true(weir_now_ns() < deadline_ns);
}

/*
 * By a pidfd where there is a ring of io_uring: from the death, and not from the end of the slice
 * that began when the publisher was attached.
 */
static void test_publisher_that_is_killed(void **state)
{
    enum { KILLS = 5 };
    struct weir_message message;
    int64_t least_ns = INT64_MAX;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    fd = weir_subscriber_fd(subscriber);
    for (int i = 0; i < KILLS; i++) {
        struct companion companion;
        companion_start(&companion, publish, NULL);
        companion_meet(&companion);
        await_attached();
        assert_int_equal(kill(companion.pid, SIGKILL), 0);
        int64_t dead_ns = weir_now_ns();
        assert_true(is_readable(1000));
        int64_t took_ns = weir_now_ns() - dead_ns;
        least_ns = took_ns < least_ns ? took_ns : least_ns;
        companion_end(&companion);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EPIPE);
        assert_false(is_readable(0));
    }
    print_message("noticed after %lld us at least\n", (long long)least_ns / 1000);
    if (rings_now() > 0)
        assert_in_range(least_ns, 0, WEIR__SLICE_NS / 2);
    weir_subscriber_close(subscriber);
}

/*
 * Two loops that live on poll alone
 */

enum { LOOP_MESSAGES = 20000, STOP_EACH = 2000, SLOW_MS = 150 };

static size_t size_of(unsigned number)
{
    return number % 97 == 0 ? 16000 : number * 31 % 900;
}

/* Waits; a readiness that is lost is made up for by a slice only, and so counts as slow. */
static bool wait_readable(unsigned *slow)
{
    int64_t before_ns = weir_now_ns();
    bool is = is_readable(20000);
    *slow += weir_now_ns() - before_ns > SLOW_MS * INT64_C(1000000);
    return is;
}

static void take_by_poll(struct companion *companion, void *argument)
{
    struct weir_message message;
    unsigned got = 0, slow = 0;
    int result = 0;
    (void)companion, (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    fd = weir_subscriber_fd(subscriber);
    while (result != -ENODATA) {
        CHECK(wait_readable(&slow));
        while ((result = weir_subscriber_take_until(subscriber, &message, NOW)) == 0) {
            CHECK(message.size_bytes == size_of(got));
            got++;
            CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
        }
        CHECK(result == -EAGAIN || result == -ENODATA);
    }
    CHECK(got == LOOP_MESSAGES);
    CHECK(slow < 20);
    weir_subscriber_close(subscriber);
}

static void test_loops(void **state)
{
    struct companion companion;
    unsigned waits = 0, slow = 0;
    int result;
    (void)state;
    if (THREAD_SANITIZED) {
        print_message("the thread sanitizer ends a child of threads that starts a thread\n");
        skip();
    }
    open_publisher();
    companion_start(&companion, take_by_poll, NULL);
    while ((result = weir_publisher_wait_subscribers(publisher, 1, NOW)) == -EAGAIN)
        assert_true(is_readable(20000));
    assert_result(result, 0);
    for (unsigned number = 0; number < LOOP_MESSAGES; number++) {
        /* A subscriber that is stopped lets the ring fill, however fast it is. */
        if (number % STOP_EACH == 0)
            assert_int_equal(kill(companion.pid, SIGSTOP), 0);
        while ((result = send_bytes(size_of(number))) != 0) {
            assert_result(result, -EAGAIN);
            assert_int_equal(kill(companion.pid, SIGCONT), 0);
            assert_true(wait_readable(&slow));
            waits++;
        }
    }
    assert_result(weir_publisher_end(publisher), 0);
    while ((result = weir_publisher_wait_taken(publisher, NOW)) == -EAGAIN)
        assert_true(wait_readable(&slow));
    assert_int_equal(companion_end(&companion), 0);
    print_message("%u waits for room, %u of them slow\n", waits, slow);
    assert_true(waits >= LOOP_MESSAGES / STOP_EACH);
    assert_true(slow < 20);
    weir_publisher_close(publisher);
}

/*
 * Nothing happens
 */

/* Of all threads, those that have ended, too: how often they went to sleep. */
static unsigned long sleeps_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (unsigned long)usage.ru_nvcsw;
}

static int64_t cpu_now_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* At most 10 wake-ups a second; of CPU no more than what ten seconds may cost. */
static void expect_idle(const char *what)
{
    enum { IDLE_MS = 3000, CPU_US = 5000 };
    unsigned long sleeps = sleeps_now();
    int64_t cpu_us = cpu_now_us();
    assert_false(is_readable(IDLE_MS));
    sleeps = sleeps_now() - sleeps;
    cpu_us = cpu_now_us() - cpu_us;
    print_message("%s, armed for %d s: %lu wake-ups, %lld us\n", what, IDLE_MS / 1000, sleeps,
                  (long long)cpu_us);
    assert_true(sleeps >= 1);
    if (!THREAD_SANITIZED) /* which has a thread of its own, that wakes up, too */
        assert_in_range(sleeps, 1, IDLE_MS / 100);
    if (!SANITIZED)
        assert_in_range(cpu_us, 0, CPU_US);
}

static void test_idle(void **state)
{
    struct weir_message message;
    struct companion companion;
    (void)state;
    open_publisher();
    companion_start(&companion, subscribe, NULL);
    companion_meet(&companion);
    fill(1000);
    expect_idle("a publisher");
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(publisher);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    fd = weir_subscriber_fd(subscriber);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    expect_idle("a subscriber");
    weir_subscriber_close(subscriber);
}

/*
 * With a ring of io_uring, and without
 */

static bool is_forbidden;

/* Linux 6.7 has what it takes. */
static bool has_rings(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    char allowed[8] = "";
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (file && !fgets(allowed, sizeof allowed, file))
        allowed[0] = '\0';
    if (file)
        fclose(file);
    assert_int_equal(uname(&name), 0);
    assert_int_equal(sscanf(name.release, "%d.%d", &major, &minor), 2);
    return (major > 6 || (major == 6 && minor >= 7)) && allowed[0] == '0' && !is_forbidden;
}

static void test_which_of_both(void **state)
{
    (void)state;
    open_both();
    assert_int_equal(rings_now(), 0); /* room is looked at */
    assert_true(weir_subscriber_fd(subscriber) >= 0);
    unsigned count = rings_now();
    print_message("%s\n", count ? "io_uring" : "a thread");
    if (has_rings() && count == 0)
        print_message("io_uring is not to be had, though the kernel is new enough\n");
    else
        assert_int_equal(count, has_rings());
    close_both();
    assert_int_equal(rings_now(), 0);
}

static void *take_elsewhere(void *argument)
{
    struct weir_message message;
    int *result = argument;
    *result = weir_subscriber_take_until(subscriber, &message, NOW);
    if (*result == 0)
        *result = weir_subscriber_release(subscriber, &message);
    return NULL;
}

static int take_in_a_thread(void)
{
    pthread_t thread;
    int result = 1;
    assert_int_equal(pthread_create(&thread, NULL, take_elsewhere, &result), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return result;
}

/* A handle may go from thread to thread; the one that called last may be gone. */
static void test_threads(void **state)
{
    (void)state;
    open_both();
    fd = weir_subscriber_fd(subscriber);
    unsigned rings = rings_now();
    for (int i = 0; i < 20; i++) {
        int result;
        while ((result = take_in_a_thread()) == 0)
            ;
        assert_result(result, -EAGAIN);
        if (is_readable(20)) { /* its end may show, once */
            take_elsewhere(&result);
            assert_result(result, -EAGAIN);
        }
        assert_false(is_readable(0));
        assert_result(send_bytes(8), 0);
        assert_true(is_readable(5000));
        take_one();
    }
    assert_int_equal(rings_now(), rings); /* each thread had one in its turn */
    close_both();
}

/*
 * The directory, for a look behind the curtain
 */

static struct weir_segment *directory;

static struct weir__directory_shm *open_directory(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&directory, weir_by_name("lane"), 0, &options), 0);
    return weir_segment_data(directory);
}

/* The page of the subscriber, as the slot shows it. */
static const struct weir__page_shm *attach_page(const struct weir__slot_shm *slot, void **base)
{
    *base = shmat((int)(atomic_load(&slot->page) >> 13) - 1, NULL, SHM_RDONLY);
    assert_true(*base != (void *)-1);
    const struct weir__page_shm *page = *base;
    assert_true(page->member.magic == WEIR__PAGE_MAGIC);
    return page;
}

/* What is rung for late was found without it, and is no reason to look again. */
static void test_late_ring(void **state)
{
    struct weir_message message;
    void *base;
    (void)state;
    open_both();
    fd = weir_subscriber_fd(subscriber);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    struct weir__directory_shm *slots = open_directory();
    const struct weir__page_shm *page =
        attach_page(&slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT], &base);
    uint32_t epoch = atomic_load(&page->epoch);
    for (uint32_t late = 1; late < 32; late++)
        weir__ring_for(&slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell, epoch - late);
    assert_false(is_readable(100));
    /* Where nobody looks, one that is later still, or a liar's, is believed, once. */
    for (uint32_t late = 0; late <= 32; late += 32) {
        epoch = atomic_load(&page->epoch);
        weir__ring_for(&slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell, epoch - late);
        assert_int_equal(is_readable(100), rings_now());
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
        assert_false(is_readable(0));
    }
    assert_result(send_bytes(8), 0);
    assert_true(is_readable(5000));
    take_one();
    shmdt(base);
    weir_segment_close(directory);
    close_both();
}

static void only_wait(struct companion *companion, void *argument)
{
    (void)argument;
    companion_arrive(companion);
}

static void close_in_child(struct companion *companion, void *argument)
{
    (void)argument;
    weir_subscriber_close(subscriber);
    companion_arrive(companion);
}

/* A child has the ring, too. Neither does it disturb the parent, nor keep its wait alive. */
static void test_fork_with_a_ring(void **state)
{
    void (*const children[])(struct companion *, void *) = { only_wait, close_in_child };
    struct weir_message message;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        struct companion companion;
        open_both();
        fd = weir_subscriber_fd(subscriber);
        struct weir__directory_shm *slots = open_directory();
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
        companion_start(&companion, children[i], NULL);
        companion_meet(&companion);
        assert_false(is_readable(0));
        assert_result(send_bytes(8), 0);
        assert_true(is_readable(5000));
        take_one();
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
        assert_false(is_readable(0));
        weir_subscriber_close(subscriber); /* before the publisher, which rings */
        assert_int_equal(syscall(SYS_futex, &slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell,
                                 FUTEX_WAKE, INT_MAX, NULL, NULL, 0),
                         0);
        weir_publisher_close(publisher);
        companion_release(&companion);
        assert_int_equal(companion_end(&companion), 0);
        weir_segment_close(directory);
    }
}

/*
 * What the machine denies
 */

/* Not readable; a message makes it so; it is taken. The line that failed, or 0. */
static int one_turn(void)
{
    struct weir_message message;
    if (weir_subscriber_take_until(subscriber, &message, NOW) != -EAGAIN || is_readable(0))
        return __LINE__;
    if (send_bytes(8) != 0 || !is_readable(5000))
        return __LINE__;
    if (weir_subscriber_take_until(subscriber, &message, NOW) != 0 ||
        weir_subscriber_release(subscriber, &message) != 0)
        return __LINE__;
    return 0;
}

/* With one file the descriptor is there, with three it has a ring. */
static void test_few_files(void **state)
{
    enum { LIMIT = 64, ENOUGH = 3 };
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = { .rlim_cur = LIMIT, .rlim_max = before.rlim_max };
    for (int left = 0; left <= ENOUGH; left++) {
        int all[LIMIT], count = 0;
        assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        while ((all[count] = dup(STDOUT_FILENO)) >= 0)
            count++;
        assert_true(count >= ENOUGH);
        for (int i = 0; i < left; i++)
            close(all[--count]);
        fd = weir_subscriber_fd(subscriber);
        int line = fd < 0 ? 0 : one_turn();
        while (count > 0)
            close(all[--count]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (left == 0)
            assert_result(fd, -EMFILE);
        else
            assert_true(fd >= 0);
        assert_int_equal(line, 0);
        assert_true(rings_now() == 0 || left == ENOUGH);
        if (left == 0) {
            fd = weir_subscriber_fd(subscriber); /* asked again, with room */
            assert_int_equal(one_turn(), 0);
        }
        close_both();
    }
}

static void *lose_the_ring(void *argument)
{
    int *line = argument;
    unsigned slow = 0;
    fd = weir_subscriber_fd(subscriber);
    for (int i = 0; i < 3 && *line == 0; i++)
        *line = one_turn();
    if (*line == 0 && !forbid_call(SYS_io_uring_enter, EPERM))
        *line = __LINE__;
    for (int i = 0; i < 50 && *line == 0; i++) {
        int64_t before_ns = weir_now_ns();
        *line = one_turn();
        slow += weir_now_ns() - before_ns > SLOW_MS * INT64_C(1000000);
    }
    if (*line == 0 && slow > 10) /* found at the end of a slice */
        *line = __LINE__;
    return NULL;
}

/* A filter that comes later: a thread takes the ring's place. */
static void test_ring_that_is_taken_away(void **state)
{
    pthread_t thread;
    int line = 0;
    (void)state;
    open_both();
    assert_int_equal(pthread_create(&thread, NULL, lose_the_ring, &line), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(line, 0);
    assert_int_equal(rings_now(), 0);
    close_both();
}

int main(int argument_count, char **arguments)
{
    is_forbidden = argument_count > 1 && strcmp(arguments[1], "--without-io-uring") == 0;
    if (is_forbidden && !forbid_call(SYS_io_uring_setup, EPERM))
        return 77;
#define DESCRIPTOR_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, descriptor_check)
    const struct CMUnitTest tests[] = {
        DESCRIPTOR_TEST(test_room),
        DESCRIPTOR_TEST(test_room_for_what_was_refused),
        DESCRIPTOR_TEST(test_waiting_for_a_subscriber),
        DESCRIPTOR_TEST(test_waiting_until_all_is_taken),
        DESCRIPTOR_TEST(test_subscriber_that_leaves),
        DESCRIPTOR_TEST(test_subscriber_that_is_killed),
        DESCRIPTOR_TEST(test_publisher_that_is_killed),
        DESCRIPTOR_TEST(test_pad_alone_is_no_message),
        DESCRIPTOR_TEST(test_fork),
        DESCRIPTOR_TEST(test_lost_ring_of_a_publisher),
        DESCRIPTOR_TEST(test_lost_ring_of_a_subscriber),
        DESCRIPTOR_TEST(test_loops),
        DESCRIPTOR_TEST(test_idle),
        DESCRIPTOR_TEST(test_which_of_both),
        DESCRIPTOR_TEST(test_threads),
        DESCRIPTOR_TEST(test_late_ring),
        DESCRIPTOR_TEST(test_fork_with_a_ring),
        DESCRIPTOR_TEST(test_few_files),
        DESCRIPTOR_TEST(test_ring_that_is_taken_away),
    };
    return cmocka_run_group_tests(tests, descriptor_start, fixture_end);
}
