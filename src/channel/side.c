/* SPDX-License-Identifier: MIT */
#include "channel/side.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/identity.h>

#include "base/error.h"
#include "base/futex.h"
#include "base/random.h"
#include "segment/handle.h"
#include "segment/identity.h"

/* Looks in a row that found nothing, before they are held to be made in vain. */
#define LOOKS_MAX 8
/* Instead of such a number: there is one look more, and then the wait ends, as a signal came. */
#define LOOKS_INTERRUPTED (LOOKS_MAX + 2)
#define NAP_NS INT64_C(1000000)

/* Sessions that are tried for a claim: a slot forbids one at most. */
#define SESSIONS_MAX 100

int weir__type_check(const char *type_name, uint32_t type_bytes, uint64_t ring_bytes)
{
    uint64_t most = weir__record_max(ring_bytes);
    if (type_bytes <= most)
        return 0;
    uint64_t enough = ring_bytes;
    while (weir__record_max(enough) < type_bytes && enough < UINT64_C(1) << 40)
        enough *= 2;
    if (weir__record_max(enough) < type_bytes)
        return weir__fail(
            EINVAL,
            "the channel's type '%s' has %u bytes: no ring takes so long a message, one "
            "of %llu bytes %llu at most",
            type_name, type_bytes, (unsigned long long)ring_bytes, (unsigned long long)most);
    return weir__fail(
        EINVAL,
        "the channel's type '%s' has %u bytes: a ring of %llu bytes takes messages of "
        "%llu at most, one of %llu (options.ring_bytes) suffices",
        type_name, type_bytes, (unsigned long long)ring_bytes, (unsigned long long)most,
        (unsigned long long)enough);
}

int weir__check_publisher(const struct weir_channel_options *options)
{
    int result = 0;
    if (options->type_name)
        result = weir__type_check(options->type_name, options->type_bytes, options->ring_bytes);
    if (result == 0 && options->lag_max_bytes > options->ring_bytes)
        return weir__fail(EINVAL,
                          "a lag of %llu bytes at most is never reached: the ring has %llu; give a "
                          "larger ring, or a smaller lag",
                          (unsigned long long)options->lag_max_bytes,
                          (unsigned long long)options->ring_bytes);
    return result;
}

static int take_options(struct weir__side *side, const struct weir_channel_options *from)
{
    struct weir_channel_options *to = &side->options;
    int result = weir__channel_options(to, from);
    if (result != 0)
        return result;
    side->waiter.is_by_default = to->spin_ns == 0 && (to->flags & WEIR_CHANNEL_SPIN_ONLY) == 0;
    if (to->spin_ns == 0)
        to->spin_ns = WEIR__SPIN_NS;
    if (side->role == WEIR__PUBLISHER)
        result = weir__check_publisher(to);
    if (result != 0)
        return result;
    side->waiter.spin_ns = to->flags & WEIR_CHANNEL_SPIN_ONLY    ? WEIR__SLICE_NS
                           : to->flags & WEIR_CHANNEL_SLEEP_ONLY ? 0
                           : to->spin_ns < WEIR__SLICE_NS        ? to->spin_ns
                                                                 : WEIR__SLICE_NS - 1;
    return 0;
}

weir__atomic_u64 weir__sessions;

/*
 * Another session for each joining of this process, until they come round. The count is a child's
 * too, so the identity is mixed in: else all children of one parent began with the same session.
 * A subscriber's is odd if it is lossy, else even.
 */
static uint64_t new_session(const struct weir__side *side)
{
    uint64_t none = 0, mixed = side->identity * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    /* Relaxed: only that each number is given once matters. */
    atomic_compare_exchange_strong_explicit(&weir__sessions, &none, weir__random_nonzero(),
                                            memory_order_relaxed, memory_order_relaxed);
    uint64_t count = atomic_fetch_add_explicit(&weir__sessions, 1, memory_order_relaxed);
    uint64_t session = count + mixed;
    if (side->role == WEIR__SUBSCRIBER)
        session = session << 1 | (side->is_lossy ? WEIR__SESSION_LOSSY : 0);
    return session & WEIR_IDENTITY_SESSION_MAX;
}

