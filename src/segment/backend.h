/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_BACKEND_H
#define WEIR_SEGMENT_BACKEND_H

/*
 * What a segment is made of: System V, POSIX or memfd, a table of operations
 * each. The public calls check what is common to all and go through the table;
 * what one kind alone knows stands in its own files.
 *
 *   System V   create.c, open.c, lookup.c, remove.c over sysv.c
 *   POSIX      posix.c, over mapped.c
 *   memfd      memfd.c, over mapped.c; pass.c hands it over a socket
 */

#include <sys/shm.h>

#include "segment/handle.h"

struct weir__backend {
    uint32_t number; /* enum weir_backend */

    /* Reference and options, as far as they are this kind's business. purpose: enum weir__ask_for */
    int (*check)(const struct weir__segment_ask *ask, unsigned purpose);

    /* The two ways to fill a handle, which is empty and freed by the caller when they fail. */
    int (*create)(struct weir_segment *segment, const struct weir__segment_ask *ask);
    int (*open)(struct weir_segment *segment, const struct weir__segment_ask *ask);

    /* One more mapping, with the user's first byte at address (NULL: anywhere); and its end. Of flags
     * these are followed: WEIR_SEGMENT_READ_ONLY, NO_FORK. */
    int (*map)(const struct weir_segment *segment, void *address, uint32_t flags, void **memory);
    void (*unmap)(const struct weir_segment *segment, void *memory);

    /* By handle, by reference. What is not known is left 0; size is set and checked already. */
    int (*stat)(const struct weir_segment *segment, struct weir_segment_stat *stat);
    int (*lookup)(struct weir_ref ref, struct weir_segment_stat *stat);

    int (*remove)(struct weir_ref ref);
};

extern const struct weir__backend weir__backend_sysv;
extern const struct weir__backend weir__backend_posix;
extern const struct weir__backend weir__backend_memfd;

/* Whose a reference is; System V's also for one that names nothing, which its check refuses. */
const struct weir__backend *weir__backend_of(struct weir_ref ref);

/* The operations of System V, for its table. */
int weir__sysv_check(const struct weir__segment_ask *ask, unsigned purpose);
int weir__sysv_create(struct weir_segment *segment, const struct weir__segment_ask *ask);
int weir__sysv_open(struct weir_segment *segment, const struct weir__segment_ask *ask);
/* What the kernel says of the handle's segment; -EIDRM: of it, nothing. */
int weir__sysv_look(const struct weir_segment *segment, struct shmid_ds *found);
int weir__sysv_stat(const struct weir_segment *segment, struct weir_segment_stat *stat);
int weir__sysv_lookup(struct weir_ref ref, struct weir_segment_stat *stat);
int weir__sysv_remove(struct weir_ref ref);

#endif
