/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_STANDIN_CMOCKA_H
#define WEIR_TESTS_STANDIN_CMOCKA_H

/*
 * Stands in for cmocka where there is none: on musl, whose programs cannot use
 * the cmocka that was built for glibc. The assertions and runners that weir's
 * tests use, by the same names; no mocks. Chosen by the option WEIR_TEST_STANDIN.
 */

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    int (*setup_func)(void **state);
    int (*teardown_func)(void **state);
    void *initial_state;
};

/* cmocka's own look for leaks. */
#define test_malloc(size_bytes) malloc(size_bytes)
#define test_free(memory) free(memory)

enum standin_outcome { STANDIN_FAILED = 1, STANDIN_SKIPPED = 2 };

/* Weak, so that the files of one test program share it. */
__attribute__((weak)) jmp_buf standin_jump;

#define cmocka_unit_test(f)                                                                        \
    {                                                                                              \
#f, f, NULL, NULL, NULL                                                                    \
    }
#define cmocka_unit_test_setup(f, setup)                                                           \
    {                                                                                              \
#f, f, setup, NULL, NULL                                                                   \
    }
#define cmocka_unit_test_teardown(f, teardown)                                                     \
    {                                                                                              \
#f, f, NULL, teardown, NULL                                                                \
    }
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                                        \
    {                                                                                              \
#f, f, setup, teardown, NULL                                                               \
    }
#define cmocka_unit_test_prestate(f, state)                                                        \
    {                                                                                              \
#f, f, NULL, NULL, state                                                                   \
    }
#define cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, state)                        \
    {                                                                                              \
#f, f, setup, teardown, state                                                              \
    }

__attribute__((noreturn, unused)) static void standin_end(enum standin_outcome outcome)
{
    fflush(stdout);
    fflush(stderr);
    longjmp(standin_jump, (int)outcome);
}

#define standin_check(condition, ...)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: error: ", __FILE__, __LINE__);                                 \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            standin_end(STANDIN_FAILED);                                                           \
        }                                                                                          \
    } while (0)

/* cmocka's own, which a fixture calls to fail at its caller's line. */
#define _fail(file, line)                                                                          \
    (fprintf(stderr, "%s:%d: error: failure\n", file, line), standin_end(STANDIN_FAILED))
#define fail_msg(...) standin_check(false, __VA_ARGS__)
#define fail() fail_msg("fail()")
#define skip() standin_end(STANDIN_SKIPPED)
#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)

#define assert_true(c) standin_check(c, "not true: %s", #c)
#define assert_false(c) standin_check(!(c), "not false: %s", #c)
#define assert_null(p) standin_check((p) == NULL, "not NULL: %s", #p)
#define assert_non_null(p) standin_check((p) != NULL, "NULL: %s", #p)
#define assert_return_code(result, error)                                                          \
    standin_check((result) >= 0, "%s < 0, errno %d", #result, (int)(error))

#define standin_compare(a, operator, b, text)                                                      \
    do {                                                                                           \
        uintmax_t standin_a = (uintmax_t)(a), standin_b = (uintmax_t)(b);                          \
        standin_check(standin_a operator standin_b, "%s: 0x%jx, %s: 0x%jx: should be %s", #a,      \
                      standin_a, #b, standin_b, text);                                             \
    } while (0)
#define assert_int_equal(a, b) standin_compare(a, ==, b, "equal")
#define assert_int_not_equal(a, b) standin_compare(a, !=, b, "different")
#define assert_ptr_equal(a, b) standin_compare((uintptr_t)(a), ==, (uintptr_t)(b), "equal")
#define assert_ptr_not_equal(a, b) standin_compare((uintptr_t)(a), !=, (uintptr_t)(b), "different")
#define assert_in_range(value, least, most)                                                        \
    do { /* each is looked at once */                                                              \
        uintmax_t standin_value = (uintmax_t)(value), standin_least = (uintmax_t)(least);          \
        uintmax_t standin_most = (uintmax_t)(most);                                                \
        standin_check(standin_value >= standin_least && standin_value <= standin_most,             \
                      "%s: 0x%jx: should be in range 0x%jx to 0x%jx", #value, standin_value,       \
                      standin_least, standin_most);                                                \
    } while (0)

#define standin_strings(a, b, wanted)                                                              \
    do {                                                                                           \
        const char *standin_a = (a), *standin_b = (b);                                             \
        standin_check((strcmp(standin_a, standin_b) == 0) == (wanted), "\"%s\" and \"%s\": %s",    \
                      standin_a, standin_b, (wanted) ? "should be equal" : "should differ");       \
    } while (0)
#define assert_string_equal(a, b) standin_strings(a, b, true)
#define assert_string_not_equal(a, b) standin_strings(a, b, false)
#define assert_memory_equal(a, b, n)                                                               \
    standin_check(memcmp(a, b, n) == 0, "%s and %s should be equal", #a, #b)
#define assert_memory_not_equal(a, b, n)                                                           \
    standin_check(memcmp(a, b, n) != 0, "%s and %s should differ", #a, #b)

/* Returns 0 for passed, or enum standin_outcome. */
__attribute__((unused)) static int standin_run_one(const struct CMUnitTest *test, void *group)
{
    void *state = test->initial_state ? test->initial_state : group;
    volatile bool set_up = false;
    volatile int outcome = setjmp(standin_jump);
    if (outcome == 0) {
        if (test->setup_func && test->setup_func(&state) != 0)
            fail_msg("%s: set-up failed", test->name);
        set_up = true;
        test->test_func(&state);
    }
    int torn = setjmp(standin_jump);
    if (torn == 0 && set_up && test->teardown_func && test->teardown_func(&state) != 0)
        torn = STANDIN_FAILED;
    return torn == STANDIN_FAILED ? torn : outcome;
}

__attribute__((unused)) static int standin_run(const struct CMUnitTest *tests, size_t count,
                                               int (*setup)(void **), int (*teardown)(void **))
{
    void *state = NULL;
    int failed = 0;
    if (setjmp(standin_jump) != 0 || (setup && setup(&state) != 0))
        return 1;
    for (size_t i = 0; i < count; i++) {
        int outcome = standin_run_one(&tests[i], state);
        printf("[ %s ] %s\n",
               outcome == 0                 ? "     OK"
               : outcome == STANDIN_SKIPPED ? "SKIPPED"
                                            : " FAILED",
               tests[i].name);
        fflush(stdout);
        failed += outcome == STANDIN_FAILED;
    }
    if (setjmp(standin_jump) != 0 || (teardown && teardown(&state) != 0))
        failed++;
    return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    standin_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                  \
    cmocka_run_group_tests(tests, setup, teardown)

#endif
