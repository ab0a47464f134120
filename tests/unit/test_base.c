/* SPDX-License-Identifier: MIT */
/*
 * The base floor.
 * Goal: errors, clock, limits and version keep what their headers say.
 * Method: calls at the edges of each range; the kernel's own figures from /proc.
 */
#include "unit/cmocka.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/error.h"
#include "base/random.h"

static void strerror_knows_every_code(void **state)
{
    (void)state;
#define CHECK(code, meaning, cure)                                                                 \
    assert_string_equal(weir_strerror(code), meaning ": " cure);                                   \
    assert_string_equal(weir_strerror(-code), meaning ": " cure);                                  \
    assert_string_equal(weir_strerror_name(code), #code);                                          \
    assert_string_equal(weir_strerror_name(-code), #code);
    WEIR_ERRORS(CHECK)
#undef CHECK
    assert_string_equal(weir_strerror(0), "success");
    assert_string_equal(weir_strerror_name(0), "0");
}

static void strerror_of_other_codes_is_the_c_librarys(void **state)
{
    (void)state;
    assert_string_equal(weir_strerror(-ENOTTY), strerror(ENOTTY));
    assert_string_equal(weir_strerror_name(-ENOTTY), "E?");
    assert_non_null(weir_strerror(123456));
}

/* Where a sanitizer looks on: its negative is no int. */
static void strerror_takes_every_int(void **state)
{
    const int ends[] = { INT_MIN, INT_MIN + 1, INT_MAX };
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        assert_non_null(weir_strerror(ends[i]));
        assert_string_equal(weir_strerror_name(ends[i]), "E?");
    }
}

static void fail_leaves_the_sentence_and_errno(void **state)
{
    (void)state;
    errno = ERANGE;
    assert_int_equal(weir__fail(ENOSPC, "kernel.shmmni is %d", 4096), -ENOSPC);
    assert_int_equal(errno, ERANGE);
    assert_string_equal(weir_last_error(), "kernel.shmmni is 4096");
}

static void fail_cuts_a_long_sentence(void **state)
{
    char text[2000];
    struct weir__error_saved saved;
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(weir__fail(EINVAL, "%s", text), -EINVAL);
    assert_int_equal(strlen(weir_last_error()), sizeof saved.text - 1);
}

static void error_save_and_restore(void **state)
{
    struct weir__error_saved saved;
    (void)state;
    weir__fail(EPROTO, "the first");
    errno = EBUSY;
    weir__error_save(&saved);
    weir__fail(EINVAL, "a clean-up that failed too");
    errno = 0;
    weir__error_restore(&saved);
    assert_string_equal(weir_last_error(), "the first");
    assert_int_equal(errno, EBUSY);
}

static void *fail_in_a_thread(void *found)
{
    *(int *)found = weir_last_error()[0] == '\0';
    weir__fail(EINVAL, "the thread's");
    return NULL;
}

static void last_error_is_per_thread(void **state)
{
    pthread_t thread;
    int was_empty = 0;
    (void)state;
    weir__fail(EPROTO, "mine");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_a_thread, &was_empty), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(was_empty);
    assert_string_equal(weir_last_error(), "mine");
}

static void clock_goes_forward(void **state)
{
    (void)state;
    int64_t first = weir_now_ns();
    int64_t second = weir_now_ns();
    assert_true(first > 0);
    assert_true(second >= first);
}

static void deadlines(void **state)
{
    (void)state;
    int64_t before = weir_now_ns();
    int64_t deadline = weir_deadline_ns(1000000000);
    int64_t after = weir_now_ns();
    assert_true(deadline >= before + 1000000000);
    assert_true(deadline <= after + 1000000000);
    assert_true(weir_deadline_ns(0) >= before);
    assert_true(weir_deadline_ns(0) < WEIR_NEVER);
    assert_true(weir_deadline_ns(-1) == WEIR_NEVER);
    assert_true(weir_deadline_ns(INT64_MIN) == WEIR_NEVER);
    assert_true(weir_deadline_ns(INT64_MAX) == WEIR_NEVER);
    assert_true(weir_deadline_ns(INT64_MAX - 1) == WEIR_NEVER);
}

static void version_is_one_number_in_three_forms(void **state)
{
    int major = -1, minor = -1, patch = -1;
    char text[32];
    (void)state;
    const char *version = weir_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    assert_string_equal(version, text);
    assert_int_equal((major << 16) | (minor << 8) | patch, WEIR_VERSION);
    assert_ptr_equal(weir_version(NULL, NULL, NULL), version);
}

static uint64_t number_in(const char *path, int index)
{
    uint64_t numbers[4] = { 0 };
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int i = 0; i <= index; i++)
        assert_int_equal(fscanf(file, "%" SCNu64, &numbers[i]), 1);
    fclose(file);
    return numbers[index];
}

