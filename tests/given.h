/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_GIVEN_H
#define WEIR_TESTS_GIVEN_H

/*
 * How much time a thread was given: that in which it ran or slept. A busy machine lets it stand for
 * a second, ready to run, and whoever has a bound on what the library takes leaves that out. A
 * thread that sleeps too long, or turns round and round, is given all of its time.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <weir/clock.h>

/* What is shorter is not worth the look; a processor's clock ticks in that time. */
#define GIVEN_SHORT_NS (20 * WEIR_MILLISECOND_NS)

static inline bool given_read(const char *path, char *text, size_t capacity_bytes)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, capacity_bytes - 1) : -1;
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* So long a thread has stood, by its schedstat, since it began; 0 where the kernel does not count it. */
static inline int64_t given_stood_at(const char *schedstat)
{
    char text[80];
    int64_t stood_ns;
    if (!given_read(schedstat, text, sizeof text) || sscanf(text, "%*d %" SCNd64, &stood_ns) != 1)
        return 0;
    return stood_ns;
}

/* The calling one. */
static inline int64_t given_stood_ns(void)
{
    return given_stood_at("/proc/thread-self/schedstat");
}

/* Of another one, since given_begin(). */
struct given {
    pid_t pid, tid;
    int64_t looked_ns; /* when, the last time */
    int64_t ran_ns;    /* how long it had run until then; */
    int64_t went_ns;   /* and when it was last seen to sleep, or to have run */
    int64_t sum_ns;
};

/* Whether it is ready to run, and has not run since the last look. */
static inline bool given_stands(struct given *given)
{
    char path[64], text[512];
    int64_t ran_ns;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)given->pid, (int)given->tid);
    if (!given_read(path, text, sizeof text) || sscanf(text, "%" SCNd64, &ran_ns) != 1)
        return false;
    bool has_run = ran_ns != given->ran_ns;
    given->ran_ns = ran_ns;
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)given->pid, (int)given->tid);
    if (has_run || !given_read(path, text, sizeof text))
        return false;
    const char *end = strrchr(text, ')');
    return end && strncmp(end, ") R", 3) == 0;
}

static inline void given_begin(struct given *given, pid_t pid, pid_t tid)
{
    *given = (struct given){ .pid = pid, .tid = tid };
    given->looked_ns = given->went_ns = weir_now_ns();
    given_stands(given);
}

/*
 * How long it was given. To be asked every few milliseconds: when that was not done, who asks has
 * not run either, and the machine lent itself to neither.
 */
static inline int64_t given_ns(struct given *given)
{
    int64_t now_ns = weir_now_ns(), more_ns = now_ns - given->looked_ns;
    if (!given_stands(given))
        given->went_ns = now_ns;
    given->looked_ns = now_ns;
    if (now_ns - given->went_ns < GIVEN_SHORT_NS)
        given->sum_ns += more_ns < GIVEN_SHORT_NS ? more_ns : GIVEN_SHORT_NS;
    return given->sum_ns;
}

#endif
