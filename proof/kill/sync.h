/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_SYNC_H
#define WEIR_PROOF_SYNC_H

/* Mutex, condition, event, semaphore, once. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

/* What is swept, and what is known of it beside it. */
struct sync_state {
    struct weir_mutex mutex;
    struct weir_condition condition;
    struct weir_event event;
    struct weir_semaphore semaphore;
    struct weir_once once;
    uint64_t first, second;                     /* by the mutex's holder: alike when it lets go */
    atomic_int holder;                          /* a pid; 0 before the unlock */
    atomic_uint state;                          /* what conditions and events are waited for with */
    atomic_uint posting, posted, taking, taken; /* units: calls entered, and returned */
    atomic_bool is_built, is_done;              /* once: about to end; end has returned */
};

#endif
