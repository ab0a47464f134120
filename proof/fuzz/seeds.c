/* SPDX-License-Identifier: MIT */
#include "seeds.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weir/error.h>

#include "world.h"

static void step(struct seed *seed, unsigned what, unsigned a, unsigned b, unsigned c)
{
    const uint8_t bytes[4] = { (uint8_t)what, (uint8_t)a, (uint8_t)b, (uint8_t)c };
    if (seed->size_bytes + sizeof bytes > FUZZ_INPUT_MAX)
        world_fail("seed %s is too long", seed->name);
    memcpy(seed->bytes + seed->size_bytes, bytes, sizeof bytes);
    seed->size_bytes += sizeof bytes;
}

static void word(struct seed *seed, uint64_t value)
{
    if (seed->size_bytes + sizeof value > FUZZ_INPUT_MAX)
        world_fail("seed %s is too long", seed->name);
    memcpy(seed->bytes + seed->size_bytes, &value, sizeof value);
    seed->size_bytes += sizeof value;
}

/* Numbers of world_word(), within a lane and a page. */
enum {
    LANE_BOUNDARY_BEFORE = 3,
    LANE_BOUNDARY_COUNT = 4,
    LANE_BOUNDARY = 5,
    LANE_ENDED = 6,
    PAGE_CURSOR = 3,
    PAGE_LANE = 4,
};

static void literal(struct seed *seed, unsigned which, uint64_t value)
{
    step(seed, FUZZ_WRITE, which, FUZZ_LITERAL, 0);
    word(seed, value);
}

/* What the real side does until its ring has such a tail: messages of a size, all received. */
struct traffic {
    const char *name;
    unsigned size; /* class and number, as in an input */
    unsigned count;
};

static const struct traffic traffics[] = {
    { "fresh", 8, 0 },           { "few", 8, 3 },
    { "quarter", 64 | 56, 1 },   { "near the end", 64 | 40, 4 },
    { "wrapped", 192 | 20, 16 },
};

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

static void send(size_t size_bytes)
{
    static unsigned char bytes[WORLD_CAPACITY / 4];
    if (weir_publisher_send_until(publisher, bytes, size_bytes, 3, 0) != 0)
        world_fail("seeds: %s", weir_last_error());
}

/* Real handles in the real world, and the traffic. */
static void begin(const struct traffic *traffic)
{
    static unsigned char bytes[WORLD_CAPACITY / 4];
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    size_t size_bytes = traffic->size >> 6 == 1   ? WORLD_CAPACITY / 4 - 64 + (traffic->size & 63)
                        : traffic->size >> 6 == 3 ? (size_t)250 * (traffic->size & 63)
                                                  : traffic->size;
    world_reset();
    options.ring_bytes = WORLD_CAPACITY;
    options.publishers_max = options.subscribers_max = WORLD_MEMBERS;
    if (weir_publisher_open(&publisher, "fuzz", &options) != 0 ||
        weir_subscriber_open(&subscriber, "fuzz", &options) != 0)
        world_fail("seeds: %s", weir_last_error());
    for (unsigned i = 0; i < traffic->count; i++) {
        send(size_bytes);
        if (weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0) != 0)
            world_fail("seeds: %s", weir_last_error());
    }
}

static void end(void)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    publisher = NULL;
    subscriber = NULL;
}

/* The words of the real ring from a position, as steps that write them into the liar's. */
static void copy_ring(struct seed *seed, uint64_t from, unsigned count)
{
    unsigned char *ring = (unsigned char *)world_lane().memory + WEIR__LANE_RING_OFFSET;
    unsigned at = (unsigned)((from & (WORLD_CAPACITY - 1)) / 8);
    step(seed, FUZZ_RAW, count << 1 | 1, at & 255, at >> 8);
    for (unsigned i = 0; i < count; i++)
        word(seed, atomic_load(weir__header_at(ring, WORLD_CAPACITY, from + 8 * (uint64_t)i)));
}

