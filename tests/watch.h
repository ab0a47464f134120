/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_WATCH_H
#define WEIR_TESTS_WATCH_H

/*
 * A child that is halted behind each instruction that loads words of its memory, or stores them: by the
 * processor, which watches an address, so that all others run at full speed. What the kernel loads
 * for it is not seen. See tracer.h.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* So many words at once. */
enum { WATCHED_MAX = 4 };

/* Whether this machine has that, and lets a process use it. */
bool watch_works(void);

/* The child stands. Word number index: at this address, of 4 or 8 bytes; 0 bytes: no word. */
void watch_word(pid_t child, unsigned index, uintptr_t at, unsigned size_bytes);
void watch_nothing(pid_t child);

/* It was halted by SIGTRAP: a bit for each word that was loaded or stored. */
unsigned watch_seen(pid_t child);

#endif
