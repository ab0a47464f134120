/* SPDX-License-Identifier: MIT */
#include "liar.h"
#include "fixture.h"
#include "guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

struct weir__header_shm *liar_header;
struct weir__directory_shm *liar_directory;
struct weir__lane_shm *liar_lane;
struct weir__page_shm *liar_page;

static struct weir_segment *directory_handle;
static uint64_t lane_shown, page_shown;
static uint64_t capacity;

void liar_detach(void)
{
    if (liar_lane)
        shmdt(liar_lane);
    if (liar_page)
        shmdt(liar_page);
    weir_segment_close(directory_handle);
    directory_handle = NULL;
    liar_header = NULL;
    liar_directory = NULL;
    liar_lane = NULL;
    liar_page = NULL;
}

void *liar_attach_shown(uint64_t shown, uint64_t magic, size_t least_bytes, size_t *size_bytes)
{
    struct shmid_ds found;
    int id = (int)((shown >> 32) - 1);
    if (shown == 0 || shmctl(id, IPC_STAT, &found) != 0 || found.shm_segsz < least_bytes)
        return NULL;
    found.shm_perm.mode |= 0600;
    shmctl(id, IPC_SET, &found);
    struct weir__member_shm *memory = shmat(id, NULL, 0);
    if (memory == (void *)-1)
        return NULL;
    *size_bytes = found.shm_segsz;
    if (memory->magic == magic)
        return memory;
    shmdt(memory);
    return NULL;
}

bool liar_attach(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    size_t size_bytes = 0;
    liar_detach();
    options.kind = WEIR__DIRECTORY_KIND;
    if (weir_segment_open(&directory_handle, weir_by_name("lane"), 0, &options) != 0)
        return false;
    liar_directory = weir_segment_data(directory_handle);
    liar_header = (void *)((char *)liar_directory - WEIR__HEADER_BYTES);
    page_shown = atomic_load(&liar_directory->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].page);
    liar_page = liar_attach_shown(page_shown, WEIR__PAGE_MAGIC,
                                  weir__page_bytes(WEIR_CHANNEL_MEMBERS_DEFAULT), &size_bytes);
    lane_shown = atomic_load(&liar_directory->slots[0].page);
    liar_lane = liar_attach_shown(lane_shown, WEIR__LANE_MAGIC,
                                  WEIR__LANE_RING_OFFSET + WEIR_RING_BYTES_MIN, &size_bytes);
    capacity = size_bytes - WEIR__LANE_RING_OFFSET;
    return true;
}

void liar_restore_directory(void)
{
    static const uint32_t counts[WEIR__ROLES] = { WEIR_CHANNEL_MEMBERS_DEFAULT,
                                                  WEIR_CHANNEL_MEMBERS_DEFAULT };
    const size_t head_bytes = offsetof(struct weir__directory_shm, roles);
    /* The head is never false in between: who is killed in here leaves one that can be opened. */
    liar_directory->magic = WEIR__DIRECTORY_MAGIC;
    memcpy(liar_directory->counts, counts, sizeof counts);
    liar_directory->delivery = liar_directory->type_bytes = 0;
    memset(liar_directory->type_name, 0, sizeof liar_directory->type_name);
    memset((char *)liar_directory + head_bytes, 0, weir__directory_bytes(counts) - head_bytes);
}

void liar_show(enum weir__role role, int id, uint64_t owner)
{
    struct weir__slot_shm *slot =
        &liar_directory->slots[role == WEIR__SUBSCRIBER ? WEIR_CHANNEL_MEMBERS_DEFAULT : 0];
    atomic_store(&slot->owner, owner);
    atomic_store(&slot->page, weir__page_word(owner, id));
    atomic_fetch_add(&liar_directory->roles[role].changes, 1);
}

bool liar_is_current(void)
{
    return liar_directory && atomic_load(&liar_directory->slots[0].page) == lane_shown &&
           atomic_load(&liar_directory->slots[WEIR_CHANNEL_MEMBERS_DEFAULT].page) == page_shown;
}

