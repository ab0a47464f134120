/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_BELLS_H
#define WEIR_BASE_BELLS_H

/*
 * Many futex words at once, and an eventfd that becomes readable when one of them is woken: by an
 * io_uring, so that it is the waker's system call that does it; else by a thread that sleeps on
 * all of them (FUTEX_WAITV, Linux 5.16); and where that is not to be had, or there are more than
 * it takes (127), by one that looks once a millisecond.
 *
 *   a bell  | means                                   | moved on by
 *   --------+-----------------------------------------+---------------------------------------
 *   none    | no word                                 | set() -> new
 *   new     | to be waited for                        | wait() -> waiting
 *   waiting | who wakes makes the eventfd readable    | the kernel -> over; drop() -> none;
 *           |                                         | a wait() that fails -> new
 *   over    | it has been woken, or has another value | set() -> new; drop() -> none
 *
 * A word that has another value counts as woken. What was woken may say so as over only after
 * the next wait(): who wants to know at once compares the word.
 *
 * Threads: one at a time; another one than before costs a new io_uring, and the one after that leaves the
 * bells to the thread, since the kernel interrupts each thread whose io_uring is closed. Fork: a child may only
 * close. Words are read by the kernel, or, under a lock, until drop() returns.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

struct weir__bells;

/* Their eventfd stays the caller's. -ENOMEM. */
int weir__bells_open(struct weir__bells **bells, int eventfd);

/* is_ours: false in a child of fork, where the thread is not. */
void weir__bells_close(struct weir__bells *bells, bool is_ours);

/* There are bells from 0 to count - 1; those there are stay. -ENOMEM. */
int weir__bells_grow(struct weir__bells *bells, uint32_t count);

/* From the next wait() on: while *word is value. In place of what this bell was. */
void weir__bells_set(struct weir__bells *bells, uint32_t index, const weir__atomic_u32 *word,
                     uint32_t value);

/* No word; whose former one may be unmapped afterwards. */
void weir__bells_drop(struct weir__bells *bells, uint32_t index);

bool weir__bells_is_waiting(const struct weir__bells *bells, uint32_t index);

/*
 * Clears the eventfd, and has it become readable from now on: look at what the words stand for after this.
 * 0; -EAGAIN and the like: neither io_uring nor a thread was to be had. Then none is waiting, those that
 * were are new, and the eventfd is as it was: the next wait() tries again.
 */
int weir__bells_wait(struct weir__bells *bells);

#endif
