/* SPDX-License-Identifier: MIT */
/*
 * Goal: what stands in shared memory stands at the same place in every build, whatever the
 *       processor: each word of it, and the numbers that are written into it.
 * Method: a table of all words for each floor, checked by the compiler, and printed, so that the outputs of
 *       two builds can be compared; and images of known contents, byte by byte. What depends on
 *       numbers, a page's entries and its epoch, for each number of publishers.
 */
#include "unit/cmocka.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <weir/channel.h>

#include "alloc/arena.h"
#include "alloc/intent.h"
#include "alloc/pool.h"
#include "channel/layout.h"
#include "latest/layout.h"
#include "segment/header.h"
#include "segment/identity.h"
#include "sync/barrier.h"
#include "sync/event.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/owner.h"
#include "sync/permits.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"

/* W(struct, word, offset, bytes): of each floor that keeps something in shared memory. */
#define SEGMENT_WORDS(W)                                                                           \
    W(weir__header_shm, magic, 0, 8)                                                               \
    W(weir__header_shm, layout, 8, 4)                                                              \
    W(weir__header_shm, header_size_bytes, 12, 4)                                                  \
    W(weir__header_shm, incompat, 16, 4)                                                           \
    W(weir__header_shm, ro_compat, 20, 4)                                                          \
    W(weir__header_shm, compat, 24, 4)                                                             \
    W(weir__header_shm, fingerprint, 28, 4)                                                        \
    W(weir__header_shm, segsz, 32, 8)                                                              \
    W(weir__header_shm, nonce, 40, 8)                                                              \
    W(weir__header_shm, creator, 48, 4)                                                            \
    W(weir__header_shm, reserved, 52, 60)

#define SYNC_WORDS(W)                                                                              \
    W(weir__owned, word, 0, 8)                                                                     \
    W(weir__owned, name, 8, 8)                                                                     \
    W(weir__mutex_shm, owned, 0, 16)                                                               \
    W(weir__mutex_shm, thread, 16, 8)                                                              \
    W(weir__mutex_shm, depth, 24, 4)                                                               \
    W(weir__mutex_shm, flags, 28, 4)                                                               \
    W(weir__mutex_shm, reserved, 32, 8)                                                            \
    W(weir__once_shm, mutex, 0, 40)                                                                \
    W(weir__once_shm, done, 40, 4)                                                                 \
    W(weir__once_shm, reserved, 44, 4)                                                             \
    W(weir__event_shm, word, 0, 4)                                                                 \
    W(weir__event_shm, reserved, 4, 4)                                                             \
    W(weir__semaphore_shm, value, 0, 4)                                                            \
    W(weir__semaphore_shm, asleep, 4, 4)                                                           \
    W(weir__semaphore_shm, reserved, 8, 8)                                                         \
    W(weir__permits_shm, geometry, 0, 8)                                                           \
    W(weir__permits_shm, returned, 8, 8)                                                           \
    W(weir__permits_shm, reserved, 16, 48)                                                         \
    W(weir__permits_shm, permit[0], 64, 16)                                                        \
    W(weir__permits_shm, permit[1], 80, 16)                                                        \
    W(weir__rwlock_shm, geometry, 0, 8)                                                            \
    W(weir__rwlock_shm, writer, 8, 40)                                                             \
    W(weir__rwlock_shm, state, 48, 4)                                                              \
    W(weir__rwlock_shm, reserved, 52, 4)                                                           \
    W(weir__rwlock_shm, drained, 56, 8)                                                            \
    W(weir__rwlock_shm, released, 64, 8)                                                           \
    W(weir__rwlock_shm, reserved_too, 72, 56)                                                      \
    W(weir__rwlock_shm, place[0].owned, 128, 16)                                                   \
    W(weir__rwlock_shm, place[0].reserved, 144, 48)                                                \
    W(weir__rwlock_shm, place[1].owned, 192, 16)                                                   \
    W(weir__barrier_shm, geometry, 0, 8)                                                           \
    W(weir__barrier_shm, round, 8, 8)                                                              \
    W(weir__barrier_shm, ended, 16, 8)                                                             \
    W(weir__barrier_shm, reserved, 24, 40)                                                         \
    W(weir__barrier_shm, place[0].owned, 64, 16)                                                   \
    W(weir__barrier_shm, place[0].reserved, 80, 48)                                                \
    W(weir__barrier_shm, place[1].owned, 128, 16)

