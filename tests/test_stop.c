/* SPDX-License-Identifier: MIT */
/*
 * Goal: a process that is stopped at any system call and resumed late harms nobody, and nobody
 *       waits for it: names stay with who lives, and exactly one of two creators wins.
 * Method: a traced child is left standing at its n-th stop while another process does the
 *       opposite thing to its end; then it goes on, and both results must fit together.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SIZE 5000
#define NO_RESULT 4711

static const uint16_t first_values[2] = { 7, 9 };

struct scene {
    const char *what;
    struct weir_ref ref;
    uint32_t lifetime;
    uint32_t semaphores;
    struct weir_segment *segment;
};

static struct scene scenes[] = {
    { "ephemeral", { .by = WEIR_BY_NAME, .text = "s/e" }, WEIR_EPHEMERAL, 0, NULL },
    { "ephemeral, set", { .by = WEIR_BY_NAME, .text = "s/es" }, WEIR_EPHEMERAL, 2, NULL },
    { "persistent", { .by = WEIR_BY_NAME, .text = "s/p" }, WEIR_PERSISTENT, 0, NULL },
    { "persistent, set", { .by = WEIR_BY_NAME, .text = "s/ps" }, WEIR_PERSISTENT, 2, NULL },
};
#define EPHEMERAL_SCENES 2

/* What the processes of one round tell each other: plain memory, shared by fork. */
static struct {
    volatile int stopped; /* result of the one that was stopped */
    volatile int other;   /* result of the one that acted meanwhile */
} * told;

static int tell_start(void **state)
{
    told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return told == MAP_FAILED ? -1 : fixture_start(state);
}

/* Before each round. */
static void forget(void *argument)
{
    (void)argument;
    told->stopped = told->other = NO_RESULT;
}

/* --- the acts --------------------------------------------------------------------------- */

static int try_create(struct scene *scene)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = scene->lifetime;
    options.semaphores = scene->semaphores;
    options.semaphore_values = first_values;
    return weir_segment_create(&scene->segment, scene->ref, TEST_SIZE, &options);
}

static int try_create_or_open(struct scene *scene)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = scene->lifetime;
    options.semaphores = scene->semaphores;
    options.semaphore_values = first_values;
    return weir_segment_create_or_open(&scene->segment, scene->ref, TEST_SIZE, &options);
}

static void expect_set(const struct scene *scene)
{
    for (uint32_t i = 0; i < scene->semaphores; i++)
        CHECK_RESULT(weir_semset_value(weir_segment_semset(scene->segment), i), first_values[i]);
}

static void expect_tag(const struct scene *scene, const char *tag)
{
    CHECK(weir_segment_size(scene->segment) == TEST_SIZE);
    CHECK(strcmp(weir_segment_data(scene->segment), tag) == 0);
    expect_set(scene);
}

static void create_tagged(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(try_create(scene), 0);
    strcpy(weir_segment_data(scene->segment), "old");
}

static void close_it(void *argument)
{
    struct scene *scene = argument;
    weir_segment_close(scene->segment);
}

static void collect(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

/* Makes the name anew, and holds it if it got it. */
static void create_and_hold(struct companion *companion, void *argument)
{
    struct scene *scene = argument;
    alarm(20); /* nobody waits for who is stopped */
    told->other = try_create(scene);
    if (told->other == 0)
        strcpy(weir_segment_data(scene->segment), "new");
    companion_arrive(companion);
    if (told->other == 0) {
        expect_tag(scene, "new");
        weir_segment_close(scene->segment);
    }
}

static void find_new(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL), 0);
    expect_tag(scene, "new");
    weir_segment_close(scene->segment);
}

static void remove_it(void *argument)
{
    struct scene *scene = argument;
    alarm(20);
    CHECK_RESULT(weir_segment_remove(scene->ref), 0);
}

/* --- the checks ------------------------------------------------------------------------- */

static void at_place(bool condition, const char *text)
{
    if (!condition) {
        walk_print_place();
        print_error("%s; stopped: %d, other: %d\n", text, told->stopped, told->other);
    }
    assert_true(condition);
}
#define AT_PLACE(condition) at_place((condition), #condition)

static void in_child_at(void (*function)(void *), void *argument)
{
    AT_PLACE(status_in_child(function, argument) == 0);
}

