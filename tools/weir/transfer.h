/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TRANSFER_H
#define WEIR_TOOL_TRANSFER_H

/* What 'weir send' and 'weir recv' share: the stream, its watcher, its messages. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "progress.h"
#include "stream.h"

struct transfer {
    struct stream stream;
    const char *self, *other; /* "sender", "receiver" */
    const char *file;         /* for messages: "standard input" and the like too */
    int fd;
    uint64_t done;       /* bytes */
    int failed;          /* what this side failed with: an errno, enum stream_failure; 0: nothing */
    uint64_t file_bytes; /* sender: the size of a regular file at the start */
    struct progress progress;

    /* Two helpers interrupt the main thread wherever it waits: the watcher when the other side is
     * gone, the stopper at SIGINT, SIGTERM and SIGHUP. */
    pthread_t main, watcher, stopper;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;       /* under lock: the helpers may go */
    bool watched;        /* under lock: the watcher has gone */
    atomic_bool leaving; /* the watcher shall go */
    atomic_bool gone;    /* the other side is gone, has failed or has accepted */
    atomic_int stopped;  /* the signal that ends us; 0: none */
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
int transfer_begin(struct transfer *transfer, enum stream_role role,
                   const struct transfer_options *options);

/* Sender, after the end: waits for what the receiver has to say; 0: it has everything. */
int transfer_verdict(struct transfer *transfer);

/*
 * Tells the other side how it ended (the receiver accepts, if status is STATUS_OK), leaves it,
 * and ends by the signal that stopped us, if one did; else returns status.
 */
int transfer_end(struct transfer *transfer, int status);

/* Says what a negative result of the stream means; returns STATUS_FAILURE. */
int transfer_fail(struct transfer *transfer, int result);

/* This side failed with errno at doing (a verb: "read"): says so, here and at the end there. */
int transfer_fail_file(struct transfer *transfer, const char *doing, int error);

/* Likewise, but for a failure that has no errno; and says the sentence of it that transfer.c has. */
int transfer_fail_with(struct transfer *transfer, enum stream_failure failure);

/*
 * After EINTR or EAGAIN from the file: waits until it is worth another try.
 * 0, or the negative result that says that the other side is gone or we are stopped.
 */
int transfer_retry(struct transfer *transfer, int error, short events);

#endif
