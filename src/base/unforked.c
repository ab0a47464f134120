/* SPDX-License-Identifier: MIT */
/*
 *   what    | who writes it      | under what
 *   --------+--------------------+----------------------------------------------------
 *   word    | any thread         | compare-and-swap, exchange
 *   holder  | who has the word   | relaxed: a thread finds itself there, or does not
 *   depth   | who has the word   | the word; also in handlers of its signals
 */
#include "base/unforked.h"

#include <pthread.h>
#include <stdint.h>

#include <weir/clock.h>

#include "base/atomics.h"
#include "base/futex.h"

#define WAIT_MAX_NS WEIR_SECOND_NS

enum { FREE, HELD, WAITED };

#define NOT_ENTERED (-1)

static weir__atomic_u32 word;
static _Atomic(uintptr_t) holder; /* pthread_self(); 0: nobody */
static unsigned depth;            /* more than 1: it forks in a handler of a signal */

static bool is_mine(void)
{
    return atomic_load_explicit(&holder, memory_order_relaxed) == (uintptr_t)pthread_self();
}

static void set_holder(uintptr_t thread)
{
    atomic_signal_fence(memory_order_seq_cst); /* depth before it; and it before the word */
    atomic_store_explicit(&holder, thread, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static bool take_word(void)
{
    uint32_t found = FREE;
    /* Acquire [unforked.word]: depth. Pairs with give_word(). */
    if (atomic_compare_exchange_strong_explicit(&word, &found, HELD, memory_order_acquire,
                                                memory_order_relaxed))
        return true;
    int64_t deadline_ns = weir_now_ns() + WAIT_MAX_NS;
    /* Acquire [unforked.word]: as above. */
    while (atomic_exchange_explicit(&word, WAITED, memory_order_acquire) != FREE) {
        int64_t left_ns = deadline_ns - weir_now_ns();
        if (left_ns <= 0)
            return false;
        weir__futex_wait(&word, WAITED, left_ns);
    }
    return true;
}

static void give_word(void)
{
    /* Release [unforked.word]: depth, before who comes next. Pairs with take_word(). */
    if (atomic_exchange_explicit(&word, FREE, memory_order_release) == WAITED)
        weir__futex_wake_one(&word);
}

static void take(void)
{
    if (is_mine()) {
        depth++;
    } else if (take_word()) {
        depth = 1;
        set_holder((uintptr_t)pthread_self());
    }
}

/* Who waited in vain has nothing to give. */
static void give(void)
{
    if (!is_mine())
        return;
    if (depth > 1) {
        depth--;
        return;
    }
    set_holder(0);
    give_word();
}

/* Who else has it, or waits for it, is not there. */
static void give_in_child(void)
{
    bool is_kept = is_mine() && depth > 1;
    give();
    if (!is_kept) {
        set_holder(0);
        /* Relaxed: a child of fork has one thread. */
        atomic_store_explicit(&word, FREE, memory_order_relaxed);
    }
}

/* As early as can be: see unforked.h. */
static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(take, give, give_in_child);
}

int weir__unforked_enter(bool is_wanted)
{
    int cancelling;
    if (!is_wanted)
        return NOT_ENTERED;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    take();
    return cancelling;
}

void weir__unforked_leave(int entered)
{
    if (entered == NOT_ENTERED)
        return;
    give();
    pthread_setcancelstate(entered, NULL);
}
