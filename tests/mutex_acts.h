/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_MUTEX_ACTS_H
#define WEIR_TESTS_MUTEX_ACTS_H

/* What the tests of the mutex share: one mutex for all, and what actors do with it. */

#include "actor.h"
#include "fixture.h"

#include <weir/mutex.h>

#include "sync/mutex.h"

#define MS WEIR_MILLISECOND_NS

/* "A fifth of a second at most" once the kernel has released it; and what a busy machine adds. */
enum { SOON_MS = 20000, BOUND_MS = SANITIZED ? 3000 : 1000 };

extern struct board {
    struct weir_mutex mutex;
    uint64_t identity;
    int64_t counter;
} * board;

struct weir__mutex_shm *inside(void);

/* Of each test: a fresh board. */
int set_up(void **state);
int tear_down(void **state);
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* Acts. */
int lock(void *unused);
int try_lock(void *unused);
int lock_for(void *timeout_ns);
int lock_until(void *deadline_ns);
int unlock(void *unused);
int consistent(void *unused);
int identity(void *unused); /* to board->identity */

/* An error, and a sentence of this call that says something. */
#define assert_refused(actor, act, argument, error)                                                \
    do {                                                                                           \
        assert_int_equal(actor_ask(actor, act, argument), error);                                  \
        assert_true((actor)->sentence[0] != 0);                                                    \
    } while (0)

/* A process locks it and is killed. */
void die_holding(void);
/* This process holds what was inherited: repairs it. */
void make_good(void);

#endif
