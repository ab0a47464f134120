/* SPDX-License-Identifier: MIT */
/*
 * Goal: a subscriber's descriptor has a ring of io_uring where that is to be had, and a thread
 * where it is not, or is taken away; neither is disturbed by threads, children or late rings.
 * Method: each turn in order; the directory and the page, looked at from outside; few files, and
 * filters of system calls.
 */
#include "sides.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "channel/layout.h"
#include "channel/wait.h"
#include "silence.h"

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
    return (major > 6 || (major == 6 && minor >= 7)) && allowed[0] == '0' && !sides_without_rings;
}

static void test_which_of_both(void **state)
{
    (void)state;
    sides_open();
    assert_int_equal(sides_rings(), 0); /* room is looked at */
    assert_true(weir_subscriber_fd(sides.subscriber) >= 0);
    unsigned count = sides_rings();
    print_message("%s\n", count ? "io_uring" : "a thread");
    if (has_rings() && count == 0)
        print_message("io_uring is not to be had, though the kernel is new enough\n");
    else
        assert_int_equal(count, has_rings());
    sides_close();
    assert_int_equal(sides_rings(), 0);
}

static void *take_elsewhere(void *argument)
{
    struct weir_message message;
    int *result = argument;
    *result = weir_subscriber_take_until(sides.subscriber, &message, NOW);
    if (*result == 0)
        *result = weir_subscriber_release(sides.subscriber, &message);
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
    sides_open();
    sides.fd = weir_subscriber_fd(sides.subscriber);
    for (int i = 0; i < 20; i++) {
        int result;
        while ((result = take_in_a_thread()) == 0)
            ;
        assert_int_equal(result, -EAGAIN); /* whose sentence was that thread's */
        if (sides_fd_is_readable(20)) {    /* its end may show, once */
            take_elsewhere(&result);
            assert_result(result, -EAGAIN);
        }
        assert_false(sides_fd_is_readable(0));
        assert_result(sides_send(8), 0);
        assert_true(sides_fd_is_readable(5000));
        sides_take_one();
    }
    assert_int_equal(sides_rings(), 0); /* from thread to thread: a thread waits for all of them */
    sides_close();
}

enum { HANDOVERS = 6 };

static pthread_barrier_t turn;

/* Takes its turn, and then does something else that a signal would end. */
static void *take_to_and_fro(void *argument)
{
    struct weir_message message;
    struct epoll_event event;
    unsigned *interrupted = argument;
    int silence = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < HANDOVERS; i++) {
        if (weir_subscriber_take_until(sides.subscriber, &message, NOW) != -EAGAIN)
            *interrupted += 100;
        pthread_barrier_wait(&turn);
        *interrupted += epoll_wait(silence, &event, 1, 60) == -1;
        pthread_barrier_wait(&turn);
    }
    close(silence);
    return NULL;
}

/* A handle that goes to and fro interrupts each of its threads once at most, and nobody then. */
static void test_to_and_fro(void **state)
{
    unsigned interrupted = 0;
    struct weir_message message;
    pthread_t thread;
    (void)state;
    sides_open();
    sides.fd = weir_subscriber_fd(sides.subscriber);
    pthread_barrier_init(&turn, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, take_to_and_fro, &interrupted), 0);
    for (int i = 0; i < HANDOVERS; i++) {
        pthread_barrier_wait(&turn);
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
        assert_result(sides_send(8), 0);
        assert_true(sides_fd_is_readable(5000));
        sides_take_one();
        pthread_barrier_wait(&turn);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&turn);
    assert_true(interrupted <= 1);
    sides_close();
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
    *base = shmat((int)(atomic_load(&slot->page) >> 32) - 1, NULL, SHM_RDONLY);
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
    sides_open();
    sides.fd = weir_subscriber_fd(sides.subscriber);
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
    struct weir__directory_shm *slots = open_directory();
    const struct weir__page_shm *page =
        attach_page(&slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT], &base);
    const weir__atomic_u32 *shown =
        weir__page_epoch(page, weir__page_epoch_line(WEIR_CHANNEL_MEMBERS_DEFAULT, 0));
    uint32_t epoch = atomic_load(shown);
    for (uint32_t late = 1; late < 32; late++)
        weir__ring_for(&slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell, epoch - late);
    assert_false(sides_fd_is_readable(100));
    /* Where nobody looks, one that is later still, or a liar's, is believed, once. */
    for (uint32_t late = 0; late <= 32; late += 32) {
        epoch = atomic_load(shown);
        weir__ring_for(&slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell, epoch - late);
        assert_int_equal(sides_fd_is_readable(100), sides_rings());
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
        assert_false(sides_fd_is_readable(0));
    }
    assert_result(sides_send(8), 0);
    assert_true(sides_fd_is_readable(5000));
    sides_take_one();
    shmdt(base);
    weir_segment_close(directory);
    sides_close();
}

