/* SPDX-License-Identifier: MIT */
/*
 * opening - a publisher with a ring of 64 KiB opens and closes, against the kernel's part of it
 *
 *   alone    nobody else uses weir: the run directory is made and removed as well
 *   beside   another channel is open
 *   kernel   the same memory by the system calls alone: two segments, made, attached, removed,
 *            touched and detached; no name, no owner, nothing that survives a kill
 *
 * The three take turns, so that whatever else the machine does falls on all alike. What a process
 * does once, at its first, is done before anything is measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <time.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/error.h>

#include "values.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

enum { ALONE, BESIDE, KERNEL, FORMS, ROUNDS_MAX = 100000, RING = 64 << 10, PAGE = 4096 };

static const char *const names[FORMS] = { "alone", "beside", "kernel" };
static double times_us[FORMS][ROUNDS_MAX];

static const char usage[] = "Usage: opening [-m | -h] [ROUNDS]\n"
                            "\n"
                            "Opens and closes a publisher with a ring of 64 KiB, 2000 rounds.\n"
                            "\n"
                            "  -m  write the table of docs/performance.md\n"
                            "  -h  show this\n";

static void need(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "opening: %s\n", weir_last_error());
    exit(1);
}

static struct weir_publisher *open_one(const char *name)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = RING;
    need(weir_publisher_open(&publisher, name, &options));
    return publisher;
}

static void *make_segment(size_t bytes)
{
    int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
    void *memory = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
    if (memory == (void *)-1) {
        perror("opening: no segment");
        exit(1);
    }
    shmctl(id, IPC_RMID, NULL);
    /* As weir does it, which is faster than MADV_POPULATE_WRITE. */
    madvise(memory, bytes, MADV_POPULATE_READ);
    for (size_t at = 0; at < bytes; at += PAGE)
        *((volatile char *)memory + at) = 0;
    return memory;
}

/* A directory and a lane: as many pages as weir's. */
static void do_kernel(void)
{
    void *directory = make_segment(PAGE + 512), *lane = make_segment(PAGE + RING);
    shmdt(lane);
    shmdt(directory);
}

static void measure(unsigned form, long round)
{
    struct weir_publisher *other = form == BESIDE ? open_one("bench/opening/other") : NULL;
    int64_t start_ns = weir_now_ns();
    if (form == KERNEL)
        do_kernel();
    else
        weir_publisher_close(open_one("bench/opening"));
    times_us[form][round] = (double)(weir_now_ns() - start_ns) / 1e3;
    weir_publisher_close(other);
}

static void report(long rounds, int is_markdown)
{
    char day[16];
    time_t now = time(NULL);
    double kernel_us = times_us[KERNEL][rounds / 2];
    strftime(day, sizeof day, "%Y-%m-%d", localtime(&now));
    if (is_markdown)
        printf("Written by `opening -m %ld` on %s; us.\n\n"
               "| form | median | 10 %% | 90 %% | median ÷ kernel |\n|---|---|---|---|---|\n",
               rounds, day);
    for (unsigned i = 0; i < FORMS; i++) {
        const double *at = times_us[i];
        printf(is_markdown ? "| %s | %.0f | %.0f | %.0f | %.2f |\n"
                           : "%-7s %7.1f us  (10 %% %.1f, 90 %% %.1f)  ÷ kernel %.2f\n",
               names[i], at[rounds / 2], at[rounds / 10], at[rounds * 9 / 10],
               at[rounds / 2] / kernel_us);
    }
}

int main(int count, char **arguments)
{
    int is_markdown = count > 1 && strcmp(arguments[1], "-m") == 0;
    long rounds = count > 1 + is_markdown ? strtol(arguments[1 + is_markdown], NULL, 10) : 2000;
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        int is_asked = count > 1 && strcmp(arguments[1], "-h") == 0;
        fputs(usage, is_asked ? stdout : stderr);
        return is_asked ? 0 : 2;
    }
    weir_publisher_close(open_one("bench/opening")); /* a process's first */
    for (long round = 0; round < rounds; round++)
        for (unsigned form = 0; form < FORMS; form++)
            measure(form, round);
    for (unsigned form = 0; form < FORMS; form++)
        values_sort(times_us[form], (size_t)rounds);
    report(rounds, is_markdown);
    return 0;
}