#define WORD(object, field)                                                                        \
    {                                                                                              \
#object "." #field, &(object)->field, sizeof((object)->field)                              \
    }

static uint32_t epoch_line(void)
{
    return weir__page_epoch_line(WEIR_CHANNEL_MEMBERS_DEFAULT, 0);
}

struct weir__entry_shm *liar_entry(void)
{
    return (struct weir__entry_shm *)(uintptr_t)weir__page_entry(liar_page, epoch_line(), 0);
}

static weir__atomic_u32 *liar_epoch(void)
{
    return (weir__atomic_u32 *)(uintptr_t)weir__page_epoch(liar_page, epoch_line());
}

struct weir__aside_shm *liar_aside(void)
{
    return (struct weir__aside_shm *)(uintptr_t)weir__page_aside(liar_page,
                                                                 WEIR_CHANNEL_MEMBERS_DEFAULT, 0);
}

static size_t append(struct liar_word *words, size_t count, const struct liar_word *more,
                     size_t more_count)
{
    memcpy(words + count, more, more_count * sizeof *more);
    return count + more_count;
}

static size_t list_header(struct liar_word *words, size_t count)
{
    const struct liar_word list[] = {
        WORD(liar_header, magic),       WORD(liar_header, layout),
        WORD(liar_header, incompat),    WORD(liar_header, header_size_bytes),
        WORD(liar_header, compat),      WORD(liar_header, ro_compat),
        WORD(liar_header, segsz),       WORD(liar_header, fingerprint),
        WORD(liar_header, nonce),       WORD(liar_header, creator),
        WORD(liar_header, reserved[0]),
    };
    return append(words, count, list, ARRAY_SIZE(list));
}

static size_t list_directory(struct liar_word *words, size_t count)
{
    const struct liar_word list[] = {
        WORD(liar_directory, magic),
        WORD(liar_directory, delivery),
        WORD(liar_directory, type_bytes),
        { "directory.type_name, its begin", liar_directory->type_name, 8 },
        { "directory.type_name, its end", liar_directory->type_name + WEIR__TYPE_NAME_BYTES - 8,
          8 },
        WORD(liar_directory, counts[WEIR__PUBLISHER]),
        WORD(liar_directory, counts[WEIR__SUBSCRIBER]),
        WORD(liar_directory, roles[WEIR__PUBLISHER].changes),
        WORD(liar_directory, roles[WEIR__SUBSCRIBER].changes),
        WORD(liar_directory, slots[0].owner),
        WORD(liar_directory, slots[0].page),
        WORD(liar_directory, slots[0].doorbell),
        WORD(liar_directory, slots[WEIR_CHANNEL_MEMBERS_DEFAULT].owner),
        WORD(liar_directory, slots[WEIR_CHANNEL_MEMBERS_DEFAULT].page),
        WORD(liar_directory, slots[WEIR_CHANNEL_MEMBERS_DEFAULT].doorbell),
    };
    return append(words, count, list, ARRAY_SIZE(list));
}

static size_t list_lane(struct liar_word *words, size_t count)
{
    const struct liar_word list[] = {
        WORD(liar_lane, member.magic),
        WORD(liar_lane, member.owner),
        WORD(liar_lane, boundary_before),
        WORD(liar_lane, member.needs_fence),
        WORD(liar_lane, boundary_count),
        WORD(liar_lane, boundary),
        WORD(liar_lane, ended),
        WORD(liar_lane, epoch),
        WORD(liar_lane, evicts),
        WORD(liar_lane, reserved),
        WORD(liar_lane, marks[0].before),
        WORD(liar_lane, marks[0].count),
        WORD(liar_lane, marks[0].position),
        WORD(liar_lane, marks[WEIR__MARKS - 1].before),
        WORD(liar_lane, marks[WEIR__MARKS - 1].count),
        WORD(liar_lane, marks[WEIR__MARKS - 1].position),
        WORD(liar_lane, trust),
        WORD(liar_lane, trust_uid),
        WORD(liar_lane, user_namespace),
    };
    return append(words, count, list, ARRAY_SIZE(list));
}

