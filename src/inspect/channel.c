/* SPDX-License-Identifier: MIT */
/*
 * The members of a channel, seen from outside: no slot, no word written. Whatever is read may be a
 * lie, or change under us: counts and sizes are those of the directory's checked head and of the
 * kernel, each loop has its own bound, and what cannot be true is said to be false.
 */
#include <weir/inspect.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>

#include <weir/channel.h>
#include <weir/identity.h>

#include "base/error.h"
#include "channel/peer.h"
#include "channel/subscriber.h"
#include "inspect/channel.h"
#include "segment/handle.h"
#include "segment/identity.h"
#include "segment/sysv.h"

/* Of a lane that is walked on. */
#define HEADERS_MAX (1 << 20)

struct walk {
    const char *name;
    struct weir__directory directory;
    struct weir__member_seen *seen;
    size_t count;
    int *ids; /* of the segments of one role that were read: so many */
    size_t id_count;
};

/* Whose the memory is, or else the beacon, by the kernel. */
static void ask_kernel(struct weir_channel_member *member, int id)
{
    struct shmid_ds found;
    if (weir__shm_stat(id, &found) != 0)
        return;
    member->uid = found.shm_perm.cuid;
    member->pid = found.shm_cpid;
}

/*
 * One memory is one member's, who has one slot. So it is asked by the segment and by no owner: of a
 * process that lives long two members may have the same, and its memory may say another one meanwhile.
 */
static bool was_read(const struct walk *walk, int id)
{
    for (size_t i = 0; i < walk->id_count; i++)
        if (walk->ids[i] == id)
            return true;
    return false;
}

/*
 * Attaches what the member shows: 1. 0: its state says why there is nothing to read. -ENOMEM, -ENFILE. What one
 * of its role has shown is not read once more: all slots may show it, with as much to read in each.
 */
static int attach(struct walk *walk, const struct weir__slot_shm *slot,
                  const struct weir__wanted *wanted, struct weir_channel_member *member,
                  struct weir_segment **memory)
{
    int id = weir__shown_id(weir__slot_page(slot), member->identity);
    member->state = id < 0 ? WEIR_MEMBER_JOINING : WEIR_MEMBER_FALSE;
    if (id < 0 || was_read(walk, id))
        return 0;
    int result = weir__shown_attach_to_look(memory, id, member->identity, wanted);
    if (weir__is_scarce(result))
        return result;
    member->state = result == 0                             ? WEIR_MEMBER_SHOWN
                    : result == -ENOENT || result == -EIDRM ? WEIR_MEMBER_GONE
                    : result == -EACCES || result == -EPERM ? WEIR_MEMBER_HIDDEN
                                                            : WEIR_MEMBER_FALSE;
    if (result != 0)
        return 0;
    ask_kernel(member, id); /* attached: the id cannot become another's */
    walk->ids[walk->id_count++] = id;
    return 1;
}

/* One of the pair that the publisher stored last; false: it stands between the stores. */
static bool read_boundary(const struct weir__lane_shm *shm, uint64_t *position, uint64_t *count)
{
    for (int attempt = 0; attempt < WEIR__INSPECT_ATTEMPTS; attempt++) {
        /* Acquire [lane.boundary]: three loads in this order. Pairs with weir__publisher_store_boundary(). */
        *position = atomic_load_explicit(&shm->boundary, memory_order_acquire);
        *count = atomic_load_explicit(&shm->boundary_count, memory_order_acquire);
        if (atomic_load_explicit(&shm->boundary_before, memory_order_acquire) == *position)
            return true;
    }
    return false;
}

enum found { FOUND_NOW, FOUND_NOT_ALL, FOUND_FALSE };

