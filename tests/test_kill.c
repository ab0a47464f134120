/* SPDX-License-Identifier: MIT */
/*
 * Goal: a SIGKILL at any system call of create, open, close, remove, lookup or collect leaves
 *       nothing that the next collect does not clear, and the same call works afterwards.
 * Method: a traced child killed at its n-th system call stop, for every n until it finishes; then
 *       the kernel's tables and the run directory are counted, and a survivor repeats the call.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x77656972u
#define TEST_SIZE 5000

static const uint16_t first_values[2] = { 7, 9 };

/* One object as the scenes make it. */
struct scene {
    const char *what;
    struct weir_ref ref;
    uint32_t lifetime;
    uint32_t semaphores;
    struct weir_segment *segment; /* what prepare leaves to act */
};

static struct weir_segment_options options_of(const struct scene *scene)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = scene->lifetime;
    options.semaphores = scene->semaphores;
    options.semaphore_values = first_values;
    return options;
}

static void create(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_options options = options_of(scene);
    CHECK_RESULT(weir_segment_create(&scene->segment, scene->ref, TEST_SIZE, &options), 0);
}

static void create_or_open(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_options options = options_of(scene);
    CHECK(weir_segment_create_or_open(&scene->segment, scene->ref, TEST_SIZE, &options) >= 0);
}

static void open_it(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL), 0);
}

static void lookup(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_lookup(scene->ref, &stat), 0);
}

static void close_it(void *argument)
{
    struct scene *scene = argument;
    weir_segment_close(scene->segment);
}

static void remove_it(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_remove(scene->ref), 0);
}

static void collect(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

static void create_and_close(void *argument)
{
    create(argument);
    close_it(argument);
}

/* --- checks ----------------------------------------------------------------------------- */

static void in_child_at(void (*function)(void *), void *argument)
{
    int status = status_in_child(function, argument);
    if (status != 0)
        walk_print_place();
    assert_int_equal(status, 0);
}

static void expect_counts(uint64_t segments, uint64_t sets, unsigned names)
{
    if (segments_now() != segments || sets_now() != sets || names_now() != names)
        walk_print_place();
    assert_int_equal(segments_now(), segments);
    assert_int_equal(sets_now(), sets);
    assert_int_equal(names_now(), names);
}

/* What is found must be whole: its size, its zeros, its semaphores with their first values. */
static void expect_whole(struct scene *scene)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_stat(scene->segment, &stat), 0);
    CHECK(stat.size_bytes == TEST_SIZE && weir_segment_size(scene->segment) == TEST_SIZE);
    CHECK(stat.mode == 0600 && stat.lifetime == scene->lifetime);
    CHECK(all_bytes(weir_segment_data(scene->segment), TEST_SIZE, 0));
    CHECK(stat.semaphores == scene->semaphores);
    for (uint32_t i = 0; i < scene->semaphores; i++)
        CHECK_RESULT(weir_semset_value(weir_segment_semset(scene->segment), i), first_values[i]);
}

/* After the collection a survivor finds the whole object or none, and can make it. */
static void survive(void *argument)
{
    struct scene *scene = argument;
    int result = weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL);
    if (result == 0) {
        CHECK(scene->lifetime == WEIR_PERSISTENT);
        expect_whole(scene);
        weir_segment_close(scene->segment);
        CHECK_RESULT(weir_segment_remove(scene->ref), 0);
    } else {
        CHECK_RESULT(result, -ENOENT);
    }
    CHECK(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
    create(scene);
    expect_whole(scene);
    weir_segment_close(scene->segment);
    if (scene->lifetime == WEIR_PERSISTENT)
        CHECK_RESULT(weir_segment_remove(scene->ref), 0);
}

static void kill_and_collect(pid_t child)
{
    tracee_kill(child);
    int result = weir_collect(0, NULL, NULL);
    if (result < 0)
        walk_print_place();
    assert_true(result >= 0);
    if (names_starting('#') || names_starting('~'))
        walk_print_place();
    assert_int_equal(names_starting('#'), 0);
    assert_int_equal(names_starting('~'), 0);
    result = weir_collect(0, NULL, NULL);
    if (result != 0)
        walk_print_place();
    assert_result(result, 0); /* one collection was enough */
}

static void at_stop(pid_t child, void *argument)
{
    struct scene *scene = argument;
    kill_and_collect(child);
    if (scene->lifetime == WEIR_EPHEMERAL)
        expect_counts(0, 0, 0);
    in_child_at(survive, scene);
    expect_counts(0, 0, 0);
}

/* Without the explicit collect: the next creator clears the way by itself. */
static void at_stop_without_collect(pid_t child, void *argument)
{
    struct scene *scene = argument;
    tracee_kill(child);
    if (scene->lifetime == WEIR_EPHEMERAL) {
        in_child_at(create_and_close, scene);
        expect_counts(0, 0, 0);
    } else {
        clear_everything();
    }
}

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

/* --- creation --------------------------------------------------------------------------- */

static struct scene found_scenes[8];

static size_t fill_found_scenes(void)
{
    static char path[4400];
    snprintf(path, sizeof path, "%s", fixture_path("ftok-file"));
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    struct scene rows[] = {
        { "name, ephemeral", weir_by_name("k/e"), WEIR_EPHEMERAL, 0, NULL },
        { "name, ephemeral, set", weir_by_name("k/es"), WEIR_EPHEMERAL, 2, NULL },
        { "name, persistent", weir_by_name("k/p"), WEIR_PERSISTENT, 0, NULL },
        { "name, persistent, set", weir_by_name("k/ps"), WEIR_PERSISTENT, 2, NULL },
        { "key", weir_by_key(TEST_KEY), WEIR_PERSISTENT, 0, NULL },
        { "ftok", weir_by_ftok(path, 'K'), WEIR_PERSISTENT, 0, NULL },
    };
    memcpy(found_scenes, rows, sizeof rows);
    return ARRAY_SIZE(rows);
}

static void report(const char *act, const struct scene *scene, unsigned stops)
{
    print_message("           %s, %s: killed at %u stops\n", act, scene->what, stops);
    assert_true(stops >= 2);
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

static void at_stop_private(pid_t child, void *argument)
{
    struct scene *scene = argument;
    kill_and_collect(child);
    if (scene->lifetime == WEIR_EPHEMERAL || segments_now() == 0) {
        expect_counts(0, 0, 0);
        return;
    }
    /* Persistent: from some stop on it is there to stay, and then it is whole. */
    expect_counts(1, 0, 0);
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

/* --- the end ---------------------------------------------------------------------------- */

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
    };
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        unsigned drafts = 0;
        unsigned stops = 0;
        draft.scene = &scenes[i];
        clear_everything();
        for (draft.stop = 1; leave_draft(); draft.stop += SANITIZED ? 17 : 4) {
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
        cmocka_unit_test_teardown(test_create, fixture_check),
        cmocka_unit_test_teardown(test_create_by_key_with_mode, fixture_check),
        cmocka_unit_test_teardown(test_create_looked_at, fixture_check),
        cmocka_unit_test_teardown(test_create_in_other_pids, fixture_check),
        cmocka_unit_test_teardown(test_create_private, fixture_check),
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
    return cmocka_run_group_tests_name("kill", tests, fixture_start, fixture_end);
}