static size_t list_page(struct liar_word *words, size_t count)
{
    const struct liar_word list[] = {
        WORD(liar_page, member.magic),
        WORD(liar_page, member.owner),
        WORD(liar_entry(), cursor),
        WORD(liar_page, member.needs_fence),
        WORD(liar_page, left),
        WORD(liar_entry(), lane),
        WORD(liar_entry(), finished),
        WORD(liar_entry(), released),
        WORD(liar_page, places[0].which),
        WORD(liar_page, places[0].owner),
        WORD(liar_page, places[0].bytes),
        WORD(liar_page, places[WEIR__HOLDS_ANNOUNCED - 1].which),
        WORD(liar_page, places[WEIR__HOLDS_ANNOUNCED - 1].owner),
        WORD(liar_page, places[WEIR__HOLDS_ANNOUNCED - 1].bytes),
        { "page.epoch", liar_epoch(), sizeof(*liar_epoch()) },
        WORD(liar_aside(), refused),
        WORD(liar_aside(), holds),
    };
    return append(words, count, list, ARRAY_SIZE(list));
}

static size_t list_marks(struct liar_word *words, size_t count)
{
    const struct liar_word list[] = {
        WORD(liar_lane, reserved),          WORD(liar_lane, marks[0].before),
        WORD(liar_lane, marks[0].count),    WORD(liar_lane, marks[0].position),
        WORD(liar_lane, marks[1].before),   WORD(liar_lane, marks[1].count),
        WORD(liar_lane, marks[1].position),
    };
    return append(words, count, list, ARRAY_SIZE(list));
}

static size_t list_statistics(struct liar_word *words, size_t count)
{
    const struct liar_word list[] = {
        WORD(liar_lane, stats.common.waits),     WORD(liar_lane, stats.common.sleeps),
        WORD(liar_lane, stats.common.wakes),     WORD(liar_lane, stats.common.looks),
        WORD(liar_lane, stats.common.reaped),    WORD(liar_lane, stats.common.refusals),
        WORD(liar_lane, stats.common.waits_for), WORD(liar_lane, stats.common.asleep),
        WORD(liar_lane, stats.common.armed),     WORD(liar_lane, stats.evictions),
        WORD(liar_page, stats.common.waits),     WORD(liar_page, stats.common.sleeps),
        WORD(liar_page, stats.common.wakes),     WORD(liar_page, stats.common.looks),
        WORD(liar_page, stats.common.reaped),    WORD(liar_page, stats.common.refusals),
        WORD(liar_page, stats.common.waits_for), WORD(liar_page, stats.common.asleep),
        WORD(liar_page, stats.common.armed),     WORD(liar_page, stats.version),
        WORD(liar_page, stats.missed),           WORD(liar_page, stats.messages_base),
        WORD(liar_page, stats.bytes_base),       WORD(liar_entry(), released),
    };
    return append(words, count, list, ARRAY_SIZE(list));
}

/* From what is released, or else the boundary, to the header that is 0. */
static size_t list_records(struct liar_word *words, size_t count)
{
    static const char *const names[LIAR_HEADERS_MAX] = { "header 0", "header 1", "header 2",
                                                         "header 3", "header 4", "header 5",
                                                         "header 6", "header 7" };
    unsigned char *ring = (unsigned char *)liar_lane + WEIR__LANE_RING_OFFSET;
    uint64_t position = atomic_load(&liar_lane->boundary);
    if (liar_page && atomic_load(&liar_entry()->lane) != 0)
        position = atomic_load(&liar_entry()->cursor);
    for (size_t i = 0; i < LIAR_HEADERS_MAX; i++) {
        weir__atomic_u64 *at = weir__header_at(ring, capacity, position & ~UINT64_C(7));
        words[count++] = (struct liar_word){ names[i], at, 8 };
        if (atomic_load(at) == 0)
            break;
        position += weir__record_bytes(weir__record_length(atomic_load(at)));
    }
    return count;
}

