/* SPDX-License-Identifier: MIT */
/* What a peer does with a mutex, condition, event, semaphore or once, and must find there. */
#include "act.h"

#include <errno.h>
#include <unistd.h>

static bool is_holder, is_heir, is_builder;
static unsigned depth; /* how often more than once it holds the mutex */

/* The mutex is ours: nobody else says the same, and what it guards is whole, or a death was told. */
static int check_in(int result)
{
    struct sync_state *sync = &accounts->sync;
    if (result < 0)
        return result;
    if (result == 0 && sync->holder != 0)
        return peer_broken("locked, and process %d holds it", sync->holder);
    if (result == 0 && sync->first != sync->second)
        return peer_broken("locked, and what it guards is torn");
    sync->holder = getpid();
    is_holder = true;
    is_heir = result == WEIR_OWNER_DIED;
    return result;
}

static int lock(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = weir_mutex_lock_until(&sync->mutex, deadline_ns);
    peer_leave(order);
    return peer_timed(order, before_ns, check_in(result));
}

static int lock_again(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = weir_mutex_lock_until(&sync->mutex, deadline_ns);
    peer_leave(order);
    if (!is_holder || sync->holder != getpid())
        return peer_broken("locked again, and process %d holds it", sync->holder);
    depth += result == 0;
    return peer_timed(order, before_ns, result);
}

static int unlock_once(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    peer_enter(order);
    sync->first++;
    __asm__ volatile("" ::: "memory");
    sync->second++;
    int result = weir_mutex_unlock(&sync->mutex);
    peer_leave(order);
    if (sync->holder != getpid())
        return peer_broken("unlocked once of twice, and process %d holds it", sync->holder);
    depth--;
    return result;
}

/* It has changed what it guards, in two steps. */
static int unlock(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    if (!is_holder)
        return 0;
    is_holder = is_heir = false;
    peer_enter(order);
    for (; depth > 0; depth--)
        if (weir_mutex_unlock(&sync->mutex) != 0)
            return peer_broken("held %u times more, and not to be unlocked", depth);
    sync->first++;
    __asm__ volatile("" ::: "memory"); /* a place to be killed at */
    sync->second++;
    sync->holder = 0;
    int result = weir_mutex_unlock(&sync->mutex);
    peer_leave(order);
    return result;
}

static int repair(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    if (!is_heir)
        return 0;
    is_heir = false;
    peer_enter(order);
    sync->first = sync->second;
    int result = weir_mutex_consistent(&sync->mutex);
    peer_leave(order);
    return result;
}

static int condition_wait(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    int result = 0;
    peer_enter(order);
    while (result == 0 && sync->state == order->count) {
        sync->holder = 0;
        is_holder = false;
        result = weir_condition_wait_until(&sync->condition, &sync->mutex, deadline_ns);
        int held = check_in(result == -ETIMEDOUT ? 0 : result);
        result = result == -ETIMEDOUT && held == 0 ? result : held;
    }
    peer_leave(order);
    return peer_timed(order, before_ns, result);
}

/* With the mutex, whoever held it before. */
static int change(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    struct order in_time = { .wait_ns = BOUND_NS };
    (void)order;
    int result = lock(&in_time);
    if (result == WEIR_OWNER_DIED)
        result = repair(&in_time);
    if (result == -ENOTRECOVERABLE)
        result = 0;
    sync->state++;
    return result != 0 ? result : unlock(&in_time);
}

static int send_signal(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    peer_enter(order);
    int result = order->count ? weir_condition_broadcast(&sync->condition)
                              : weir_condition_signal(&sync->condition);
    peer_leave(order);
    return result;
}

static int event_wait(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    uint32_t ticket;
    int result = 0;
    peer_enter(order);
    while (result == 0 && sync->state == order->count) {
        weir_event_prepare(&sync->event, &ticket);
        if (sync->state != order->count)
            break;
        result = weir_event_wait_until(&sync->event, ticket, deadline_ns);
    }
    peer_leave(order);
    return peer_timed(order, before_ns, result);
}

static int notify(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    peer_enter(order);
    sync->state++;
    int result =
        order->count ? weir_event_notify_all(&sync->event) : weir_event_notify(&sync->event);
    peer_leave(order);
    return result;
}

static int semaphore_wait(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    sync->taking++;
    int result = weir_semaphore_wait_until(&sync->semaphore, deadline_ns);
    if (result == 0)
        sync->taken++;
    else
        sync->taking--;
    peer_leave(order);
    return peer_timed(order, before_ns, result);
}

static int semaphore_post(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    unsigned units = order->count ? order->count : 1;
    peer_enter(order);
    sync->posting += units;
    int result = order->count ? weir_semaphore_post_many(&sync->semaphore, units)
                              : weir_semaphore_post(&sync->semaphore);
    sync->posted += units;
    peer_leave(order);
    return result;
}

static int once_begin(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = weir_once_begin_until(&sync->once, deadline_ns);
    peer_leave(order);
    if (result == 0 && !sync->is_built)
        return peer_broken("done, and nobody has built it");
    if (result > 0 && sync->is_done)
        return peer_broken("begun once more, and it was done");
    is_builder = result > 0;
    return peer_timed(order, before_ns, result);
}

static int once_end(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    if (!is_builder)
        return 0;
    is_builder = false;
    peer_enter(order);
    sync->is_built = true;
    int result = weir_once_end(&sync->once);
    sync->is_done = true;
    peer_leave(order);
    return result;
}

static int once_abandon(const struct order *order)
{
    struct sync_state *sync = &accounts->sync;
    if (!is_builder)
        return 0;
    is_builder = false;
    peer_enter(order);
    int result = weir_once_abandon(&sync->once);
    peer_leave(order);
    return result;
}

act *const sync_acts[VERBS] = { SYNC_VERBS(VERB_ACT) };
