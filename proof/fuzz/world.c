/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>

#include <weir/error.h>
#include <weir/identity.h>
#include <weir/segment.h>

#include "guard.h"
#include "segment/handle.h"
#include "segment/identity.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* What the linker puts in place of the library's (proof/fuzz/CMakeLists.txt). */
int __real_weir__segment_create(struct weir_segment **segment, struct weir_ref ref,
                                uint64_t size_bytes, const struct weir_segment_options *options,
                                struct weir__rundir *dir);
int __wrap_weir__segment_create(struct weir_segment **segment, struct weir_ref ref,
                                uint64_t size_bytes, const struct weir_segment_options *options,
                                struct weir__rundir *dir);
int __real_weir__segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                        const struct weir__segment_making *making,
                                        const struct weir_segment_options *options,
                                        struct weir__rundir *dir);
int __wrap_weir__segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                        const struct weir__segment_making *making,
                                        const struct weir_segment_options *options,
                                        struct weir__rundir *dir);
void __real_weir_segment_close(struct weir_segment *segment);
void __wrap_weir_segment_close(struct weir_segment *segment);

static struct weir_segment *directory;

/* What was made for a real side. Never given out twice in one execution: somebody may have
 * it attached still. */
static struct stored {
    struct weir_segment *segment;
    struct world_memory memory;
    bool is_used; /* in this execution */
    bool is_open;
} store[64];
static size_t stored_count;

static struct world_memory lane, page; /* made last */
static struct world_memory false_lanes[5], false_pages[5];
static bool lane_is_used[5]; /* in this execution: else it is zero */
static int gone_id;
static uint64_t identity, dead_identity;
static size_t attached_before;

void world_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("fuzz: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

static struct world_memory memory_of(struct weir_segment *segment)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    if (weir_segment_stat(segment, &stat) != 0)
        world_fail("stat: %s", weir_last_error());
    return (struct world_memory){ weir_segment_data(segment), (size_t)weir_segment_size(segment),
                                  stat.id };
}

int __wrap_weir__segment_create(struct weir_segment **segment, struct weir_ref ref,
                                uint64_t size_bytes, const struct weir_segment_options *options,
                                struct weir__rundir *dir)
{
    struct stored *found = NULL;
    if (!(options->flags & WEIR_SEGMENT_PREFAULT)) /* the beacon */
        return __real_weir__segment_create(segment, ref, size_bytes, options, dir);
    for (size_t i = 0; i < stored_count && !found; i++) {
        if (!store[i].is_used && store[i].memory.size_bytes == size_bytes)
            found = &store[i];
    }
    if (!found) {
        if (stored_count == ARRAY_SIZE(store))
            world_fail("the store is full");
        int result = __real_weir__segment_create(segment, ref, size_bytes, options, dir);
        if (result != 0)
            return result;
        found = &store[stored_count++];
        *found = (struct stored){ .segment = *segment, .memory = memory_of(*segment) };
        attached_before++;
    }
    memset(found->memory.memory, 0, found->memory.size_bytes);
    found->is_used = true;
    found->is_open = true;
    *segment = found->segment;
    *(size_bytes > WEIR__LANE_RING_OFFSET ? &lane : &page) = found->memory;
    return 0;
}

int __wrap_weir__segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                        const struct weir__segment_making *making,
                                        const struct weir_segment_options *options,
                                        struct weir__rundir *dir)
{
    if (!directory) {
        int result = __real_weir__segment_create_or_open(&directory, ref, making, options, dir);
        if (result < 0)
            return result;
    }
    *segment = directory;
    return 0;
}

void __wrap_weir_segment_close(struct weir_segment *segment)
{
    if (segment && segment == directory)
        return;
    for (size_t i = 0; i < stored_count; i++) {
        if (store[i].segment != segment)
            continue;
        if (!store[i].is_open)
            world_fail("a segment is closed twice");
        store[i].is_open = false;
        return;
    }
    __real_weir_segment_close(segment);
}

static struct world_memory make(size_t size_bytes)
{
    int id = shmget(IPC_PRIVATE, size_bytes, 0600);
    void *memory = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
    if (memory == (void *)-1)
        world_fail("no segment of %zu bytes", size_bytes);
    shmctl(id, IPC_RMID, NULL);
    return (struct world_memory){ memory, size_bytes, id };
}

static void end(void)
{
    for (size_t i = 0; i < stored_count; i++)
        __real_weir_segment_close(store[i].segment);
    __real_weir_segment_close(directory);
}

