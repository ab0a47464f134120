/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CHANNELS_H
#define BENCH_CHANNELS_H

#include "lane/lane.h"

enum { ALONE_ROUNDS_MAX = 31 };

/* A figure and what it means to reach: medians over the rounds. */
struct row {
    const char *name, *what;
    unsigned count; /* of members; 0 with no meaning but in a plot */
    enum tag tag;   /* MIXED: the figure is one processor's alone */
    bool is_alone;
    double bounce_ns;
    unsigned pairs, rounds;
    double value, lowest, highest;
    double aim; /* 0: none */
    bool is_at_most;
    const char *unit; /* of value: "" for ratios */
};

/* many.c: one publisher, and as many as the work says that take turns, to one subscriber. */
enum { PUBLISHERS_MAX = 16 };
extern const struct transport transport_one, transport_many;

struct many {
    struct player *player;
    unsigned count;
    uint64_t sent[PUBLISHERS_MAX], received[PUBLISHERS_MAX];
    struct weir_publisher *publishers[PUBLISHERS_MAX];
    struct weir_subscriber *subscriber;
};

/* The next message of one of the publishers: it says whose it is, and which. */
void many_send(struct many *many, struct weir_publisher *publisher, uint64_t which);
/* flags: as in struct weir_channel_options. */
void many_subscribe(struct many *many, const char *name, uint32_t flags);
/* So many messages of all, each the next one of its publisher. */
void many_receive(struct many *many, uint64_t messages);

/* processes.c: as many publishers, each a process of its own, all on one core. */
extern const struct transport transport_processes;

/* alone.c: what one process measures by itself. */
struct alone {
    unsigned rounds;
    uint64_t messages;
    double ticks_per_ns;
};

/* ns that a message costs its publisher with so many awake subscribers. */
void measure_cost(const struct alone *alone, unsigned subscribers, struct row *row);
/* ns that a message costs its publisher for each awake subscriber beside the first; count of them. */
void measure_awake(const struct alone *alone, unsigned subscribers, struct row *row);
/* µs for a subscriber to join and leave, with so many others there. */
void measure_join(const struct alone *alone, unsigned others, struct row *row);

/* core.c: there and back between two processes on the caller's core ÷ the same by a pipe. */
void measure_core(const struct alone *alone, unsigned unused, struct row *row);

/* The median of so many values, and what else a row says of what was measured on one core. */
void row_of_values(struct row *row, double *values, unsigned count);

#endif
