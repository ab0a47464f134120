/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_ASLEEP_H
#define WEIR_TESTS_ASLEEP_H

#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "fixture.h"

/*
 * The number that /proc/PID/syscall shows of who sleeps at a futex: this machine's. A program for another
 * processor, which runs emulated (proof/arm64), knows other numbers: it sees so by that of its own read.
 */
static inline long asleep_number(void)
{
    static long number = -1;
    long of_read = SYS_read;
    if (number >= 0)
        return number;
    FILE *file = fopen("/proc/self/syscall", "re");
    if (file && fscanf(file, "%ld", &of_read) != 1)
        of_read = SYS_read;
    if (file)
        fclose(file);
    return number = of_read != SYS_read && of_read == 0 ? 202 /* on x86-64 */ : SYS_futex;
}

/* Until the kernel says that the process sleeps, wherever: it must sleep at one place alone. */
static inline void see_asleep(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *file = fopen(path, "re");
        CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
        CHECK(state != 'Z');
        sched_yield();
    }
}

#endif