static void expect_nothing(void)
{
    if (segments_now() || sets_now() || names_now())
        print_error("%d segments, %d sets, %u names\n", (int)segments_now(), (int)sets_now(),
                    names_now());
    AT_PLACE(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
}

/* The companion has made the new object: nothing that the resumed one did took it away. */
static void check_new_and_end(struct companion *companion, struct scene *scene)
{
    bool is_new = told->other == 0;
    if (is_new)
        in_child_at(find_new, scene);
    companion_release(companion);
    AT_PLACE(companion_end(companion) == 0);
    if (is_new && scene->lifetime == WEIR_PERSISTENT)
        in_child_at(remove_it, scene);
}

static unsigned run(const struct walk *walk, const struct scene *scene)
{
    unsigned stops = walk_stops(walk);
    print_message("           %s, %s: %u stops\n", walk->what, scene->what, stops);
    clear_everything(); /* what the last, undisturbed round made */
    return stops;
}

/* --- a closer, a collector -------------------------------------------------------------- */

static void create_meanwhile(pid_t child, void *argument)
{
    struct companion companion;
    companion_start(&companion, create_and_hold, argument);
    companion_meet(&companion);
    AT_PLACE(told->other == 0 || told->other == -EEXIST);
    AT_PLACE(tracee_finish(child) == 0);
    check_new_and_end(&companion, argument);
    expect_nothing();
}

static void test_late_closer(void **state)
{
    (void)state;
    for (size_t i = 0; i < EPHEMERAL_SCENES; i++) {
        struct walk walk = {
            "close", forget, create_tagged, close_it, create_meanwhile, &scenes[i]
        };
        assert_true(run(&walk, &scenes[i]) > 10);
    }
}

static void create_and_die(void *argument)
{
    create_tagged(argument);
    raise(SIGKILL);
}

static void leave_stale(void *argument)
{
    forget(argument);
    int status = status_in_child(create_and_die, argument);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_late_collector(void **state)
{
    (void)state;
    for (size_t i = 0; i < EPHEMERAL_SCENES; i++) {
        struct walk walk = { "collect", leave_stale, NULL, collect, create_meanwhile, &scenes[i] };
        assert_true(run(&walk, &scenes[i]) > 10);
        in_child_at(collect, NULL);
    }
}

/* The closer is not the last: who came meanwhile keeps the name. */
static void open_and_hold(struct companion *companion, void *argument)
{
    struct scene *scene = argument;
    alarm(20);
    told->other = weir_segment_open(&scene->segment, scene->ref, 0, NULL);
    companion_arrive(companion);
    if (told->other == 0) {
        expect_tag(scene, "old");
        weir_segment_close(scene->segment);
    }
}

static void find_old(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL), 0);
    expect_tag(scene, "old");
    weir_segment_close(scene->segment);
}

static void open_meanwhile(pid_t child, void *argument)
{
    struct companion companion;
    companion_start(&companion, open_and_hold, argument);
    companion_meet(&companion);
    AT_PLACE(told->other == 0 || told->other == -ENOENT);
    AT_PLACE(tracee_finish(child) == 0);
    if (told->other == 0)
        in_child_at(find_old, argument);
    companion_release(&companion);
    AT_PLACE(companion_end(&companion) == 0);
    expect_nothing();
}

static void test_late_closer_is_not_last(void **state)
{
    (void)state;
    for (size_t i = 0; i < EPHEMERAL_SCENES; i++) {
        struct walk walk = { "close", forget, create_tagged, close_it, open_meanwhile, &scenes[i] };
        assert_true(run(&walk, &scenes[i]) > 10);
    }
}

/* --- a creator -------------------------------------------------------------------------- */

static void create_check_close(void *argument)
{
    struct scene *scene = argument;
    told->stopped = try_create(scene);
    if (told->stopped == 0) {
        CHECK(all_bytes(weir_segment_data(scene->segment), TEST_SIZE, 0));
        expect_set(scene);
        weir_segment_close(scene->segment);
        if (scene->lifetime == WEIR_PERSISTENT)
            CHECK_RESULT(weir_segment_remove(scene->ref), 0);
    }
}

