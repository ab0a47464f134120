/* SPDX-License-Identifier: MIT */
/*
 * Goal: what cannot come into a wait set, for want of files or of room, leaves no file open and no
 *       segment attached; nor does a set that cannot be opened. One item more costs the same in a full
 *       set as in an empty one.
 * Method: one file more each time, until the call succeeds; and a set as full as can be. Memory that
 *         nobody may touch in the place of the items that are there.
 */
#include "files.h"
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "waitset/set.h"

static uint64_t own, dead;

/* Segments that are attached. */
static unsigned attached_now(void)
{
    char line[512];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, " /SYSV") != NULL;
    fclose(maps);
    return count;
}

static int open_set(void)
{
    struct weir_wait_set *set = NULL;
    int result = weir_wait_set_open(&set, NULL);
    weir_wait_set_close(set);
    return result;
}

static int add_timer(void)
{
    return weir_wait_set_add_timer(waiting_set, WEIR_SECOND_NS, 0, 1);
}

static int add_death(void)
{
    return weir_wait_set_add_death(waiting_set, own, geteuid(), 1);
}

static int add_members(void)
{
    return weir_wait_set_add_members(waiting_set, "one", NULL, WEIR_WAIT_PUBLISHERS, 1);
}

/* With one file, with two, and so on. What fails leaves all as it was. Returns how often it failed. */
static unsigned with_few_files(int (*call)(void))
{
    struct rlimit before, few;
    unsigned files = descriptors_now(), attached = attached_now(), failures = 0;
    int result, last = dup(0);
    close(last);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)last;
    for (;; few.rlim_cur++, failures++) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        result = call();
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (result >= 0)
            return failures;
        assert_result(result, -EMFILE);
        assert_int_equal(descriptors_now(), files);
        assert_int_equal(attached_now(), attached);
    }
}

static void test_few_files(void **state)
{
    int (*const calls[])(void) = { open_set, add_timer, add_death, add_members };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        assert_true(with_few_files(calls[i]) > 0);
        weir_wait_set_close(waiting_set); /* the next one needs as many files as the first */
        assert_result(weir_wait_set_open(&waiting_set, NULL), 0);
    }
}

static void tell_identity(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    atomic_store(&board->words[0], identity);
}

static void fill_the_set(void)
{
    in_child(tell_identity, NULL);
    dead = atomic_load(&board->words[0]);
    for (int i = 0; i < WEIR_WAIT_ITEMS_MAX; i++)
        assert_result(weir_wait_set_add_death(waiting_set, dead, geteuid(), 0), i);
}

static void test_a_full_set(void **state)
{
    int (*const calls[])(void) = { add_timer, add_death, add_members };
    (void)state;
    fill_the_set();
    unsigned files = descriptors_now(), attached = attached_now();
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        assert_result(calls[i](), -ENOSPC);
        assert_int_equal(descriptors_now(), files);
        assert_int_equal(attached_now(), attached);
    }
}

enum { THERE = 40 };

/* A descriptor more looks at none of those that are there: else to fill a set would cost their square. */
static void test_an_add_looks_at_no_other(void **state)
{
    int fds[THERE + 1];
    struct weir__item *kept[THERE];
    void *forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_true(forbidden != MAP_FAILED);
    for (int i = 0; i <= THERE; i++) {
        fds[i] = eventfd(1, EFD_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    for (int i = 0; i < THERE; i++)
        assert_result(weir_wait_set_add_fd(waiting_set, fds[i], POLLIN, (uint64_t)i), i);
    for (int i = 0; i < THERE; i++) {
        kept[i] = waiting_set->items[i];
        waiting_set->items[i] = forbidden;
    }
    int result = weir_wait_set_add_fd(waiting_set, fds[THERE], POLLIN, THERE);
    for (int i = 0; i < THERE; i++)
        waiting_set->items[i] = kept[i];
    assert_result(result, THERE);
    for (int i = 0; i <= THERE; i++) {
        assert_result(weir_wait_set_remove(waiting_set, (uint32_t)i), 0);
        close(fds[i]);
    }
    munmap(forbidden, 4096);
}

static int full_start(void **state)
{
    int result = crowd_start(state);
    return result == 0 ? weir_identity(&own) : result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_few_files),
        WAITING_TEST(test_a_full_set),
        WAITING_TEST(test_an_add_looks_at_no_other),
    };
    return cmocka_run_group_tests(tests, full_start, fixture_end);
}
