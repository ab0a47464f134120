/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_PROCESS_H
#define WEIR_BASE_PROCESS_H

#include <stdint.h>

/*
 * Which process this is, for what a child of fork has not got; never 0. Not the pid alone: the first
 * process of a PID namespace has the same as the first one of another, and numbers come round.
 */
uint64_t weir__process(void);

#endif
