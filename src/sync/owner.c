/* SPDX-License-Identifier: MIT */
#include "sync/owner.h"

int weir__owner_self(uint64_t *self)
{
    *self = weir__self_identity(weir__self());
    return *self != WEIR_IDENTITY_NOBODY ? 0 : weir_identity(self);
}

static uint64_t load_name(const struct weir__owned *owned)
{
    /* Acquire [owned.name]: it fits the word, or it is not used; and before the next look at the
     * word. Pairs with weir__owned_name(). */
    return atomic_load_explicit(&owned->name, memory_order_acquire);
}

bool weir__owned_is_named(const struct weir__owned *owned, uint64_t word)
{
    return weir__identity_name_fits(load_name(owned), weir__owner(word));
}

/* The first question may have made our identity: how we see uids is known from then on. */
static bool is_gone(uint64_t owner, uint64_t name)
{
    uint64_t asked, maker = weir__identity_name_maker(name, owner);
    do {
        asked = maker;
        if (weir__life(owner, asked) != WEIR_LIFE_DEAD)
            return false;
        maker = weir__identity_name_maker(name, owner);
    } while (maker != asked);
    return true;
}

bool weir__owned_is_dead(const struct weir__owned *owned, uint64_t word)
{
    uint64_t name = load_name(owned), owner = weir__owner(word);
    /* In this order: who asks for the first time has no identity, and no namespace that it could
     * compare; "dead" is said only when it has. */
    if (!is_gone(owner, name) || !weir__identity_name_is_near(name, owner))
        return false;
    /* Acquire, so that the name is read after it: the same owner still, and then the same name. */
    uint64_t now = atomic_load_explicit(&owned->word, memory_order_acquire);
    return weir__owner(now) == owner && load_name(owned) == name;
}
