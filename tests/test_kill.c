/* SPDX-License-Identifier: MIT */
/*
 * Goal: a SIGKILL at any system call of create leaves nothing that the next collect does not
 *       clear, and the same call works afterwards.
 * Method: a traced child killed at its n-th system call stop, for every n until it finishes; then
 *       the kernel's tables and the run directory are counted, and a survivor repeats the call.
 */
#include "killed.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

/* Attaches whatever segment there is, as anybody may by id. NULL: there is none. */
static void *attach_any(void)
{
    struct shm_info info;
    struct shmid_ds found;
    /* shmctl(2): the address is of the type that the command says. */
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int index = 0; index <= last; index++) {
        int id = shmctl(index, SHM_STAT, &found);
        void *memory = id >= 0 ? shmat(id, NULL, SHM_RDONLY) : (void *)-1;
        if (memory != (void *)-1)
            return memory;
    }
    return NULL;
}

/* Somebody looks into the leftover while it is collected: it is not forgotten for that. */
static void at_stop_attached(pid_t child, void *argument)
{
    struct scene *scene = argument;
    tracee_kill(child);
    void *memory = attach_any();
    in_child_at(collect, NULL);
    if (memory)
        shmdt(memory);
    in_child_at(collect, NULL);
    if (scene->lifetime == WEIR_EPHEMERAL)
        expect_counts(0, 0, 0);
    in_child_at(survive, scene);
    expect_counts(0, 0, 0);
}

static void test_create(void **state)
{
    (void)state;
    size_t count = fill_found_scenes();
    for (size_t i = 0; i < count; i++) {
        struct scene *scene = &found_scenes[i];
        struct walk walk = { "create", NULL, NULL, create, at_stop, scene };
        report("create", scene, walk_stops(&walk));
        in_child_at(collect, NULL);
        in_child_at(survive, scene);
        walk.what = "create_or_open";
        walk.act = create_or_open;
        report("create_or_open", scene, walk_stops(&walk));
        in_child_at(collect, NULL);
        in_child_at(survive, scene);
        walk.what = "create, and the next creator collects";
        walk.act = create;
        walk.at_stop = at_stop_without_collect;
        walk_stops(&walk);
        clear_everything();
    }
    unlink(fixture_path("ftok-file"));
}

/* Large enough that a process may have no room for it. */
#define LARGE_SIZE (64u << 20)

static void create_large(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_options options = options_of(scene);
    CHECK_RESULT(weir_segment_create(&scene->segment, scene->ref, LARGE_SIZE, &options), 0);
}

/* There is the whole object, or nothing at all. */
static void survive_large(void *argument)
{
    struct scene *scene = argument;
    int result = weir_segment_remove(scene->ref);
    CHECK(result == 0 || result == -ENOENT);
    CHECK(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
}

static void create_for_group(void *argument)
{
    struct weir_segment *segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    (void)argument;
    options.lifetime = WEIR_PERSISTENT;
    options.mode = 0660;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_key(TEST_KEY), TEST_SIZE, &options), 0);
}

static void at_stop_for_group(pid_t child, void *argument)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    (void)argument;
    tracee_kill(child);
    if (weir_segment_lookup(weir_by_key(TEST_KEY), &stat) == 0) {
        if (stat.mode != 0660)
            walk_print_place();
        assert_int_equal(stat.mode, 0660);
    }
    clear_everything();
}

/* By key it is found as soon as it exists: then with the mode that others need. */
static void test_create_by_key_with_mode(void **state)
{
    (void)state;
    struct walk walk = { "create by key", NULL, NULL, create_for_group, at_stop_for_group, NULL };
    assert_true(walk_stops(&walk) >= 2);
    clear_everything();
}

