/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a newer version. docs/latest.md, "Waiting".
 *
 *   who waits                          writer
 *   1 look at the index
 *   2 watch |= WATCHING                index (release)
 *   3 membarrier                       load watch; 0, and it was at the last value: done
 *   4 look at the index                else exchange watch -> 0, futex wake
 *   5 futex wait while the low half of the index is what it was in 1, a slice at most
 *
 * The writer's index may still be on its way out of the core when it loads the watch word. The
 * barrier of 3 falls between two of its instructions: before the load, and then the load sees
 * WATCHING; or after it, and then 4 sees the index. The word that is slept on changes with each
 * value, so that none is slept through (but the 2^24th after it, which a slice makes good).
 *
 * An exchange that takes our bit is followed by its wake, and by that of the next value. Of 1 we have the index
 * that stands at the exchange, or an older one: for who sleeps on an older one, the first comes late enough,
 * for who sleeps on that one, the second. By what is found in 4 that could not be said: who waits for a
 * later one than the next may find the one behind which the second wake has been.
 */
#include <errno.h>

#include "base/error.h"
#include "base/futex.h"
#include "latest/reader.h"
#include "sync/sleep.h"

#define SPINS_PER_LOOK 64

/* Of who cannot be woken. */
#define NAP_NS INT64_C(1000000)

static bool spin(const struct weir_latest_reader *reader, uint64_t newer_than, int64_t deadline_ns)
{
    int64_t until_ns = weir_now_ns() + WEIR__SPIN_NS;
    if (until_ns > deadline_ns)
        until_ns = deadline_ns;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (weir_latest_version(reader) > newer_than)
                return true;
            weir__cpu_relax();
        }
    } while (weir_now_ns() < until_ns);
    return false;
}

/* The writer will wake us for the next value, or a slice makes it good. */
static void watch(struct weir_latest_reader *reader)
{
    weir__atomic_u32 *word = &reader->memory.readers->watch;
    uint32_t bits =
        WEIR__LATEST_WATCHING | (reader->needs_fence ? WEIR__LATEST_NEEDS_FENCE : UINT32_C(0));
    /* Sequentially consistent [latest.watch]: after the look at the index, so that an exchange that takes it comes
     * behind that one. Pairs with wake(). */
    atomic_fetch_or(word, bits);
    /* CRASH latest.watching */
    if (!weir__membarrier() && !reader->needs_fence) {
        reader->needs_fence = true;
        atomic_fetch_or(word, bits | WEIR__LATEST_NEEDS_FENCE);
    }
    atomic_thread_fence(memory_order_seq_cst);
}

/* Until there may be something new. */
static int sleep_once(struct weir_latest_reader *reader, uint64_t newer_than, int64_t deadline_ns)
{
    struct weir__latest_values_shm *values = reader->memory.values;
    bool is_woken = reader->memory.readers || (reader->memory.flags & WEIR_LATEST_ALWAYS_WAKE);
    int64_t until_ns = deadline_ns;
    /* Acquire [latest.value]: before the watch word. Pairs with publish(). */
    uint64_t before = atomic_load_explicit(&values->index, memory_order_acquire);
    if (reader->memory.readers && !(reader->memory.flags & WEIR_LATEST_ALWAYS_WAKE))
        watch(reader);
    /* Acquire [latest.value]. Pairs with publish(). */
    uint64_t now = atomic_load_explicit(&values->index, memory_order_acquire);
    if (weir__latest_version_of(now) > newer_than)
        return 0;
    if (!is_woken && deadline_ns > weir_now_ns() + NAP_NS)
        until_ns = weir_now_ns() + NAP_NS;
    int result = weir__sleep(&values->index_low, (uint32_t)before, until_ns);
    return result == -ETIMEDOUT && until_ns != deadline_ns ? 0 : result;
}

/* Killed, and nobody in its place. */
static bool has_lost_writer(const struct weir_latest_reader *reader)
{
    const struct weir__owned *place = &reader->memory.values->owner;
    struct weir__error_saved saved;
    /* Acquire [latest.owner]. Pairs with claim(). */
    uint64_t owner = atomic_load_explicit(&place->word, memory_order_acquire);
    if (owner == 0)
        return false;
    weir__error_save(&saved);
    bool is_dead = weir__owned_is_dead(place, owner);
    weir__error_restore(&saved);
    return is_dead && atomic_load_explicit(&place->word, memory_order_acquire) == owner;
}

int weir_latest_wait_until(struct weir_latest_reader *reader, uint64_t newer_than,
                           int64_t deadline_ns)
{
    if (weir_latest_version(reader) > newer_than)
        return 0;
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "there is nothing newer yet");
    if (spin(reader, newer_than, deadline_ns))
        return 0;
    int64_t asked_ns = weir_now_ns();
    for (;;) {
        int result = sleep_once(reader, newer_than, deadline_ns);
        if (weir_latest_version(reader) > newer_than)
            return 0;
        if (result == -EINTR)
            return weir__fail_plain(EINTR, "a signal arrived while waiting");
        if (result != -ETIMEDOUT && !weir__slice_is_over(asked_ns, weir_now_ns()))
            continue;
        if (has_lost_writer(reader) && weir_latest_version(reader) <= newer_than)
            return weir__fail_plain(EPIPE,
                                    "the writer was killed, or ended without "
                                    "weir_latest_writer_close(), and nobody has taken its place");
        if (result == -ETIMEDOUT)
            return weir__fail_plain(ETIMEDOUT, "nothing newer came by the deadline");
        asked_ns = weir_now_ns();
    }
}
