/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FUZZ_WORLD_H
#define WEIR_FUZZ_WORLD_H

/*
 * What one execution meets: one channel's directory, the memory of the real publisher and
 * subscriber, and false lanes and pages of a liar's. All are real System V segments between
 * guard pages (tests/guard.h). They outlive an execution, as making them would take most of
 * its time: what is private comes from a store and is zeroed, the directory is one. All else
 * (the attach of what a slot shows, the kernel's word on who lives) is the library's own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>

#include "channel/layout.h"

#define WORLD_CAPACITY WEIR_RING_BYTES_MIN

/* Slots of each role. */
#define WORLD_MEMBERS 1

/* Ends the program, so that the fuzzer keeps the input. */
void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Once; and at the beginning and at the end of each execution, with both sides closed. */
void world_begin(void);
void world_reset(void);
void world_check(void);

/* What the head of the directory says from now on; type_name NULL: none. */
void world_terms(bool is_lossy, const char *type_name, uint32_t type_bytes);

struct weir__directory_shm *world_directory(void);

/* A lane or a page, a real one or a liar's. memory NULL: there is none. */
struct world_memory {
    void *memory;
    size_t size_bytes;
    int id;
};

/* The real ones that were made last. */
struct world_memory world_lane(void);
struct world_memory world_page(void);
/* The liar's, by number, some of odd sizes: 0 is as it should be. */
struct world_memory world_false_lane(unsigned number);
struct world_memory world_false_page(unsigned number);
/* Of the first publishers' slot, in the page of the first subscribers' slot. */
struct weir__entry_shm *world_entry(const struct weir__page_shm *of);
/* What the id names. */
struct world_memory world_by_id(int id);
/* The longest message that the ring it stands in may have; 0: it stands in none. */
size_t world_longest(const void *data);
/* The id of a segment that is gone. */
int world_gone_id(void);

/* Who may stand in a slot: the living, the dead, nobody and what cannot be, by number. Of
 * subscribers 0 is reliable, and 4 lossy. */
uint64_t world_owner(unsigned number);

/* The word that a write means; NULL: its memory is not there. */
struct world_word {
    void *at; /* NULL: none */
    size_t size_bytes;
};
enum {
    WORLD_DIRECTORY_WORDS = 13,
    WORLD_LANE_WORDS = 16,
    WORLD_PAGE_WORDS = 16,
    WORLD_REAL_LANE = WORLD_DIRECTORY_WORDS, /* the number of its first word */
    WORLD_REAL_PAGE = WORLD_REAL_LANE + WORLD_LANE_WORDS,
    WORLD_FALSE_LANE = WORLD_REAL_PAGE + WORLD_PAGE_WORDS,
    WORLD_FALSE_PAGE = WORLD_FALSE_LANE + WORLD_LANE_WORDS,
    WORLD_WORDS = WORLD_FALSE_PAGE + WORLD_PAGE_WORDS,
};
struct world_word world_word(unsigned number);

#endif
