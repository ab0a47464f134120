/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_PUBLICATION_H
#define WEIR_TOOL_PUBLICATION_H

/* One 'weir pub': what it was asked for, and how far it is. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>

#include "input.h"

struct publication_request {
    const char *channel;
    char **files; /* NULL-terminated; empty: standard input */
    enum input_form form;
    uint64_t ring, repeat, wait_for, type;
    double rate;      /* 0: as fast as it goes */
    double wait;      /* below 0: for ever */
    uint64_t lag_max; /* 0: wait for the slowest */
    bool is_taken;
    struct weir_channel_options options;
};

struct publication {
    const struct publication_request *request;
    struct weir_publisher *publisher;
    size_t most;
    int64_t start_ns;
    uint64_t sent;
    int64_t told_ns;   /* when it was said last for whom it waits; 0: never */
    bool has_left_out; /* a subscriber */
    bool has_met;      /* somebody had subscribed when it began, or at a message */
};

/* The next four tell what is wrong, and return a status. */

/* A message, when it is its turn. */
int publication_send(struct publication *publication, const unsigned char *data, size_t size);

/* All that was asked for, of files or standard input, as often as was asked for. */
int publication_send_all(struct publication *publication);

/* Until as many have subscribed as were asked for; until all have taken everything. */
int publication_await_subscribers(struct publication *publication);
int publication_await_taken(struct publication *publication);

/* For whom the ring has no room. */
void publication_tell_of_wait(struct publication *publication);

/* At the end: that nobody was there; that a lossy one has not attached what it is not waited for. */
void publication_tell_of_nobody(struct publication *publication);
void publication_tell_of_unattached(const struct publication *publication);

/*
 * Without a message nobody need have noticed that this publisher was there: so whoever waits for its end is
 * given the time to.
 */
void publication_be_noticed(const struct publication *publication);

/* Notes whether anybody has subscribed by now. */
void publication_look_around(struct publication *publication);

/* A call that waits is made once more: a signal that does not end us, or a subscriber that is left out. */
bool publication_goes_on(struct publication *publication, int result);

/* Tells what such a call gave that ends us, unless it is a signal. A status. */
int publication_fail(int result);

#endif