#define ALLOC_WORDS(W)                                                                             \
    W(weir__intent, mutex, 0, 40)                                                                  \
    W(weir__intent, place, 40, 8)                                                                  \
    W(weir__intent, block, 48, 8)                                                                  \
    W(weir__intent, act, 56, 8)                                                                    \
    W(weir__pool_shm, geometry_bytes, 0, 8)                                                        \
    W(weir__pool_shm, geometry_count, 8, 8)                                                        \
    W(weir__pool_shm, intent, 16, 64)                                                              \
    W(weir__pool_shm, free, 80, 8)                                                                 \
    W(weir__pool_shm, fresh, 88, 8)                                                                \
    W(weir__pool_shm, link[0], 128, 4)                                                             \
    W(weir__pool_shm, link[1], 132, 4)                                                             \
    W(weir__arena_shm, geometry, 0, 8)                                                             \
    W(weir__arena_shm, intent, 8, 64)                                                              \
    W(weir__arena_shm, before, 72, 8)                                                              \
    W(weir__arena_shm, used, 80, 8)

#define CHANNEL_WORDS(W)                                                                           \
    W(weir__slot_shm, owner, 0, 8)                                                                 \
    W(weir__slot_shm, page, 8, 8)                                                                  \
    W(weir__slot_shm, doorbell, 16, 4)                                                             \
    W(weir__directory_shm, magic, 0, 8)                                                            \
    W(weir__directory_shm, counts, 8, 8)                                                           \
    W(weir__directory_shm, delivery, 16, 4)                                                        \
    W(weir__directory_shm, type_bytes, 20, 4)                                                      \
    W(weir__directory_shm, type_name, 24, 64)                                                      \
    W(weir__directory_shm, roles[0].changes, 128, 4)                                               \
    W(weir__directory_shm, roles[1].changes, 256, 4)                                               \
    W(weir__member_shm, magic, 0, 8)                                                               \
    W(weir__member_shm, owner, 8, 8)                                                               \
    W(weir__member_shm, needs_fence, 16, 4)                                                        \
    W(weir__lane_shm, member, 0, 24)                                                               \
    W(weir__lane_shm, evicts, 24, 4)                                                               \
    W(weir__lane_shm, trust, 28, 4)                                                                \
    W(weir__lane_shm, trust_uid, 32, 4)                                                            \
    W(weir__lane_shm, user_namespace, 40, 8)                                                       \
    W(weir__lane_shm, boundary_before, 128, 8)                                                     \
    W(weir__lane_shm, boundary_count, 136, 8)                                                      \
    W(weir__lane_shm, boundary, 144, 8)                                                            \
    W(weir__lane_shm, ended, 152, 4)                                                               \
    W(weir__lane_shm, epoch, 256, 4)                                                               \
    W(weir__lane_shm, reserved, 384, 8)                                                            \
    W(weir__lane_shm, marks[0].before, 392, 8)                                                     \
    W(weir__lane_shm, marks[0].count, 400, 8)                                                      \
    W(weir__lane_shm, marks[0].position, 408, 8)                                                   \
    W(weir__lane_shm, marks[1].before, 416, 8)                                                     \
    W(weir__lane_shm, stats, 896, 72)                                                              \
    W(weir__page_shm, member, 0, 24)                                                               \
    W(weir__page_shm, left, 24, 4)                                                                 \
    W(weir__page_shm, stats, 128, 96)                                                              \
    W(weir__page_shm, places[0].which, 256, 8)                                                     \
    W(weir__page_shm, places[0].owner, 264, 8)                                                     \
    W(weir__page_shm, places[0].bytes, 272, 8)                                                     \
    W(weir__page_shm, places[1].which, 288, 8)                                                     \
    W(weir__entry_shm, cursor, 0, 8)                                                               \
    W(weir__entry_shm, lane, 8, 8)                                                                 \
    W(weir__entry_shm, finished, 16, 8)                                                            \
    W(weir__entry_shm, released, 24, 8)                                                            \
    W(weir__stats_shm, waits, 0, 8)                                                                \
    W(weir__stats_shm, sleeps, 8, 8)                                                               \
    W(weir__stats_shm, wakes, 16, 8)                                                               \
    W(weir__stats_shm, looks, 24, 8)                                                               \
    W(weir__stats_shm, reaped, 32, 8)                                                              \
    W(weir__stats_shm, refusals, 40, 8)                                                            \
    W(weir__stats_shm, waits_for, 48, 4)                                                           \
    W(weir__stats_shm, asleep, 52, 4)                                                              \
    W(weir__stats_shm, armed, 56, 4)                                                               \
    W(weir__publisher_stats_shm, evictions, 64, 8)                                                 \
    W(weir__subscriber_stats_shm, version, 64, 4)                                                  \
    W(weir__subscriber_stats_shm, missed, 72, 8)                                                   \
    W(weir__subscriber_stats_shm, messages_base, 80, 8)                                            \
    W(weir__subscriber_stats_shm, bytes_base, 88, 8)                                               \
    W(weir__page_line_shm, epoch, 0, 4)                                                            \
    W(weir__page_line_shm, entries[1].cursor, 32, 8)                                               \
    W(weir__aside_shm, refused, 0, 8)                                                              \
    W(weir__aside_shm, holds, 8, 8)