/* A liar's lane that is as the real one is; a subscriber joins; then three messages come. */
static void lane_image(struct seed *seed, const struct traffic *traffic)
{
    snprintf(seed->name, sizeof seed->name, "a lane, %s", traffic->name);
    begin(traffic);
    const struct weir__page_shm *page = world_page().memory;
    weir_publisher_wait_subscribers(publisher, 1, 0);
    uint64_t tail = atomic_load(&world_entry(page)->cursor);
    const struct weir__lane_shm *lane = world_lane().memory;
    step(seed, FUZZ_SHOW, 1, 0, 0);
    literal(seed, WORLD_FALSE_LANE + LANE_BOUNDARY_BEFORE, atomic_load(&lane->boundary_before));
    literal(seed, WORLD_FALSE_LANE + LANE_BOUNDARY_COUNT, atomic_load(&lane->boundary_count));
    literal(seed, WORLD_FALSE_LANE + LANE_BOUNDARY, atomic_load(&lane->boundary));
    copy_ring(seed, tail, 4);
    step(seed, FUZZ_OPEN, 0, 0, 0);
    send(8);
    send(5);
    send(0);
    send(100);
    copy_ring(seed, tail, 24);
    end();
    step(seed, FUZZ_TAKE, 0, 1, 0);
    step(seed, FUZZ_DESCRIPTOR, 0, 0, 0);
    step(seed, FUZZ_RECEIVE, 60, 0, 0);
    step(seed, FUZZ_TAKE_MANY, 0, 3, 0);
    step(seed, FUZZ_RECEIVE_MANY, 60, 3, 0);
    step(seed, FUZZ_RELEASE, 1, 0, 0);
    step(seed, FUZZ_RELEASE, 0, 0, 0);
    literal(seed, WORLD_FALSE_LANE + LANE_ENDED, 1);
    step(seed, FUZZ_TAKE, 0, 9, 0);
}

/* A ring that is full of the longest records, none of them the last: a joiner's walk would
 * never end. */
static void endless_image(struct seed *seed)
{
    snprintf(seed->name, sizeof seed->name, "a lane without an end");
    step(seed, FUZZ_SHOW, 1, 0, 0);
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = i * (unsigned)(WORLD_CAPACITY / 4 / 8);
        step(seed, FUZZ_RAW, 1 << 1 | 1, at & 255, at >> 8);
        word(seed, weir__record_header(WORLD_CAPACITY / 4 - 8, 0, 0));
    }
    step(seed, FUZZ_OPEN, 0, 0, 0);
    step(seed, FUZZ_OPEN, 0, 0, 0);
    step(seed, FUZZ_TAKE, 0, 0, 0);
}

/* A liar's page that is as the real one is, with a publisher that fills its ring. */
static void page_image(struct seed *seed, const struct traffic *traffic)
{
    snprintf(seed->name, sizeof seed->name, "a page, %s", traffic->name);
    step(seed, FUZZ_SHOW, 0, 0, 0);
    step(seed, FUZZ_OPEN, 1, 0, 0);
    step(seed, FUZZ_ATTACHED, 0, 0, 0);
    step(seed, FUZZ_WRITE, WORLD_FALSE_PAGE + PAGE_LANE, FUZZ_OWNER, 1);
    step(seed, FUZZ_ATTACHED, 0, 0, 0);
    if (traffic->count > 0)
        step(seed, FUZZ_SEND, traffic->size, traffic->count - 1, 3);
    begin(traffic);
    const struct weir__page_shm *page = world_page().memory;
    literal(seed, WORLD_FALSE_PAGE + PAGE_CURSOR, atomic_load(&world_entry(page)->cursor));
    end();
    step(seed, FUZZ_TAKEN, 0, 0, 0);
    step(seed, FUZZ_LOAN, 10, 0, 0);
    step(seed, FUZZ_COMMIT, 128, 0, 1);
    step(seed, FUZZ_BATCH, 0, 0, 0);
    step(seed, FUZZ_SEND, 64 | 40, 7, 0);
    step(seed, FUZZ_BATCH_END, 0, 0, 0);
    step(seed, FUZZ_SEND_MANY, 192 | 40, 15, 0);
    step(seed, FUZZ_LOAN_MANY, 192 | 20, 15, 0);
    step(seed, FUZZ_COMMIT_MANY, 255, 15, 0);
    step(seed, FUZZ_WRITE, WORLD_FALSE_PAGE + PAGE_CURSOR, FUZZ_TAIL, 0);
    step(seed, FUZZ_TAKEN, 0, 0, 128);
    step(seed, FUZZ_END, 0, 0, 0);
}

