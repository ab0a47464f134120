/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_MAPPED_H
#define WEIR_SEGMENT_MAPPED_H

/* What POSIX segments and memfds have in common: a file that is mapped. */

#include <sys/stat.h>

#include "segment/backend.h"

/* For the table of operations. address: a multiple of the page size, or NULL. */
int weir__mapped_map(const struct weir_segment *segment, void *address, uint32_t flags,
                     void **memory);
void weir__mapped_unmap(const struct weir_segment *segment, void *memory);

/* The handle's own mapping, as the options want it: segment->fd and segsz are set. */
int weir__mapped_attach(struct weir_segment *segment, const struct weir__segment_ask *ask);

/* Mode and group that the options ask for, of a file that nobody else sees yet. */
int weir__mapped_set_rights(int fd, const struct weir__segment_ask *ask, uint32_t mode);

/* -E2BIG when the size is above RLIMIT_FSIZE: the kernel would kill us with SIGXFSZ. */
int weir__mapped_check_limit(const struct weir__segment_ask *ask, uint64_t size_bytes);

/* stat, of what the file system knows of the file. */
void weir__mapped_fill_stat(struct weir_segment_stat *stat, const struct stat *file,
                            uint32_t backend);

/* -EMFILE and the like with their sentence, for the calls that give a descriptor. */
int weir__mapped_no_descriptor(int error, const char *what);

#endif
