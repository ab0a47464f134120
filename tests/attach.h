/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_ATTACH_H
#define WEIR_TESTS_ATTACH_H

/*
 * shmat and shmdt for tests with threads that the thread sanitizer watches: linked into a
 * test, they stand in place of libc's, also for the library.
 *
 * The sanitizer does not know what shmdt does: a new segment at the address of an old one is
 * the old one to it. So each shmdt is a release and each shmat an acquire, as the kernel's
 * own lock of the address space is.
 */

#include <stdbool.h>

/*
 * Whether to give who attaches a segment that this process has attached already the same
 * address: then two sides in one process race at one address, and not, unseen, at two.
 *
 * The lock that this needs orders attaches among themselves only: what a segment's maker
 * writes, it writes after its shmat; so no other is ordered after it by its own shmat.
 */
extern bool attach_shares;

/* How many attaches got an address that was there already. */
extern unsigned attach_shared;

#endif
