/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long a handle that waits is to spin: longer after large messages, unless it was told
 *       how long (channel/wait.h).
 * Method: positions as a handle would report them; and the wait itself, with the count of its sleeps.
 */
#include "unit/cmocka.h"

#include <errno.h>

#include <weir/clock.h>

#include "channel/wait.h"

static void large_messages_make_the_next_spin_longer(void **state)
{
    struct weir__waiter waiter = { .spin_ns = 20000, .is_by_default = true };
    (void)state;
    weir__waiter_moved(&waiter, 80000);
    assert_int_equal(waiter.more_ns, 80000 / WEIR__SPIN_BYTES_A_NS);
    weir__waiter_moved(&waiter, 80000); /* it waits again: nothing came between */
    assert_int_equal(waiter.more_ns, 0);
    weir__waiter_moved(&waiter, 80000 + (UINT64_C(1) << 40));
    assert_int_equal(waiter.more_ns, WEIR__SPIN_MORE_NS);
}

static void positions_come_round(void **state)
{
    struct weir__waiter waiter = { .spin_ns = 20000, .is_by_default = true, .moved = UINT64_MAX };
    (void)state;
    weir__waiter_moved(&waiter, 4 * WEIR__SPIN_BYTES_A_NS - 1);
    assert_int_equal(waiter.more_ns, 4);
    weir__waiter_moved(&waiter, 0); /* another lane's */
    assert_int_equal(waiter.more_ns, WEIR__SPIN_MORE_NS);
}

static void who_said_how_long_spins_so_long(void **state)
{
    struct weir__waiter waiter = { .spin_ns = 20000 };
    (void)state;
    weir__waiter_moved(&waiter, UINT64_C(1) << 20);
    assert_int_equal(waiter.more_ns, 0);
}

static bool never(void *argument)
{
    (void)argument;
    return false;
}

static void a_spin_is_so_much_longer(void **state)
{
    static struct weir__stats_shm stats;
    weir__atomic_u32 doorbell = 0, epoch = 0;
    struct weir__waiter waiter = {
        .doorbell = &doorbell, .epoch = &epoch, .spin_ns = 1, .more_ns = 20000000, .stats = &stats
    };
    (void)state;
    /* The deadline comes while it spins: so it does not sleep. */
    assert_int_equal(weir__wait(&waiter, never, NULL, weir_now_ns() + 10000000), -ETIMEDOUT);
    assert_int_equal(stats.sleeps, 0);
    waiter.more_ns = 0;
    /* It is far off: so it sleeps, for what is left of a slice. */
    waiter.asked_ns = weir_now_ns() - WEIR__SLICE_NS + 10000000;
    assert_int_equal(weir__wait(&waiter, never, NULL, weir_deadline_ns(INT64_C(20000000000))),
                     WEIR__WAITED_SLICE);
    assert_int_equal(stats.sleeps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_messages_make_the_next_spin_longer),
        cmocka_unit_test(positions_come_round),
        cmocka_unit_test(who_said_how_long_spins_so_long),
        cmocka_unit_test(a_spin_is_so_much_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