/* Both sides real, each call. */
static void honest(struct seed *seed, const struct traffic *traffic)
{
    snprintf(seed->name, sizeof seed->name, "traffic, %s", traffic->name);
    step(seed, FUZZ_OPEN, 0, 1, 0);
    step(seed, FUZZ_OPEN, 1, 0, 0);
    for (unsigned i = 0; i < traffic->count; i++) {
        step(seed, FUZZ_SEND, traffic->size, 0, 64 | 1);
        step(seed, FUZZ_SEND, traffic->size, 0, 7);
        step(seed, FUZZ_RECEIVE, 192 | 63, 0, 0);
    }
    step(seed, FUZZ_LOAN, 100, 0, 0);
    step(seed, FUZZ_COMMIT, 200, 0, 0);
    step(seed, FUZZ_LOAN, 100, 0, 0);
    step(seed, FUZZ_ABANDON, 0, 0, 0);
    step(seed, FUZZ_BATCH, 0, 0, 0);
    step(seed, FUZZ_SEND, 20, 9, 0);
    step(seed, FUZZ_BATCH_END, 0, 0, 0);
    step(seed, FUZZ_SEND_MANY, 30, 9, 3);
    step(seed, FUZZ_LOAN_MANY, 40, 7, 0);
    step(seed, FUZZ_COMMIT_MANY, 200, 5, 2);
    step(seed, FUZZ_TAKE, 0, 4, 0);
    step(seed, FUZZ_DESCRIPTOR, 0, 0, 0);
    step(seed, FUZZ_TAKE_MANY, 0, 9, 0);
    step(seed, FUZZ_RELEASE_MANY, 0, 3, 0);
    step(seed, FUZZ_RELEASE_MANY, 1, 2, 1);
    step(seed, FUZZ_RECEIVE_MANY, 192 | 63, 4, 0);
    step(seed, FUZZ_RELEASE, 2, 0, 0);
    step(seed, FUZZ_SEND, 64 | 40, 15, 0);
    step(seed, FUZZ_TAKEN, 0, 0, 128);
    step(seed, FUZZ_END, 0, 0, 0);
    step(seed, FUZZ_CLOSE, 1, 0, 0);
    step(seed, FUZZ_TAKE, 0, 40, 0);
    step(seed, FUZZ_OPEN, 1, 0, 0);
    step(seed, FUZZ_RELEASE, 0, 0, 0);
    step(seed, FUZZ_TAKE, 0, 0, 128);
    step(seed, FUZZ_SEND, 5, 2, 0);
    step(seed, FUZZ_TAKE, 0, 2, 0);
    step(seed, FUZZ_CLOSE, 0, 0, 0);
    step(seed, FUZZ_OPEN, 0, 0, 0);
    step(seed, FUZZ_SEND, 8, 0, 0);
    step(seed, FUZZ_ATTACHED, 0, 0, 0);
    step(seed, FUZZ_RECEIVE, 20, 0, 0);
}

/*
 * Who overwrites, and who is overrun: a channel that is lossy, or one whose publisher evicts, with
 * one that reads now, one that begins in the past, and messages that are held meanwhile.
 */