/* From the boundary on, to the header that is 0. */
static enum found walk_to_now(const struct weir__ring *ring, uint64_t *position, uint64_t *count,
                              int *headers_left)
{
    uint64_t start = *position;
    for (; *headers_left > 0; --*headers_left) {
        uint64_t header = weir__load_header(ring, *position);
        if (header == 0)
            return FOUND_NOW;
        bool is_pad = weir__is_pad(ring, header);
        const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, *position);
        if (!is_pad && !weir__is_message(ring, at, header))
            return FOUND_FALSE;
        *position +=
            is_pad ? weir__pad_bytes(header) : weir__record_bytes(weir__record_length(header));
        *count += !is_pad;
        if (*position - start > ring->capacity)
            return FOUND_FALSE;
    }
    return FOUND_NOT_ALL;
}

/*
 * How far the publisher is. What was read behind the boundary is what stood there, as long as the
 * publisher has not said that it may overwrite that.
 */
static void read_progress(const struct weir__lane_shm *shm, const struct weir__ring *ring,
                          struct weir_channel_member *member)
{
    uint64_t start, start_count;
    int headers_left = HEADERS_MAX; /* of all attempts */
    for (int attempt = 0; attempt < WEIR__INSPECT_ATTEMPTS; attempt++) {
        if (!read_boundary(shm, &start, &start_count))
            return;
        uint64_t position = start, count = start_count;
        enum found found =
            start % 8 == 0 ? walk_to_now(ring, &position, &count, &headers_left) : FOUND_FALSE;
        bool is_still = weir__is_intact(shm, ring->capacity, start);
        member->committed_bytes = start;
        member->committed_messages = start_count;
        if (!is_still)
            continue;
        member->is_exact = found == FOUND_NOW;
        if (found == FOUND_FALSE)
            member->state = WEIR_MEMBER_FALSE;
        if (found == FOUND_NOW) {
            member->committed_bytes = position;
            member->committed_messages = count;
        }
        return;
    }
}

static int read_publisher(struct walk *walk, const struct weir__slot_shm *slot,
                          struct weir_channel_member *member)
{
    const struct weir__wanted wanted = { WEIR__LANE_MAGIC,
                                         WEIR__LANE_RING_OFFSET + WEIR_RING_BYTES_MIN,
                                         weir__lane_most_bytes(), NULL };
    struct weir_segment *memory;
    int result = attach(walk, slot, &wanted, member, &memory);
    if (result <= 0)
        return result;
    unsigned char *bytes = weir_segment_data(memory);
    uint64_t capacity = weir_segment_size(memory) - WEIR__LANE_RING_OFFSET;
    if ((capacity & (capacity - 1)) == 0) {
        const struct weir__lane_shm *shm = (const struct weir__lane_shm *)(const void *)bytes;
        const struct weir__ring ring =
            weir__ring_of(bytes, capacity, walk->directory.terms.type_bytes);
        member->ring_bytes = capacity;
        weir__read_publisher_stats(&shm->stats, member);
        uint32_t evicts;
        memcpy(&evicts, &shm->evicts, sizeof evicts);
        member->evicts = evicts != 0;
        /* Acquire [lane.end]: all that it committed. Pairs with weir_publisher_end(). */
        member->has_ended = atomic_load_explicit(&shm->ended, memory_order_acquire) != 0;
        read_progress(shm, &ring, member);
    } else {
        member->state = WEIR_MEMBER_FALSE;
    }
    weir_segment_close(memory);
    return 0;
}

/*
 * Which publishers it reads from. The cursor is loaded before the count of messages, which is stored
 * before it. False: no memory. */
