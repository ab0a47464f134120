/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_KILLED_H
#define WEIR_TESTS_KILLED_H

/* What the tests that kill at each system call share: an object, what is done to it, what must hold. */

#include "fixture.h"
#include "tracer.h"

#define TEST_KEY 0x77656972u
#define TEST_SIZE 5000

extern const uint16_t first_values[2];

/* One object as the scenes make it. */
struct scene {
    const char *what;
    struct weir_ref ref;
    uint32_t lifetime;
    uint32_t semaphores;
    struct weir_segment *segment; /* what prepare leaves to act */
};

/* One row for each kind that is found again by a reference. */
extern struct scene found_scenes[8];
size_t fill_found_scenes(void); /* how many; makes the file "ftok-file" */

struct weir_segment_options options_of(const struct scene *scene);

/* What is done: the argument is a struct scene. */
void create(void *argument);
void create_or_open(void *argument);
void open_it(void *argument);
void lookup(void *argument);
void close_it(void *argument);
void remove_it(void *argument);
void collect(void *argument);
void create_and_close(void *argument);

/* Checks that say on which stop of the walk they failed. */
void in_child_at(void (*function)(void *), void *argument);
void expect_counts(uint64_t segments, uint64_t sets, unsigned names);
void kill_and_collect(pid_t child);

/* After the collection a survivor finds the whole object or none, and can make it. */
void survive(void *argument);

/* at_stop of a walk. */
void at_stop(pid_t child, void *argument);
void at_stop_without_collect(pid_t child, void *argument); /* the next creator clears the way */
void at_stop_private(pid_t child, void *argument);         /* of what no reference finds */

void report(const char *act, const struct scene *scene, unsigned stops);

#endif
