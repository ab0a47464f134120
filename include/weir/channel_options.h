/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_OPTIONS_H
#define WEIR_CHANNEL_OPTIONS_H

/*
 * What both sides of a channel have in common: its options, and what a message is. <weir/channel.h>
 * says what a channel is.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/ref.h>

enum weir_channel_flags {
    /* Never sleep: a core spins while it waits. But for naps of a ms, where it looks in vain again and
     * again: as long as another one stands halfway into the channel, or out of it. */
    WEIR_CHANNEL_SPIN_ONLY = 1 << 0,
    WEIR_CHANNEL_SLEEP_ONLY = 1 << 1, /* never spin */
    WEIR_CHANNEL_PERSISTENT = 1 << 2, /* the channel stays: see "Lifetime" in <weir/channel.h> */
    WEIR_CHANNEL_SET_GID = 1 << 3,    /* what this side creates is given to options.gid */
};

/* Ring sizes, in bytes: powers of two. */
#define WEIR_RING_BYTES_MIN (UINT64_C(64) << 10)
#define WEIR_RING_BYTES_DEFAULT (UINT64_C(1) << 20)

/* Publishers, and subscribers, of a channel: unless its maker says otherwise, and at most. */
#define WEIR_CHANNEL_MEMBERS_DEFAULT 64
#define WEIR_CHANNEL_MEMBERS_MAX 4096

/* Takes that a subscriber may hold at once. */
#define WEIR_HOLDS_MAX 64

/* How a subscriber is treated that does not keep up. */
enum weir_delivery {
    WEIR_DELIVERY_CHANNEL = 0,  /* as the channel was made */
    WEIR_DELIVERY_RELIABLE = 1, /* the publisher waits for it, see options.lag_max_bytes */
    WEIR_DELIVERY_LOSSY = 2,    /* it misses messages, and learns how many: message.missed */
};

/* Where a subscriber begins with the publishers that are there when it opens. */
enum weir_start {
    WEIR_START_NOW = 0,    /* with what is committed from now on */
    WEIR_START_OLDEST = 1, /* with the oldest that is kept, see weir_subscriber_open() */
    WEIR_START_BACK = 2,   /* with the last options.start_back messages of each publisher */
};

/* Options of both sides. Start from WEIR_CHANNEL_OPTIONS; NULL means exactly that. */
struct weir_channel_options {
    uint32_t size;      /* sizeof(struct weir_channel_options) */
    uint32_t flags;     /* enum weir_channel_flags */
    uint32_t mode;      /* of what this side creates; 0 means 0600 */
    uint32_t trust;     /* enum weir_trust: whom to meet */
    uint32_t trust_uid; /* for WEIR_TRUST_UID */
    uint32_t spin_ns; /* how long to spin before sleeping, once a wait, and again when rung; 0 means
                            the default: 20 µs, and 1 ns for each 8 bytes moved since the last wait,
                            at most 100 µs more. A fifth of a second at most. Of no use beside
                            WEIR_CHANNEL_SPIN_ONLY or _SLEEP_ONLY */
    uint64_t ring_bytes; /* publisher: a power of two from WEIR_RING_BYTES_MIN; 0 means
                            WEIR_RING_BYTES_DEFAULT. The memory is there before open returns.
                            A quarter of it less 8 is the longest message. And a quarter is what one
                            subscriber may keep without holding the publisher up: for N messages that
                            it holds, 16 at most, of S bytes, 4 * N * (S + 16) or more */
    /* For how many the channel is made, to WEIR_CHANNEL_MEMBERS_MAX; 0 takes it as it is, or makes
     * it for WEIR_CHANNEL_MEMBERS_DEFAULT. Of one that is there for others: -EINVAL. */
    uint32_t publishers_max, subscribers_max;
    /* enum weir_delivery. A subscriber's is its own; a publisher's is the channel's, if it makes
     * it: -EINVAL if it is there with the other one. Who makes it otherwise makes it reliable. */
    uint32_t delivery;
    uint32_t start;      /* subscriber: enum weir_start */
    uint64_t start_back; /* subscriber: for WEIR_START_BACK */
    /* Publisher: 0 waits for reliable subscribers for ever. Else, once the ring is full, one that
     * is so many bytes behind, or half the ring, is not waited for: see -EOVERFLOW of
     * weir_subscriber_take_until(). ring_bytes at most. */
    uint64_t lag_max_bytes;
    /* What the messages are: see "Types" in <weir/channel.h>. NULL: of no type, or whatever the
     * channel has. */
    const char *type_name;
    uint32_t type_bytes;  /* of each message; 0: any size. Not without a name */
    uint32_t gid;         /* for WEIR_CHANNEL_SET_GID */
    uint64_t reserved[2]; /* 0 */
};

#define WEIR_CHANNEL_OPTIONS                                                                       \
    {                                                                                              \
        sizeof(struct weir_channel_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0,       \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

/* Longest type_name, in bytes, without the closing NUL. */
#define WEIR_TYPE_NAME_MAX 63

/*
 * The messages are of this C type: WEIR_CHANNEL_TYPE(&options, struct point). Its name as it is
 * written there, and its size.
 */
#define WEIR_CHANNEL_TYPE(options, ...)                                                            \
    ((void)((options)->type_name = #__VA_ARGS__, (options)->type_bytes = sizeof(__VA_ARGS__)))

/* A message, as the subscriber sees it. */
struct weir_message {
    const void *data;  /* aligned to 8 bytes; what was received lies where its caller said */
    size_t size_bytes; /* 0 is allowed */
    uint64_t sequence; /* of its publisher's messages, from 0: a gap only where some were missed */
    uint32_t type;     /* what the publisher gave: 0 to 65,535 */
    uint32_t
        session; /* this subscriber's number for its publisher: from 1, another for each joining */
    uint64_t position; /* weir's: where it lies */
    uint64_t missed;   /* of its publisher, before this one, since the last one that was taken;
                          without a message, at an end: see weir_subscriber_take_until() */
};

/* A message to be sent with others. */
struct weir_outgoing {
    const void *data;  /* may be NULL if there are 0 bytes */
    size_t size_bytes; /* 0 is allowed */
    uint32_t type;     /* 0 to 65,535 */
};

#endif
