/* SPDX-License-Identifier: MIT */
/* What a peer does with permits, and what it must find there. */
#include "act.h"

#include <errno.h>
#include <unistd.h>

static struct weir_permits handle;
static bool is_open;
static uint32_t mine[PLACES];
static unsigned mine_count;

static int make_and_open(void)
{
    unsigned char *memory = accounts->permits.memory;
    if (is_open)
        return 0;
    int result = weir_permits_init(memory, PLACES_BYTES, PLACES);
    if (result == 0)
        result = weir_permits_open(&handle, memory, PLACES_BYTES);
    is_open = result == 0;
    return result;
}

/* It is ours: nobody else says the same, or his death was told. */
static int check_mine(int result, uint32_t index)
{
    if (index >= PLACES || mine_count == PLACES)
        return peer_broken("permit %u, with %u in hand", index, mine_count);
    int holder = atomic_load(&accounts->permits.holder[index]);
    if (result == 0 && holder != 0)
        return peer_broken("permit %u, and process %d holds it", index, holder);
    if (holder == getpid())
        return peer_broken("permit %u twice", index);
    accounts->permits.holder[index] = getpid();
    mine[mine_count++] = index;
    return result;
}

static int take_permit(const struct order *order)
{
    uint32_t index = UINT32_MAX;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_permits_take_until(&handle, &index, deadline_ns);
    peer_leave(order);
    return peer_timed(order, before_ns, result >= 0 ? check_mine(result, index) : result);
}

/* The one taken last first. */
static int give_back(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && mine_count > 0 && result == 0; i++) {
        uint32_t index = mine[--mine_count];
        peer_enter(order);
        accounts->permits.holder[index] = 0;
        result = weir_permits_release(&handle, index);
        peer_leave(order);
    }
    return result;
}

static int count_permits(const struct order *order)
{
    peer_enter(order);
    int result = weir_permits_value(&handle);
    peer_leave(order);
    return result;
}

act *const permits_acts[VERBS] = { PERMITS_VERBS(VERB_ACT) };
