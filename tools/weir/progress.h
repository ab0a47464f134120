/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_PROGRESS_H
#define WEIR_TOOL_PROGRESS_H

/* A progress bar on stderr, for long work, if stderr is a terminal and --quiet was not given. */

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on;
    bool is_waiting;   /* a line of progress_wait() is there */
    uint64_t expected; /* bytes; 0: not known */
    int64_t start_ns, drawn_ns;
};

/* What stands in place of the bar until it starts, or progress_wait_end(): before any message. */
void progress_wait(struct progress *progress, const char *line);
void progress_wait_end(struct progress *progress);

void progress_start(struct progress *progress);

/* done: bytes until now. Draws ten times a second at most. */
void progress_step(struct progress *progress, uint64_t done);

/* Draws the last state and leaves the line; before any message is printed. */
void progress_end(struct progress *progress, uint64_t done);

/* "1.5 GiB", in static memory of the caller. */
const char *progress_bytes(double bytes, char text[16]);

#endif
