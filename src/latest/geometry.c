/* SPDX-License-Identifier: MIT */
#include "latest/geometry.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "base/magic.h"

#define MAX_SHIFT 20
#define BUFFERS_SHIFT 12
#define HOLDS_SHIFT 4
#define FLAGS_MASK UINT64_C(0xf)

/* Up to this size buffers are cheap: so many of them that a reader is not overtaken. */
#define SMALL_BYTES 4096
#define MEDIUM_BYTES (UINT64_C(1) << 20)

static uint32_t default_buffers(uint64_t value_bytes_max, uint32_t holds)
{
    uint32_t more = value_bytes_max <= SMALL_BYTES ? 12 : value_bytes_max <= MEDIUM_BYTES ? 4 : 2;
    return holds + more < WEIR_LATEST_BUFFERS_MAX ? holds + more : WEIR_LATEST_BUFFERS_MAX;
}

static uint64_t pack(uint64_t value_bytes_max, uint32_t buffers, uint32_t holds, uint32_t flags)
{
    return value_bytes_max << MAX_SHIFT | (uint64_t)buffers << BUFFERS_SHIFT |
           (uint64_t)holds << HOLDS_SHIFT | flags;
}

/* Whatever the word says: nothing is checked here. */
static struct weir_latest_options unpack(uint64_t geometry)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    options.value_bytes_max = geometry >> MAX_SHIFT;
    options.buffers = geometry >> BUFFERS_SHIFT & 0xff;
    options.holds = geometry >> HOLDS_SHIFT & 0xff;
    options.flags = geometry & FLAGS_MASK;
    return options;
}

static bool is_possible(const struct weir_latest_options *options)
{
    return options->value_bytes_max >= 1 &&
           options->value_bytes_max <= WEIR_LATEST_VALUE_BYTES_MAX &&
           options->holds <= WEIR_LATEST_HOLDS_MAX && options->buffers >= options->holds + 2 &&
           options->buffers <= WEIR_LATEST_BUFFERS_MAX &&
           (options->flags & ~(uint32_t)WEIR_LATEST_ALWAYS_WAKE) == 0;
}

int weir__latest_check(const struct weir_latest_options *options)
{
    const uint32_t known = WEIR_LATEST_ALWAYS_WAKE | WEIR_LATEST_READ_ONLY | WEIR_LATEST_SET_GID;
    if (options->size != sizeof *options)
        return weir__fail(EINVAL, "options.size is %u: start from WEIR_LATEST_OPTIONS",
                          options->size);
    if (options->flags & ~known)
        return weir__fail(EINVAL, "options: flags 0x%x are not known", options->flags & ~known);
    if (options->reserved[0] || options->reserved[1] || options->reserved[2])
        return weir__fail(EINVAL, "options.reserved must be 0: start from WEIR_LATEST_OPTIONS");
    return 0;
}

int weir__latest_refuse_read_only(void)
{
    return weir__fail(EINVAL, "WEIR_LATEST_READ_ONLY is for weir_latest_open(): who makes a value "
                              "also writes it");
}

int weir__latest_pack(const struct weir_latest_options *from, uint64_t *geometry)
{
    if (!from)
        return weir__fail(EINVAL, "options are NULL: start from WEIR_LATEST_OPTIONS");
    struct weir_latest_options options = *from;
    int result = weir__latest_check(from);
    if (result != 0)
        return result;
    if (options.flags & WEIR_LATEST_READ_ONLY)
        return weir__latest_refuse_read_only();
    options.flags &= WEIR_LATEST_ALWAYS_WAKE; /* the others say how it is named, not what it is */
    if (options.value_bytes_max < 1 || options.value_bytes_max > WEIR_LATEST_VALUE_BYTES_MAX)
        return weir__fail(EINVAL, "value_bytes_max is %llu: 1 to 2^44 - 1",
                          (unsigned long long)options.value_bytes_max);
    if (options.holds > WEIR_LATEST_HOLDS_MAX)
        return weir__fail(EINVAL, "holds is %u: %d at most", options.holds, WEIR_LATEST_HOLDS_MAX);
    if (options.buffers == 0)
        options.buffers = default_buffers(options.value_bytes_max, options.holds);
    if (!is_possible(&options))
        return weir__fail(EINVAL, "buffers is %u with %u holds: holds + 2 at least, %d at most",
                          options.buffers, options.holds, WEIR_LATEST_BUFFERS_MAX);
    *geometry = pack(options.value_bytes_max, options.buffers, options.holds, options.flags);
    return 0;
}

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

static uint64_t head_of(uint64_t value_bytes_max)
{
    return value_bytes_max <= WEIR__LATEST_BESIDE_MAX ? WEIR__LATEST_HEAD_BYTES
                                                      : WEIR__LATEST_HEAD_BYTES_LARGE;
}

static uint64_t stride_of(uint64_t value_bytes_max)
{
    return round_up(head_of(value_bytes_max) + value_bytes_max, WEIR__LATEST_LINE_BYTES);
}