int weir__side_check(const struct weir__side *side)
{
    if (weir__side_is_ours(side))
        return 0;
    return weir__fail(ECHILD, "this handle was opened by the parent process: a child opens its "
                              "own");
}

/* A lane; or the page of a channel for so many publishers. */
static uint64_t memory_bytes(const struct weir__side *side, uint32_t publishers)
{
    return side->role == WEIR__PUBLISHER ? WEIR__LANE_RING_OFFSET + side->options.ring_bytes
                                         : weir__page_bytes(publishers);
}

static struct weir_segment_options memory_options(const struct weir__side *side)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    weir__channel_rights(&options, &side->options);
    options.flags |= WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_NO_FORK;
    return options;
}

/* Who makes the channel makes its own memory in the same step. */
static int open_directory(struct weir__side *side, const char *name, struct weir__rundir *dir)
{
    struct weir_channel_options asked = side->options;
    struct weir_segment_options rights = memory_options(side);
    uint32_t delivery = asked.delivery, publishers = asked.publishers_max;
    struct weir__segment_beside own = { .options = &rights };
    own.size_bytes = memory_bytes(side, publishers ? publishers : WEIR_CHANNEL_MEMBERS_DEFAULT);
    if (side->role == WEIR__SUBSCRIBER)
        asked.delivery = WEIR_DELIVERY_CHANNEL; /* its own: the channel may have the other */
    int result = weir__directory_open_as(&side->directory, name, &asked, &own, dir);
    side->memory = own.made;
    if (result != 0)
        return result;
    if (side->role == WEIR__SUBSCRIBER)
        side->is_lossy = delivery == WEIR_DELIVERY_CHANNEL ? side->directory.terms.delivery != 0
                                                           : delivery == WEIR_DELIVERY_LOSSY;
    return 0;
}

static int claim(struct weir__side *side, const char *name)
{
    const struct weir__slots *own = weir__side_own(side);
    const char *noun = side->role == WEIR__PUBLISHER ? "publisher" : "subscriber";
    int number = -EAGAIN;
    for (int i = 0; number == -EAGAIN && i < SESSIONS_MAX; i++) {
        side->me = side->identity | new_session(side);
        number = weir__slot_claim(own, side->me, &side->took_dead);
    }
    if (number < 0 && own->count == 1)
        return weir__fail(EBUSY, "channel '%s' has a %s already, and was made for one", name, noun);
    if (number < 0)
        return weir__fail(EBUSY,
                          "channel '%s' has %u %ss already: it was made for no more; who makes it "
                          "may say for how many, to %d (options.%ss_max)",
                          name, own->count, noun, WEIR_CHANNEL_MEMBERS_MAX, noun);
    side->number = (uint32_t)number;
    side->waiter.doorbell = &own->at[number].doorbell;
    side->is_listed = true;
    /* CRASH side.claimed */
    if (side->role == WEIR__SUBSCRIBER) {
        /* The publishers see us from now on, before we look at any boundary. A read-modify-write
         * that is sequentially consistent is no full fence for the loads behind it. */
        weir__slots_changed(own);
        atomic_thread_fence(memory_order_seq_cst);
    }
    return 0;
}

int weir__side_join(struct weir__side *side, const char *name, enum weir__role role,
                    const struct weir_channel_options *options, struct weir__rundir *dir)
{
    side->identity_now = &side->identity; /* a half-made side is ours, and can be left */
    side->role = role;
    int result = take_options(side, options);
    if (result == 0)
        result = weir_identity(&side->identity);
    if (result != 0)
        return result;
    /* Others take who made our memory for who made our beacon: see weir__slot_life(). */
    if (geteuid() != weir__identity_uid())
        return weir__fail(EPERM,
                          "this process had the uid %u when it first used weir, and has %u "
                          "now: open channels before the change, or use weir only after it",
                          weir__identity_uid(), geteuid());
    /* Who trusts himself alone would trust nobody: found out now, and not by each member in turn. */
    if (side->options.trust != WEIR_TRUST_DIRECTORY)
        result = weir__trust_check(side->options.trust, side->options.trust_uid, geteuid(),
                                   geteuid(), NULL, "what this process makes");
    if (result != 0)
        return result;
    side->identity_now = weir__identity_word();
    side->has_membarrier = weir__membarrier_register();
    result = open_directory(side, name, dir);
    side->options.type_name = NULL; /* the caller's memory, read by now */
    return result == 0 ? claim(side, name) : result;
}

