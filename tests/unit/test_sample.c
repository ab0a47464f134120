/* SPDX-License-Identifier: MIT */
/*
 * Goal: weir top finds the publisher of each reading among many, and takes no longer for the last one
 *       of them than for the first.
 * Method: a look at a channel whose members are ours; the processor's time that it takes.
 */
#include "unit/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/inspect.h>

#include "command.h"
#include "fields.h"
#include "sample.h"
#include "sentence.h"

#if defined(__SANITIZE_ADDRESS__) /* each row is another allocation */
enum { SUBSCRIBERS = 32, PUBLISHERS = 512 };
#else
enum { SUBSCRIBERS = 32, PUBLISHERS = 2048 };
#endif

/* What the command would link. */
int command_fail(const char *format, ...)
{
    (void)format;
    abort();
}

char *process_command(int pid)
{
    (void)pid;
    return NULL;
}

bool process_is_stopped(int pid)
{
    (void)pid;
    return false;
}

char *sentence_last(void)
{
    return NULL;
}

static struct weir_channel_reading readings[PUBLISHERS];

static struct weir_channel_member member_of(uint32_t role, uint32_t slot, uint64_t identity)
{
    return (struct weir_channel_member){ .size = sizeof(struct weir_channel_member),
                                         .role = role,
                                         .slot = slot,
                                         .state = WEIR_MEMBER_SHOWN,
                                         .identity = identity,
                                         .slowest = WEIR_SLOT_NONE };
}

/* The publishers have every second slot, and rings of as many KiB as the number of their slot. */
int __wrap_weir_inspect_channel(const char *name,
                                int (*visit)(const struct weir_channel_member *member,
                                             void *argument),
                                void *argument);
int __wrap_weir_inspect_channel(const char *name,
                                int (*visit)(const struct weir_channel_member *member,
                                             void *argument),
                                void *argument)
{
    (void)name;
    for (uint32_t i = 1; i <= PUBLISHERS; i++) {
        struct weir_channel_member member = member_of(WEIR_MEMBER_PUBLISHER, 2 * i, i);
        member.ring_bytes = 2 * i * UINT64_C(1024);
        visit(&member, argument);
    }
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        struct weir_channel_member member = member_of(WEIR_MEMBER_SUBSCRIBER, i, 1);
        member.readings = readings;
        member.reading_count = PUBLISHERS;
        visit(&member, argument);
    }
    return 0;
}

/* All readings are of this publisher, and lag by 1 KiB. Returns what of its ring that is; -1: it is not known. */
static double use_of(uint32_t slot, uint64_t identity)
{
    static char name[] = "c";
    char *const names[] = { name };
    struct sample sample;
    for (size_t i = 0; i < PUBLISHERS; i++)
        readings[i] = (struct weir_channel_reading){
            .publisher = slot, .identity = identity, .has_lag = WEIR_LAG_BYTES, .lag_bytes = 1024
        };
    assert_int_equal(sample_take(&sample, names, 1, NULL), 0);
    assert_int_equal(sample.row_count, PUBLISHERS + SUBSCRIBERS);
    const struct sample_row *row = &sample.rows[sample.row_count - 1];
    assert_true(row->has_lag && row->lag_bytes == 1024);
    double use = row->has_use ? row->use : -1;
    sample_free(&sample);
    return use;
}

static void each_is_found(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= PUBLISHERS; i += i < 8 || i > PUBLISHERS - 8 ? 1 : 97)
        assert_true(use_of(2 * i, i) == 1.0 / (2 * i));
    assert_true(use_of(0, 1) < 0);
    assert_true(use_of(3, 1) < 0);
    assert_true(use_of(2 * PUBLISHERS, 1) < 0); /* another one has come to that slot */
    assert_true(use_of(2 * PUBLISHERS + 1, 1) < 0);
}

/* One try, in nanoseconds of the processor; the least of this and those before. */
static int64_t least_cost(uint32_t slot, uint64_t identity, int64_t least)
{
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    use_of(slot, identity);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    int64_t took =
        (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + (after.tv_nsec - before.tv_nsec);
    return took < least ? took : least;
}

/* By turns: what makes the machine slow for a while does so for both. */
static void the_last_is_as_near_as_the_first(void **state)
{
    int64_t first = INT64_MAX, last = INT64_MAX;
    (void)state;
    for (int i = 0; i < 5; i++) {
        first = least_cost(2, 1, first);
        last = least_cost(2 * PUBLISHERS, PUBLISHERS, last);
    }
    printf("# %lld us for the first, %lld us for the last\n", (long long)(first / 1000),
           (long long)(last / 1000));
    assert_true(last < 4 * first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found),
        cmocka_unit_test(the_last_is_as_near_as_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
