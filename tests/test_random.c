/* SPDX-License-Identifier: MIT */
/*
 * Goal: random numbers come, each different, also where a filter forbids to ask for them.
 * Method: a child with a seccomp filter on getrandom(2), and then on opening files too.
 */
#include "fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/random.h"

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static bool forbid(uint32_t number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void draw(void *argument)
{
    uint64_t numbers[1000];
    int forbidden = *(int *)argument;
    CHECK(forbidden < 1 || forbid(SYS_getrandom));
    CHECK(forbidden < 2 || forbid(SYS_openat));
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
