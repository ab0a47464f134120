/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_INPUT_H
#define WEIR_TOOL_INPUT_H

/* The messages that a file has. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum input_form {
    INPUT_LINES,   /* one a line, without its end; the last one needs none */
    INPUT_LENGTHS, /* four bytes of length, the lowest first, then so many bytes */
    INPUT_WHOLE,   /* the whole file is one */
};

struct input {
    enum input_form form;
    int fd;
    const char *name;     /* for messages */
    uint64_t ring;        /* bytes, and the longest message that it takes */
    size_t most;          /* no more than this is kept of a message that is too long */
    uint64_t number;      /* messages so far */
    bool is_at_end;       /* of the file */
    unsigned char *bytes; /* read ahead: from begin to end */
    size_t capacity, begin, end;
};

/* Whether this path means it: "-". */
bool input_is_standard(const char *path);

/* The file of this path, "-" is standard input. STATUS_OK, or the failure is told. */
int input_open(struct input *input, const char *path, enum input_form form, uint64_t ring,
               size_t most);
void input_close(struct input *input);

/* 1: *data is the next message, until the next call; 0: that was all; -1: failed, and told, or
 * stopped by a signal (stop.h). */
int input_next(struct input *input, const unsigned char **data, size_t *size);

/* Of a file that has a size: whether it is one message's. STATUS_OK, or the failure is told. */
int input_check_whole(const char *path, uint64_t ring, size_t most);

#endif
