/* SPDX-License-Identifier: MIT */
/*
 * Goal: a SIGKILL at any system call of open, lookup, close, remove or collect leaves nothing that
 *       the next collect does not clear, and takes nothing away from a living holder.
 * Method: as in test_kill.c; beside a holder that is alive, and with drafts that a creator left
 *       when it was killed.
 */
#include "killed.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- close and remove ------------------------------------------------------------------- */

static void test_close_as_last(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { "name", weir_by_name("k/e"), WEIR_EPHEMERAL, 0, NULL },
        { "name, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "close", NULL, create, close_it, at_stop, &scenes[i] };
        report("close", &scenes[i], walk_stops(&walk));
        expect_counts(0, 0, 0);
        walk.what = "close, and the next creator collects";
        walk.at_stop = at_stop_without_collect;
        walk_stops(&walk);
        expect_counts(0, 0, 0);
    }
    struct scene scene = { "private, set", weir_private(), WEIR_EPHEMERAL, 2, NULL };
    struct walk walk = { "close", NULL, create, close_it, at_stop_private, &scene };
    report("close", &scene, walk_stops(&walk));
    expect_counts(0, 0, 0);
}

static void at_stop_of_remove(pid_t child, void *argument)
{
    struct scene *scene = argument;
    kill_and_collect(child);
    in_child_at(survive, scene);
    expect_counts(0, 0, 0);
}

static void test_remove(void **state)
{
    (void)state;
    size_t count = fill_found_scenes();
    for (size_t i = 0; i < count; i++) {
        if (found_scenes[i].lifetime != WEIR_PERSISTENT)
            continue;
        struct walk walk = { "remove",        NULL, create_and_close, remove_it, at_stop_of_remove,
                             &found_scenes[i] };
        report("remove", &found_scenes[i], walk_stops(&walk));
        expect_counts(0, 0, 0);
    }
    unlink(fixture_path("ftok-file"));
}

static void test_remove_ephemeral_in_use(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { "name, ephemeral", weir_by_name("k/e"), WEIR_EPHEMERAL, 0, NULL },
        { "name, ephemeral, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "remove in use", NULL, create, remove_it, at_stop, &scenes[i] };
        report("remove in use", &scenes[i], walk_stops(&walk));
        in_child_at(collect, NULL);
        expect_counts(0, 0, 0);
    }
}

/* --- beside a living holder ------------------------------------------------------------- */

static struct companion holder;

static void hold(struct companion *companion, void *argument)
{
    struct scene *scene = argument;
    create(scene);
    strcpy(weir_segment_data(scene->segment), "held");
    companion_arrive(companion);
    CHECK(strcmp(weir_segment_data(scene->segment), "held") == 0);
    for (uint32_t i = 0; i < scene->semaphores; i++)
        CHECK_RESULT(weir_semset_value(weir_segment_semset(scene->segment), i), first_values[i]);
    weir_segment_close(scene->segment);
}

static void find_held(void *argument)
{
    struct scene *scene = argument;
    open_it(scene);
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_stat(scene->segment, &stat), 0);
    CHECK(stat.shm_nattch == 2); /* the holder and I: the dead have gone */
    CHECK(strcmp(weir_segment_data(scene->segment), "held") == 0);
    weir_segment_close(scene->segment);
}

static void at_stop_beside_holder(pid_t child, void *argument)
{
    struct scene *scene = argument;
    kill_and_collect(child);
    in_child_at(find_held, scene);
    expect_counts(1, scene->semaphores ? 1 : 0, 1);
}

