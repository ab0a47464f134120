/* SPDX-License-Identifier: MIT */
#include "channel/side.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/identity.h>

#include "base/error.h"
#include "base/futex.h"
#include "base/random.h"
#include "segment/handle.h"
#include "segment/header.h"
#include "segment/identity.h"
#include "segment/pages.h"
#include "segment/sysv.h"

#define SESSION_BITS 13

#define SPIN_DEFAULT_NS 20000

/* How often a slot may change hands under us before we give up. */
#define RETRIES 100

/* Looks in a row that found nothing, before they are held to be made in vain. */
#define LOOKS_MAX 8
#define NAP_NS INT64_C(1000000)

/* Of more than this of another's memory, only what is there already is touched ahead. */
#define LARGE_BYTES (UINT64_C(64) << 20)

static int take_options(struct weir__side *side, const struct weir_channel_options *from)
{
    static const struct weir_channel_options defaults = WEIR_CHANNEL_OPTIONS;
    const uint32_t both = WEIR_CHANNEL_SPIN_ONLY | WEIR_CHANNEL_SLEEP_ONLY;
    struct weir_channel_options *to = &side->options;
    *to = defaults;
    if (from && from->size != sizeof *to)
        return weir__fail(EINVAL, "options.size is %u: start from WEIR_CHANNEL_OPTIONS",
                          from->size);
    if (from)
        *to = *from;
    if (to->ring_bytes == 0)
        to->ring_bytes = WEIR_RING_BYTES_DEFAULT;
    if (to->spin_ns == 0)
        to->spin_ns = SPIN_DEFAULT_NS;
    if ((to->flags & ~both) || (to->flags & both) == both || to->reserved[0] || to->reserved[1])
        return weir__fail(EINVAL, "options: flags 0x%x are not known, or contradict", to->flags);
    if (to->ring_bytes < WEIR_RING_BYTES_MIN || (to->ring_bytes & (to->ring_bytes - 1)) != 0)
        return weir__fail(EINVAL, "a ring of %llu bytes: it must be a power of two, %llu at least",
                          (unsigned long long)to->ring_bytes,
                          (unsigned long long)WEIR_RING_BYTES_MIN);
    side->waiter.spin_ns = to->flags & WEIR_CHANNEL_SPIN_ONLY    ? WEIR__SLICE_NS
                           : to->flags & WEIR_CHANNEL_SLEEP_ONLY ? 0
                           : to->spin_ns < WEIR__SLICE_NS        ? to->spin_ns
                                                                 : WEIR__SLICE_NS - 1;
    return 0;
}

/*
 * A session of its own for each joining of this process. The count is a child's too, so the
 * identity is mixed in: else all children of one parent began with the same session.
 */
static uint64_t new_session(uint64_t identity)
{
    static weir__atomic_u64 last;
    uint64_t none = 0, mixed = identity * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    /* Relaxed: only that each number is given once matters. */
    if (atomic_load_explicit(&last, memory_order_relaxed) == 0)
        atomic_compare_exchange_strong_explicit(&last, &none, weir__random_nonzero(),
                                                memory_order_relaxed, memory_order_relaxed);
    uint64_t count = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed);
    return (count + mixed) & WEIR_IDENTITY_SESSION_MAX;
}

int weir__side_check(const struct weir__side *side)
{
    if (weir__side_is_ours(side))
        return 0;
    return weir__fail(ECHILD, "this handle was opened by the parent process: a child opens its "
                              "own");
}

static uint64_t load_page(const struct weir__slot_shm *slot)
{
    /* Acquire [slot.page]: the memory is whole. Pairs with weir__side_list(). */
    return atomic_load_explicit(&slot->page, memory_order_acquire);
}

/* The id of the segment that owner shows with this page; -1: none yet. */
static int shown_id(uint64_t page, uint64_t owner)
{
    if (page == 0 || (page & WEIR_IDENTITY_SESSION_MAX) != (owner & WEIR_IDENTITY_SESSION_MAX))
        return -1;
    uint64_t id = (page >> SESSION_BITS) - 1;
    return id <= INT32_MAX ? (int)id : -1;
}

static int life(const struct weir__slot_shm *slot, uint64_t owner)
{
    struct weir__error_saved saved;
    struct shmid_ds found;
    uint32_t uid = WEIR_UID_ANY;
    int id = shown_id(load_page(slot), owner);
    weir__error_save(&saved);
    if (id >= 0 && weir__shm_stat(id, &found) == 0)
        uid = found.shm_perm.cuid;
    int verdict = weir_life(owner, uid);
    weir__error_restore(&saved);
    return verdict;
}

