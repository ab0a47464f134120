/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_GUARD_H
#define WEIR_TESTS_GUARD_H

/*
 * Guard pages. A program that is linked with guard.c and WEIR_GUARD_OPTIONS (CMakeLists.txt:
 * --wrap=shmat,--wrap=shmdt) attaches each segment, also those that the library attaches,
 * between pages that nobody may touch: a byte before it, or behind its last page, is a
 * SIGSEGV. Under the address sanitizer so is, as a report, the rest of the last page.
 *
 * One thread attaches and detaches at a time. A segment that is attached at a given address,
 * or of more than 4 GiB, has no guards. In a child of fork a segment that is left out of it
 * (MADV_DONTFORK) is gone, with its guards.
 */

#include <stdbool.h>
#include <stddef.h>

/* Whether all of these bytes are of one segment that is attached now. */
bool guard_holds(const void *at, size_t size_bytes);

/* How large the segment is that this byte is of; 0: it is of none. */
size_t guard_size(const void *at);

/* How many segments are attached. */
size_t guard_count(void);

/* And how many of them so that they can be written. */
size_t guard_writable_count(void);

/* size_bytes of memory whose last byte stands before a guard page; lives for ever. */
void *guard_new(size_t size_bytes);

/* Called with each segment that was attached, and its size; NULL: nobody is. */
extern void (*guard_attached)(void *memory, size_t size_bytes);

/* What the linker puts in place of shmat(2) and shmdt(2). */
void *__wrap_shmat(int id, const void *address, int flags);
int __wrap_shmdt(const void *address);
void *__real_shmat(int id, const void *address, int flags);
int __real_shmdt(const void *address);

#endif
