/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_LIMITS_H
#define WEIR_BASE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/limits.h>

/* Inode of the calling thread's IPC namespace; 0 when /proc does not tell. */
uint64_t weir__ipc_namespace(void);

/* Whether it may see the kernel's uids as other numbers: it is in a user namespace that was made, or
 * /proc does not tell. */
bool weir__sees_other_uids(void);

/* Inode of the calling thread's user namespace; 0 when /proc does not tell. */
uint64_t weir__user_namespace(void);

/* The number under which the kernel shows each uid that the caller's user namespace has none for. */
uint32_t weir__overflow_uid(void);

/* All limits of this moment; fields that could not be read are 0. */
void weir__limits_read(struct weir_limits *limits);

#endif