static int claim(struct weir__side *side, const char *name, bool is_publisher)
{
    for (int attempt = 0; attempt < RETRIES; attempt++) {
        /* Acquire [slot.owner]. Pairs with the exchange below and in weir__side_leave(). */
        uint64_t owner = atomic_load_explicit(&side->slot->owner, memory_order_acquire);
        if (owner != 0 && life(side->slot, owner) != WEIR_LIFE_DEAD)
            return weir__fail(EBUSY, "channel '%s' has a %s already", name,
                              is_publisher ? "publisher" : "subscriber");
        /* Sequentially consistent [slot.owner]: a joiner's claim, then its look at the boundary;
         * a publisher's boundary, then its look at the slot. Pairs with the fence in look(). */
        if (!atomic_compare_exchange_strong(&side->slot->owner, &owner, side->me))
            continue;
        /* A read-modify-write that is sequentially consistent is no full fence for the loads
         * behind it; the look at the boundary needs one. */
        atomic_thread_fence(memory_order_seq_cst);
        /* Relaxed: a dead owner's page means nothing; should its session, of 13 bits, be ours
         * by chance, it shall not be taken for our page. */
        atomic_store_explicit(&side->slot->page, 0, memory_order_relaxed);
        return 0;
    }
    return weir__fail(EBUSY, "channel '%s' changes hands again and again", name);
}

static int make_memory(struct weir__side *side, uint64_t magic, uint64_t size_bytes,
                       struct weir__rundir *dir)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.mode = side->options.mode;
    options.flags = WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_NO_FORK;
    int result = weir__segment_create(&side->memory, weir_private(), size_bytes, &options, dir);
    if (result != 0)
        return result;
    struct weir__member_shm *member = weir_segment_data(side->memory);
    member->magic = magic;
    member->owner = side->me;
    member->needs_fence = !weir__membarrier();
    return 0;
}

/* The directory, a slot in it, and memory of our own: one way to the run directory for all. */
static int join(struct weir__side *side, const char *name, bool is_publisher, uint64_t magic,
                uint64_t size_bytes, struct weir__rundir *dir)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.mode = side->options.mode;
    options.trust = side->options.trust;
    options.trust_uid = side->options.trust_uid;
    options.kind = WEIR__DIRECTORY_KIND;
    options.flags = WEIR_SEGMENT_NO_FORK;
    int result = weir__segment_create_or_open(&side->directory, weir_by_name(name),
                                              sizeof(struct weir__directory_shm), &options, dir);
    if (result < 0)
        return result;
    struct weir__directory_shm *directory = weir_segment_data(side->directory);
    side->slot = is_publisher ? &directory->publisher : &directory->subscriber;
    side->other = is_publisher ? &directory->subscriber : &directory->publisher;
    side->waiter.doorbell = &side->slot->doorbell;
    side->waker.doorbell = &side->other->doorbell;
    result = claim(side, name, is_publisher);
    if (result != 0)
        return result;
    side->is_listed = true;
    /* CRASH side.claimed */
    return make_memory(side, magic, size_bytes, dir);
}

int weir__side_join(struct weir__side *side, const char *name, bool is_publisher, uint64_t magic,
                    uint64_t size_bytes, const struct weir_channel_options *options)
{
    struct weir__rundir dir;
    side->identity_now = &side->identity; /* a half-made side is ours, and can be left */
    int result = take_options(side, options);
    if (result == 0)
        result = weir_identity(&side->identity);
    if (result != 0)
        return result;
    /* Others take who made our memory for who made our beacon: see life(). */
    if (geteuid() != weir__identity_uid())
        return weir__fail(EPERM,
                          "this process had the uid %u when it first used weir, and has %u "
                          "now: open channels before the change, or use weir only after it",
                          weir__identity_uid(), geteuid());
    side->identity_now = weir__identity_word();
    side->me = side->identity | new_session(side->identity);
    side->has_membarrier = weir__membarrier_register();
    weir__side_part(side, NULL);
    weir__rundir_init(&dir);
    result = join(side, name, is_publisher, magic, size_bytes, &dir);
    weir__rundir_close(&dir);
    return result;
}