static int make_memory(struct weir__side *side, struct weir__rundir *dir)
{
    uint64_t bytes = memory_bytes(side, side->directory.roles[WEIR__PUBLISHER].count);
    struct weir_segment_options options = memory_options(side);
    if (side->memory && weir_segment_size(side->memory) == bytes)
        return 0;
    /* Another one has made the channel meanwhile, and for more publishers, or for fewer. */
    weir_segment_close(side->memory);
    side->memory = NULL;
    return weir__segment_create(&side->memory, weir_private(), bytes, &options, dir);
}

int weir__side_make(struct weir__side *side, uint64_t magic, struct weir__rundir *dir)
{
    int result = make_memory(side, dir);
    if (result == 0)
        /* Now that it is there: another thread may have changed the user since weir__side_join() looked. */
        result = weir__identity_check_maker(side->memory->id);
    if (result != 0)
        return result;
    struct weir__member_shm *member = weir_segment_data(side->memory);
    member->magic = magic;
    member->owner = side->me;
    /* Relaxed: it is not listed yet. */
    atomic_store_explicit(&member->needs_fence, !weir__membarrier(), memory_order_relaxed);
    side->waiter.needs_fence = &member->needs_fence;
    if (side->role == WEIR__PUBLISHER) {
        struct weir__lane_shm *lane = (struct weir__lane_shm *)(void *)member;
        side->waiter.epoch = &lane->epoch;
        side->waiter.stats = &lane->stats.common;
    } else {
        struct weir__page_shm *page = (struct weir__page_shm *)(void *)member;
        uint32_t line = weir__page_epoch_line(weir__side_others(side)->count, side->number);
        /* Ours to write, as the page is. */
        side->waiter.epoch = (weir__atomic_u32 *)(uintptr_t)weir__page_epoch(page, line);
        side->waiter.stats = &page->stats.common;
    }
    if (side->took_dead)
        weir__count_reaped(side->waiter.stats);
    return 0;
}

void weir__side_ring(const struct weir__side *side, weir__atomic_u32 *doorbell)
{
    weir__ring(doorbell);
    weir__count(&weir__side_stats(side)->wakes);
}

void weir__side_ring_all(const struct weir__side *side)
{
    uint32_t rung = weir__slots_ring(weir__side_others(side));
    if (weir__side_stats(side))
        weir__count_many(&weir__side_stats(side)->wakes, rung);
}

void weir__side_list(struct weir__side *side)
{
    side->shown = weir__slot_show(weir__side_own(side), side->number, side->me, side->memory->id);
    weir__side_ring_all(side);
}

void weir__side_watch(struct weir__side *side, struct weir__side_watcher *watcher)
{
    watcher->next = side->watchers;
    side->watchers = watcher;
}

void weir__side_unwatch(struct weir__side *side, const struct weir__side_watcher *watcher)
{
    struct weir__side_watcher **at = &side->watchers;
    while (*at && *at != watcher)
        at = &(*at)->next;
    if (*at)
        *at = watcher->next;
}

void weir__side_tell_refused(const struct weir__side *side)
{
    for (struct weir__side_watcher *watcher = side->watchers; watcher; watcher = watcher->next)
        watcher->refused(watcher);
}

static void tell_closed(struct weir__side *side)
{
    while (side->watchers) {
        struct weir__side_watcher *watcher = side->watchers;
        side->watchers = watcher->next;
        watcher->closed(watcher);
    }
}

