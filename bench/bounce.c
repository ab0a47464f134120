/* SPDX-License-Identifier: MIT */
#include "bounce.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Role 0 makes even numbers odd, role 1 odd ones even. */
static void play(struct table *table, unsigned role, int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
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
    qsort(table->chunks, CHUNKS, sizeof *table->chunks, by_value);
    double median = table->chunks[CHUNKS / 2];
    munmap(table, sizeof *table);
    return median;
}
