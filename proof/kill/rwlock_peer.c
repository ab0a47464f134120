/* SPDX-License-Identifier: MIT */
/* What a peer does with a read-write lock, and what it must find there. */
#include "act.h"

#include <errno.h>
#include <unistd.h>

static struct weir_rwlock handle;
static bool is_open, is_writer, is_heir;

static int make_and_open(void)
{
    unsigned char *memory = accounts->rwlock.memory;
    if (is_open)
        return 0;
    int result = weir_rwlock_init(memory, PLACES_BYTES, PLACES);
    if (result == 0)
        result = weir_rwlock_open(&handle, memory, PLACES_BYTES);
    is_open = result == 0;
    return result;
}

/* It reads or writes: nobody says that he writes, and what is guarded is whole. */
static int check_whole(int result)
{
    const struct rwlock_state *state = &accounts->rwlock;
    if (state->writer != 0)
        return peer_broken("locked, and process %d writes", state->writer);
    if (state->first != state->second)
        return peer_broken("locked, and what it guards is torn");
    return result;
}

static int read_lock(const struct order *order)
{
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_rwlock_read_lock_until(&handle, deadline_ns);
    if (result == 0)
        accounts->rwlock.reading[peer_self]++;
    peer_leave(order);
    return peer_timed(order, before_ns, result == 0 ? check_whole(result) : result);
}

static int read_unlock(const struct order *order)
{
    if (accounts->rwlock.reading[peer_self] == 0)
        return 0;
    peer_enter(order);
    accounts->rwlock.reading[peer_self]--;
    int result = weir_rwlock_read_unlock(&handle);
    peer_leave(order);
    return result;
}

/* It writes: nobody reads; a death was told, or all is whole. */
static int check_alone(int result)
{
    struct rwlock_state *state = &accounts->rwlock;
    if (result < 0)
        return result;
    for (unsigned who = 0; who < PEERS; who++)
        if (state->reading[who] != 0)
            return peer_broken("locked for writing, and peer %u reads", who);
    if (result == 0 && check_whole(0) != 0)
        return BROKEN;
    state->writer = getpid();
    is_writer = true;
    is_heir = result == WEIR_OWNER_DIED;
    return result;
}

static int write_lock(const struct order *order)
{
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_rwlock_write_lock_until(&handle, deadline_ns);
    peer_leave(order);
    return peer_timed(order, before_ns, check_alone(result));
}

/* It changes what it guards, in two steps. */
static void write_it(struct rwlock_state *state)
{
    state->first++;
    __asm__ volatile("" ::: "memory"); /* a place to be killed at */
    state->second++;
    state->writer = 0;
}

static int write_unlock(const struct order *order)
{
    if (!is_writer)
        return 0;
    is_writer = is_heir = false;
    peer_enter(order);
    write_it(&accounts->rwlock);
    int result = weir_rwlock_write_unlock(&handle);
    peer_leave(order);
    return result;
}

static int downgrade(const struct order *order)
{
    is_writer = false;
    peer_enter(order);
    write_it(&accounts->rwlock);
    int result = weir_rwlock_downgrade(&handle);
    if (result == 0)
        accounts->rwlock.reading[peer_self]++;
    peer_leave(order);
    return result == 0 ? check_whole(0) : result;
}

static int repair_written(const struct order *order)
{
    struct rwlock_state *state = &accounts->rwlock;
    if (!is_heir)
        return 0;
    is_heir = false;
    peer_enter(order);
    state->first = state->second;
    int result = weir_rwlock_consistent(&handle);
    peer_leave(order);
    return result;
}

static int count_readers(const struct order *order)
{
    (void)order;
    return weir_rwlock_readers(&handle);
}

act *const rwlock_acts[VERBS] = { RWLOCK_VERBS(VERB_ACT) };
