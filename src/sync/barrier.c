/* SPDX-License-Identifier: MIT */
#include "sync/barrier.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "sync/await.h"
#include "sync/geometry.h"

#define ROUND_SHIFT 32
#define CHANGE (WEIR_IDENTITY_SESSION_MAX + 1)
#define CHANGES_MASK (UINT64_C(0xffffffff) & ~WEIR_IDENTITY_SESSION_MAX)

_Static_assert(WEIR_BARRIER_PARTIES_MAX <= WEIR_IDENTITY_SESSION_MAX, "fits beside the changes");

static const struct weir__geometry kind = {
    .name = WEIR__GEOMETRY_BARRIER,
    .count_max = WEIR_BARRIER_PARTIES_MAX,
    .noun = "barrier",
    .places = "parties",
    .head_bytes = sizeof(struct weir__barrier_shm),
    .place_bytes = sizeof(struct weir__barrier_place),
};

static inline struct weir__barrier *handle_of(const struct weir_barrier *barrier)
{
    return (struct weir__barrier *)(uintptr_t)barrier;
}

static inline bool is_closed(const struct weir_barrier *barrier)
{
    return !barrier || !handle_of(barrier)->shm;
}

static int closed(void)
{
    return weir__fail_plain(EINVAL, "no handle of a barrier: see weir_barrier_open()");
}

uint64_t weir_barrier_bytes(uint32_t parties)
{
    return weir__geometry_bytes(&kind, parties);
}

int weir_barrier_init(void *memory, uint64_t bytes, uint32_t parties)
{
    return weir__geometry_init(&kind, memory, bytes, parties);
}

int weir_barrier_open(struct weir_barrier *barrier, void *memory, uint64_t bytes)
{
    uint32_t parties;
    if (!barrier)
        return closed();
    int result = weir__geometry_open(&kind, memory, bytes, &parties);
    if (result != 0)
        return result;
    memset(barrier, 0, sizeof *barrier);
    handle_of(barrier)->shm = memory;
    handle_of(barrier)->parties = parties;
    return 0;
}

/* --- words ---------------------------------------------------------------------------------- */

static inline uint32_t round_of(uint64_t word)
{
    return (uint32_t)(word >> ROUND_SHIFT);
}

static inline uint64_t load_round(struct weir__barrier_shm *shm)
{
    /* Sequentially consistent [barrier.round]: a joiner's change, then the places; and what all wrote
     * before they arrived. Pairs with end_round(), and with change(). */
    return atomic_load(&shm->round);
}

static inline uint64_t load_place(const struct weir__owned *owned)
{
    /* Sequentially consistent [barrier.place]: our arrival, then this look; and what it wrote before it
     * arrived. Pairs with move(). */
    return atomic_load(&owned->word);
}

static inline bool move(struct weir__owned *owned, uint64_t from, uint64_t to)
{
    /* Sequentially consistent [barrier.place]: what was written before it, then the looks of all who
     * come after it. Pairs with load_place(). */
    return atomic_compare_exchange_strong(&owned->word, &from, to);
}

static inline bool has_arrived(uint64_t word, uint32_t round)
{
    return weir__owner(word) != WEIR_IDENTITY_NOBODY &&
           (word & WEIR_IDENTITY_SESSION_MAX) == (round & WEIR_IDENTITY_SESSION_MAX);
}

/* That the places have changed: whoever has looked at them before ends no round. What it was then. */
static uint64_t change(struct weir__barrier_shm *shm)
{
    uint64_t to, word = load_round(shm);
    do {
        to = (word & ~CHANGES_MASK) | ((word + CHANGE) & CHANGES_MASK);
        /* Sequentially consistent [barrier.round]: the place, then the change. Pairs with
         * end_round(). */
    } while (!atomic_compare_exchange_weak(&shm->round, &word, to));
    return to;
}

/* The places are as they must be for the end of the round in word, which was read before them. */
static bool is_complete(const struct weir__barrier *handle, uint64_t word, uint32_t *missing)
{
    *missing = 0;
    for (uint32_t i = 0; i < handle->parties; i++) {
        uint64_t place = load_place(&handle->shm->place[i].owned);
        if (place == WEIR__BARRIER_GONE)
            ++*missing;
        else if (place != WEIR__BARRIER_LEFT && !has_arrived(place, round_of(word)))
            return false;
    }
    return true;
}

