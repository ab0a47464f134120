/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_KINDS_H
#define WEIR_TESTS_KINDS_H

/*
 * The objects of shared state in one memory (peers.h), as any of the processes has them: one is had,
 * or something passes from who gives it to who takes it.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "fixture.h"
#include "peers.h"

/* Who waits for a living one is woken; behind a dead one it is a slice; no wait is longer than this. */
#define KINDS_BOUND_NS (INT64_C(5) * WEIR_SECOND_NS)

enum { KINDS_BLOCKS = 4 }; /* of pool and arena */

/* All that stands in the memory. */
struct kinds_board {
    struct weir_mutex mutex, recursive;
    struct weir_condition condition;
    struct weir_event event;
    struct weir_semaphore semaphore;
    struct weir_once once;
    _Atomic uint32_t ready; /* what condition and event are waited for with */
    uint64_t place[KINDS_BLOCKS];
    _Alignas(64) unsigned char rwlock[4096];
    _Alignas(64) unsigned char permits[4096];
    _Alignas(64) unsigned char barrier[4096];
    _Alignas(64) unsigned char values[8192];
    _Alignas(64) unsigned char readers[4096];
    _Alignas(64) unsigned char pool[4096];
    _Alignas(64) unsigned char arena[4096];
};

/* In what scene they are tried. */
enum kinds_scene { KINDS_HELD, KINDS_PASSED, KINDS_MET, KINDS_ALLOCATED };

extern const struct kinds_object {
    const char *name;
    enum kinds_scene scene;
    int (*make)(void); /* NULL: bytes of 0 are one */
    int (*open)(void); /* in each process; NULL: there is no handle */
    int (*take)(int64_t deadline_ns);
    int (*give)(void);
} kinds_objects[];
extern const unsigned kinds_object_count;

static inline struct kinds_board *kinds_board(void)
{
    return peers_memory;
}

/* Of this process: what it has open is closed, and it has seen nothing. */
void kinds_forget(void);

#endif
