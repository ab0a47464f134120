/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_LIMITS_H
#define WEIR_BASE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/limits.h>

/* Inode of the calling thread's IPC namespace; 0 when /proc does not tell. */
uint64_t weir__ipc_namespace(void);

/*
 * The same of its user namespace, as it is now, by /proc or, since Linux 6.11, without: 0. -EMFILE,
 * -ENFILE, -ENOMEM: it cannot be asked for in this moment; -ENOSYS: it is not told. Without a sentence.
 */
int weir__user_namespace_ask(uint64_t *inode);

/* The same; 0: it is not known. */
uint64_t weir__user_namespace(void);

/* Whether one of that user namespace may see the kernel's uids as other numbers: it was made, or it is
 * not known. */
bool weir__sees_other_uids(uint64_t user_namespace);

/* The number under which the kernel shows each uid that the caller's user namespace has none for. */
uint32_t weir__overflow_uid(void);

/*
 * Whether a uid that the kernel has told is one. The kernel says one and the same number
 * (kernel.overflowuid, 65534) for every uid that the caller's user namespace has not; so that
 * number is a uid only where the namespace has them all, and is somebody's, anybody's, elsewhere.
 * 1, 0; or neither is known, as of weir__user_namespace_ask().
 */
int weir__uid_ask(uint32_t uid);

/* Whether it is known that it is one. */
bool weir__uid_is_told(uint32_t uid);

/* What a uid of the caller's user namespace is in the one around it; false: it has not got it. */
bool weir__uid_outside(uint32_t uid, uint32_t *outside);

/* Whether the calling thread's IPC namespace belongs to its user namespace: then nobody has made
 * an object in it but who has a uid of it, and who had all rights over both. As weir__uid_ask(). */
int weir__ipc_is_of_user_namespace(void);

/* All limits of this moment; fields that could not be read are 0. */
void weir__limits_read(struct weir_limits *limits);

#endif
