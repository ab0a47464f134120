/* SPDX-License-Identifier: MIT */
/*
 * Goal: random numbers come, each different, also where a filter forbids to ask for them.
 * Method: a child with a seccomp filter on getrandom(2), and then on opening files too.
 */
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/random.h"

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void draw(void *argument)
{
    uint64_t numbers[1000];
    int forbidden = *(int *)argument;
    CHECK(forbidden < 1 || forbid_call(SYS_getrandom, EPERM));
    CHECK(forbidden < 2 || forbid_call(SYS_openat, EPERM));
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        numbers[i] = weir__random_nonzero();
        CHECK(numbers[i] != 0);
    }
    qsort(numbers, ARRAY_SIZE(numbers), sizeof numbers[0], by_value);
    for (size_t i = 1; i < ARRAY_SIZE(numbers); i++)
        CHECK(numbers[i] != numbers[i - 1]);
}

static void test_numbers_differ(void **state)
{
    (void)state;
    for (int forbidden = 0; forbidden <= 2; forbidden++)
        in_child(draw, &forbidden);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_numbers_differ) };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