static void only_wait(struct companion *companion, void *argument)
{
    (void)argument;
    companion_arrive(companion);
}

static void close_in_child(struct companion *companion, void *argument)
{
    (void)argument;
    weir_subscriber_close(sides.subscriber);
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
        sides_open();
        sides.fd = weir_subscriber_fd(sides.subscriber);
        struct weir__directory_shm *slots = open_directory();
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
        companion_start(&companion, children[i], NULL);
        companion_meet(&companion);
        assert_false(sides_fd_is_readable(0));
        assert_result(sides_send(8), 0);
        assert_true(sides_fd_is_readable(5000));
        sides_take_one();
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
        assert_false(sides_fd_is_readable(0));
        weir_subscriber_close(sides.subscriber); /* before the publisher, which rings */
        assert_int_equal(syscall(SYS_futex, &slots->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell,
                                 FUTEX_WAKE, INT_MAX, NULL, NULL, 0),
                         0);
        weir_publisher_close(sides.publisher);
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
    if (weir_subscriber_take_until(sides.subscriber, &message, NOW) != -EAGAIN ||
        sides_fd_is_readable(0))
        return __LINE__;
    if (sides_send(8) != 0 || !sides_fd_is_readable(5000))
        return __LINE__;
    if (weir_subscriber_take_until(sides.subscriber, &message, NOW) != 0 ||
        weir_subscriber_release(sides.subscriber, &message) != 0)
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
        assert_result(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
        assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        while ((all[count] = dup(STDOUT_FILENO)) >= 0)
            count++;
        assert_true(count >= ENOUGH);
        for (int i = 0; i < left; i++)
            close(all[--count]);
        sides.fd = weir_subscriber_fd(sides.subscriber);
        int line = sides.fd < 0 ? 0 : one_turn();
        while (count > 0)
            close(all[--count]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (left == 0)
            assert_result(sides.fd, -EMFILE);
        else
            assert_true(sides.fd >= 0);
        assert_int_equal(line, 0);
        assert_true(sides_rings() == 0 || left == ENOUGH);
        if (left == 0) {
            sides.fd = weir_subscriber_fd(sides.subscriber); /* asked again, with room */
            assert_int_equal(one_turn(), 0);
        }
        sides_close();
    }
}

static void *lose_the_ring(void *argument)
{
    int *line = argument;
    unsigned slow = 0;
    sides.fd = weir_subscriber_fd(sides.subscriber);
    for (int i = 0; i < 3 && *line == 0; i++)
        *line = one_turn();
    if (*line == 0 && !forbid_call(SYS_io_uring_enter, EPERM))
        *line = __LINE__;
    for (int i = 0; i < 50 && *line == 0; i++) {
        int64_t before_ns = weir_now_ns();
        *line = one_turn();
        slow += weir_now_ns() - before_ns > SIDES_SLOW_MS * INT64_C(1000000);
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
    sides_open();
    assert_int_equal(pthread_create(&thread, NULL, lose_the_ring, &line), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(line, 0);
    assert_int_equal(sides_rings(), 0);
    sides_close();
}

int main(int argument_count, char **arguments)
{
    if (!sides_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        SIDES_TEST(test_which_of_both),
        SIDES_TEST(test_threads),
        SIDES_TEST(test_to_and_fro),
        SIDES_TEST(test_late_ring),
        SIDES_TEST(test_fork_with_a_ring),
        SIDES_TEST(test_few_files),
        SIDES_TEST(test_ring_that_is_taken_away),
    };
    return cmocka_run_group_tests(tests, sides_start, fixture_end);
}
