/* SPDX-License-Identifier: MIT */
/*
 * Goal: what stands in shared memory stands at the same place in every build, whatever the
 *       processor: each word of it, and the numbers that are written into it.
 * Method: a table of all words, checked by the compiler, and printed, so that the outputs of
 *       two builds can be compared; and images of known contents, byte by byte.
 */
#include "unit/cmocka.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "channel/layout.h"
#include "segment/header.h"
#include "segment/identity.h"

/* W(struct, word, offset, bytes) */
#define WORDS(W)                                                                                   \
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
    W(weir__header_shm, reserved, 52, 60)                                                          \
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
    W(weir__lane_shm, trust, 28, 4)                                                                \
    W(weir__lane_shm, trust_uid, 32, 4)                                                            \
    W(weir__lane_shm, boundary_before, 128, 8)                                                     \
    W(weir__lane_shm, boundary_count, 136, 8)                                                      \
    W(weir__lane_shm, boundary, 144, 8)                                                            \
    W(weir__lane_shm, ended, 152, 4)                                                               \
    W(weir__lane_shm, evicts, 24, 4)                                                               \
    W(weir__lane_shm, epoch, 256, 4)                                                               \
    W(weir__lane_shm, reserved, 384, 8)                                                            \
    W(weir__lane_shm, marks[0].before, 392, 8)                                                     \
    W(weir__lane_shm, marks[0].count, 400, 8)                                                      \
    W(weir__lane_shm, marks[0].position, 408, 8)                                                   \
    W(weir__lane_shm, marks[1].before, 416, 8)                                                     \
    W(weir__page_shm, member, 0, 24)                                                               \
    W(weir__page_shm, epoch, 128, 4)                                                               \
    W(weir__entry_shm, cursor, 0, 8)                                                               \
    W(weir__entry_shm, lane, 8, 8)                                                                 \
    W(weir__entry_shm, finished, 16, 8)                                                            \
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
    W(weir__lane_shm, stats, 896, 72)                                                              \
    W(weir__page_shm, stats, 256, 96)                                                              \
    W(weir__entry_shm, released, 24, 8)                                                            \
    W(weir__page_shm, places[0].which, 384, 8)                                                     \
    W(weir__page_shm, places[0].owner, 392, 8)                                                     \
    W(weir__page_shm, places[0].bytes, 400, 8)                                                     \
    W(weir__page_shm, places[1].which, 416, 8)                                                     \
    W(weir__aside_shm, refused, 0, 8)                                                              \
    W(weir__aside_shm, holds, 8, 8)

#define CHECK_WORD(type, word, offset, bytes)                                                      \
    static_assert(offsetof(struct type, word) == (offset), #type "." #word " has moved");          \
    static_assert(sizeof(((struct type *)0)->word) == (bytes), #type "." #word " has grown");
WORDS(CHECK_WORD)

static_assert(sizeof(struct weir__header_shm) == 112, "the header");
static_assert(sizeof(struct weir__slot_shm) == 32, "a slot");
static_assert(sizeof(struct weir__directory_shm) == 384, "the directory before its slots");
static_assert(sizeof(struct weir__lane_shm) == 1024, "a lane before its ring");
static_assert(sizeof(struct weir__page_shm) == 896, "a page before its entries");
static_assert(sizeof(struct weir__entry_shm) == 32, "an entry");
static_assert(WEIR__LANE_RING_OFFSET == 4096, "the ring");
static_assert(WEIR__HEADER_BYTES == 4096, "the user's bytes");

static void every_word_has_its_place(void **state)
{
    (void)state;
#define PRINT_WORD(type, word, offset, bytes)                                                      \
    printf("layout: %-16s %-18s %4zu %4zu\n", #type, #word, offsetof(struct type, word),           \
           sizeof(((struct type *)0)->word));
    WORDS(PRINT_WORD)
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
        cmocka_unit_test(the_header_is_the_same_bytes),
        cmocka_unit_test(a_record_is_the_same_bytes),
        cmocka_unit_test(an_identity_is_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
