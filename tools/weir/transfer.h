/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TRANSFER_H
#define WEIR_TOOL_TRANSFER_H

/* What 'weir send' and 'weir recv' share: the pair, its watcher, its messages. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bounded_buffer.h"
#include "progress.h"

/*
 * Few and large: so many system calls a byte and no more, while all slots
 * together still lie in a cache, where the receiver's copy finds what the
 * sender's copy has just written. Measured with bench/classic. Both sides must
 * agree.
 */
#define TRANSFER_SLOTS 4
#define TRANSFER_SLOT_BYTES (512u << 10)

struct transfer {
    struct bounded_buffer *buffer;
    const char *name;
    const char *self, *other; /* "sender", "receiver" */
    const char *file;         /* for messages: "standard input" and the like too */
    int fd;
    uint64_t done; /* bytes */
    struct progress progress;

    /* Two helpers interrupt the main thread wherever it waits: the watcher when the other side is
     * gone, the stopper at SIGINT, SIGTERM and SIGHUP. */
    pthread_t main, watcher, stopper;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;      /* under lock: the helpers may go */
    atomic_bool gone;   /* the other side is gone or has failed, or we have finished */
    atomic_int stopped; /* the signal that ends us; 0: none */
};

/* The options of both commands: NAME [FILE] [--wait SECONDS]. */
struct transfer_options {
    const char *name;
    const char *file; /* NULL or "-": standard input or output */
    int64_t wait_ns;  /* negative: for ever */
};

/* True to go on; else *status is what the command returns. */
bool transfer_options(int argc, char **argv, struct transfer_options *options, int *status);

/* Joins the other side. STATUS_OK, or says why not. */
int transfer_begin(struct transfer *transfer, enum bounded_buffer_role role,
                   const struct transfer_options *options);

/* Leaves the buffer and ends by the signal that stopped us, if one did; else returns status. */
int transfer_end(struct transfer *transfer, int status);

/* Whether a result of the buffer means to call again: interrupted, but not stopped. */
bool transfer_again(const struct transfer *transfer, int result);

/* Says what a negative result of the buffer means; returns STATUS_FAILURE. */
int transfer_fail(struct transfer *transfer, int result);

/* This side failed with errno at doing (a verb: "read"): says so here and there. */
int transfer_fail_file(struct transfer *transfer, const char *doing, int error);

/*
 * After EINTR or EAGAIN from the file: waits until it is worth another try.
 * 0, or the negative result that says that the other side is gone or we are stopped.
 */
int transfer_retry(struct transfer *transfer, int error, short events);

#endif
