/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_STEPPED_H
#define WEIR_TESTS_STEPPED_H

/*
 * A child stepped from instruction to instruction, each one decoded: what orders memory, and what
 * asks the kernel. On x86-64 alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#if defined(__x86_64__)
/* Where the counting begins and ends. A breakpoint, which the parent sees. */
#define STEPPED_MARK() __asm__ volatile("int3")
#else
#define STEPPED_MARK() (void)0
#endif

/* What an instruction is, as far as it matters here. */
enum stepped_sort { STEPPED_PLAIN, STEPPED_LOCKED, STEPPED_FENCE, STEPPED_CALL, STEPPED_SORTS };

extern unsigned stepped_counts[STEPPED_SORTS];

/* Whether a child can be stepped, and its instructions are the compiler's own. */
bool stepped_works(void);

/* A child of tracee_start(): freely to its first mark, then step by step over the second. */
void stepped_count(pid_t child);

#endif
