/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever single system call of create, open, close, remove, lookup or collect fails, the
 *       call ends, tells it, and has changed nothing; success means the whole thing.
 * Method: a traced child whose n-th system call is made to fail with one of a few errors, for
 *       every n until it finishes; then its result is held against what is there.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x66617574u
#define TEST_SIZE 5000
#define NO_RESULT 4711

static const int errors[] = { ENOMEM, EACCES, EIO };

struct scene {
    const char *what;
    struct weir_ref ref;
    uint32_t lifetime;
    uint32_t semaphores;
    struct weir_segment *segment;
    int error; /* of the present walk */
};

static struct scene scenes[] = {
    { "ephemeral, set", { .by = WEIR_BY_NAME, .text = "f/es" }, WEIR_EPHEMERAL, 2, NULL, 0 },
    { "persistent, set", { .by = WEIR_BY_NAME, .text = "f/ps" }, WEIR_PERSISTENT, 2, NULL, 0 },
    { "key", { .by = WEIR_BY_KEY, .key = TEST_KEY }, WEIR_PERSISTENT, 0, NULL, 0 },
    { "private, set", { .by = WEIR_BY_NONE }, WEIR_EPHEMERAL, 2, NULL, 0 },
    { "private, persistent", { .by = WEIR_BY_NONE }, WEIR_PERSISTENT, 0, NULL, 0 },
};

/* What the child's call gave; shared by fork. */
static struct {
    volatile int result;
    volatile int told; /* whether a sentence came with it */
    volatile int id;
} * outcome;

static unsigned failed_calls, failed_results;

static int outcome_start(void **state)
{
    outcome = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return outcome == MAP_FAILED ? -1 : fixture_start(state);
}

static void forget(void *argument)
{
    (void)argument;
    outcome->result = NO_RESULT;
    outcome->told = 0;
    outcome->id = -1;
}

static void record(int result)
{
    outcome->told = weir_last_error()[0] != 0;
    outcome->result = result;
}

/* --- acts ------------------------------------------------------------------------------- */

static int try_create(struct scene *scene)
{
    static const uint16_t values[2] = { 7, 9 };
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = scene->lifetime;
    options.semaphores = scene->semaphores;
    options.semaphore_values = values;
    options.mode = 0640;
    options.flags = WEIR_SEGMENT_NO_DUMP | WEIR_SEGMENT_PREFAULT;
    scene->segment = NULL;
    return weir_segment_create(&scene->segment, scene->ref, TEST_SIZE, &options);
}

static void create(void *argument)
{
    struct scene *scene = argument;
    int result = try_create(scene);
    record(result);
    CHECK((scene->segment != NULL) == (result == 0));
}

static void create_checked(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(try_create(scene), 0);
}

static void open_it(void *argument)
{
    struct scene *scene = argument;
    scene->segment = NULL;
    int result = weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL);
    record(result);
    CHECK((scene->segment != NULL) == (result == 0));
}

static void lookup(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_stat stat = { .size = sizeof stat };
    record(weir_segment_lookup(scene->ref, &stat));
}

static void remove_it(void *argument)
{
    struct scene *scene = argument;
    record(weir_segment_remove(scene->ref));
}

static void close_it(void *argument)
{
    struct scene *scene = argument;
    weir_segment_close(scene->segment);
    scene->segment = NULL;
    record(0);
}

static void collect(void *argument)
{
    (void)argument;
    record(weir_collect(0, NULL, NULL));
}

static void create_and_close(void *argument)
{
    create_checked(argument);
    close_it(argument);
}

/* --- checks ----------------------------------------------------------------------------- */

static void at_place(bool condition, const char *text)
{
    if (!condition) {
        walk_print_place();
        print_error("%s; result %d; %d segments, %d sets, %u names\n", text, outcome->result,
                    (int)segments_now(), (int)sets_now(), names_now());
    }
    assert_true(condition);
}
#define AT_PLACE(condition) at_place((condition), #condition)

static void expect_whole(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL), 0);
    CHECK_RESULT(weir_segment_stat(scene->segment, &stat), 0);
    CHECK(stat.size_bytes == TEST_SIZE && stat.mode == 0640);
    CHECK(stat.semaphores == scene->semaphores);
    if (scene->semaphores)
        CHECK_RESULT(weir_semset_value(weir_segment_semset(scene->segment), 1), 9);
    weir_segment_close(scene->segment);
}

static void expect_absent(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_open(&scene->segment, scene->ref, 0, NULL), -ENOENT);
}

/* Makes the call fail, lets the child end, and sees that it told of it. */
static void fail_and_finish(pid_t child, struct scene *scene)
{
    failed_calls += tracee_fail_call(child, scene->error);
    int status = tracee_finish(child);
    AT_PLACE(status == 0);
    AT_PLACE(outcome->result != NO_RESULT);
    AT_PLACE(outcome->result >= 0 || outcome->told);
    failed_results += outcome->result < 0;
}