static void collect_meanwhile(pid_t child, void *argument)
{
    (void)argument;
    in_child_at(collect, NULL);
    in_child_at(collect, NULL);
    AT_PLACE(tracee_finish(child) == 0);
    AT_PLACE(told->stopped == 0); /* it lives: what it is making is not leftover */
    expect_nothing();
}

static void test_late_creator_is_not_collected(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = {
            "create", NULL, NULL, create_check_close, collect_meanwhile, &scenes[i]
        };
        assert_true(run(&walk, &scenes[i]) > 20);
    }
}

static void create_only(void *argument)
{
    struct scene *scene = argument;
    told->stopped = try_create(scene);
    if (told->stopped == 0) {
        strcpy(weir_segment_data(scene->segment), "first");
        expect_set(scene);
    }
}

/* Two creators, one of them in slow motion: one wins, and the name is the winner's. */
static void compete(pid_t child, void *argument)
{
    struct scene *scene = argument;
    struct companion companion;
    companion_start(&companion, create_and_hold, scene);
    companion_meet(&companion);
    AT_PLACE(tracee_finish(child) == 0);
    AT_PLACE((told->stopped == 0 && told->other == -EEXIST) ||
             (told->stopped == -EEXIST && told->other == 0));
    check_new_and_end(&companion, scene);
    if (told->stopped == 0 && scene->lifetime == WEIR_PERSISTENT)
        in_child_at(remove_it, scene);
    in_child_at(collect, NULL); /* the winner ended without a close */
    expect_nothing();
}

static void test_two_creators(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "create", forget, NULL, create_only, compete, &scenes[i] };
        assert_true(run(&walk, &scenes[i]) > 20);
    }
}

static void create_or_open_only(void *argument)
{
    struct scene *scene = argument;
    told->stopped = try_create_or_open(scene);
    CHECK(told->stopped >= 0);
    expect_set(scene);
}

static void create_or_open_and_hold(struct companion *companion, void *argument)
{
    struct scene *scene = argument;
    alarm(20);
    told->other = try_create_or_open(scene);
    companion_arrive(companion);
    if (told->other >= 0) {
        expect_set(scene);
        weir_segment_close(scene->segment);
    }
}

static void create_or_open_meanwhile(pid_t child, void *argument)
{
    struct scene *scene = argument;
    struct companion companion;
    companion_start(&companion, create_or_open_and_hold, scene);
    companion_meet(&companion);
    AT_PLACE(tracee_finish(child) == 0);
    AT_PLACE(told->stopped + told->other == WEIR_CREATED);
    AT_PLACE(told->stopped == 0 || told->other == 0);
    companion_release(&companion);
    AT_PLACE(companion_end(&companion) == 0);
    if (scene->lifetime == WEIR_PERSISTENT)
        in_child_at(remove_it, scene);
    in_child_at(collect, NULL);
    expect_nothing();
}

/* An empty run directory, as a kill may leave it. */
static void stage_empty_directory(void *argument)
{
    char parent[4096];
    forget(argument);
    snprintf(parent, sizeof parent, "%s", run_directory());
    *strrchr(parent, '/') = '\0';
    mkdir(parent, 0700); /* what fails shows in the next one */
    assert_true(mkdir(run_directory(), 0700) == 0 || errno == EEXIST);
}

/* The run directory that the first may have open already is not the one where the other creates. */
static void create_or_open_elsewhere(pid_t child, void *argument)
{
    in_child_at(collect, NULL);
    create_or_open_meanwhile(child, argument);
}

static void test_directory_exchanged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "create_or_open, in an old directory",
                             stage_empty_directory,
                             NULL,
                             create_or_open_only,
                             create_or_open_elsewhere,
                             &scenes[i] };
        assert_true(run(&walk, &scenes[i]) > 20);
    }
}

static void test_two_create_or_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "create_or_open",         forget,    NULL, create_or_open_only,
                             create_or_open_meanwhile, &scenes[i] };
        assert_true(run(&walk, &scenes[i]) > 20);
    }
}

/* --- an opener -------------------------------------------------------------------------- */

static struct companion owner;

static void own_old(struct companion *companion, void *argument)
{
    struct scene *scene = argument;
    create_tagged(scene);
    companion_arrive(companion);
    weir_segment_close(scene->segment);
    if (scene->lifetime == WEIR_PERSISTENT)
        CHECK_RESULT(weir_segment_remove(scene->ref), 0);
}