static bool read_entries(const struct weir__slots *publishers, const struct weir__page_shm *page,
                         struct weir__member_seen *seen)
{
    struct weir_channel_member *member = &seen->member;
    seen->readings = calloc(publishers->count, sizeof *seen->readings);
    if (!seen->readings)
        return false;
    unsigned attempts = WEIR__INSPECT_ATTEMPTS;
    member->readings = seen->readings;
    const uint32_t line = weir__page_epoch_line(publishers->count, member->slot);
    for (uint32_t i = 0; i < publishers->count; i++) {
        const struct weir__entry_shm *entry = weir__page_entry(page, line, i);
        uint64_t owner = weir__slot_owner(&publishers->at[i]);
        uint64_t shown = weir__slot_page(&publishers->at[i]);
        /* Acquire [lane.attached]: the cursor is that lane's. Pairs with attach_lane(). */
        uint64_t lane = atomic_load_explicit(&entry->lane, memory_order_acquire);
        /* Acquire [lane.finished]: likewise. Pairs with weir__lane_finish(). */
        uint64_t finished = atomic_load_explicit(&entry->finished, memory_order_acquire);
        const struct weir__aside_shm *aside = weir__page_aside(page, publishers->count, i);
        /* Acquire [lane.refused]: likewise. Pairs with weir__subscriber_say_refused(). */
        uint64_t refused = atomic_load_explicit(&aside->refused, memory_order_acquire);
        bool is_ours = lane == shown || finished == shown; /* the cursor */
        if (weir__shown_id(shown, owner) < 0 || (!is_ours && refused != shown))
            continue;
        /* Acquire [lane.free]: so much it had released. Pairs with weir__lane_store_cursor(). */
        uint64_t cursor = atomic_load_explicit(&entry->cursor, memory_order_acquire);
        struct weir_channel_reading *reading = &seen->readings[member->reading_count++];
        *reading = (struct weir_channel_reading){
            .publisher = i,
            .state = lane == shown       ? WEIR_READING_ATTACHED
                     : finished == shown ? WEIR_READING_FINISHED
                                         : WEIR_READING_REFUSED,
            .identity = owner,
            .released_bytes = is_ours ? cursor : 0,
            /* Relaxed [lane.released]: the cursor's acquire, so not less than goes with it. Pairs
             * with weir__lane_store_cursor(). */
            .released_messages =
                is_ours ? atomic_load_explicit(&entry->released, memory_order_relaxed) : 0,
        };
        if (is_ours && !member->is_lossy)
            weir__read_holds(page, aside, shown, &attempts, seen, member->reading_count - 1);
    }
    return true;
}

static int read_subscriber(struct walk *walk, const struct weir__slot_shm *slot,
                           struct weir__member_seen *seen)
{
    const struct weir__slots *publishers = &walk->directory.roles[WEIR__PUBLISHER];
    struct weir_channel_member *member = &seen->member;
    const uint64_t bytes = weir__page_bytes(publishers->count);
    const struct weir__wanted wanted = { WEIR__PAGE_MAGIC, bytes, bytes, NULL };
    struct weir_segment *memory;
    int result = attach(walk, slot, &wanted, member, &memory);
    if (result <= 0)
        return result;
    const struct weir__page_shm *page = weir_segment_data(memory);
    weir__read_subscriber_stats(page, publishers->count, member);
    bool is_read = read_entries(publishers, page, seen);
    weir_segment_close(memory);
    return is_read ? 0 : weir__fail(ENOMEM, "no memory for what a subscriber reads");
}

/* All of one role, behind those that are there. */
static int gather(struct walk *walk, enum weir__role role)
{
    const struct weir__slots *slots = &walk->directory.roles[role];
    walk->id_count = 0;
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct weir__slot_shm *slot = &slots->at[i];
        uint64_t owner = weir__slot_owner(slot);
        struct weir__member_seen *seen = &walk->seen[walk->count];
        struct weir_channel_member *member = &seen->member;
        int result = 0;
        if (owner == 0)
            continue;
        *seen = (struct weir__member_seen){ .readings = NULL };
        *member = (struct weir_channel_member){
            .size = sizeof *member,
            .role = role == WEIR__PUBLISHER ? WEIR_MEMBER_PUBLISHER : WEIR_MEMBER_SUBSCRIBER,
            .slot = i,
            .uid = WEIR_UID_ANY,
            .identity = owner,
            .slowest = WEIR_SLOT_NONE,
            .is_lossy = role == WEIR__SUBSCRIBER && (owner & WEIR__SESSION_LOSSY) != 0,
        };
        member->life = (uint32_t)weir__slot_life(slot, owner);
        if (member->life == WEIR_LIFE_ALIVE)
            ask_kernel(member, weir__identity_unpack(owner).id);
        if (role == WEIR__PUBLISHER)
            result = read_publisher(walk, slot, member);
        else
            result = read_subscriber(walk, slot, seen);
        walk->count++;
        if (result != 0)
            return result;
    }
    return 0;
}

