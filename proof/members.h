/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_MEMBERS_H
#define WEIR_PROOF_MEMBERS_H

/*
 * Members: processes that publish and subscribe, and check what they see; and the one that has
 * started them and watches.
 */

#include <stdatomic.h>
#include <stdint.h>

#include <sys/types.h>

/* In a member, first: what it is called, and where it notes that it has seen what must not be. */
void member_begin(const char *program, const char *name, atomic_uint *is_broken);
/* In a member: it has. Says so, and ends the process. */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* In a member: what the call gives is what was expected. */
void must_be(const char *what, int result, int expected);

/* What a letter consists of: its head, and words that follow from it. */
uint64_t word_of(uint64_t head, unsigned index);

/* In the one that watches: all are killed; of them, and of WEIR_DIR, nothing is left. */
void members_clear(const pid_t *pids, unsigned count, const char *directory);

#endif
