/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_ASLEEP_H
#define WEIR_TESTS_ASLEEP_H

#include <sched.h>
#include <stdio.h>

#include "fixture.h"

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