void weir__side_list(struct weir__side *side)
{
    uint64_t id = (uint32_t)side->memory->id;
    uint64_t page = (id + 1) << SESSION_BITS | (side->me & WEIR_IDENTITY_SESSION_MAX);
    /* Release [slot.page]: our memory is whole. Pairs with shown_id(). */
    atomic_store_explicit(&side->slot->page, page, memory_order_release);
    /* CRASH side.listed */
    weir__ring(&side->other->doorbell);
}

void weir__side_leave(struct weir__side *side)
{
    if (side->is_listed && weir__side_is_ours(side)) {
        uint64_t me = side->me;
        /* Release [slot.owner]: all that we did comes before. Pairs with claim(). */
        atomic_compare_exchange_strong_explicit(&side->slot->owner, &me, 0, memory_order_release,
                                                memory_order_relaxed);
        /* CRASH side.left */
        weir__ring(&side->other->doorbell);
    }
    weir__side_part(side, NULL);
    weir_segment_close(side->memory);
    weir_segment_close(side->directory);
}

uint64_t weir__side_other(const struct weir__side *side)
{
    /* Acquire [slot.owner]. Pairs with claim() and weir__side_leave(). */
    return atomic_load_explicit(&side->other->owner, memory_order_acquire);
}

bool weir__side_is_shown(const struct weir__side *side, uint64_t owner)
{
    return shown_id(load_page(side->other), owner) >= 0;
}

uint64_t weir__side_page(const struct weir__side *side)
{
    return load_page(side->other);
}

bool weir__side_is_peer(const struct weir__side *side, uint64_t owner)
{
    return owner == side->peer && load_page(side->other) == side->peer_page;
}

/*
 * Whether all of a large segment is present already, so that to touch it all takes no
 * memory: a liar's may be of terabytes, and empty. What cannot be known is "no".
 */
static bool is_present(int id)
{
    char line[256];
    int found = -1;
    unsigned long size = 1, present = 0, swapped = 0;
    FILE *table = fopen("/proc/sysvipc/shm", "re");
    if (!table)
        return false;
    while (found != id && fgets(line, sizeof line, table)) {
        if (sscanf(line, "%*d %d %*o %lu %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu %lu", &found,
                   &size, &present, &swapped) != 4)
            found = -1;
    }
    fclose(table);
    return found == id && present + swapped >= size;
}

/*
 * What was shown is not what owner should show. Between our looks at the owner and at the
 * page another one may have come, whose session happens to be the same: then look again.
 */
static int refuse(const struct weir__side *side, uint64_t owner, uint64_t page)
{
    if (weir__side_other(side) != owner || load_page(side->other) != page)
        return -EAGAIN;
    return weir__fail(EPROTO, "the other side shows a segment of another kind (%d)",
                      shown_id(page, owner));
}

/* Before it is attached: what the kernel says of its size, and whether to touch all of it. */
static bool is_small_enough(int id, uint64_t most_bytes, bool *is_prefaulted)
{
    struct weir__error_saved saved;
    struct shmid_ds found;
    weir__error_save(&saved);
    int result = weir__shm_stat(id, &found);
    weir__error_restore(&saved);
    if (result != 0)
        return true; /* the attach says why */
    if (found.shm_segsz > most_bytes + WEIR__HEADER_BYTES)
        return false;
    *is_prefaulted = found.shm_segsz <= LARGE_BYTES || is_present(id);
    return true;
}

/*
 * Whether it is of huge pages, of which weir makes no lane and no page: such a mapping takes no
 * advice for a part of one. Who touches a page of it that is not there is killed (SIGBUS).
 */
static bool is_of_huge_pages(const struct weir_segment *memory)
{
    int saved_errno = errno;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bool is_huge = madvise(weir_segment_data(memory), page, MADV_RANDOM) != 0;
    madvise(weir_segment_data(memory), page, MADV_NORMAL);
    errno = saved_errno;
    return is_huge;
}

/* Its first words, once it is known that they can be read; and all of it touched ahead. */
static int read_member(struct weir_segment *memory, uint64_t least_bytes, bool is_prefaulted,
                       struct weir__member_shm *member)
{
    uint32_t pages;
    uint64_t size_bytes = weir_segment_size(memory);
    *member = (struct weir__member_shm){ .magic = 0 };
    if (size_bytes < least_bytes || is_of_huge_pages(memory))
        return 0;
    memcpy(member, weir_segment_data(memory), sizeof *member);
    return is_prefaulted ? weir__pages_apply(weir_segment_data(memory), size_bytes,
                                             WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_PREFAULT, &pages)
                         : 0;
}

