/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_FILES_H
#define WEIR_TESTS_FILES_H

/* What the tests of POSIX segments and memfds share: names of their own, and counts. */

#include "fixture.h"

/* "/weir-test-PID-NAME", of the test's own process, in static memory of eight turns. */
const char *posix_name(const char *name);
/* The same as a path of /dev/shm. */
const char *posix_path(const char *name);
/* How many files of this test stand in /dev/shm. */
unsigned posix_now(void);

/* Open descriptors of this process. */
unsigned descriptors_now(void);

/* Tear-down: fixture_check(); no file is left in /dev/shm, no descriptor open, nothing mapped. */
int files_check(void **state);
/* Set-up of each test: remembers what is open. */
int files_begin(void **state);

/* A table's row whose call shall fail: code, a word of the sentence, and nothing changed. */
void expect_refused_at(int result, int expected, const char *word, const char *file, int line);
#define expect_refused(expression, expected, word)                                                 \
    expect_refused_at((expression), (expected), (word), __FILE__, __LINE__)

/* Options for a POSIX segment. */
struct weir_segment_options persistent_options(void);

#endif
