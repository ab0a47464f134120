/* SPDX-License-Identifier: MIT */
#include "sync/owner.h"

int weir__owner_self(uint64_t *self)
{
    *self = weir__self_identity(weir__self());
    return *self != WEIR_IDENTITY_NOBODY ? 0 : weir_identity(self);
}

bool weir__owned_is_dead(const struct weir__owned *owned, uint64_t word)
{
    /* Relaxed [owned.name]: it fits the word, or it is not used. Pairs with weir__owned_name(). */
    uint64_t name = atomic_load_explicit(&owned->name, memory_order_relaxed);
    uint64_t owner = weir__owner(word);
    return weir__identity_name_is_near(name, owner) &&
           weir_life(owner, weir__identity_name_uid(name, owner)) == WEIR_LIFE_DEAD;
}
