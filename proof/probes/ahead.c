/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a bare ring gains if its writer takes the lines ahead, and by which instruction. Method: a writer on one core
 * puts records of a header and a payload into a ring of 1 MiB, a reader on another one reads them, and looks away where it
 * has caught up; the writer stores so many words of its own a record beside, as a library's handle has them. Lines ahead
 * are not asked for; are asked for (prefetchw); or are taken, by a store of 0. In turns, with the bounce of a line before
 * each, so that near and far can be told apart.
 *
 *   ahead [RECORDS OF EACH ROUND]
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

#include "bounce.h"
#include "cpus.h"

#define RING_BYTES (UINT64_C(1) << 20)
#define LEAD_BYTES 512 /* of lines at once, and as far ahead */
#define LINE_BYTES 64
#define AWAY 256 /* turns of pause */
#define ROUNDS 2
#define OWN_WORDS 6

typedef _Atomic uint64_t word;

enum ahead { NOT, ASKED, TAKEN };
static const char *const ahead_names[] = { "not", "prefetchw", "stores" };

static volatile uint64_t own[OWN_WORDS]; /* the writer's */

struct shared {
    _Alignas(128) word cursor;
    _Alignas(128) unsigned char ring[RING_BYTES];
};

struct round {
    struct shared *shared;
    uint64_t records, record_bytes;
    unsigned own_words;
    enum ahead ahead;
};

static word *at(const struct round *round, uint64_t position)
{
    return (word *)(void *)(round->shared->ring + position % RING_BYTES);
}

static void look_away(void)
{
    for (unsigned i = 0; i < AWAY; i++)
#ifdef __x86_64__
        __builtin_ia32_pause();
#else
        atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Those from one lead ahead of tail to two. */
static void reach_ahead(const struct round *round, uint64_t tail)
{
    uint64_t from = (tail / LEAD_BYTES + 1) * LEAD_BYTES;
    for (uint64_t line = from; line < from + LEAD_BYTES; line += LINE_BYTES) {
        if (round->ahead == TAKEN)
            atomic_store_explicit(at(round, line), 0, memory_order_relaxed);
#ifdef __x86_64__
        else
            __asm__ volatile("prefetchw %0" : : "m"(*at(round, line)));
#endif
    }
}

static void write_records(const struct round *round)
{
    uint64_t tail = 0, limit = RING_BYTES, bytes = round->record_bytes;
    for (uint64_t i = 1; i <= round->records; i++, tail += bytes) {
        while (tail + bytes + 3 * LEAD_BYTES > limit)
            limit = atomic_load_explicit(&round->shared->cursor, memory_order_acquire) + RING_BYTES;
        if (round->ahead != NOT && tail % LEAD_BYTES < bytes)
            reach_ahead(round, tail);
        for (uint64_t offset = 8; offset < bytes; offset += 8)
            atomic_store_explicit(at(round, tail + offset), i, memory_order_relaxed);
        for (unsigned n = 0; n < round->own_words; n++)
            own[n] = i;
        atomic_store_explicit(at(round, tail + bytes), 0, memory_order_relaxed);
        /* Release: the payload, and the next header 0, before it. Pairs with read_records(). */
        atomic_store_explicit(at(round, tail), i, memory_order_release);
    }
}

/* Whether all were what was written. */
static bool read_records(const struct round *round)
{
    uint64_t head = 0, bytes = round->record_bytes, differ = 0;
    for (uint64_t i = 1; i <= round->records; i++, head += bytes) {
        while (atomic_load_explicit(at(round, head), memory_order_acquire) == 0)
            look_away();
        for (uint64_t offset = 0; offset < bytes; offset += 8)
            differ |= i ^ atomic_load_explicit(at(round, head + offset), memory_order_relaxed);
        atomic_store_explicit(&round->shared->cursor, head + bytes, memory_order_release);
    }
    return differ == 0;
}

/* Nanoseconds a record; 0: what was read was not what was written. */
static double play(const struct round *round, const int cpus[2])
{
    int status = 0;
    memset(round->shared, 0, sizeof *round->shared);
    int64_t began_ns = weir_now_ns();
    pid_t reader = fork();
    if (reader == 0) {
        cpus_pin(cpus[1]);
        _exit(read_records(round) ? 0 : 1);
    }
    cpus_pin(cpus[0]);
    write_records(round);
    waitpid(reader, &status, 0);
    return status == 0 ? (double)(weir_now_ns() - began_ns) / (double)round->records : 0;
}

static int show(struct round *round, const int cpus[2])
{
    double bounce_ns = bounce_probe(cpus[0], cpus[1]);
    double record_ns = play(round, cpus);
    if (record_ns == 0)
        return 1;
    printf(
        "%4llu bytes, %u words of its own, lines ahead: %-9s  %6.1f ns a record  (%s, %.0f ns)\n",
        (unsigned long long)round->record_bytes, round->own_words, ahead_names[round->ahead],
        record_ns, bounce_ns < BOUNCE_NEAR_BELOW_NS ? "near" : "far", bounce_ns);
    return 0;
}

int main(int argc, char **argv)
{
    int cpus[2], failed = 0;
    struct round round = { .records = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000 };
    if (!cpus_choose(cpus)) {
        fprintf(stderr, "ahead: needs two processors\n");
        return 77; /* for ctest: skipped */
    }
    round.shared = mmap(NULL, sizeof *round.shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (round.shared == MAP_FAILED) {
        fprintf(stderr, "ahead: needs 1 MiB\n");
        return 1;
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        for (round.record_bytes = 16; round.record_bytes <= 72; round.record_bytes += 56)
            for (round.own_words = 0; round.own_words <= OWN_WORDS; round.own_words += OWN_WORDS)
                for (round.ahead = NOT; round.ahead <= TAKEN; round.ahead++)
                    failed |= show(&round, cpus);
    return failed;
}