static void after_create(pid_t child, void *argument)
{
    struct scene *scene = argument;
    fail_and_finish(child, scene);
    bool lasts = outcome->result == 0 && scene->lifetime == WEIR_PERSISTENT;
    AT_PLACE(weir_collect(0, NULL, NULL) >= 0);
    AT_PLACE(names_starting('#') == 0 && names_starting('~') == 0);
    if (lasts) {
        AT_PLACE(segments_now() == 1);
        if (scene->ref.by != WEIR_BY_NONE) {
            AT_PLACE(status_in_child(expect_whole, scene) == 0);
            AT_PLACE(weir_segment_remove(scene->ref) == 0);
        }
    } else {
        AT_PLACE(segments_now() == 0);
        if (scene->ref.by != WEIR_BY_NONE)
            AT_PLACE(status_in_child(expect_absent, scene) == 0);
    }
    if (lasts && scene->ref.by == WEIR_BY_NONE)
        clear_everything();
    AT_PLACE(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
}

static void walk_errors(struct walk *walk, struct scene *scene)
{
    failed_calls = failed_results = 0;
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        scene->error = errors[i];
        walk_stops(walk);
        clear_everything();
    }
    print_message("           %s, %s: %u calls failed, %u of them were told\n", walk->what,
                  scene->what, failed_calls, failed_results);
    assert_true(failed_calls > 0);
}

static void test_create(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { "create", forget, NULL, create, after_create, &scenes[i] };
        walk_errors(&walk, &scenes[i]);
        assert_true(failed_results > 3);
    }
}

/* The object stands, made by the child itself before; afterwards it is gone, but for a collect. */
static void after_close(pid_t child, void *argument)
{
    struct scene *scene = argument;
    fail_and_finish(child, scene);
    AT_PLACE(weir_collect(0, NULL, NULL) >= 0);
    AT_PLACE(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
}

static void test_close(void **state)
{
    (void)state;
    static const size_t chosen[] = { 0, 3 };
    for (size_t i = 0; i < ARRAY_SIZE(chosen); i++) {
        struct scene *scene = &scenes[chosen[i]];
        struct walk walk = { "close", forget, create_checked, close_it, after_close, scene };
        walk_errors(&walk, scene);
    }
}

/* Refused: it is there as it was. Done: it is not, and after a collect nothing is. */
static void after_remove(pid_t child, void *argument)
{
    struct scene *scene = argument;
    fail_and_finish(child, scene);
    if (outcome->result < 0) {
        AT_PLACE(status_in_child(expect_whole, scene) == 0);
        AT_PLACE(weir_segment_remove(scene->ref) == 0);
    } else {
        AT_PLACE(status_in_child(expect_absent, scene) == 0);
    }
    AT_PLACE(weir_collect(0, NULL, NULL) >= 0);
    AT_PLACE(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
}

static void test_remove(void **state)
{
    (void)state;
    static const size_t chosen[] = { 1, 2 };
    for (size_t i = 0; i < ARRAY_SIZE(chosen); i++) {
        struct scene *scene = &scenes[chosen[i]];
        struct walk walk = { "remove", forget, create_and_close, remove_it, after_remove, scene };
        walk_errors(&walk, scene);
        assert_true(failed_results > 0);
    }
}

/* --- beside a holder -------------------------------------------------------------------- */

static void hold(struct companion *companion, void *argument)
{
    create_checked(argument);
    companion_arrive(companion);
    close_it(argument);
}

static void after_visit(pid_t child, void *argument)
{
    struct scene *scene = argument;
    struct shmid_ds found;
    fail_and_finish(child, scene);
    AT_PLACE(shmctl(outcome->id, IPC_STAT, &found) == 0 && found.shm_nattch == 1);
    AT_PLACE(status_in_child(expect_whole, scene) == 0);
    AT_PLACE(segments_now() == 1 && sets_now() == 1 && names_now() == 1);
}

static void keep_id(void *argument)
{
    int id = outcome->id;
    forget(argument);
    outcome->id = id;
}

static void test_beside_a_holder(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*act)(void *);
    } acts[] = { { "open", open_it }, { "lookup", lookup }, { "collect", collect } };
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        struct scene *scene = &scenes[0];
        for (size_t j = 0; j < ARRAY_SIZE(errors); j++) {
            struct companion companion;
            struct weir_segment_stat stat = { .size = sizeof stat };
            struct walk walk = { acts[i].what, keep_id, NULL, acts[i].act, after_visit, scene };
            scene->error = errors[j];
            companion_start(&companion, hold, scene);
            companion_meet(&companion);
            assert_result(weir_segment_lookup(scene->ref, &stat), 0);
            outcome->id = stat.id;
            failed_calls = failed_results = 0;
            walk_stops(&walk);
            print_message("           %s beside a holder: %u calls failed, %u were told\n",
                          acts[i].what, failed_calls, failed_results);
            companion_release(&companion);
            assert_int_equal(companion_end(&companion), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_create, fixture_check),
        cmocka_unit_test_teardown(test_close, fixture_check),
        cmocka_unit_test_teardown(test_remove, fixture_check),
        cmocka_unit_test_teardown(test_beside_a_holder, fixture_check),
    };
    if (SANITIZED || !tracer_works() || !tracer_can_fail_calls() || !fixture_is_alone()) {
        fprintf(stderr, "no tracing, no IPC namespace of its own, or a sanitizer that ends where "
                        "memory is refused: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("faults", tests, outcome_start, fixture_end);
}
