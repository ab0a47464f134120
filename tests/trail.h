/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_TRAIL_H
#define WEIR_TESTS_TRAIL_H

/*
 * Children that are halted at every moment of a call, each at another one. Stepped from the beginning
 * each time that takes the square of the call's length. So one child is stepped, and where it stood
 * after each instruction is the trail; those after it run along it at full speed, to a breakpoint of
 * the processor's, and the so-manieth time that they come by it.
 *
 * Where no such breakpoint can be had, they are stepped as the first.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct trail {
    uintptr_t *at;  /* where it stood after 0, 1, 2 ... instructions; NULL: not recorded */
    unsigned count; /* of the instruction after which the call was over */
    unsigned most;
};

/*
 * Steps the child, which stands at the beginning, until the call is over. At most so many
 * instructions. The child stands there.
 */
void trail_record(struct trail *trail, pid_t child, unsigned most, bool (*is_over)(void));
/*
 * The child stands at the beginning; then so many instructions further, fewer than the trail has.
 * False: it went another way, its call is over.
 */
bool trail_follow(const struct trail *trail, pid_t child, unsigned instructions,
                  bool (*is_over)(void));
/* The same, instruction by instruction. */
bool trail_step(pid_t child, unsigned instructions, bool (*is_over)(void));
void trail_free(struct trail *trail);

#endif