static void end_round(const struct weir__barrier *handle)
{
    uint32_t missing;
    uint64_t word = load_round(handle->shm);
    if (!is_complete(handle, word, &missing))
        return;
    uint64_t to = (uint64_t)(round_of(word) + 1) << ROUND_SHIFT | (word & CHANGES_MASK) | missing;
    /* Sequentially consistent [barrier.round]: what all wrote before they arrived, for who waits.
     * Fails when somebody has joined or withdrawn since. Pairs with load_round(). */
    if (!atomic_compare_exchange_strong(&handle->shm->round, &word, to))
        return;
    /* CRASH barrier.unwoken */
    if (weir__event_is_waited(&handle->shm->ended))
        weir__event_wake_all(&handle->shm->ended);
}

/* Those who have not arrived, and are dead: GONE. A few system calls for each. */
static void find_gone(const struct weir__barrier *handle, uint32_t round, uint64_t self)
{
    for (uint32_t i = 0; i < handle->parties; i++) {
        struct weir__owned *owned = &handle->shm->place[i].owned;
        uint64_t word = load_place(owned), owner = weir__owner(word);
        if (owner == WEIR_IDENTITY_NOBODY || owner == self || has_arrived(word, round) ||
            !weir__owned_is_dead(owned, word))
            continue;
        if (round_of(load_round(handle->shm)) != round)
            return; /* ended meanwhile, and this one may have arrived at the next */
        move(owned, word, WEIR__BARRIER_GONE);
        /* CRASH barrier.gone */
    }
}

/* --- joining and leaving -------------------------------------------------------------------- */

/* Whether the place may be taken, and what to say of it. */
static bool is_vacant(struct weir__owned *owned, uint64_t word, bool asks, int *result)
{
    *result = word == WEIR__BARRIER_GONE ? WEIR_OWNER_DIED : 0;
    if (weir__owner(word) == WEIR_IDENTITY_NOBODY)
        return asks || word == WEIR__BARRIER_EMPTY;
    if (!asks || !weir__owned_is_dead(owned, word))
        return false;
    *result = WEIR_OWNER_DIED;
    return true;
}

/* Of a party that has not arrived at the round in word. */
static inline uint64_t not_arrived(uint64_t self, uint64_t word)
{
    return weir__owner(self) | ((round_of(word) - UINT64_C(1)) & WEIR_IDENTITY_SESSION_MAX);
}

static bool take_place(const struct weir__barrier *handle, uint64_t self, bool asks,
                       uint32_t *party, int *result)
{
    for (uint32_t i = 0; i < handle->parties; i++) {
        struct weir__owned *owned = &handle->shm->place[i].owned;
        uint64_t word = load_place(owned);
        uint64_t mine = not_arrived(self, load_round(handle->shm));
        if (!is_vacant(owned, word, asks, result) || !move(owned, word, mine))
            continue;
        /* CRASH barrier.joining */
        weir__owned_name(owned);
        *party = i;
        uint64_t now = not_arrived(self, change(handle->shm));
        if (now != mine && move(owned, mine, now))
            change(
                handle->shm); /* rounds went by before we stood there; mine may have come round */
        return true;
    }
    return false;
}

/* 0: one place is nobody's. */
static uint64_t sum_owners(const struct weir__barrier *handle)
{
    uint64_t sum = 1;
    for (uint32_t i = 0; i < handle->parties; i++) {
        uint64_t word = load_place(&handle->shm->place[i].owned);
        if (weir__owner(word) == WEIR_IDENTITY_NOBODY)
            return 0;
        sum = weir__owners_sum(sum, word);
    }
    return sum;
}

int weir_barrier_join(struct weir_barrier *barrier, uint32_t *party)
{
    uint64_t self, before, owners = 0;
    int news;
    if (is_closed(barrier))
        return closed();
    if (!party)
        return weir__fail_plain(EINVAL, "no place for the party's number");
    const struct weir__barrier *handle = handle_of(barrier);
    int result = weir__owner_self(&self);
    if (result != 0)
        return result;
    for (int look = 0; look < WEIR__OWNERS_LOOKS; look++) {
        if (take_place(handle, self, false, party, &news) ||
            take_place(handle, self, true, party, &news))
            return news;
        before = owners;
        owners = sum_owners(handle);
        if (owners != 0 && owners == before)
            break;
    }
    return weir__fail(ENOSPC,
                      "the barrier has %u parties, and all of them live: make it with more, or "
                      "wait until one has left",
                      handle->parties);
}

