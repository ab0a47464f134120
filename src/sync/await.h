/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_AWAIT_H
#define WEIR_SYNC_AWAIT_H

/*
 * The wait of all that wait by an event (permits, barrier, both sides of the read-write lock), and of the
 * semaphore, for something that others do, who may die before they have done it or have said so.
 *
 *   1 look                      what was done before we came
 *   2 glance, again and again   a microsecond or two of it cost less than a sleep
 *   3 prepare                   from now on, who does it notifies
 *   4 look                      what was done before that was not notified; see sync/event.h
 *   5 sleep                     until the notification, or it is time to ask
 *   6 ask, when it is time      the kernel, for those that we wait for: a few system calls
 *
 * Each of look, glance and ask says WEIR__NOT_YET, or how the wait ends. At the deadline it asks
 * once more, whatever the time, and that is the end: an ask looks as well. So the deadline ends also a
 * wait that is woken again and again, and finds nothing; and a deadline of 0 asks once.
 *
 * The mutex has a wait of its own: its futex is the word that it waits for, and is not counted.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sync/event.h"

/* No error, and no number of dead parties. */
#define WEIR__NOT_YET (-1000)

struct weir__await {
    int (*look)(void *waiter);
    int (*glance)(void *waiter); /* a look; cheaper, where that one would be dear */
    int (*ask)(void *waiter);    /* NULL: there is nobody to ask for; it looks instead */
    bool ends_by_signal;         /* -EINTR */
    /*
     * Where there is no event, but a word that says by itself whether to sleep: prepare gives what it is
     * while one is to, and that the next change of it wakes; sleep is weir__event_wait_slice() in its
     * place. stirs is called behind them, whether it has slept or not, is_woken: somebody's change has ended it.
     */
    uint32_t (*prepare)(void *waiter);
    int (*sleep)(void *waiter, uint32_t ticket, int64_t slice_ns, int64_t deadline_ns);
    void (*stirs)(void *waiter, bool is_woken);
};

/*
 * event: NULL, when how has a word of its own. deadline_ns: WEIR_NEVER, or of CLOCK_MONOTONIC. How the wait has ended; WEIR__NOT_YET: the deadline
 * is over; -EINTR, without a sentence.
 */
int weir__await(const struct weir__await *how, void *waiter, struct weir__event_shm *event,
                int64_t deadline_ns);

#endif