static void overrun(struct seed *seed, bool is_lossy, unsigned lag, unsigned start, unsigned back)
{
    snprintf(seed->name, sizeof seed->name, "overrun, %d, %u, %u, %u", is_lossy, lag, start, back);
    step(seed, FUZZ_TERMS, is_lossy, 0, 0);
    step(seed, FUZZ_OPEN, 1, 0, lag);
    step(seed, FUZZ_SEND, 192 | 12, 15, 1);
    step(seed, FUZZ_OPEN, 0, start << 3, back);
    step(seed, FUZZ_TAKE, 0, 2, 0);
    step(seed, FUZZ_SEND, 64 | 20, 5, 1);
    step(seed, FUZZ_RELEASE, 0, 0, 0);
    step(seed, FUZZ_SEND_MANY, 192 | 10, 16, 2);
    step(seed, FUZZ_TAKE, 0, 2, 0);
    step(seed, FUZZ_BATCH, 0, 0, 0);
    step(seed, FUZZ_SEND, 192 | 30, 15, 1);
    step(seed, FUZZ_BATCH_END, 0, 0, 0);
    step(seed, FUZZ_RECEIVE_MANY, 192 | 63, 9, 0);
    step(seed, FUZZ_RECEIVE, 192 | 63, 9, 0);
    step(seed, FUZZ_CLOSE, 0, 0, 0);
    step(seed, FUZZ_SEND, 192 | 7, 15, 1);
    step(seed, FUZZ_OPEN, 0, 2 << 3 | 2 << 1, 7);
    step(seed, FUZZ_RECEIVE_MANY, 192 | 63, 9, 0);
    step(seed, FUZZ_LOAN_MANY, 192 | 30, 15, 0);
    step(seed, FUZZ_COMMIT_MANY, 100, 15, 0);
    step(seed, FUZZ_TAKEN, 0, 0, 0);
    step(seed, FUZZ_TAKE_MANY, 0, 9, 0);
    step(seed, FUZZ_SEND, 64 | 20, 9, 1);
    step(seed, FUZZ_DESCRIPTOR, 0, 0, 0);
    step(seed, FUZZ_END, 0, 0, 0);
    step(seed, FUZZ_TAKE, 0, 30, 0);
}

/* Who begins in the past finds nonsense on its way. */
static void false_past(struct seed *seed, unsigned start)
{
    snprintf(seed->name, sizeof seed->name, "a false past, %u", start);
    step(seed, FUZZ_OPEN, 1, 0, 0);
    step(seed, FUZZ_SEND, 8, 3, 0);
    step(seed, FUZZ_RAW, 1 << 1, 0, 0);
    word(seed, UINT64_MAX);
    step(seed, FUZZ_OPEN, 0, start << 3, 3);
    step(seed, FUZZ_TAKE, 0, 0, 0);
    step(seed, FUZZ_CLOSE, 0, 0, 0);
    step(seed, FUZZ_OPEN, 0, start << 3, 3);
    step(seed, FUZZ_TAKE, 0, 0, 0);
}

/* Sizes that are the type's, and others. */
static void typed(struct seed *seed, unsigned channel, unsigned ours)
{
    snprintf(seed->name, sizeof seed->name, "type %u, asked for %u", channel, ours);
    step(seed, FUZZ_TERMS, 0, channel, 0);
    step(seed, FUZZ_OPEN, 1, ours << 5, 0);
    step(seed, FUZZ_OPEN, 0, 0, 0);
    step(seed, FUZZ_SEND, 8, 2, 1);
    step(seed, FUZZ_SEND, 9, 0, 1);
    step(seed, FUZZ_LOAN, 8, 0, 0);
    step(seed, FUZZ_COMMIT, 100, 0, 0);
    step(seed, FUZZ_COMMIT, 255, 0, 0);
    step(seed, FUZZ_LOAN_MANY, 8, 5, 0);
    step(seed, FUZZ_COMMIT_MANY, 100, 4, 0);
    step(seed, FUZZ_COMMIT_MANY, 255, 4, 0);
    step(seed, FUZZ_SEND_MANY, 8, 4, 0);
    step(seed, FUZZ_TAKE, 0, 9, 0);
    step(seed, FUZZ_WRITE_RECORD, 0, FUZZ_HEADER, 0);
    step(seed, FUZZ_TAKE, 0, 9, 0);
}

/* A word of the lane of one who overwrites, or of the page of one who may be overrun. */
static void falsified_overrun(struct seed *seed, unsigned which, unsigned how, bool is_start)
{
    snprintf(seed->name, sizeof seed->name, "overrun, word %u, way %u%s", which, how,
             is_start ? ", at the start" : "");
    step(seed, FUZZ_TERMS, 1, 0, 0);
    step(seed, FUZZ_OPEN, 1, 0, 0);
    step(seed, FUZZ_SEND, 192 | 12, 15, 1);
    if (!is_start)
        step(seed, FUZZ_OPEN, 0, 0, 0);
    step(seed, FUZZ_SEND, 192 | 30, 15, 1);
    step(seed, FUZZ_TAKE, 0, 1, 0);
    step(seed, FUZZ_WRITE, which, how, 4);
    if (how == FUZZ_LITERAL)
        word(seed, UINT64_C(0x123456788));
    if (is_start)
        step(seed, FUZZ_OPEN, 0, (how & 1 ? 1 : 2) << 3, 3);
    step(seed, FUZZ_TAKE, 0, 3, 0);
    step(seed, FUZZ_SEND, 192 | 40, 15, 1);
    step(seed, FUZZ_RECEIVE_MANY, 192 | 63, 9, 0);
    step(seed, FUZZ_TAKE, 0, 9, 0);
}

