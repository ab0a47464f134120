/* SPDX-License-Identifier: MIT */
/*
 * Where the two processes run, and how they meet.
 */
#include "lane.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cpus.h"
#include "ticks.h"

enum { SPINS_BEFORE_YIELD = 20000 };

/* By then one that waits has come to wait in the kernel: about five times what that takes. */
#define SLEEP_AFTER_NS 100000.0

void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("lane: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void pin_to(int cpu)
{
    if (!cpus_pin(cpu))
        give_up("processor %d: %s", cpu, strerror(errno));
}

void meet(struct player *player)
{
    _Atomic uint64_t *mine = player->board->arrived[player->role];
    _Atomic uint64_t *other = player->board->arrived[1 - player->role];
    uint64_t turn = atomic_load_explicit(mine, memory_order_relaxed) + 1;
    atomic_store_explicit(mine, turn, memory_order_release);
    for (unsigned spins = 0; atomic_load_explicit(other, memory_order_acquire) < turn; spins++)
        if (spins > SPINS_BEFORE_YIELD)
            sched_yield();
}

/*
 * Asleep, the driver lets the other process go to sleep before each message: two that answer each
 * other at once may both find the answer there before they wait, and then nobody is woken.
 */
void let_sleep(const struct player *player)
{
    uint64_t start = ticks();
    while ((double)(ticks() - start) < SLEEP_AFTER_NS * player->ticks_per_ns)
        ;
}