#define LATEST_WORDS(W)                                                                            \
    W(weir__latest_values_shm, ready.magic, 0, 8)                                                  \
    W(weir__latest_values_shm, ready.geometry, 8, 8)                                               \
    W(weir__latest_values_shm, owner, 128, 16)                                                     \
    W(weir__latest_values_shm, index, 256, 8)                                                      \
    W(weir__latest_values_shm, index_low, 256, 4)                                                  \
    W(weir__latest_values_shm, hot_seq, 264, 8)                                                    \
    W(weir__latest_values_shm, hot, 272, 48)                                                       \
    W(weir__latest_values_shm, more_seq, 320, 8)                                                   \
    W(weir__latest_values_shm, more, 328, 56)                                                      \
    W(weir__latest_readers_shm, ready.magic, 0, 8)                                                 \
    W(weir__latest_readers_shm, ready.geometry, 8, 8)                                              \
    W(weir__latest_readers_shm, watch, 128, 4)                                                     \
    W(weir__latest_readers_shm, hold[0], 136, 16)                                                  \
    W(weir__latest_readers_shm, hold[1], 152, 16)                                                  \
    W(weir__latest_head_shm, seq, 0, 8)                                                            \
    W(weir__latest_head_shm, size_bytes, 8, 8)

#define WORDS(W) SEGMENT_WORDS(W) SYNC_WORDS(W) ALLOC_WORDS(W) CHANNEL_WORDS(W) LATEST_WORDS(W)

