/* SPDX-License-Identifier: MIT */
/*
 * Goal: a collector that has seen a draft and is then stopped does not destroy what its creator,
 *       which lives, has meanwhile made of it.
 * Method: two traced processes: a creator left standing at its k-th system call stop, a collector
 *       at its n-th; the creator goes on, publishes and holds; the collector is resumed.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_SIZE = 5000, STRIDE = 5 };

struct scene {
    const char *what;
    uint32_t lifetime;
    unsigned stop; /* where the creator stands while the collector begins */
    pid_t creator;
    int made[2], end[2]; /* the creator tells by the one, and waits at the other */
};

static const uint16_t first_values[2] = { 7, 9 };

static void create_and_hold(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir_segment *again;
    char byte = 0;
    options.lifetime = scene->lifetime;
    options.semaphores = 2;
    options.semaphore_values = first_values;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("drafted"), TEST_SIZE, &options), 0);
    CHECK(write(scene->made[1], &byte, 1) == 1);
    close(scene->end[1]);
    CHECK(read(scene->end[0], &byte, 1) == 0);
    CHECK_RESULT(weir_segment_open(&again, weir_by_name("drafted"), TEST_SIZE, NULL), 0);
    CHECK(all_bytes(weir_segment_data(again), TEST_SIZE, 0));
    CHECK_RESULT(weir_semset_value(weir_segment_semset(again), 1), 9);
    weir_segment_close(again);
    weir_segment_close(segment);
    if (scene->lifetime == WEIR_PERSISTENT)
        CHECK_RESULT(weir_segment_remove(weir_by_name("drafted")), 0);
}

static void stage_creator(void *argument)
{
    struct scene *scene = argument;
    int status;
    assert_int_equal(pipe2(scene->made, O_CLOEXEC), 0);
    assert_int_equal(pipe2(scene->end, O_CLOEXEC), 0);
    scene->creator = tracee_start(NULL, create_and_hold, scene);
    for (unsigned i = 0; i < scene->stop; i++)
        assert_true(tracee_step(scene->creator, &status));
}

static void collect(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

/* The creator goes on to its end; its whole object is found by itself before it closes. */
static void end_creator(struct scene *scene)
{
    int status = -1;
    close(scene->end[1]);
    assert_int_equal(waitpid(scene->creator, &status, 0), scene->creator);
    if (status != 0)
        walk_print_place();
    assert_int_equal(status, 0);
    close(scene->made[0]);
    close(scene->made[1]);
    close(scene->end[0]);
    if (segments_now() || sets_now() || names_now())
        walk_print_place();
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void await_creation(struct scene *scene)
{
    char byte;
    assert_int_equal(read(scene->made[0], &byte, 1), 1);
}

static void at_stop(pid_t collector, void *argument)
{
    struct scene *scene = argument;
    tracee_release(scene->creator);
    await_creation(scene);
    assert_int_equal(tracee_finish(collector), 0);
    end_creator(scene);
}

/* How many stops the creation alone has: until the creator would wait for its end. */
static unsigned stops_of_creation(struct scene *scene)
{
    int status;
    unsigned stops = 0;
    scene->stop = 0;
    stage_creator(scene);
    assert_int_equal(fcntl(scene->made[0], F_SETFL, O_NONBLOCK), 0);
    char byte;
    while (read(scene->made[0], &byte, 1) != 1) {
        assert_true(tracee_step(scene->creator, &status));
        stops++;
    }
    tracee_release(scene->creator);
    end_creator(scene);
    return stops;
}

static void test_late_collector_of_a_draft(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { .what = "ephemeral", .lifetime = WEIR_EPHEMERAL },
        { .what = "persistent", .lifetime = WEIR_PERSISTENT },
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct scene *scene = &scenes[i];
        stops_of_creation(scene); /* makes WEIR_DIR, too, which stays */
        unsigned most = stops_of_creation(scene);
        unsigned stops = 0;
        for (unsigned stop = 1; stop + 4 < most; stop += SANITIZED ? 7 * STRIDE : STRIDE) {
            struct walk walk = { "collect", stage_creator, NULL, collect, at_stop, scene };
            scene->stop = stop;
            stops += walk_stops(&walk);
            /* The round in which the collector was not stopped: its creator stands still. */
            tracee_release(scene->creator);
            await_creation(scene);
            end_creator(scene);
        }
        print_message("           %s: the collector stopped at %u places in all\n", scene->what,
                      stops);
        assert_true(stops > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_late_collector_of_a_draft, fixture_check),
    };
    if (!tracer_works() || !fixture_is_alone()) {
        fprintf(stderr, "no tracing, or no IPC namespace of its own: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("stop_collector", tests, fixture_start, fixture_end);
}