static void test_beside_a_holder(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { "name", weir_by_name("k/e"), WEIR_EPHEMERAL, 0, NULL },
        { "name, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
        { "name, persistent, set", weir_by_name("k/ps"), WEIR_PERSISTENT, 2, NULL },
    };
    const struct {
        const char *what;
        void (*prepare)(void *);
        void (*act)(void *);
    } acts[] = {
        { "open", NULL, open_it },    { "create_or_open", NULL, create_or_open },
        { "lookup", NULL, lookup },   { "close", open_it, close_it },
        { "collect", NULL, collect },
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        companion_start(&holder, hold, &scenes[i]);
        companion_meet(&holder);
        for (size_t j = 0; j < ARRAY_SIZE(acts); j++) {
            struct walk walk = { acts[j].what,          NULL,      acts[j].prepare, acts[j].act,
                                 at_stop_beside_holder, &scenes[i] };
            report(acts[j].what, &scenes[i], walk_stops(&walk));
        }
        companion_release(&holder);
        assert_int_equal(companion_end(&holder), 0);
        if (scenes[i].lifetime == WEIR_PERSISTENT)
            assert_result(weir_segment_remove(scenes[i].ref), 0);
        expect_counts(0, 0, 0);
    }
}

/* --- the collector ---------------------------------------------------------------------- */

static void create_all_and_die(void *argument)
{
    struct scene scenes[] = {
        { "", weir_by_name("k/e"), WEIR_EPHEMERAL, 0, NULL },
        { "", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
        { "", weir_private(), WEIR_EPHEMERAL, 2, NULL },
    };
    (void)argument;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
        create(&scenes[i]);
    raise(SIGKILL);
}

static void leave_stale(void *argument)
{
    int status = status_in_child(create_all_and_die, argument);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_counts(0, 2, 3);
}

static void at_stop_of_collect(pid_t child, void *argument)
{
    (void)argument;
    kill_and_collect(child);
    expect_counts(0, 0, 0);
}

static void test_collect(void **state)
{
    (void)state;
    struct walk walk = { "collect", leave_stale, NULL, collect, at_stop_of_collect, NULL };
    unsigned stops = walk_stops(&walk);
    print_message("           collect: killed at %u stops\n", stops);
    assert_true(stops >= 10);
    expect_counts(0, 0, 0);
}

/* A draft: what a creator killed at its n-th stop leaves, for the n that the collector reports. */
static struct {
    struct scene *scene;
    unsigned stop;
} draft;

static bool leave_draft(void)
{
    int status;
    bool alive = true;
    pid_t child = tracee_start(NULL, create, draft.scene);
    for (unsigned i = 0; i < draft.stop && alive; i++)
        alive = tracee_step(child, &status);
    if (alive)
        tracee_kill(child);
    return alive;
}

static void stage_draft(void *argument)
{
    (void)argument;
    clear_everything(); /* the same stops again: with a run directory to make */
    /* Where the heap grows is not the same in every round: the n-th stop may be a later one. */
    if (!leave_draft() || weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL) == 0)
        clear_everything();
}

/* Every fourth draft: the walk is squared, and neighbours differ by a read or a close. */
static void test_collect_drafts(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { "name, ephemeral, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
        { "name, persistent, set", weir_by_name("k/ps"), WEIR_PERSISTENT, 2, NULL },
        { "private, persistent", weir_private(), WEIR_PERSISTENT, 0, NULL }, /* a file alone */
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        unsigned drafts = 0;
        unsigned stops = 0;
        draft.scene = &scenes[i];
        clear_everything();
        for (draft.stop = 1; leave_draft(); draft.stop += SANITIZED ? 7 : 4) {
            int result = weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL);
            assert_true(result >= 0);
            clear_everything();
            if (result == 0)
                continue;
            struct walk walk = { "collect drafts", stage_draft,        NULL,
                                 collect,          at_stop_of_collect, NULL };
            stops += walk_stops(&walk);
            drafts++;
        }
        clear_everything();
        print_message("           %s: %u drafts, their collector killed at %u stops\n",
                      scenes[i].what, drafts, stops);
        assert_true(drafts >= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_close_as_last, fixture_check),
        cmocka_unit_test_teardown(test_remove, fixture_check),
        cmocka_unit_test_teardown(test_remove_ephemeral_in_use, fixture_check),
        cmocka_unit_test_teardown(test_beside_a_holder, fixture_check),
        cmocka_unit_test_teardown(test_collect, fixture_check),
        cmocka_unit_test_teardown(test_collect_drafts, fixture_check),
    };
    if (!tracer_works() || !fixture_is_alone()) {
        fprintf(stderr, "no tracing, or no IPC namespace of its own: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("kill_end", tests, fixture_start, fixture_end);
}
