/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_RECEIVER_H
#define WEIR_TOOL_RECEIVER_H

/*
 * What 'weir sub' and 'weir tap' share: which messages are wanted, in which form, and the loop that
 * prints them: what is there at once, many with one write(2), until there are enough, none has come
 * for so long, a signal is to end us, or nobody reads what we print.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>

#include "output.h"

struct receiver_request {
    const char *channel;
    enum output_form form;
    bool has_form;
    uint64_t count; /* 0: no end */
    double timeout; /* below 0: none */
    uint32_t start; /* enum weir_start */
    uint64_t start_back;
};

#define RECEIVER_REQUEST                                                                           \
    {                                                                                              \
        .timeout = -1, .start = WEIR_START_NOW                                                     \
    }

#define RECEIVER_SHORT_OPTIONS "c:f:hJLqrt:x"
#define RECEIVER_LONG_OPTIONS                                                                      \
    { "count", required_argument, NULL, 'c' }, { "from", required_argument, NULL, 'f' },           \
        { "hex", no_argument, NULL, 'x' }, { "json", no_argument, NULL, 'J' },                     \
        { "length-prefixed", no_argument, NULL, 'L' }, { "raw", no_argument, NULL, 'r' },          \
    {                                                                                              \
        "timeout", required_argument, NULL, 't'                                                    \
    }

/* For the help: --from, and the forms. */
#define RECEIVER_FROM_HELP                                                                         \
    "  -f, --from=WHERE       oldest: with all that is still there; -N: with the last\n"           \
    "                         N messages of each publisher; now (without it)\n"
#define RECEIVER_FORMS_HELP                                                                        \
    "  -r, --raw              the bytes of the messages, one after the other\n"                    \
    "  -L, --length-prefixed  before each message its length in 4 bytes, the lowest\n"             \
    "                         first (little-endian), and nothing behind it\n"                      \
    "  -x, --hex              a line of hexadecimal digits a message\n"

/* True: taken. False: *status is the command's; STATUS_OK: it is none of these options. */
bool receiver_option(struct receiver_request *request, int option, int *status);

/* The channel, after the options: STATUS_OK, or the usage error is told. */
int receiver_operand(struct receiver_request *request, int argc, char **argv);

struct receiver;

/* Where messages come from. */
struct receiver_source {
    /*
     * The next message; 0, or -errno. With a deadline above 0 it may wait so long, or less, and
     * return -EAGAIN.
     */
    int (*next)(struct receiver *receiver, struct weir_message *message, int64_t deadline_ns);
    /* All that it gave is written. NULL: it need not know. */
    void (*written)(struct receiver *receiver);
    /* What next() returned but a message or -EAGAIN. False: that is the end. */
    bool (*go_on_after)(struct receiver *receiver, int result);
};

/* The first member of what a command keeps. */
struct receiver {
    const struct receiver_request *request;
    const struct receiver_source *source;
    unsigned unwritten_max; /* messages that may be given before they are written */
    unsigned unwritten;
    uint64_t taken;
    int64_t deadline_ns; /* for the next message */
    void *room;          /* for a copy of the next message */
    size_t room_bytes;
    struct output output;
    bool has_told_scarce;
    bool is_ended; /* by itself: no message came in time, or its source says so */
    int status;
};

/* Prints until the end; the command's status is in receiver->status. */
void receiver_print(struct receiver *receiver);

/*
 * What the command returns. Who wanted a certain end (--count, or is_to_end) and was interrupted
 * before it ends by the signal, here: a script must not take that for done.
 */
int receiver_end(const struct receiver *receiver, bool is_to_end);

/* Room for so many bytes; what was in it is lost. */
void receiver_need_room(struct receiver *receiver, size_t size_bytes);

/* go_on_after() of what is no news of its source: tells it. */
bool receiver_go_on_after(struct receiver *receiver, int result);

#endif
