/* SPDX-License-Identifier: MIT */
/* What a peer does with a barrier, and what it must find there. */
#include "act.h"

#include <errno.h>

static struct weir_barrier handle;
static bool is_open;
static uint32_t party;

static int make_and_open(void)
{
    unsigned char *memory = accounts->barrier.memory;
    if (is_open)
        return 0;
    int result = weir_barrier_init(memory, PLACES_BYTES, PLACES);
    if (result == 0)
        result = weir_barrier_open(&handle, memory, PLACES_BYTES);
    is_open = result == 0;
    return result;
}

static int join(const struct order *order)
{
    struct barrier_state *state = &accounts->barrier;
    peer_enter(order);
    state->came[peer_self] = state->ended;
    state->membership[peer_self] = MAYBE;
    int result = make_and_open();
    if (result == 0)
        result = weir_barrier_join(&handle, &party);
    state->membership[peer_self] = result >= 0 ? PARTY : OUTSIDE;
    peer_leave(order);
    return result;
}

/*
 * The round is over: all that were parties for certain before we came to it have come to it. Who
 * has joined since may have joined the next one: the round may end before any of us hears of it.
 */
static int check_all_came(int result, unsigned number, const bool *were_parties)
{
    const struct barrier_state *state = &accounts->barrier;
    for (unsigned who = 0; who < PEERS; who++)
        if (were_parties[who] && state->membership[who] == PARTY && state->came[who] < number)
            return peer_broken("round %u is over, and peer %u has come to %u only", number, who,
                               state->came[who]);
    return result;
}

static int meet(const struct order *order)
{
    struct barrier_state *state = &accounts->barrier;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    bool were_parties[PEERS];
    for (unsigned who = 0; who < PEERS; who++)
        were_parties[who] = state->membership[who] == PARTY;
    peer_enter(order);
    state->came[peer_self] = order->count;
    int result = weir_barrier_wait_until(&handle, party, deadline_ns);
    if (result < 0)
        state->came[peer_self] = order->count - 1;
    peer_leave(order);
    return peer_timed(order, before_ns,
                      result < 0 ? result : check_all_came(result, order->count, were_parties));
}

static int leave(const struct order *order)
{
    struct barrier_state *state = &accounts->barrier;
    if (state->membership[peer_self] == OUTSIDE)
        return 0;
    peer_enter(order);
    state->membership[peer_self] = MAYBE;
    int result = weir_barrier_leave(&handle, party);
    state->membership[peer_self] = OUTSIDE;
    peer_leave(order);
    return result;
}

act *const barrier_acts[VERBS] = { BARRIER_VERBS(VERB_ACT) };
