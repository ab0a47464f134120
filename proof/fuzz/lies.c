/* SPDX-License-Identifier: MIT */
#include "lies.h"

#include <string.h>

#include "input.h"
#include "world.h"

static const uint64_t limits[] = {
    0,
    1,
    7,
    8,
    UINT64_MAX,
    UINT64_MAX - 7,
    INT64_MAX,
    UINT64_C(1) << 63,
    UINT32_MAX,
    INT32_MAX,
    UINT64_C(1) << 32,
    WORLD_CAPACITY,
    WORLD_CAPACITY - 8,
    WORLD_CAPACITY + 8,
    WORLD_CAPACITY / 4,
    WORLD_CAPACITY / 4 - 8,
    WORLD_CAPACITY / 8,
    2 * WORLD_CAPACITY,
    WEIR__LANE_MAGIC,
    WEIR__PAGE_MAGIC,
    (uint64_t)UINT32_MAX << 32 | 1,
    (uint64_t)UINT32_MAX << 32 | 3,
    (uint64_t)INT32_MAX << 32 | 1,
};

/* A record's header: short, about the longest, of all lengths; now and then with odd flags. */
static uint64_t header_of(unsigned number)
{
    uint64_t length = number & 15;
    if (number & 16)
        length += WORLD_CAPACITY / 4 - 16;
    if (number & 32)
        length <<= 8;
    return weir__record_header(length, 0, number & 64 ? WEIR__RECORD_PAD : 0) |
           (number & 128 ? 4 : 0);
}

/* position: in the ring; 0 where the word is none of a ring. */
static uint64_t lie_about(uint64_t old, const uint8_t *step, uint64_t literal, uint64_t position)
{
    const struct weir__lane_shm *lane = world_lane().memory;
    const uint8_t operand = step[3];
    const uint64_t signed_operand = (uint64_t)(int64_t)(int8_t)operand;
    const uint64_t to_end = WORLD_CAPACITY - (position & (WORLD_CAPACITY - 1));
    switch (step[2] % FUZZ_HOWS) {
    case FUZZ_LITERAL:
        return literal;
    case FUZZ_ADD:
        return old + signed_operand;
    case FUZZ_ADD_8:
        return old + 8 * signed_operand;
    case FUZZ_FLIP:
        return old ^ UINT64_C(1) << (operand & 63);
    case FUZZ_OWNER:
        return world_owner(operand);
    case FUZZ_HEADER:
        return header_of(operand);
    case FUZZ_PAD:
        return weir__record_header(to_end - 8 + 8 * (operand & 128 ? signed_operand : 0), 0,
                                   WEIR__RECORD_PAD);
    case FUZZ_LIMIT:
        return limits[operand % (sizeof limits / sizeof *limits)];
    default: /* FUZZ_TAIL */
        return (lane ? atomic_load(&lane->boundary) : 0) + 8 * signed_operand;
    }
}

static uint64_t take_literal(const uint8_t *step, size_t left_bytes, size_t *used_bytes)
{
    uint64_t literal = 0;
    if (step[2] % FUZZ_HOWS != FUZZ_LITERAL)
        return 0;
    size_t count = left_bytes - 4 < sizeof literal ? left_bytes - 4 : sizeof literal;
    memcpy(&literal, step + 4, count);
    *used_bytes += count;
    return literal;
}

static void store_word(struct world_word word, const uint8_t *step, uint64_t literal)
{
    if (!word.at)
        return;
    if (word.size_bytes == 4) {
        weir__atomic_u32 *at = word.at;
        atomic_store(at, (uint32_t)lie_about(atomic_load(at), step, literal, 0));
    } else {
        weir__atomic_u64 *at = word.at;
        atomic_store(at, lie_about(atomic_load(at), step, literal, 0));
    }
}

