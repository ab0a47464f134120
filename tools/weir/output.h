/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_OUTPUT_H
#define WEIR_TOOL_OUTPUT_H

/* The messages of a channel on standard output, many with one write(2) while there are many. */

#include <stdbool.h>
#include <stddef.h>

#include <weir/channel.h>

enum output_form {
    OUTPUT_LINE,   /* the message, and the end of a line */
    OUTPUT_RAW,    /* the message alone */
    OUTPUT_LENGTH, /* its length in four bytes, the lowest first, then the message */
    OUTPUT_HEX,    /* a line of hexadecimal digits */
    OUTPUT_JSON,   /* a line of JSON */
};

struct output {
    enum output_form form;
    size_t used;
    char bytes[64 << 10];
};

/* What became of a write. */
enum output_result {
    OUTPUT_DONE,
    OUTPUT_STOPPED, /* a signal is to end us (stop.h) */
    OUTPUT_FAILED,  /* and it is told */
};

/* Some of it may have been written. */
enum output_result output_message(struct output *output, const struct weir_message *message);

/* All of it is written. */
enum output_result output_flush(struct output *output);

/* That nobody reads it any more. */
enum output_result output_fail(int error);

/* output_json.c: the line, without its end, in new memory. */
char *output_json(const struct weir_message *message);

#endif
