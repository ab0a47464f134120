/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_FETCHER_SCENES_H
#define WEIR_TESTS_FETCHER_SCENES_H

/* The calls that fetcher.c makes, each with what lies in the ring before it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>

#include "liar.h"

enum {
    MANY = 4,
    ROOM_BYTES = 4096,
    LARGE = 1000,
};

enum {
    LOSSY = 1 << 0,
    PUBLISHER = 1 << 1, /* who makes the call */
    COPIES = 1 << 2,    /* messages, into the room */
    LENDS = 1 << 3,
    JOINS = 1 << 4, /* the call is who opens it */
    WAITS = 1 << 5,
    GIVES = 1 << 6,     /* it gets no message */
    TYPED = 1 << 7,     /* all have 8 bytes */
    MANY_LENT = 1 << 8, /* by loan_many */
    TAPS = 1 << 10,     /* it is no member */
    EVICTS = 1 << 9,    /* a subscriber that lags */
};

struct scene {
    const char *what;
    void (*lay)(void);
    int (*call)(void); /* 0, or of messages their count; or why not */
    int result;        /* without a lie */
    unsigned flags;
};

extern const struct scene scenes[];
extern const unsigned scene_count;

/* Of the present round. */
extern struct played {
    uint64_t sent;       /* messages */
    unsigned char *room; /* of ROOM_BYTES; ends before a guard page */
    struct weir_message messages[MANY], held;
    bool is_held;
    void *places[MANY]; /* lent */
} played;

/* A message with its number first. */
int scene_send(size_t size_bytes, uint32_t type);

#endif