/* One word of a real channel in use is falsified, in one of the ways; is_at_end: with what is
 * read next near the ring's end. */
static void falsified(struct seed *seed, unsigned which, unsigned how, bool is_at_end)
{
    snprintf(seed->name, sizeof seed->name, "word %u, way %u%s", which, how,
             is_at_end ? ", at the end" : "");
    step(seed, FUZZ_OPEN, 1, 0, 0);
    step(seed, FUZZ_OPEN, 0, 0, 0);
    for (unsigned i = 0; i < 4 && is_at_end; i++) {
        step(seed, FUZZ_SEND, 64 | 32, 0, 0);
        step(seed, FUZZ_RECEIVE, 192 | 63, 0, 0);
    }
    step(seed, FUZZ_SEND, 8, 2, 0);
    step(seed, FUZZ_TAKE, 0, 0, 0);
    if (which < WORLD_WORDS)
        step(seed, FUZZ_WRITE, which, how, 4);
    else /* the header that is read next */
        step(seed, FUZZ_WRITE_RECORD, 0, how, 2);
    if (how == FUZZ_LITERAL)
        word(seed, UINT64_C(0x123456789));
    step(seed, FUZZ_TAKE, 0, 1, 0);
    step(seed, FUZZ_SEND, 64 | 40, 5, 0);
    step(seed, FUZZ_TAKEN, 0, 0, 0);
    step(seed, FUZZ_TAKE_MANY, 0, 1, 0);
    step(seed, FUZZ_RECEIVE, 192 | 63, 3, 0);
}

enum { OVERRUNS = 24, PASTS = 3, TYPES = 16 };

/* All that seeds_make() makes: the words of a world grow with the layouts. */
static_assert(3 * sizeof traffics / sizeof *traffics + 1 + (WORLD_FALSE_LANE + 2) * FUZZ_HOWS +
                      OVERRUNS + PASTS + TYPES + (WORLD_FALSE_LANE - WORLD_REAL_LANE) * FUZZ_HOWS <=
                  SEEDS_MAX,
              "room for each seed");

unsigned seeds_make(struct seed seeds[SEEDS_MAX])
{
    unsigned count = 0;
    memset(seeds, 0, SEEDS_MAX * sizeof *seeds);
    for (unsigned i = 0; i < sizeof traffics / sizeof *traffics; i++) {
        honest(&seeds[count++], &traffics[i]);
        lane_image(&seeds[count++], &traffics[i]);
        page_image(&seeds[count++], &traffics[i]);
    }
    endless_image(&seeds[count++]);
    for (unsigned which = 0; which <= WORLD_FALSE_LANE; which++) {
        for (unsigned how = 0; how < FUZZ_HOWS; how++)
            falsified(&seeds[count++], which == WORLD_FALSE_LANE ? WORLD_WORDS : which, how, false);
    }
    for (unsigned how = 0; how < FUZZ_HOWS; how++)
        falsified(&seeds[count++], WORLD_WORDS, how, true);
    for (unsigned i = 0; i < OVERRUNS; i++)
        overrun(&seeds[count++], i & 1, i / 2 % 6, i % 3, i);
    for (unsigned i = 0; i < PASTS; i++)
        false_past(&seeds[count++], i);
    for (unsigned i = 0; i < TYPES; i++)
        typed(&seeds[count++], i & 3, i >> 2);
    for (unsigned which = WORLD_REAL_LANE; which < WORLD_FALSE_LANE; which++) {
        for (unsigned how = 0; how < FUZZ_HOWS; how++)
            falsified_overrun(&seeds[count++], which, how, which < WORLD_REAL_PAGE && how % 2);
    }
    return count;
}