static void limits_are_the_kernels(void **state)
{
    struct weir_limits limits = { .size = sizeof limits };
    struct stat entry;
    (void)state;
    assert_int_equal(weir_limits(&limits), 0);
    assert_int_equal(limits.page_size_bytes, sysconf(_SC_PAGESIZE));
    assert_int_equal(limits.shmmax_bytes, number_in("/proc/sys/kernel/shmmax", 0));
    assert_int_equal(limits.shmall_pages, number_in("/proc/sys/kernel/shmall", 0));
    assert_int_equal(limits.shmmni, number_in("/proc/sys/kernel/shmmni", 0));
    assert_int_equal(limits.semmsl, number_in("/proc/sys/kernel/sem", 0));
    assert_int_equal(limits.semmns, number_in("/proc/sys/kernel/sem", 1));
    assert_int_equal(limits.semopm, number_in("/proc/sys/kernel/sem", 2));
    assert_int_equal(limits.semmni, number_in("/proc/sys/kernel/sem", 3));
    assert_int_equal(limits.semvmx, 32767);
    assert_int_equal(limits.shm_rmid_forced, number_in("/proc/sys/kernel/shm_rmid_forced", 0));
    assert_int_equal(stat("/proc/self/ns/ipc", &entry), 0);
    assert_int_equal(limits.ipc_namespace, entry.st_ino);
}

static void limits_count_what_is_in_use(void **state)
{
    struct weir_limits before = { .size = sizeof before }, after = { .size = sizeof after };
    const char *isolated = getenv("WEIR_ISOLATED");
    (void)state;
    if (!isolated || strcmp(isolated, "1") != 0)
        skip(); /* somebody else may create a segment between the two calls */
    assert_int_equal(weir_limits(&before), 0);
    int id = shmget(IPC_PRIVATE, 2 * (size_t)before.page_size_bytes, 0600);
    assert_true(id >= 0);
    char *bytes = shmat(id, NULL, 0);
    assert_true(bytes != (void *)-1);
    bytes[0] = 1; /* of the two pages, one is in memory */
    int set = semget(IPC_PRIVATE, 3, 0600);
    int result = weir_limits(&after);
    assert_int_equal(shmdt(bytes), 0);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    assert_true(set >= 0);
    assert_int_equal(semctl(set, 0, IPC_RMID), 0);
    assert_int_equal(result, 0);
    assert_int_equal(after.shm_used, before.shm_used + 1);
    assert_int_equal(after.shm_used_pages, before.shm_used_pages + 2);
    assert_int_equal(after.shm_resident_pages + after.shm_swapped_pages,
                     before.shm_resident_pages + before.shm_swapped_pages + 1);
    assert_true(after.shm_resident_pages > 0);
    assert_int_equal(after.semset_used, before.semset_used + 1);
    assert_int_equal(after.sem_used, before.sem_used + 3);
}

static void limits_refuse_a_size_that_is_too_small(void **state)
{
    struct weir_limits limits = { .size = sizeof limits - 1, .shmmni = 7 };
    (void)state;
    assert_int_equal(weir_limits(&limits), -EINVAL);
    assert_int_equal(limits.shmmni, 7);
    assert_non_null(strstr(weir_last_error(), "weir_limits"));
}

static void limits_write_no_more_than_the_caller_knows(void **state)
{
    struct {
        struct weir_limits limits;
        unsigned char beyond[64];
    } larger;
    (void)state;
    memset(&larger, 0xa5, sizeof larger);
    larger.limits.size = sizeof larger;
    assert_int_equal(weir_limits(&larger.limits), 0);
    for (size_t i = 0; i < sizeof larger.beyond; i++)
        assert_int_equal(larger.beyond[i], 0xa5);
    assert_int_equal(larger.limits.size, sizeof larger); /* for the next call */
}

static void random_numbers_differ_and_are_never_zero(void **state)
{
    uint64_t last = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = weir__random_nonzero();
        assert_true(number != 0);
        assert_true(number != last);
        last = number;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strerror_knows_every_code),
        cmocka_unit_test(strerror_of_other_codes_is_the_c_librarys),
        cmocka_unit_test(strerror_takes_every_int),
        cmocka_unit_test(fail_leaves_the_sentence_and_errno),
        cmocka_unit_test(fail_cuts_a_long_sentence),
        cmocka_unit_test(error_save_and_restore),
        cmocka_unit_test(last_error_is_per_thread),
        cmocka_unit_test(clock_goes_forward),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(version_is_one_number_in_three_forms),
        cmocka_unit_test(limits_are_the_kernels),
        cmocka_unit_test(limits_count_what_is_in_use),
        cmocka_unit_test(limits_refuse_a_size_that_is_too_small),
        cmocka_unit_test(limits_write_no_more_than_the_caller_knows),
        cmocka_unit_test(random_numbers_differ_and_are_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