static void test_create_looked_at(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { "name, ephemeral, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
        { "name, persistent, set", weir_by_name("k/ps"), WEIR_PERSISTENT, 2, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = {
            "create, looked at", NULL, NULL, create, at_stop_attached, &scenes[i]
        };
        report("create, looked at", &scenes[i], walk_stops(&walk));
        clear_everything();
    }
}

/* A creator in a PID namespace of its own: its pid says nothing to who collects. */
static int own_pids = -1;

static void into_new_pids(void)
{
    assert_int_equal(setns(own_pids, CLONE_NEWPID), 0);
    assert_int_equal(unshare(CLONE_NEWPID), 0);
}

static void stage_new_pids(void *argument)
{
    (void)argument;
    into_new_pids(); /* of the children to come */
}

/* The collector's address space is full: it cannot look into the segment. */
static void collect_without_room(void *argument)
{
    char line[128];
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    CHECK(file && fgets(line, sizeof line, file) && sscanf(line, "%lu", &pages) == 1);
    fclose(file);
    struct rlimit limit = { pages * 4096 + (1 << 20), RLIM_INFINITY };
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    collect(argument);
}

static void at_stop_new_pids(pid_t child, void *argument)
{
    tracee_kill(child);
    assert_int_equal(setns(own_pids, CLONE_NEWPID), 0);
    if (!SANITIZED)
        in_child_at(collect_without_room, NULL);
    in_child_at(collect, NULL);
    into_new_pids();
    in_child_at(collect, NULL);
    assert_int_equal(setns(own_pids, CLONE_NEWPID), 0);
    in_child_at(survive_large, argument);
    expect_counts(0, 0, 0);
}

static void test_create_in_other_pids(void **state)
{
    (void)state;
    struct scene scene = { "name, persistent, set", weir_by_name("k/ps"), WEIR_PERSISTENT, 2,
                           NULL };
    own_pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own_pids < 0 || setns(own_pids, CLONE_NEWPID) != 0) {
        close(own_pids);
        skip();
    }
    struct walk walk = { "create in another PID namespace",
                         stage_new_pids,
                         NULL,
                         create_large,
                         at_stop_new_pids,
                         &scene };
    report("create in another PID namespace", &scene, walk_stops(&walk));
    assert_int_equal(setns(own_pids, CLONE_NEWPID), 0);
    close(own_pids);
    in_child_at(survive_large, &scene);
    clear_everything();
}

static void test_create_private(void **state)
{
    (void)state;
    struct scene scenes[] = {
        { "private, ephemeral", weir_private(), WEIR_EPHEMERAL, 0, NULL },
        { "private, ephemeral, set", weir_private(), WEIR_EPHEMERAL, 2, NULL },
        { "private, persistent", weir_private(), WEIR_PERSISTENT, 0, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "create", NULL, NULL, create, at_stop_private, &scenes[i] };
        report("create", &scenes[i], walk_stops(&walk));
        clear_everything();
    }
}

/* The processes of a server that has created something itself before it forked them: they, too,
 * take away what the one before them left. */
static void test_create_by_workers(void **state)
{
    struct scene scenes[] = {
        { "name, ephemeral", weir_by_name("k/e"), WEIR_EPHEMERAL, 0, NULL },
        { "name, ephemeral, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
        { "private, ephemeral", weir_private(), WEIR_EPHEMERAL, 0, NULL },
    };
    struct weir_segment *own;
    (void)state;
    assert_result(weir_segment_create(&own, weir_private(), TEST_SIZE, NULL), 0);
    weir_segment_close(own);
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "create by workers",     NULL,      NULL, create,
                             at_stop_without_collect, &scenes[i] };
        report("create by workers", &scenes[i], walk_stops(&walk));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_create, fixture_check),
        cmocka_unit_test_teardown(test_create_by_key_with_mode, fixture_check),
        cmocka_unit_test_teardown(test_create_looked_at, fixture_check),
        cmocka_unit_test_teardown(test_create_in_other_pids, fixture_check),
        cmocka_unit_test_teardown(test_create_private, fixture_check),
        cmocka_unit_test_teardown(test_create_by_workers, fixture_check),
    };
    if (!tracer_works() || !fixture_is_alone()) {
        fprintf(stderr, "no tracing, or no IPC namespace of its own: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("kill", tests, fixture_start, fixture_end);
}
