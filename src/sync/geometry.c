/* SPDX-License-Identifier: MIT */
#include "sync/geometry.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error.h"

#define LAYOUT_SHIFT 32
#define NAME_SHIFT 40

uint64_t weir__geometry_bytes(const struct weir__geometry *kind, uint32_t count)
{
    if (count == 0 || count > kind->count_max)
        return 0;
    uint64_t bytes = kind->head_bytes + count * kind->place_bytes;
    uint64_t rest = bytes % WEIR__GEOMETRY_ALIGNMENT;
    return rest == 0 ? bytes : bytes + WEIR__GEOMETRY_ALIGNMENT - rest;
}

static int check_place(const struct weir__geometry *kind, const void *memory, uint64_t bytes)
{
    if (!memory || (uintptr_t)memory % WEIR__GEOMETRY_ALIGNMENT != 0)
        return weir__fail(EINVAL, "memory %p of a %s: it must be there, and aligned to 64 bytes",
                          memory, kind->noun);
    if (bytes < weir__geometry_bytes(kind, 1))
        return weir__fail(EINVAL, "%" PRIu64 " bytes are too few for any %s", bytes, kind->noun);
    return 0;
}

/* What stands there; 0 in *count: nothing yet. */
static int read_count(const struct weir__geometry *kind, uint64_t word, uint32_t *count)
{
    *count = 0;
    if (word == 0)
        return 0;
    if (word >> NAME_SHIFT != kind->name)
        return weir__fail(EPROTO, "this is no %s: it begins with 0x%016" PRIx64, kind->noun, word);
    uint32_t layout = word >> LAYOUT_SHIFT & 0xff;
    if (layout != WEIR__GEOMETRY_LAYOUT)
        return weir__fail(EPROTONOSUPPORT, "a %s of layout %u: this is a weir for layout %d",
                          kind->noun, layout, WEIR__GEOMETRY_LAYOUT);
    *count = (uint32_t)word;
    if (*count == 0 || *count > kind->count_max)
        return weir__fail(EUCLEAN, "a %s with %u %s cannot be: 1 to %u", kind->noun, *count,
                          kind->places, kind->count_max);
    return 0;
}

int weir__geometry_init(const struct weir__geometry *kind, void *memory, uint64_t bytes,
                        uint32_t count)
{
    uint64_t needed = weir__geometry_bytes(kind, count);
    uint32_t there;
    if (needed == 0)
        return weir__fail(EINVAL, "a %s with %u %s: 1 to %u", kind->noun, count, kind->places,
                          kind->count_max);
    int result = check_place(kind, memory, bytes);
    if (result != 0)
        return result;
    if (bytes < needed)
        return weir__fail(EINVAL, "%" PRIu64 " bytes for a %s with %u %s: it takes %" PRIu64, bytes,
                          kind->noun, count, kind->places, needed);
    uint64_t word = 0;
    uint64_t made = (uint64_t)kind->name << NAME_SHIFT |
                    (uint64_t)WEIR__GEOMETRY_LAYOUT << LAYOUT_SHIFT | count;
    /* Relaxed [geometry.word]: all else is 0, before as after. Pairs with weir__geometry_open(). */
    if (atomic_compare_exchange_strong_explicit((weir__atomic_u64 *)memory, &word, made,
                                                memory_order_relaxed, memory_order_relaxed))
        return 0;
    result = read_count(kind, word, &there);
    if (result == 0 && there != count)
        return weir__fail(EINVAL, "the %s is there already, with %u %s and not %u", kind->noun,
                          there, kind->places, count);
    return result;
}

int weir__geometry_open(const struct weir__geometry *kind, void *memory, uint64_t bytes,
                        uint32_t *count)
{
    int result = check_place(kind, memory, bytes);
    if (result != 0)
        return result;
    /* Relaxed [geometry.word]: nothing else was written with it. Pairs with weir__geometry_init(). */
    uint64_t word = atomic_load_explicit((weir__atomic_u64 *)memory, memory_order_relaxed);
    result = read_count(kind, word, count);
    if (result != 0)
        return result;
    if (*count == 0)
        return weir__fail(ENOENT, "there is no %s yet: nobody has initialised it", kind->noun);
    uint64_t needed = weir__geometry_bytes(kind, *count);
    if (bytes < needed)
        return weir__fail(EINVAL, "%" PRIu64 " bytes: the %s there has %u %s and takes %" PRIu64,
                          bytes, kind->noun, *count, kind->places, needed);
    return 0;
}