static int find_party(const struct weir_barrier *barrier, uint32_t party, uint64_t *word)
{
    if (is_closed(barrier))
        return closed();
    const struct weir__barrier *handle = handle_of(barrier);
    if (party >= handle->parties)
        return weir__fail(EINVAL, "party %u: there are %u, from 0", party, handle->parties);
    uint64_t self = weir__self_identity(weir__self());
    *word = load_place(&handle->shm->place[party].owned);
    if (self == WEIR_IDENTITY_NOBODY || weir__owner(*word) != self)
        return weir__fail(EPERM, "this process is not party %u of the barrier", party);
    return 0;
}

int weir_barrier_leave(struct weir_barrier *barrier, uint32_t party)
{
    uint64_t word;
    int result = find_party(barrier, party, &word);
    if (result != 0)
        return result;
    struct weir__barrier_shm *shm = handle_of(barrier)->shm;
    if (!move(&shm->place[party].owned, word, WEIR__BARRIER_LEFT))
        return weir__fail_plain(EBUSY, "another thread of this process moves the same party");
    if (weir__event_is_waited(&shm->ended))
        weir__event_wake_all(&shm->ended); /* the others may be complete */
    return 0;
}

/* --- waiting -------------------------------------------------------------------------------- */

/* What the word says to one that has arrived at round: WEIR__NOT_YET while it is under way. */
static int result_of(uint64_t word, uint32_t round)
{
    uint32_t now = round_of(word);
    if (now == round)
        return WEIR__NOT_YET;
    if (now == round + 1)
        return (int)(word & WEIR_IDENTITY_SESSION_MAX);
    return weir__fail(EUCLEAN, "the barrier went from round %u to %u, and we were not asked", round,
                      now);
}

struct waiter {
    const struct weir__barrier *handle;
    uint32_t round;
    uint64_t self;
};

/* The others' arrivals cost a look at each place, a line of the cache: the end of the round, one. */
static int glance(void *waiter)
{
    const struct waiter *our = waiter;
    return result_of(load_round(our->handle->shm), our->round);
}

static int look(void *waiter)
{
    const struct waiter *our = waiter;
    end_round(our->handle);
    return glance(waiter);
}

static int ask(void *waiter)
{
    const struct waiter *our = waiter;
    find_gone(our->handle, our->round, our->self);
    return look(waiter);
}

/* The deadline is over: the round has ended with us, or we have not arrived. */
static int withdraw(const struct weir__barrier *handle, struct weir__owned *owned, uint64_t arrived,
                    uint32_t round, int64_t deadline_ns)
{
    move(owned, arrived, not_arrived(arrived, (uint64_t)round << ROUND_SHIFT));
    /* CRASH barrier.withdrawing */
    int result = result_of(change(handle->shm), round);
    if (result != WEIR__NOT_YET)
        return result;
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "not all parties of the barrier have arrived");
    return weir__fail_plain(ETIMEDOUT,
                            "not all parties of the barrier had arrived by the deadline");
}

int weir_barrier_wait_until(struct weir_barrier *barrier, uint32_t party, int64_t deadline_ns)
{
    uint64_t word;
    int result = find_party(barrier, party, &word);
    if (result != 0)
        return result;
    const struct weir__barrier *handle = handle_of(barrier);
    struct weir__owned *owned = &handle->shm->place[party].owned;
    uint64_t self = weir__owner(word);
    uint32_t round = round_of(load_round(handle->shm));
    uint64_t arrived = self | (round & WEIR_IDENTITY_SESSION_MAX);
    if (has_arrived(word, round) || !move(owned, word, arrived))
        return weir__fail(EBUSY, "another thread of this process waits as party %u", party);
    /* CRASH barrier.arrived */
    static const struct weir__await how = { look, glance, ask, .ends_by_signal = false };
    struct waiter our = { handle, round, self };
    result = weir__await(&how, &our, &handle->shm->ended, deadline_ns);
    return result == WEIR__NOT_YET ? withdraw(handle, owned, arrived, round, deadline_ns) : result;
}

int weir_barrier_wait(struct weir_barrier *barrier, uint32_t party)
{
    return weir_barrier_wait_until(barrier, party, WEIR_NEVER);
}

uint64_t weir_barrier_owner(const struct weir_barrier *barrier, uint32_t party)
{
    if (is_closed(barrier) || party >= handle_of(barrier)->parties)
        return WEIR_IDENTITY_NOBODY;
    return weir__owner(load_place(&handle_of(barrier)->shm->place[party].owned));
}
