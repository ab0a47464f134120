/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_BYTES_H
#define WEIR_TOOL_BYTES_H

/* What 'weir read' and 'weir write' share: the part of an object that is meant. */

#include <stdbool.h>
#include <stdint.h>

struct bytes_range {
    uint64_t offset;
    uint64_t length;
    bool has_length; /* else to the end */
    bool hex;
};

/* Options of both: TABLE-like, for getopt_long. */
#define BYTES_LONG_OPTIONS                                                                         \
    { "hex", no_argument, NULL, 'x' }, { "length", required_argument, NULL, 'l' },                 \
    {                                                                                              \
        "offset", required_argument, NULL, 'o'                                                     \
    }
#define BYTES_SHORT_OPTIONS "l:o:x"

/*
 * Takes one of BYTES_SHORT_OPTIONS. Returns 1 when it was one, 0 when not, -1
 * when its argument is wrong (the usage error is told).
 */
int bytes_option(struct bytes_range *range, int option, const char *argument);

/*
 * Fits the range into an object of size_bytes: sets length. STATUS_OK, or the
 * failure is told.
 */
int bytes_fit(struct bytes_range *range, const char *object, uint64_t size_bytes);

/* Writes all to a file descriptor; false with errno set. */
bool bytes_put(int file, const void *data, uint64_t length);

#endif
