/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_FIXTURE_H
#define WEIR_TESTS_FIXTURE_H

/*
 * What the tests of the segment floor share: a run directory of their own,
 * children that report by their exit status, and what stands in the kernel and
 * in the run directory at this moment.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/types.h>

#include <weir/weir.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Sanitizers make a fork dear: what repeats a thousand times does so less often with them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* The thread sanitizer cannot follow a child of a process with threads that starts its own. */
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#endif
#endif
#ifndef THREAD_SANITIZED
#define THREAD_SANITIZED 0
#endif

/* Builds that count the lines reached change the machine code, and write files at the end. */
#ifdef WEIR_COVERAGE
#define COUNTED 1
#else
#define COUNTED 0
#endif

/* Two users that no test machine gives any right to. */
enum { OTHER_UID = 54321, THIRD_UID = 54322 };

/* Group set-up and tear-down: an IPC namespace of its own where allowed, an empty WEIR_DIR. */
int fixture_start(void **state);
int fixture_end(void **state);
/* Tear-down of each test: what the test left behind makes it fail, and is cleared away. */
int fixture_check(void **state);

/*
 * The same of a process that has its identity first: its beacon, a segment, is there until it ends.
 * A test that leaves more than what was there at the beginning has failed.
 */
int fixture_start_alive(void **state);
int fixture_check_alive(void **state);
uint64_t fixture_segments(void); /* that were there at the beginning */

/* Whether an IPC namespace of its own can be had; what a test leaves by a kill is counted there. */
bool fixture_is_alone(void);

/* The directory that holds WEIR_DIR, for files of the test itself; mode 0755. */
const char *fixture_directory(void);
/* fixture_directory()/name, in static memory of eight turns. */
const char *fixture_path(const char *name);
/* The run directory of this IPC namespace, in static memory. */
const char *run_directory(void);

uint64_t segments_now(void);
uint64_t sets_now(void);
/* Entries of the run directory: all, or those that start with the letter. */
unsigned names_now(void);
unsigned names_starting(char letter);
/* Every segment and set of this namespace, the run directory's contents: gone. */
void clear_everything(void);

/* In a child: a condition that fails ends it with status 1 and a line on stderr. */
#define CHECK(condition) child_check((condition), #condition, __FILE__, __LINE__)
/* The same for a result of weir's: the line shows the code and the sentence. */
#define CHECK_RESULT(expression, expected)                                                         \
    child_check_result((expression), (expected), #expression, __FILE__, __LINE__)
void child_check(bool condition, const char *text, const char *file, int line);
void child_check_result(int result, int expected, const char *text, const char *file, int line);

/* assert_int_equal for results of weir's, with the sentence in the failure's text. */
#define assert_result(expression, expected)                                                        \
    assert_result_at((expression), (expected), #expression, __FILE__, __LINE__)
void assert_result_at(int result, int expected, const char *text, const char *file, int line);

/* Runs function in a child. Returns its wait status. */
int status_in_child(void (*function)(void *), void *argument);
/* The same; the child must end with exit status 0. */
void in_child(void (*function)(void *), void *argument);

/* A child that runs until it is told to go on: two pipes, one each way. */
struct companion {
    pid_t pid;
    int to_child;
    int from_child;
};
void companion_start(struct companion *companion, void (*function)(struct companion *, void *),
                     void *argument);
/* In the child: say "here", then wait until the parent says go. */
void companion_arrive(struct companion *companion);
/* In the parent: wait until the child is there; let it go on; wait for its end. */
void companion_meet(struct companion *companion);
void companion_release(struct companion *companion);
int companion_end(struct companion *companion);

/* In a file that is there, in one call, as those of /proc want it. */
bool write_text(const char *path, const char *text);

/* In a child: become that user, for good. */
void become(uid_t uid);
/* Whether the test is root and other users exist here; else the test is to be skipped. */
bool has_other_users(void);
/* In a child: an IPC namespace of its own, empty, with its limits as the machine starts them. */
void new_ipc_namespace(void);
/*
 * In a child: into a user namespace of its own, in which its user and group have these numbers: 0
 * for who becomes root there; UNMAPPED for who has none, and is nobody. more: namespaces that it
 * leaves with it. -EAGAIN: none is to be had here; -EPERM: it is, but not the numbers.
 */
#define UNMAPPED UINT32_MAX
int enter_user_namespace(uid_t uid, gid_t gid, int more);
/* In a child: write a text into a file under /proc/sys. */
void set_sysctl(const char *path, const char *text);

/*
 * Asks the machine to reserve so many huge pages; -1: only looks. How many it has, -1: not known. From the first
 * call to the end of the process no other test does so.
 */
long reserved_huge_pages(long wanted);

/* A field in kB of the mapping that holds the address, from /proc/self/smaps; -1: not mapped. */
long smaps_field(const void *address, const char *field);
/* Whether VmFlags of the mapping that holds the address has the two letters. */
bool smaps_flag(const void *address, const char *flag);

/* Whether all bytes are the value. */
bool all_bytes(const void *data, size_t size_bytes, unsigned char value);
/* Whether the number or word stands in the text, not as a part of a longer one. */
bool has_word(const char *text, const char *word);

#endif
