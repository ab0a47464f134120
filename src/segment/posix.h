/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_POSIX_H
#define WEIR_SEGMENT_POSIX_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "segment/handle.h"

/* Where shm_open(3) looks. */
#define WEIR__POSIX_DIRECTORY "/dev/shm"

/* Bytes that hold the path of a name that was checked. */
#define WEIR__POSIX_PATH_BYTES (sizeof WEIR__POSIX_DIRECTORY + 1 + NAME_MAX)

/* The file that a reference by POSIX name means: a regular one. -ENOENT, -EINVAL, -EPROTO. */
int weir__posix_look(struct weir_ref ref, struct stat *found);

/*
 * Memory for all of a file. keep_size: what is missing is filled up, and it never grows.
 * -ENOSPC, -ENOMEM, -E2BIG.
 */
int weir__posix_allocate(int fd, const struct weir__segment_ask *ask, uint64_t size_bytes,
                         bool keep_size);

/* The sentence for it: what stands in the way of one more file, or of more memory for one. */
int weir__posix_explain_room(int error, const struct weir__segment_ask *ask, uint64_t size_bytes);

/* Whether files in /dev/shm may have huge pages: its mount option huge=. */
bool weir__posix_has_huge(void);

#endif