void weir__side_leave(struct weir__side *side)
{
    tell_closed(side);
    if (side->memory && side->role == WEIR__SUBSCRIBER && weir__side_is_ours(side)) {
        struct weir__page_shm *page = weir_segment_data(side->memory);
        /* Release [page.left]: all that we have read and said. Pairs with weir__reader_has_left(). */
        atomic_store_explicit(&page->left, 1, memory_order_release);
        /* CRASH page.left */
    }
    if (side->is_listed && weir__side_is_ours(side)) {
        weir__slot_leave(weir__side_own(side), side->number, side->me);
        weir__side_ring_all(side);
    }
    weir_segment_close(side->memory);
    weir_segment_close(side->directory.segment);
}

static int nap(int64_t deadline_ns)
{
    if (deadline_ns == 0)
        return -EAGAIN;
    if (weir_now_ns() >= deadline_ns)
        return -ETIMEDOUT;
    return weir__nap(NAP_NS) == -EINTR ? -EINTR : WEIR__WAITED_SLICE;
}

/* Why a wait, or a nap in its place, has ended without what it is for; only where the call ends with it. */
static int tell(int result, bool is_nap)
{
    if (result == -EINTR)
        return weir__fail_plain(EINTR, "a signal arrived while waiting");
    if (result == -EAGAIN)
        return weir__fail_plain(EAGAIN, is_nap ? "the other side is joining or leaving"
                                               : "the other side has nothing for us yet");
    return weir__fail_plain(ETIMEDOUT, is_nap
                                           ? "the other side was joining or leaving all the time"
                                           : "the other side had nothing for us by the deadline");
}

bool weir__side_has_place(const struct weir__side *side)
{
    const struct weir__slot_shm *slot = &weir__side_own(side)->at[side->number];
    return weir__slot_owner(slot) == side->me && weir__slot_page(slot) == side->shown;
}

bool weir__side_keep_place(struct weir__side *side)
{
    if (weir__side_has_place(side))
        return true;
    side->put_outs++;
    if (!weir__slot_regain(weir__side_own(side), side->number, side->me, side->shown))
        return false;
    weir__side_ring_all(side); /* who came meanwhile does not know of us */
    return true;
}

int weir__side_wait(struct weir__side *side, const struct weir__watch *watch, int64_t deadline_ns)
{
    struct weir__stats_shm *stats = weir__side_stats(side);
    if (!weir__side_keep_place(side))
        return weir__fail_plain(EUCLEAN, "another member has this one's place in the channel's "
                                         "directory: close this one, and open it again");
    if (side->looks == LOOKS_INTERRUPTED) {
        side->looks = 0; /* told, once: who goes on all the same waits as before */
        return weir__fail_plain(EINTR, "a signal arrived while waiting");
    }
    weir__state(&stats->waits_for, watch->waits_for);
    weir__waiter_moved(&side->waiter, watch->moved);
    bool is_nap = side->looks >= LOOKS_MAX;
    int result = is_nap ? nap(deadline_ns)
                        : weir__wait(&side->waiter, watch->is_ready, watch->argument, deadline_ns);
    weir__state(&stats->waits_for, WEIR__WAITS_FOR_NOTHING);
    int64_t now_ns = weir_now_ns();
    if (result == WEIR__WAITED_READY) {
        if (side->looks++ == 0)
            side->row_ns = now_ns;
        /* A look may take long, and find nothing: the next one in vain is then the last. */
        if (now_ns - side->row_ns > WEIR__SLICE_NS || (deadline_ns != 0 && now_ns >= deadline_ns))
            side->looks = LOOKS_MAX;
        return 0;
    }
    bool is_last = side->looks > LOOKS_MAX;
    side->looks = 0;
    bool is_due = weir__slice_is_over(side->waiter.asked_ns, now_ns);
    if (result != WEIR__WAITED_SLICE && (is_last || !is_due))
        return tell(result, is_nap);
    if (!is_due) /* rung for nothing, or a nap: of many others each ask costs system calls */
        return 0;
    side->waiter.asked_ns = now_ns;
    bool is_dead = watch->ask(watch->argument);
    if (is_dead && result != WEIR__WAITED_SLICE) /* one look more, not a row of them */
        side->looks = result == -EINTR ? LOOKS_INTERRUPTED : LOOKS_MAX + 1;
    return is_dead || result == WEIR__WAITED_SLICE ? 0 : tell(result, is_nap);
}
