/* SPDX-License-Identifier: MIT */
#include "killed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const uint16_t first_values[2] = { 7, 9 };

struct weir_segment_options options_of(const struct scene *scene)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = scene->lifetime;
    options.semaphores = scene->semaphores;
    options.semaphore_values = first_values;
    return options;
}

void create(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_options options = options_of(scene);
    CHECK_RESULT(weir_segment_create(&scene->segment, scene->ref, TEST_SIZE, &options), 0);
}

void create_or_open(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_options options = options_of(scene);
    CHECK(weir_segment_create_or_open(&scene->segment, scene->ref, TEST_SIZE, &options) >= 0);
}

void open_it(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_open(&scene->segment, scene->ref, TEST_SIZE, NULL), 0);
}

void lookup(void *argument)
{
    struct scene *scene = argument;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_lookup(scene->ref, &stat), 0);
}

void close_it(void *argument)
{
    struct scene *scene = argument;
    weir_segment_close(scene->segment);
}

void remove_it(void *argument)
{
    struct scene *scene = argument;
    CHECK_RESULT(weir_segment_remove(scene->ref), 0);
}

void collect(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

void create_and_close(void *argument)
{
    create(argument);
    close_it(argument);
}

/* --- checks ----------------------------------------------------------------------------- */

void in_child_at(void (*function)(void *), void *argument)
{
    int status = status_in_child(function, argument);
    if (status != 0)
        walk_print_place();
    assert_int_equal(status, 0);
}

void expect_counts(uint64_t segments, uint64_t sets, unsigned names)
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
void survive(void *argument)
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

void kill_and_collect(pid_t child)
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

void at_stop(pid_t child, void *argument)
{
    struct scene *scene = argument;
    kill_and_collect(child);
    if (scene->lifetime == WEIR_EPHEMERAL)
        expect_counts(0, 0, 0);
    in_child_at(survive, scene);
    expect_counts(0, 0, 0);
}

/* Without the explicit collect: the next creator clears the way by itself. */
void at_stop_without_collect(pid_t child, void *argument)
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

struct scene found_scenes[8];

size_t fill_found_scenes(void)
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

void report(const char *act, const struct scene *scene, unsigned stops)
{
    print_message("           %s, %s: killed at %u stops\n", act, scene->what, stops);
    assert_true(stops >= 2);
}

void at_stop_private(pid_t child, void *argument)
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