/* Bit 0: the liar's ring, else the real one; its bytes, or NULL. */
static unsigned char *ring_of(unsigned which)
{
    unsigned char *memory = (which & 1 ? world_false_lane(0) : world_lane()).memory;
    return memory ? memory + WEIR__LANE_RING_OFFSET : NULL;
}

/* Where the subscriber reads, where a joiner begins, or the ring's end: and some words on. */
static uint64_t position_of(unsigned which, uint8_t offset)
{
    const struct weir__page_shm *page = world_page().memory;
    const struct weir__lane_shm *lane = (which & 1 ? world_false_lane(0) : world_lane()).memory;
    uint64_t position = 0;
    switch (which >> 1 & 3) {
    case 0:
        position = page ? atomic_load(&world_entry(page)->cursor) : 0;
        break;
    case 1:
        position = lane ? atomic_load(&lane->boundary) : 0;
        break;
    case 2:
        position = WORLD_CAPACITY;
        break;
    default:
        break;
    }
    return (position & ~UINT64_C(7)) + 8 * (uint64_t)(int64_t)(int8_t)offset;
}

static void store_record(const uint8_t *step, uint64_t literal)
{
    unsigned char *ring = ring_of(step[1]);
    uint64_t position = position_of(step[1], step[3]);
    if (!ring)
        return;
    weir__atomic_u64 *at = weir__header_at(ring, WORLD_CAPACITY, position);
    /* The operand is the offset; what it says of sizes comes from the other byte. */
    const uint8_t told[4] = { step[0], step[1], step[2], step[1] >> 3 | (step[2] & 0xe0) };
    atomic_store(at, lie_about(atomic_load(at), told, literal, position));
}

static size_t store_raw(const uint8_t *step, size_t left_bytes)
{
    unsigned char *ring = ring_of(step[1]);
    size_t count = step[1] >> 1 & 31, at = (size_t)8 * (step[2] | step[3] << 8);
    if (8 * count > left_bytes - 4)
        count = (left_bytes - 4) / 8;
    for (size_t i = 0; ring && i < count; i++) {
        uint64_t word;
        memcpy(&word, step + 4 + 8 * i, sizeof word);
        atomic_store(weir__header_at(ring, WORLD_CAPACITY, at + 8 * i), word);
    }
    return 8 * count;
}

/* A liar takes a place in the directory and shows a lane or a page, or what is none. */
static void show(const uint8_t *step)
{
    struct weir__directory_shm *directory = world_directory();
    bool is_lane = step[1] & 1;
    struct weir__slot_shm *slot = is_lane ? &directory->slots[0] : &directory->slots[WORLD_MEMBERS];
    struct world_memory memory =
        is_lane ? world_false_lane(step[1] >> 1) : world_false_page(step[1] >> 1);
    uint64_t owner = world_owner(step[2]);
    int id = step[3] & 1 ? world_gone_id() : memory.id;
    *(struct weir__member_shm *)memory.memory =
        (struct weir__member_shm){ .magic = is_lane ? WEIR__LANE_MAGIC : WEIR__PAGE_MAGIC,
                                   .owner = owner };
    atomic_store(&slot->owner, owner);
    atomic_store(&slot->page, weir__page_word(owner, id));
    atomic_fetch_add(&directory->roles[is_lane ? WEIR__PUBLISHER : WEIR__SUBSCRIBER].changes, 1);
}

size_t lies_tell(const uint8_t *step, size_t left_bytes)
{
    size_t used_bytes = 4;
    uint64_t literal;
    switch (step[0] % FUZZ_STEPS) {
    case FUZZ_WRITE:
        literal = take_literal(step, left_bytes, &used_bytes);
        store_word(world_word(step[1]), step, literal);
        break;
    case FUZZ_WRITE_RECORD:
        literal = take_literal(step, left_bytes, &used_bytes);
        store_record(step, literal);
        break;
    case FUZZ_RAW:
        used_bytes += store_raw(step, left_bytes);
        break;
    default:
        show(step);
    }
    return used_bytes;
}
