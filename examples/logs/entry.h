/* SPDX-License-Identifier: MIT */
/* A line of the log, as it stands in memory: the message of a channel of log lines. */
#ifndef LOGS_ENTRY_H
#define LOGS_ENTRY_H

#include <stdint.h>

struct entry {
    int64_t time_ns; /* CLOCK_REALTIME */
    int32_t pid;     /* for the reader's eye: it proves nothing */
    char text[];     /* to the message's end, without a newline */
};

#endif
