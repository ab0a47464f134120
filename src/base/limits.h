/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_LIMITS_H
#define WEIR_BASE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/limits.h>

/* Inode of the calling thread's IPC namespace; 0 when /proc does not tell. */
uint64_t weir__ipc_namespace(void);

/* The same of its user namespace. */
uint64_t weir__user_namespace(void);

/* Whether one of that user namespace may see the kernel's uids as other numbers: it was made, or it is
 * not known. */
bool weir__sees_other_uids(uint64_t user_namespace);

/* All limits of this moment; fields that could not be read are 0. */
void weir__limits_read(struct weir_limits *limits);

#endif
