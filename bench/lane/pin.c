/* SPDX-License-Identifier: MIT */
/*
 * Where the two processes run, how they meet, and how far apart their cores are.
 */
#include "lane.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cpus.h"
#include "../values.h"
#include "ticks.h"

enum { CHUNKS = 15, BOUNCES = 64, SPINS_BEFORE_YIELD = 20000 };

/* Between the 120 ns of near cores and the 510 ns of far ones: their geometric mean. */
#define NEAR_BELOW_NS 250.0

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

/* There and back of one line, median of chunks; the answering process gets 0. */
double bounce(struct player *player)
{
    _Atomic uint64_t *line = &player->board->line;
    double chunks[CHUNKS];
    meet(player);
    uint64_t turn = atomic_load_explicit(line, memory_order_acquire);
    meet(player);
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        uint64_t start = ticks();
        for (int i = 0; i < BOUNCES; i++, turn += 2) {
            if (player->role == 0)
                atomic_store_explicit(line, turn + 1, memory_order_release);
            while (atomic_load_explicit(line, memory_order_acquire) < turn + 2 - player->role)
                ;
            if (player->role == 1)
                atomic_store_explicit(line, turn + 2, memory_order_release);
        }
        chunks[chunk] = (double)(ticks() - start) / BOUNCES / player->ticks_per_ns;
    }
    meet(player);
    if (player->role == 1)
        return 0;
    values_sort(chunks, CHUNKS);
    return chunks[CHUNKS / 2];
}

enum tag tag_of(double before_ns, double after_ns)
{
    enum tag before = before_ns < NEAR_BELOW_NS ? NEAR : FAR;
    enum tag after = after_ns < NEAR_BELOW_NS ? NEAR : FAR;
    return before == after ? before : MIXED;
}