void world_begin(void)
{
    static const size_t lane_sizes[] = { WEIR__LANE_RING_OFFSET + WORLD_CAPACITY,
                                         WEIR__LANE_RING_OFFSET + 2 * WORLD_CAPACITY,
                                         WEIR__LANE_RING_OFFSET + WORLD_CAPACITY + 8,
                                         WEIR__LANE_RING_OFFSET,
                                         sizeof(struct weir__member_shm) + 1 };
    const size_t page_bytes = (size_t)weir__page_bytes(WORLD_MEMBERS);
    const size_t page_sizes[] = { page_bytes, page_bytes - 8, page_bytes + 8, page_bytes + 4096,
                                  page_bytes + 4104 };
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *first;
    for (size_t i = 0; i < ARRAY_SIZE(false_lanes); i++)
        false_lanes[i] = make(lane_sizes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(false_pages); i++)
        false_pages[i] = make(page_sizes[i]);
    struct world_memory gone = make(64);
    gone_id = gone.id;
    shmdt(gone.memory);
    options.publishers_max = options.subscribers_max = WORLD_MEMBERS;
    /* Opened once, for the identity and the directory. */
    if (weir_subscriber_open(&first, "fuzz", &options) != 0 || weir_identity(&identity) != 0)
        world_fail("no channel can be opened: %s", weir_last_error());
    weir_subscriber_close(first);
    dead_identity = weir__identity_pack(&(struct weir__beacon){ gone_id, 64 });
    attached_before = guard_count();
    atexit(end);
}

void world_reset(void)
{
    static const uint32_t counts[WEIR__ROLES] = { WORLD_MEMBERS, WORLD_MEMBERS };
    struct weir__directory_shm *shm = world_directory();
    memset((void *)shm, 0, weir__directory_bytes(counts));
    shm->magic = WEIR__DIRECTORY_MAGIC;
    memcpy(shm->counts, counts, sizeof counts);
    for (size_t i = 0; i < stored_count; i++)
        store[i].is_used = false;
    for (size_t i = 0; i < ARRAY_SIZE(false_lanes); i++) {
        if (lane_is_used[i])
            memset(false_lanes[i].memory, 0, false_lanes[i].size_bytes);
        lane_is_used[i] = false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(false_pages); i++)
        memset(false_pages[i].memory, 0, false_pages[i].size_bytes);
    lane = page = (struct world_memory){ NULL, 0, -1 };
}

void world_terms(bool is_lossy, const char *type_name, uint32_t type_bytes)
{
    struct weir__directory_shm *shm = world_directory();
    shm->delivery = is_lossy;
    shm->type_bytes = type_bytes;
    memset(shm->type_name, 0, sizeof shm->type_name);
    if (type_name)
        memcpy(shm->type_name, type_name, strlen(type_name));
}

void world_check(void)
{
    for (size_t i = 0; i < stored_count; i++) {
        if (store[i].is_open)
            world_fail("a segment of %zu bytes was not closed", store[i].memory.size_bytes);
    }
    if (guard_count() != attached_before)
        world_fail("%zu segments are attached, %zu were before", guard_count(), attached_before);
}

struct weir__directory_shm *world_directory(void)
{
    return weir_segment_data(directory);
}

struct world_memory world_lane(void)
{
    return lane;
}

struct world_memory world_page(void)
{
    return page;
}

struct world_memory world_false_lane(unsigned number)
{
    number %= ARRAY_SIZE(false_lanes);
    lane_is_used[number] = true;
    return false_lanes[number];
}

struct world_memory world_false_page(unsigned number)
{
    return false_pages[number % ARRAY_SIZE(false_pages)];
}

