/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SYNC_H
#define BENCH_SYNC_H

/*
 * A side is one implementation of a thing: it makes it in shared memory, and uses it so many times.
 * A cell lets so many processes do that for a while, and counts; all sides of a cell take turns.
 */

#include <stdbool.h>
#include <stdint.h>

enum { SIDES_MAX = 4, PROCESSES_MAX = 8, ROUNDS_MAX = 31 };

struct side {
    const char *name;
    void (*make)(void *memory);                 /* in the parent, before the processes */
    void (*enter)(void *memory);                /* in each process; may be NULL */
    void (*use)(void *memory, unsigned number); /* in process number 0 .. : 64 times */
    void (*end)(void *memory);                  /* in the parent; may be NULL */
};

/* Where the processes run: the kernel's choice, each of two on a processor of its own, all on one. */
enum placement { ANYWHERE, APART, TOGETHER };

struct cell {
    const char *name, *what;
    unsigned processes;
    double aim; /* rate of the first side to the second, at least */
    enum placement placement;
    bool is_threaded; /* the processes have a second thread, as far as glibc can see */
    const struct side *sides[SIDES_MAX];
};

#define MEMORY_BYTES 65536

/* What the memory of every side begins with, on lines of its own: guarded by what is measured. */
struct guarded {
    _Alignas(128) uint64_t count;
};

extern const struct side mutex_weir, mutex_private, mutex_robust, mutex_semop;
extern const struct side semaphore_weir, semaphore_posix, semaphore_semop;
extern const struct side pair_weir, pair_posix, pair_semop;
extern const struct side work_weir, work_posix, work_semop; /* with something to do between */
extern const struct side rwlock_weir, rwlock_posix;

_Noreturn void give_up(const char *what);

#endif
