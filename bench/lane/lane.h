/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

/*
 * What the files of this benchmark share. A cell is one kind of traffic with one size of
 * message. Two processes, pinned, are forked for each cell before either opens anything:
 * one drives (sends, and measures), one answers. They take turns through all sides of the
 * cell: weir, the bare ring or the bare futex that it is compared with, other limits.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES 128

enum { SIDES_MAX = 12, ROUNDS_MAX = 64, BATCH = 64 };

/* Every word of a message to be copied, but for the first and the last one. */
#define PAYLOAD_WORD UINT64_C(0x9e3779b97f4a7c15)

enum kind { ROUND_TRIP, ONE_WAY, BATCHED, ASLEEP };
enum form { COPYING, IN_PLACE };

/*
 * What the cores are to each other, and whether somebody else's thread was on one of them (../share.h). The host
 * of a virtual machine may change both.
 */
enum tag { NEAR, FAR, NEAR_SHARED, FAR_SHARED, MIXED, TAGS };

/* The same at a moment. */
struct look {
    double bounce_ns;
    bool is_whole; /* nobody else was there */
};

struct work {
    enum kind kind;
    enum form form;
    uint64_t size_bytes; /* of a message: a multiple of 8 */
    uint64_t ring_bytes;
    uint64_t messages;   /* a run */
    unsigned publishers; /* in one process; of transports that have several */
};

/* Of one run. Round trips have quantiles, the others a rate. */
struct figures {
    double p50_ns, p99_ns, p999_ns, max_ns;
    double messages_per_s;
    double sleeps; /* of the answering process, a message; of those asleep alone */
};

struct round {
    struct look looks[SIDES_MAX + 1]; /* before the first side, and after each */
    struct figures sides[SIDES_MAX];
    bool is_awake; /* of those asleep: somebody hardly slept, so there is nothing to compare */
};

struct ring_shm {
    _Alignas(LINE_BYTES) _Atomic uint64_t cursor; /* as in the page of the one who reads */
    _Alignas(4096) unsigned char bytes[];
};

/* Shared by the two processes of a cell and the one that forked them. */
struct board {
    _Alignas(LINE_BYTES) _Atomic uint64_t arrived[2][LINE_BYTES / 8];
    _Alignas(LINE_BYTES) _Atomic uint64_t line; /* the one that is bounced */
    _Alignas(LINE_BYTES) _Atomic uint32_t futex[2][LINE_BYTES / 4];
    double share;                  /* of the answering process's core, at the last look */
    uint64_t sleeps;               /* of the answering process, in a run */
    _Alignas(LINE_BYTES) int next; /* a side, or enum step */
    int ids[4];                    /* what the driver opened for both, where the kernel names it */
    uint64_t messages;
    bool is_whole; /* the driver has come to its end */
    unsigned round_count;
    struct round rounds[ROUNDS_MAX];
};

/* One of the two processes. */
struct player {
    unsigned role; /* 0 drives, 1 answers */
    struct work work;
    bool is_default_wait;  /* weir spins for its default time, then sleeps */
    unsigned wanted, most; /* rounds of one tag in this opening; and of any, at most */
    bool is_reversed;      /* the last side opens first */
    const char *channel;
    struct board *board;
    struct ring_shm *there, *back; /* the memory of the bare ring */
    /* Of the bare ring that its reader maps read-only, as weir's readers do. */
    struct ring_shm *readonly_there, *readonly_back;
    int pipe_there[2], pipe_back[2];
    unsigned char *source, *sink; /* own memory, of burst_of() messages */
    double ticks_per_ns;
    double whole; /* as in settings */
};

struct histogram;

/* Something that carries messages. Each call is made by both processes at once. */
struct transport {
    const char *name;
    unsigned slowness; /* it carries so many times fewer messages in a run; 0 is 1 */
    void *(*open)(struct player *player);
    void (*send)(void *state, uint64_t messages);
    void (*receive)(void *state, uint64_t messages);
    void (*ping)(void *state, uint64_t messages, struct histogram *histogram);
    void (*pong)(void *state, uint64_t messages);
    void (*close)(void *state);

    /* NULL, but for one with a daemon: before and after each of its turns, by the driver alone, and
     * not measured. Between them the daemon rests, and takes nothing from the turns of others. */
    void (*wake)(void *state);
    void (*rest)(void *state);
};

extern const struct transport transport_weir, transport_ring, transport_ring_readonly,
    transport_pipe, transport_memcpy, transport_futex, transport_line;

/* weir once more, with the library of another commit: only in what bench/against links. */
extern const struct transport transport_other __attribute__((weak));

struct cell {
    char name[40];
    struct work work;
    const struct transport *sides[SIDES_MAX]; /* the first is weir, the second its reference */
    unsigned side_count;
};

struct settings {
    unsigned rounds;     /* pairs of one tag that are wanted */
    unsigned openings;   /* in so many openings of all sides, each with other memory; 0: in one */
    uint64_t budget_ns;  /* of a run, about */
    uint64_t messages;   /* of a run; 0: as the budget allows */
    uint64_t ring_bytes; /* 0: as the size of a message asks */
    int cpus[2];
    bool is_default_wait;
    bool is_quick; /* no figures to keep: whose the cores are is not asked */
    double ticks_per_ns;
    double whole; /* the share of a core that is ours alone, see ../share.h; 0: not asked */
};

/* Messages that are copied at once where that can be: so many that their own memory is near. */
static inline unsigned burst_of(uint64_t size_bytes)
{
    const uint64_t near_bytes = 16384;
    uint64_t count = near_bytes / size_bytes;
    return count < 1 ? 1 : count < BATCH ? (unsigned)count : BATCH;
}

/* cell.c: runs the two processes; false with a sentence on stderr. */
bool cell_run(const struct cell *cell, const struct settings *settings, struct board *board);

/* pin.c */
void pin_to(int cpu);
void meet(struct player *player); /* waits for the other process */
void let_sleep(const struct player *player);

/* look.c: by both processes at once; the driver's is the one that counts. */
struct look look(struct player *player);

/* Of what was measured between two looks, the second behind the first; of a round's first two sides. */
enum tag tag_of(const struct look looks[2]);
enum tag tag_of_pair(const struct round *round);

/* Says what is wrong and ends this process. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