struct world_memory world_by_id(int id)
{
    for (size_t i = 0; i < stored_count; i++) {
        if (store[i].memory.id == id)
            return store[i].memory;
    }
    for (size_t i = 0; i < ARRAY_SIZE(false_pages); i++) {
        if (false_pages[i].id == id)
            return false_pages[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(false_lanes); i++) { /* with another magic */
        if (false_lanes[i].id == id)
            return false_lanes[i];
    }
    return (struct world_memory){ NULL, 0, -1 };
}

size_t world_longest(const void *data)
{
    size_t size_bytes = guard_size(data);
    return size_bytes > WEIR__LANE_RING_OFFSET
               ? (size_t)weir__record_max(size_bytes - WEIR__LANE_RING_OFFSET)
               : 0;
}

int world_gone_id(void)
{
    return gone_id;
}

uint64_t world_owner(unsigned number)
{
    struct weir__directory_shm *slots = world_directory();
    switch (number % 8) {
    case 0:
        return identity | 6;
    case 1:
        return atomic_load(&slots->slots[0].owner);
    case 2:
        return atomic_load(&slots->slots[WORLD_MEMBERS].owner);
    case 3:
        return dead_identity | 6;
    case 4:
        return identity | 5;
    case 5:
        return identity;
    case 6:
        return UINT64_MAX;
    default:
        return 0;
    }
}

#define WORD(field)                                                                                \
    {                                                                                              \
        &(field), sizeof(field)                                                                    \
    }

static struct world_word word_of_lane(void *memory, unsigned number)
{
    struct weir__lane_shm *at = memory;
    if (!memory)
        return (struct world_word){ NULL, 0 };
    const struct world_word words[WORLD_LANE_WORDS] = {
        WORD(at->member.magic),    WORD(at->member.owner),   WORD(at->member.needs_fence),
        WORD(at->boundary_before), WORD(at->boundary_count), WORD(at->boundary),
        WORD(at->ended),           WORD(at->epoch),          WORD(at->reserved),
        WORD(at->marks[0].before), WORD(at->marks[0].count), WORD(at->marks[0].position),
        WORD(at->evicts),          WORD(at->trust),          WORD(at->trust_uid),
        WORD(at->user_namespace),
    };
    return words[number];
}

struct weir__entry_shm *world_entry(const struct weir__page_shm *of)
{
    uint32_t line = weir__page_epoch_line(WORLD_MEMBERS, 0);
    return (struct weir__entry_shm *)(uintptr_t)weir__page_entry(of, line, 0);
}

static weir__atomic_u32 *epoch_of(const struct weir__page_shm *of)
{
    uint32_t line = weir__page_epoch_line(WORLD_MEMBERS, 0);
    return (weir__atomic_u32 *)(uintptr_t)weir__page_epoch(of, line);
}

static struct world_word word_of_page(void *memory, unsigned number)
{
    struct weir__page_shm *at = memory;
    if (!memory)
        return (struct world_word){ NULL, 0 };
    struct weir__aside_shm *aside =
        (struct weir__aside_shm *)(uintptr_t)weir__page_aside(at, WORLD_MEMBERS, 0);
    struct weir__entry_shm *entry = world_entry(at);
    const struct world_word words[WORLD_PAGE_WORDS] = {
        WORD(at->member.magic),
        WORD(at->member.owner),
        WORD(at->member.needs_fence),
        WORD(entry->cursor),
        WORD(entry->lane),
        WORD(entry->finished),
        WORD(*epoch_of(at)),
        WORD(entry->released),
        WORD(aside->refused),
        WORD(aside->holds),
        WORD(at->places[0].which),
        WORD(at->places[0].owner),
        WORD(at->places[0].bytes),
        WORD(at->stats.version),
        WORD(at->stats.missed),
        WORD(at->stats.messages_base),
    };
    return words[number];
}

struct world_word world_word(unsigned number)
{
    struct weir__directory_shm *at = world_directory();
    const struct world_word words[WORLD_DIRECTORY_WORDS] = {
        WORD(at->counts[0]),
        WORD(at->roles[0].changes),
        WORD(at->counts[1]),
        WORD(at->roles[1].changes),
        WORD(at->slots[0].owner),
        WORD(at->slots[0].page),
        WORD(at->slots[0].doorbell),
        WORD(at->slots[WORLD_MEMBERS].owner),
        WORD(at->slots[WORLD_MEMBERS].page),
        WORD(at->slots[WORLD_MEMBERS].doorbell),
        WORD(at->delivery),
        WORD(at->type_bytes),
        { at->type_name, sizeof(uint64_t) }, /* the first eight bytes of it */
    };
    number %= WORLD_WORDS;
    if (number < WORLD_REAL_LANE)
        return words[number];
    if (number < WORLD_REAL_PAGE)
        return word_of_lane(lane.memory, number - WORLD_REAL_LANE);
    if (number < WORLD_FALSE_LANE)
        return word_of_page(page.memory, number - WORLD_REAL_PAGE);
    if (number < WORLD_FALSE_PAGE)
        return word_of_lane(world_false_lane(0).memory, number - WORLD_FALSE_LANE);
    return word_of_page(false_pages[0].memory, number - WORLD_FALSE_PAGE);
}