size_t liar_words(struct liar_word *words, unsigned which)
{
    size_t count = 0;
    if (liar_header && (which & LIAR_HEADER))
        count = list_header(words, count);
    if (liar_directory && (which & LIAR_DIRECTORY))
        count = list_directory(words, count);
    if (liar_lane && (which & LIAR_LANE))
        count = list_lane(words, count);
    if (liar_page && (which & LIAR_PAGE))
        count = list_page(words, count);
    if (liar_lane && liar_page && (which & LIAR_STATISTICS))
        count = list_statistics(words, count);
    if (liar_lane && (which & LIAR_MARKS))
        count = list_marks(words, count);
    if (liar_lane && (which & LIAR_RECORDS))
        count = list_records(words, count);
    return count;
}

uint64_t liar_load(const struct liar_word *word)
{
    return word->size_bytes == 4 ? atomic_load((weir__atomic_u32 *)word->at)
                                 : atomic_load((weir__atomic_u64 *)word->at);
}

void liar_store(const struct liar_word *word, uint64_t value)
{
    if (word->size_bytes == 4)
        atomic_store((weir__atomic_u32 *)word->at, (uint32_t)value);
    else
        atomic_store((weir__atomic_u64 *)word->at, value);
}

/* What each lie adds to the truth, takes from it or puts in its place. */
static const struct {
    enum { PUT, ADD, XOR } how;
    uint64_t value;
} lies[] = {
    { PUT, 0 },
    { PUT, 1 },
    { PUT, 2 },
    { PUT, 7 },
    { PUT, UINT64_MAX },
    { XOR, UINT64_MAX },
    { ADD, 1 },
    { ADD, -UINT64_C(1) },
    { ADD, 8 },
    { ADD, -UINT64_C(8) },
    { ADD, CAPACITY },
    { ADD, -CAPACITY },
    { XOR, UINT64_C(1) << 63 },
    { XOR, UINT64_C(1) << 32 }, /* of a record's header: its length by one */
    { ADD, UINT64_C(8) << 32 },
    { ADD, UINT64_C(1) << 32 }, /* of a page: the segment's id by one */
    { XOR, WEIR__RECORD_MARK },
    { XOR, WEIR__RECORD_PAD },
    { XOR, UINT64_C(4) },
    { PUT, INT32_MAX },
    { PUT, UINT64_C(1) << 31 },
    { PUT, UINT32_MAX },
    { PUT, UINT64_C(1) << 32 },
    { PUT, INT64_MAX },
    { PUT, UINT64_C(1) << 63 },
    { PUT, CAPACITY },
    { PUT, CAPACITY - 8 },
    { PUT, CAPACITY + 8 },
#define HEADER(length, type, flags)                                                                \
    {                                                                                              \
        PUT, (uint64_t)(length) << 32 | (type) << 16 | (flags) | WEIR__RECORD_MARK                 \
    }
    HEADER(CAPACITY / 4 - 8, 0, 0),
    HEADER(CAPACITY / 4 - 7, 0, 0),
    HEADER(CAPACITY / 4, 0, 0),
    HEADER(CAPACITY - 8, 0, 0),
    HEADER(CAPACITY, 0, 0),
    HEADER(UINT32_MAX, 0, 0),
    HEADER(UINT32_MAX - 8, UINT64_C(0xffff), 0),
    HEADER(8, 0, 4),
    HEADER(8, 0, WEIR__RECORD_PAD),
    HEADER(CAPACITY - 8, 0, WEIR__RECORD_PAD),
    HEADER(UINT32_MAX, 0, WEIR__RECORD_PAD),
    HEADER(0, 0, WEIR__RECORD_PAD),
};

unsigned liar_value_count(void)
{
    return ARRAY_SIZE(lies);
}

bool liar_value(unsigned index, uint64_t old, uint64_t *value)
{
    if (index >= ARRAY_SIZE(lies))
        return false;
    *value = lies[index].how == PUT   ? lies[index].value
             : lies[index].how == ADD ? old + lies[index].value
                                      : old ^ lies[index].value;
    return true;
}

uint64_t liar_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
