/* SPDX-License-Identifier: MIT */
#include "alloc/intent.h"

#include <errno.h>
#include <stddef.h>

#include "base/error.h"

int weir__intent_lock(struct weir__intent *intent)
{
    int result = weir_mutex_lock(&intent->mutex);
    if (result != WEIR_OWNER_DIED)
        return result;
    /* CRASH intent.inherited: the next one is told as well, and needs it no more than we. */
    weir_mutex_consistent(&intent->mutex);
    return 0;
}

void weir__intend(struct weir__intent *intent, uint64_t act, uint64_t place, uint64_t block)
{
    weir__set_word(&intent->place, place);
    weir__set_word(&intent->block, block);
    /* CRASH intent.unsaid: act is 0: nothing was begun. */
    weir__set_word(&intent->act, act);
}

void weir__intent_done(struct weir__intent *intent)
{
    weir__step();
    weir__set_word(&intent->act, 0);
}

/* Offset 0 is a good place, though no pointer can say so. */
weir__atomic_u64 *weir__place_at(struct weir_space space, uint64_t offset)
{
    uintptr_t at = (uintptr_t)space.base + (uintptr_t)offset;
    bool fits = offset <= space.size_bytes && sizeof(uint64_t) <= space.size_bytes - offset;
    return fits && at % _Alignof(weir__atomic_u64) == 0 ? (weir__atomic_u64 *)at : NULL;
}

int weir__place_unseen(struct weir_space space, uint64_t offset, const char *what)
{
    return weir__fail(EUCLEAN,
                      "a process died in a call on the %s with a place at offset %llu, and this "
                      "space has %llu bytes: one that has it must call weir_%s_recover() first",
                      what, (unsigned long long)offset, (unsigned long long)space.size_bytes, what);
}

int weir__place_check(struct weir_space space, const uint64_t *place, uint64_t *offset)
{
    *offset = (uintptr_t)place - (uintptr_t)space.base; /* of one in front of it: far too large */
    if (space.base && weir__place_at(space, *offset))
        return 0;
    return weir__fail(EINVAL,
                      "place %p: it must be 8 bytes in the space of %llu bytes at %p, aligned "
                      "to 8",
                      (const void *)place, (unsigned long long)space.size_bytes, space.base);
}

int weir__area_find(struct weir_space space, uint64_t offset, uint64_t head_bytes, const char *what,
                    void **area)
{
    /* Offset 0 is a good place for it, though no pointer can say so. */
    bool fits = offset <= space.size_bytes && head_bytes <= space.size_bytes - offset;
    *area = (void *)((uintptr_t)space.base + (uintptr_t)offset);
    if (space.base && fits && (uintptr_t)*area % 64 == 0)
        return 0;
    return weir__fail(
        EINVAL, "%s at offset %llu of %llu bytes at %p: it must be aligned to 64, and fit", what,
        (unsigned long long)offset, (unsigned long long)space.size_bytes, space.base);
}