static int show(const struct walk *walk, uint32_t role,
                int (*visit)(const struct weir_channel_member *member, void *argument),
                void *argument)
{
    int result = 0;
    for (size_t i = 0; i < walk->count && result == 0; i++)
        if (walk->seen[i].member.role == role)
            result = visit(&walk->seen[i].member, argument);
    return result;
}

int weir_inspect_channel(const char *name,
                         int (*visit)(const struct weir_channel_member *member, void *argument),
                         void *argument)
{
    struct walk walk = { .name = name };
    struct weir__error_saved saved;
    int result = weir__directory_look(&walk.directory, walk.name);
    if (result != 0)
        return result;
    const struct weir__slots *roles = walk.directory.roles;
    const size_t most = (size_t)roles[0].count + roles[1].count;
    walk.seen = calloc(most, sizeof *walk.seen);
    walk.ids = calloc(most, sizeof *walk.ids);
    if (!walk.seen || !walk.ids)
        result = weir__fail(ENOMEM, "no memory for the members of channel '%s'", name);
    weir__error_save(&saved);
    if (result == 0) /* cursors before commits: nobody seems to have read what is not there */
        result = gather(&walk, WEIR__SUBSCRIBER);
    if (result == 0)
        result = gather(&walk, WEIR__PUBLISHER);
    if (result == 0)
        weir__find_lags(walk.seen, walk.count);
    if (result == 0)
        weir__error_restore(&saved); /* what a member did not let us see is no failure */
    weir_segment_close(walk.directory.segment);
    if (result == 0)
        result = show(&walk, WEIR_MEMBER_PUBLISHER, visit, argument);
    if (result == 0)
        result = show(&walk, WEIR_MEMBER_SUBSCRIBER, visit, argument);
    for (size_t i = 0; i < walk.count; i++)
        free(walk.seen[i].readings);
    free(walk.seen);
    free(walk.ids);
    return result;
}

int weir_inspect_channel_terms(const char *name, struct weir_channel_terms *terms)
{
    struct walk walk = { .name = name };
    if (terms->size != sizeof *terms)
        return weir__fail(EINVAL, "terms.size is %u: set it to sizeof(struct weir_channel_terms)",
                          terms->size);
    int result = weir__directory_look(&walk.directory, walk.name);
    if (result != 0)
        return result;
    const struct weir__terms *found = &walk.directory.terms;
    terms->lifetime = walk.directory.segment->record.lifetime;
    terms->publishers_max = found->counts[WEIR__PUBLISHER];
    terms->subscribers_max = found->counts[WEIR__SUBSCRIBER];
    terms->delivery = found->delivery;
    terms->type_bytes = found->type_bytes;
    memcpy(terms->type_name, found->type_name, sizeof terms->type_name);
    weir_segment_close(walk.directory.segment);
    return 0;
}

const char *weir_member_state_name(uint32_t state)
{
    static const char *const names[] = {
        [WEIR_MEMBER_JOINING] = "joining", [WEIR_MEMBER_SHOWN] = "shown",
        [WEIR_MEMBER_HIDDEN] = "hidden",   [WEIR_MEMBER_GONE] = "gone",
        [WEIR_MEMBER_FALSE] = "false",
    };
    return state < sizeof names / sizeof *names && names[state] ? names[state] : "false";
}
