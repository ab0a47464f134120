/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_SEGMENT_H
#define WEIR_PROOF_SEGMENT_H

/* POSIX segments, and memfds that are passed over a socket. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_NAME "/kill"
#define SEGMENT_BYTES 5000
#define SEGMENT_MODE 0640

struct segment_state {
    atomic_bool is_sent; /* the victim's send has returned */
    uint64_t room;       /* free blocks of /dev/shm in the beginning */
};

/* A socket's ends, which processes that are started afterwards inherit. */
extern int segment_ends[2];

#endif
