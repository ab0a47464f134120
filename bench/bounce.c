/* SPDX-License-Identifier: MIT */
#include "bounce.h"

#include "cpus.h"
#include "values.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 15, BOUNCES = 64 };

struct table {
    _Alignas(128) _Atomic uint64_t line;
    _Alignas(128) double chunks[CHUNKS];
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Role 0 makes even numbers odd, role 1 odd ones even. */
static void play(struct table *table, unsigned role, int cpu)
{
    cpus_pin(cpu);
    uint64_t turn = 0;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        double start = now_ns();
        for (int i = 0; i < BOUNCES; i++, turn += 2) {
            while (atomic_load_explicit(&table->line, memory_order_acquire) != turn + role)
                ;
            atomic_store_explicit(&table->line, turn + role + 1, memory_order_release);
        }
        if (role == 0)
            table->chunks[chunk] = (now_ns() - start) / BOUNCES;
    }
}

double bounce_probe(int one, int other)
{
    struct table *table =
        mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        return 0;
    fflush(NULL);
    for (unsigned role = 0; role < 2; role++) {
        if (fork() == 0) {
            play(table, role, role == 0 ? one : other);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    double median = values_median(table->chunks, CHUNKS);
    munmap(table, sizeof *table);
    return median;
}