#define CHECK_WORD(type, word, offset, bytes)                                                      \
    static_assert(offsetof(struct type, word) == (offset), #type "." #word " has moved");          \
    static_assert(sizeof(((struct type *)0)->word) == (bytes), #type "." #word " has grown");
WORDS(CHECK_WORD)

static_assert(sizeof(struct weir__header_shm) == 112, "the header");
static_assert(sizeof(struct weir__slot_shm) == 32, "a slot");
static_assert(sizeof(struct weir__directory_shm) == 384, "the directory before its slots");
static_assert(sizeof(struct weir__lane_shm) == 1024, "a lane before its ring");
static_assert(sizeof(struct weir__page_shm) == 768, "a page before its lines");
static_assert(offsetof(struct weir__page_shm, lines) == 768, "its lines");
static_assert(sizeof(struct weir__page_line_shm) == 128, "a line of a page");
static_assert(sizeof(struct weir__entry_shm) == 32, "an entry");
static_assert(WEIR__LANE_RING_OFFSET == 4096, "the ring");
static_assert(WEIR__LATEST_BUFFERS_OFFSET == 512, "the buffers of a latest value");
static_assert(WEIR__LATEST_HEAD_BYTES == 16 && WEIR__LATEST_HEAD_BYTES_LARGE == 64, "their heads");
static_assert(WEIR__HEADER_BYTES == 4096, "the user's bytes");

static void every_word_has_its_place(void **state)
{
    (void)state;
#define PRINT_WORD(type, word, offset, bytes)                                                      \
    printf("layout: %-28s %-18s %4zu %4zu\n", #type, #word, offsetof(struct type, word),           \
           sizeof(((struct type *)0)->word));
    WORDS(PRINT_WORD)
}

static uint64_t place_in(const struct weir__page_shm *page, const void *at)
{
    return (uint64_t)((uintptr_t)at - (uintptr_t)page);
}

/* Behind one of the number before, and not on the epoch's line. */
static bool is_entry_good(const struct weir__page_shm *page, uint32_t line, uint32_t number)
{
    uint64_t epoch = place_in(page, weir__page_epoch(page, line));
    uint64_t at = place_in(page, weir__page_entry(page, line, number));
    uint64_t end = at + sizeof(struct weir__entry_shm);
    uint64_t least = number == 0 ? sizeof(struct weir__page_shm)
                                 : place_in(page, weir__page_entry(page, line, number - 1)) +
                                       sizeof(struct weir__entry_shm);
    return at >= least && at % sizeof(struct weir__entry_shm) == 0 &&
           (end <= epoch || at >= epoch + WEIR__LINE_BYTES);
}

/*
 * Of all entries and the epoch each byte is one's alone, and none of the epoch's line is another's;
 * what changes seldom stands behind them, and the page ends where that does. Of many entries, those
 * beside the epoch's line and the last ones stand for the others.
 */
static void check_page(const struct weir__page_shm *page, uint32_t publishers, uint32_t subscriber)
{
    const uint32_t line = weir__page_epoch_line(publishers, subscriber);
    const uint64_t epoch = place_in(page, weir__page_epoch(page, line));
    const uint64_t behind = place_in(page, weir__page_aside(page, publishers, 0));
    assert_true(epoch % WEIR__LINE_BYTES == 0 && epoch >= sizeof(struct weir__page_shm));
    assert_true(epoch + WEIR__LINE_BYTES <= behind);
    for (uint32_t i = 0; i < publishers; i++) {
        if (i == 4 * line + 8 && publishers > 300 && publishers % 256 != 0 && i + 8 < publishers)
            i = publishers - 8;
        if (!is_entry_good(page, line, i))
            fail_msg("entry %u of %u in the page of subscriber %u", i, publishers, subscriber);
    }
    assert_true(place_in(page, weir__page_entry(page, line, publishers - 1) + 1) <= behind);
    assert_true(place_in(page, weir__page_aside(page, publishers, publishers)) ==
                weir__page_bytes(publishers));
}

/* No two of 16 slots in a row have their epochs on the same line. */
static void check_neighbours(uint32_t publishers)
{
    for (uint32_t subscriber = 0; subscriber <= 70; subscriber++)
        for (uint32_t other = subscriber + 1; other < subscriber + 16; other++)
            assert_int_not_equal(weir__page_epoch_line(publishers, subscriber),
                                 weir__page_epoch_line(publishers, other));
}

static void epochs_of_neighbours_are_on_different_lines(void **state)
{
    static _Alignas(4096) unsigned char memory[200000];
    const struct weir__page_shm *page = (const struct weir__page_shm *)(const void *)memory;
    (void)state;
    assert_true(weir__page_bytes(WEIR_CHANNEL_MEMBERS_MAX) <= sizeof memory);
    for (uint32_t publishers = 1; publishers <= WEIR_CHANNEL_MEMBERS_MAX; publishers++) {
        for (uint32_t subscriber = 0; subscriber <= 70; subscriber++)
            check_page(page, publishers, subscriber);
        check_page(page, publishers, WEIR_CHANNEL_MEMBERS_MAX - 1);
        check_neighbours(publishers);
    }
}

static void a_page_of_the_default_fits_4096_bytes(void **state)
{
    (void)state;
    for (uint32_t publishers = 1; publishers <= WEIR_CHANNEL_MEMBERS_DEFAULT; publishers++)
        assert_true(weir__page_bytes(publishers) <= 4096);
}

/* Another processor with the same words but another order of bytes would write another image. */
static void assert_image(const char *name, const void *data, size_t size_bytes,
                         const unsigned char *expected)
{
    printf("layout: %s", name);
    for (size_t i = 0; i < size_bytes; i++)
        printf(" %02x", ((const unsigned char *)data)[i]);
    printf("\n");
    assert_memory_equal(data, expected, size_bytes);
}

static void the_header_is_the_same_bytes(void **state)
{
    static unsigned char memory[WEIR__HEADER_BYTES];
    static const unsigned char expected[52] = {
        0x1a, 'w',  'e',  'i',  'r',  's',  'e',  'g',  /* magic */
        1,    0,    0,    0,    0,    0x10, 0,    0,    /* layout, header_size_bytes */
        0,    0,    0,    0,    0,    0,    0,    0,    /* incompat, ro_compat */
        0,    0,    0,    0,    0x80, 0,    8,    0,    /* compat, fingerprint */
        8,    7,    6,    5,    4,    3,    2,    1,    /* segsz */
        0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* nonce */
        0x24, 0x23, 0x22, 0x21,                         /* creator */
    };
    (void)state;
    weir__header_write(memory, UINT64_C(0x0102030405060708), UINT64_C(0x1112131415161718),
                       UINT32_C(0x21222324));
    assert_image("header", memory, sizeof expected, expected);
}

static void a_record_is_the_same_bytes(void **state)
{
    static const unsigned char expected[8] = { 3, 0, 0xcd, 0xab, 0x44, 0x33, 0x22, 0x11 };
    uint64_t header = weir__record_header(0x11223344, 0xabcd, WEIR__RECORD_PAD);
    (void)state;
    assert_image("record", &header, sizeof header, expected);
    assert_int_equal(weir__record_length(header), 0x11223344);
    assert_int_equal(weir__record_type(header), 0xabcd);
    assert_int_equal(weir__record_bytes(0), 8);
    assert_int_equal(weir__record_bytes(1), 16);
    assert_int_equal(weir__record_bytes(8), 16);
    assert_int_equal(weir__record_max(65536), 16376);
    assert_true(weir__pad_header(8) == (WEIR__RECORD_MARK | WEIR__RECORD_PAD));
    assert_true(weir__pad_header(UINT64_C(0x123456789a8)) ==
                weir__record_header(0x456789a0, 0x123, WEIR__RECORD_PAD));
    assert_true(weir__pad_bytes(weir__pad_header(UINT64_C(0x123456789a8))) ==
                UINT64_C(0x123456789a8));
}

static void an_identity_is_the_same_bytes(void **state)
{
    static const unsigned char expected[8] = { 0, 0x60, 0x8a, 0x46, 0x24, 0x02, 0, 0 };
    const struct weir__beacon beacon = { .id = 0x112, .size_bytes = 0x23454 };
    uint64_t identity = weir__identity_pack(&beacon);
    struct weir__beacon again = weir__identity_unpack(identity);
    (void)state;
    assert_image("identity", &identity, sizeof identity, expected);
    assert_int_equal(again.id, beacon.id);
    assert_int_equal(again.size_bytes, beacon.size_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_has_its_place),
        cmocka_unit_test(epochs_of_neighbours_are_on_different_lines),
        cmocka_unit_test(a_page_of_the_default_fits_4096_bytes),
        cmocka_unit_test(the_header_is_the_same_bytes),
        cmocka_unit_test(a_record_is_the_same_bytes),
        cmocka_unit_test(an_identity_is_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