static void stage_owner(void *argument)
{
    forget(argument);
    companion_start(&owner, own_old, argument);
    companion_meet(&owner);
}

static void open_check_close(void *argument)
{
    struct scene *scene = argument;
    told->stopped = weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL);
    if (told->stopped != 0)
        return;
    const char *data = weir_segment_data(scene->segment);
    CHECK(weir_segment_size(scene->segment) == TEST_SIZE);
    CHECK(strcmp(data, "old") == 0 || strcmp(data, "new") == 0);
    weir_segment_close(scene->segment);
}

static void replace_meanwhile(pid_t child, void *argument)
{
    struct scene *scene = argument;
    struct companion companion;
    companion_release(&owner);
    AT_PLACE(companion_end(&owner) == 0);
    companion_start(&companion, create_and_hold, scene);
    companion_meet(&companion);
    AT_PLACE(told->other == 0 || (told->other == -EEXIST && scene->lifetime == WEIR_EPHEMERAL));
    AT_PLACE(tracee_finish(child) == 0);
    AT_PLACE(told->stopped == 0 || told->stopped == -ENOENT || told->stopped == -EIDRM);
    check_new_and_end(&companion, scene);
    expect_nothing();
}

static void end_last_owner(void)
{
    companion_release(&owner);
    assert_int_equal(companion_end(&owner), 0);
}

static void test_late_opener(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "open",           stage_owner,       NULL,
                             open_check_close, replace_meanwhile, &scenes[i] };
        unsigned stops = walk_stops(&walk);
        print_message("           open, %s: %u stops\n", scenes[i].what, stops);
        assert_true(stops > 10);
        end_last_owner();
        expect_nothing();
    }
}

/* --- a remover -------------------------------------------------------------------------- */

static void create_and_close(void *argument)
{
    create_tagged(argument);
    close_it(argument);
}

static void remove_quietly(void *argument)
{
    struct scene *scene = argument;
    alarm(20);
    told->stopped = weir_segment_remove(scene->ref);
}

static void remove_and_create(struct companion *companion, void *argument)
{
    struct scene *scene = argument;
    alarm(20);
    int result = weir_segment_remove(scene->ref);
    CHECK(result == 0 || result == -ENOENT);
    create_and_hold(companion, argument);
}

/* The late remover may take the new one too, if it takes it wholly; never a half of it. */
static void remove_meanwhile(pid_t child, void *argument)
{
    struct scene *scene = argument;
    struct companion companion;
    companion_start(&companion, remove_and_create, scene);
    companion_meet(&companion);
    AT_PLACE(told->other == 0);
    AT_PLACE(tracee_finish(child) == 0);
    AT_PLACE(told->stopped == 0 || told->stopped == -ENOENT);
    companion_release(&companion);
    AT_PLACE(companion_end(&companion) == 0);
    int result = weir_segment_remove(scene->ref);
    AT_PLACE(result == 0 || result == -ENOENT);
    expect_nothing();
}

static void test_late_remover(void **state)
{
    (void)state;
    for (size_t i = EPHEMERAL_SCENES; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "remove",       forget,           create_and_close,
                             remove_quietly, remove_meanwhile, &scenes[i] };
        assert_true(run(&walk, &scenes[i]) > 10);
        assert_result(weir_collect(0, NULL, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_late_closer, fixture_check),
        cmocka_unit_test_teardown(test_late_closer_is_not_last, fixture_check),
        cmocka_unit_test_teardown(test_late_collector, fixture_check),
        cmocka_unit_test_teardown(test_late_creator_is_not_collected, fixture_check),
        cmocka_unit_test_teardown(test_two_creators, fixture_check),
        cmocka_unit_test_teardown(test_two_create_or_open, fixture_check),
        cmocka_unit_test_teardown(test_directory_exchanged, fixture_check),
        cmocka_unit_test_teardown(test_late_opener, fixture_check),
        cmocka_unit_test_teardown(test_late_remover, fixture_check),
    };
    if (!tracer_works()) {
        fprintf(stderr, "no process may trace its child here: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("stop", tests, tell_start, fixture_end);
}