void weir__latest_sizes(uint64_t geometry, struct weir_latest_memory *memory)
{
    struct weir_latest_options options = unpack(geometry);
    memory->values_bytes =
        round_up(WEIR__LATEST_BUFFERS_OFFSET + options.buffers * stride_of(options.value_bytes_max),
                 WEIR__LATEST_PAGE_BYTES);
    memory->readers_bytes = options.holds == 0
                                ? 0
                                : round_up(sizeof(struct weir__latest_readers_shm) +
                                               options.holds * sizeof(struct weir__owned),
                                           WEIR__LATEST_LINE_BYTES);
}

int weir_latest_bytes(const struct weir_latest_options *options, struct weir_latest_memory *memory)
{
    uint64_t geometry;
    int result = weir__latest_pack(options, &geometry);
    if (result == 0)
        weir__latest_sizes(geometry, memory);
    return result;
}

static int check_alignment(const struct weir_latest_memory *memory)
{
    if (!memory->values ||
        ((uintptr_t)memory->values | (uintptr_t)memory->readers) % WEIR__LATEST_LINE_BYTES != 0)
        return weir__fail(EINVAL, "the memory is at %p and %p: multiples of %d are needed",
                          memory->values, memory->readers, WEIR__LATEST_LINE_BYTES);
    return 0;
}

static int check_size(const char *part, uint64_t has_bytes, uint64_t needs_bytes)
{
    if (has_bytes >= needs_bytes)
        return 0;
    return weir__fail(EINVAL, "the memory for %s has %llu bytes, and needs %llu", part,
                      (unsigned long long)has_bytes, (unsigned long long)needs_bytes);
}

static int other_geometry(uint64_t found, uint64_t wanted)
{
    struct weir_latest_options there = unpack(found), here = unpack(wanted);
    return weir__fail(EINVAL,
                      "it has been made for values of %llu bytes, %u buffers, %u holds, flags "
                      "0x%x; asked for: %llu bytes, %u buffers, %u holds, flags 0x%x",
                      (unsigned long long)there.value_bytes_max, there.buffers, there.holds,
                      there.flags, (unsigned long long)here.value_bytes_max, here.buffers,
                      here.holds, here.flags);
}

static int foreign(void)
{
    return weir__fail(EPROTO, "the memory was not zero: something else is in it");
}

static int other_layout(uint64_t found, uint64_t ours)
{
    return weir__fail(EPROTONOSUPPORT,
                      "it has layout %d, this weir knows %d: use one version on both sides",
                      weir__magic_layout(found), weir__magic_layout(ours));
}

static int compare_geometry(uint64_t found, uint64_t geometry)
{
    struct weir_latest_options there = unpack(found);
    if (found == geometry)
        return 0;
    return is_possible(&there) ? other_geometry(found, geometry) : foreign();
}

/* Whether a part can be made ready with this geometry, or was. */
static int look(const struct weir__latest_ready_shm *ready, uint64_t magic, uint64_t geometry)
{
    /* Acquire [latest.ready]. Pairs with make_ready(). */
    uint64_t has = atomic_load_explicit(&ready->magic, memory_order_acquire);
    /* Relaxed: the word carries nothing but itself. */
    uint64_t found = atomic_load_explicit(&ready->geometry, memory_order_relaxed);
    if (weir__magic_is_other_layout(has, magic))
        return other_layout(has, magic);
    if (has != 0 && has != magic)
        return foreign();
    return found == 0 ? 0 : compare_geometry(found, geometry);
}

/* Of several who come at once, with other geometries each, one has its own set. */
static int agree(struct weir__latest_ready_shm *ready, uint64_t magic, uint64_t geometry)
{
    uint64_t found = 0;
    int result = look(ready, magic, geometry);
    /* Relaxed: the word carries nothing but itself. */
    if (result == 0 &&
        !atomic_compare_exchange_strong_explicit(&ready->geometry, &found, geometry,
                                                 memory_order_relaxed, memory_order_relaxed))
        result = compare_geometry(found, geometry);
    return result;
}

int weir__latest_compare(const struct weir_latest_memory *memory, uint64_t wanted)
{
    const struct weir__latest_ready_shm *ready = memory->values;
    if (memory->values_bytes < sizeof *ready)
        return 0;
    /* Acquire [latest.ready]: the geometry. Pairs with make_ready(). */
    uint64_t magic = atomic_load_explicit(&ready->magic, memory_order_acquire);
    uint64_t found = atomic_load_explicit(&ready->geometry, memory_order_relaxed);
    struct weir_latest_options there = unpack(found);
    if (weir__magic_is_other_layout(magic, WEIR__LATEST_VALUES_MAGIC))
        return other_layout(magic, WEIR__LATEST_VALUES_MAGIC);
    return magic == WEIR__LATEST_VALUES_MAGIC && is_possible(&there) && found != wanted
               ? other_geometry(found, wanted)
               : 0;
}

static int make_ready(struct weir__latest_ready_shm *ready, uint64_t magic, uint64_t geometry)
{
    int result = agree(ready, magic, geometry);
    if (result != 0)
        return result;
    /* CRASH latest.geometry */
    /* Release [latest.ready]: the geometry before the magic; all who come here store the same.
     * Pairs with load_geometry(). */
    atomic_store_explicit(&ready->magic, magic, memory_order_release);
    return 0;
}