int weir__side_meet(struct weir__side *side, uint64_t owner, uint64_t magic, uint64_t least_bytes,
                    uint64_t most_bytes)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *memory;
    uint64_t page = load_page(side->other);
    int id = shown_id(page, owner);
    if (id < 0)
        return -EAGAIN;
    bool is_prefaulted = false;
    options.flags = WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_NO_FORK;
    if (!is_small_enough(id, most_bytes, &is_prefaulted))
        return refuse(side, owner, page);
    options.trust = side->options.trust == WEIR_TRUST_DIRECTORY ? (uint32_t)WEIR_TRUST_ANYONE
                                                                : side->options.trust;
    options.trust_uid = side->options.trust_uid;
    int result = weir_segment_open(&memory, weir_by_id(id), 0, &options);
    if (result == -ENOENT || result == -EIDRM) {
        /* It has left; or it is dying: the kernel lets go of one mapping after the other, and
         * this one went before the beacon. So the next look will tell. */
        weir__side_reap(side, owner);
        return -EAGAIN;
    }
    if (result != 0) /* not for us; unless it is another one's by now */
        return weir__side_other(side) != owner ? -EAGAIN : result;
    struct weir__member_shm member;
    result = read_member(memory, least_bytes, is_prefaulted, &member);
    if (result != 0 || member.magic != magic || member.owner != owner) {
        weir_segment_close(memory);
        return result != 0 ? result : refuse(side, owner, page);
    }
    side->peer = owner;
    side->peer_page = page;
    side->peer_memory = memory;
    side->waker.rung = 0;
    side->waker.must_fence = !side->has_membarrier || member.needs_fence;
    return 0;
}

void weir__side_part(struct weir__side *side, struct weir_segment **keep)
{
    if (keep)
        *keep = side->peer_memory;
    else
        weir_segment_close(side->peer_memory);
    side->peer = 0;
    side->peer_memory = NULL;
    side->waker.epoch = &weir__nobody_epoch;
    side->waker.rung = 0;
    side->waker.must_fence = !side->has_membarrier;
}

bool weir__side_reap(const struct weir__side *side, uint64_t owner)
{
    if (owner == 0 || life(side->other, owner) != WEIR_LIFE_DEAD)
        return false;
    /* CRASH side.reap: the next one does it; a late one fails, the session is new. */
    /* Acquire and release [slot.owner]: what we do with the dead one's memory comes after. */
    atomic_compare_exchange_strong(&side->other->owner, &owner, 0);
    return true;
}

int weir__side_pidfd(const struct weir__side *side, uint64_t owner)
{
    struct weir__error_saved saved;
    struct shmid_ds found;
    int id = shown_id(load_page(side->other), owner), pidfd = -1;
    weir__error_save(&saved);
    /* Who made the memory that owner shows, as the kernel translates it: 0 where not visible. */
    if (id >= 0 && weir__shm_stat(id, &found) == 0 && found.shm_cpid > 0)
        pidfd = (int)syscall(SYS_pidfd_open, found.shm_cpid, 0);
    /* Alive only now: so the number was not another's when it was opened. */
    if (pidfd >= 0 && life(side->other, owner) != WEIR_LIFE_ALIVE) {
        close(pidfd);
        pidfd = -1;
    }
    weir__error_restore(&saved);
    return pidfd;
}

static int nap(int64_t deadline_ns)
{
    const struct timespec time = { 0, NAP_NS };
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "the other side is joining or leaving");
    if (weir_now_ns() >= deadline_ns)
        return weir__fail_plain(ETIMEDOUT, "the other side was joining or leaving all the time");
    int result = clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    return result == EINTR ? weir__fail_plain(EINTR, "a signal arrived while waiting")
                           : WEIR__WAITED_SLICE;
}

int weir__side_wait(struct weir__side *side, bool (*is_ready)(void *argument), void *argument,
                    int64_t deadline_ns)
{
    int result = side->looks < LOOKS_MAX
                     ? weir__wait(&side->waiter, is_ready, argument, deadline_ns)
                     : nap(deadline_ns);
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
    if (result != WEIR__WAITED_SLICE && (is_last || now_ns - side->asked_ns < WEIR__SLICE_NS))
        return result;
    side->asked_ns = now_ns;
    bool is_dead = weir__side_reap(side, weir__side_other(side));
    if (is_dead && result != WEIR__WAITED_SLICE)
        side->looks = LOOKS_MAX + 1; /* one look more, not a row of them */
    return is_dead || result == WEIR__WAITED_SLICE ? 0 : result;
}