int weir_latest_init(const struct weir_latest_memory *memory,
                     const struct weir_latest_options *options)
{
    uint64_t geometry;
    struct weir_latest_memory needs = { .values = NULL };
    struct weir__latest_values_shm *values = memory->values;
    struct weir__latest_readers_shm *readers = memory->readers;
    int result = weir__latest_pack(options, &geometry);
    if (result == 0)
        result = check_alignment(memory);
    if (result != 0)
        return result;
    weir__latest_sizes(geometry, &needs);
    result = check_size("values", memory->values_bytes, needs.values_bytes);
    if (result == 0)
        result = check_size("readers", readers ? memory->readers_bytes : 0, needs.readers_bytes);
    /* What is refused is left as it was. */
    if (result == 0)
        result = look(&values->ready, WEIR__LATEST_VALUES_MAGIC, geometry);
    if (result == 0 && needs.readers_bytes > 0)
        result = look(&readers->ready, WEIR__LATEST_READERS_MAGIC, geometry);
    /* Whose geometry it is, before anything is written elsewhere. */
    if (result == 0)
        result = agree(&values->ready, WEIR__LATEST_VALUES_MAGIC, geometry);
    /* The readers' part first: who finds the values ready may look for it. */
    if (result == 0 && needs.readers_bytes > 0)
        result = make_ready(&readers->ready, WEIR__LATEST_READERS_MAGIC, geometry);
    if (result == 0)
        result = make_ready(&values->ready, WEIR__LATEST_VALUES_MAGIC, geometry);
    return result;
}

/* The geometry that stands in front of a part. Loaded once. */
static int load_geometry(const struct weir__latest_ready_shm *ready, uint64_t magic,
                         uint64_t *geometry)
{
    /* Acquire [latest.ready]: the geometry. Pairs with make_ready(). */
    uint64_t has = atomic_load_explicit(&ready->magic, memory_order_acquire);
    *geometry = atomic_load_explicit(&ready->geometry, memory_order_relaxed);
    if (has == 0)
        return weir__fail_plain(EAGAIN,
                                "the memory is not made ready yet: weir_latest_init() does");
    if (weir__magic_is_other_layout(has, magic))
        return other_layout(has, magic);
    if (has != magic)
        return weir__fail(EPROTO, "the memory holds something else than a latest value");
    struct weir_latest_options options = unpack(*geometry);
    if (!is_possible(&options))
        return weir__fail(EUCLEAN, "the geometry 0x%llx cannot be true",
                          (unsigned long long)*geometry);
    return 0;
}

static int attach_readers(struct weir__latest *latest, const struct weir_latest_memory *memory,
                          uint64_t needs_bytes)
{
    uint64_t geometry;
    struct weir__latest_readers_shm *readers = memory->readers;
    int result = check_size("readers", memory->readers_bytes, needs_bytes);
    if (result == 0)
        result = load_geometry(&readers->ready, WEIR__LATEST_READERS_MAGIC, &geometry);
    if (result != 0)
        return result;
    if (geometry != latest->geometry)
        return weir__fail(EINVAL, "the readers' part belongs to other values");
    latest->readers = readers;
    return 0;
}

int weir__latest_attach(struct weir__latest *latest, const struct weir_latest_memory *memory,
                        bool is_writer)
{
    struct weir_latest_memory needs;
    struct weir__latest_values_shm *values = memory->values;
    int result = check_alignment(memory);
    if (result == 0)
        result = check_size("values", memory->values_bytes, WEIR__LATEST_BUFFERS_OFFSET);
    if (result == 0)
        result = load_geometry(&values->ready, WEIR__LATEST_VALUES_MAGIC, &latest->geometry);
    if (result != 0)
        return result;
    struct weir_latest_options options = unpack(latest->geometry);
    weir__latest_sizes(latest->geometry, &needs);
    result = check_size("values", memory->values_bytes, needs.values_bytes);
    if (result != 0)
        return result;
    latest->values = values;
    latest->readers = NULL;
    latest->buffers = (unsigned char *)memory->values + WEIR__LATEST_BUFFERS_OFFSET;
    latest->stride_bytes = stride_of(options.value_bytes_max);
    latest->head_bytes = head_of(options.value_bytes_max);
    latest->max_bytes = options.value_bytes_max;
    latest->hot_max_bytes = options.value_bytes_max < WEIR__LATEST_HOT_MAX ? options.value_bytes_max
                                                                           : WEIR__LATEST_HOT_MAX;
    latest->buffer_count = options.buffers;
    latest->flags = options.flags;
    if (memory->readers && needs.readers_bytes > 0)
        result = attach_readers(latest, memory, needs.readers_bytes);
    else if (is_writer && needs.readers_bytes > 0)
        result = weir__fail(EINVAL, "a writer needs the readers' part, where its %u holds stand",
                            options.holds);
    latest->holds = latest->readers ? options.holds : 0;
    return result;
}
