/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_DIRECTORY_H
#define WEIR_CHANNEL_DIRECTORY_H

/*
 * The directory of a channel: who publishes and who subscribes. Its slots are claimed, shown,
 * left, and taken from the dead.
 *
 *   step of joining                  | killed here, it leaves       (CRASH ...)
 *   ---------------------------------+--------------------------------------------
 *   claim: owner 0 or dead -> me     | side.claimed: a dead owner without memory
 *   own memory made, page stored     | side.listed: a dead owner; the kernel frees
 *                                    | its memory with the last who attached it
 *   leaving: owner me -> 0           | side.left: nothing
 *   put out: owner 0 or dead -> me,  | as a claim
 *   page stored                      |
 *
 * A dead owner is put out by one compare-and-swap of exactly its value: a recoverer
 * that comes late fails, since each joining has a session of its own.
 *
 * `changes` of a role is raised after each of these steps. Who keeps a copy of it looks at the
 * slots only when it differs; who claims raises it before it looks at anybody's memory.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/channel.h>
#include <weir/segment.h>

#include "channel/layout.h"
#include "segment/rundir.h"

/* The slots of one role. */
struct weir__slots {
    struct weir__slot_shm *at;
    uint32_t count;
    weir__atomic_u32 *changes;
};

/* What its head says; or what is asked of it, where 0 and "" take it as it is. */
struct weir__terms {
    uint32_t counts[WEIR__ROLES];
    uint32_t delivery;
    uint32_t type_bytes;
    char type_name[WEIR__TYPE_NAME_BYTES];
};

struct weir__segment_beside;

struct weir__directory {
    struct weir_segment *segment;
    struct weir__terms terms; /* copied once, and checked */
    struct weir__slots roles[WEIR__ROLES];
};

/*
 * Opens the channel's directory, or makes it as is asked; with the default number of slots of a
 * role that is 0. -EINVAL with both numbers when it has others, -EPROTOTYPE with both types; -EPROTO,
 * -EPROTONOSUPPORT, -EUCLEAN; and those of weir_segment_create_or_open(). beside, or NULL: what the
 * caller needs if the directory is made.
 */
int weir__directory_open(struct weir__directory *directory, const char *name,
                         const struct weir__terms *asked,
                         const struct weir_segment_options *options,
                         struct weir__segment_beside *beside, struct weir__rundir *dir);

/* Opens it for reading alone, as one who is no member, whatever it was made for. */
int weir__directory_look(struct weir__directory *directory, const char *name);

/*
 * -EPROTO, without a sentence: it is of huge pages, of which weir makes no lane, no page and no directory:
 * such a mapping takes no advice for a part of one. Who touches a page of it that is not there is
 * killed (SIGBUS). -ENOMEM: it cannot be asked just now.
 */
int weir__refuse_huge_pages(const struct weir_segment *memory);

/* What a caller gave, or the defaults for NULL, checked. -EINVAL. */
int weir__channel_options(struct weir_channel_options *to, const struct weir_channel_options *from);

/*
 * weir__directory_open(), as options say, which were checked; delivery: that of the channel, and
 * -EINVAL if it has the other one.
 */
int weir__directory_open_as(struct weir__directory *directory, const char *name,
                            const struct weir_channel_options *options,
                            struct weir__segment_beside *beside, struct weir__rundir *dir);

/* Of all that a member makes: mode and group. */
void weir__channel_rights(struct weir_segment_options *rights,
                          const struct weir_channel_options *options);

/* Whether a type may have this name: what can be printed, and not too much of it. */
bool weir__is_type_name(const char *name, size_t length);

static inline uint32_t weir__slots_changes(const struct weir__slots *slots)
{
    /* Acquire [slot.changes]: the slots as they were then, or later. Pairs with weir__slots_changed(). */
    return atomic_load_explicit(slots->changes, memory_order_acquire);
}

/* After a change of a slot. */
void weir__slots_changed(const struct weir__slots *slots);

static inline uint64_t weir__slot_owner(const struct weir__slot_shm *slot)
{
    /* Acquire [slot.owner]. Pairs with weir__slot_claim() and weir__slot_leave(). */
    return atomic_load_explicit(&slot->owner, memory_order_acquire);
}

static inline uint64_t weir__slot_page(const struct weir__slot_shm *slot)
{
    /* Acquire [slot.page]: the memory is whole. Pairs with weir__slot_show(). */
    return atomic_load_explicit(&slot->page, memory_order_acquire);
}

/* The id of the segment that owner shows with this page; -1: none yet. */
int weir__shown_id(uint64_t page, uint64_t owner);

/*
 * Claims a free slot, or a dead one's, for me: its number. -EBUSY: all are the living's; -EAGAIN: in
 * those that are not a former owner shows something by this key: take another session.
 */
int weir__slot_claim(const struct weir__slots *slots, uint64_t me, bool *was_dead);

/* Shows the segment of this id, whole, in our slot: what its page is from now on. */
uint64_t weir__slot_show(const struct weir__slots *slots, uint32_t number, uint64_t me, int id);

/*
 * Makes a slot ours again, which we had, and in which others have written: unless it is a living
 * one's. Then the same holds as after a claim and a show. false: it is.
 */
bool weir__slot_regain(const struct weir__slots *slots, uint32_t number, uint64_t me,
                       uint64_t page);

void weir__slot_leave(const struct weir__slots *slots, uint32_t number, uint64_t me);

/* Whether owner, who shows this page, lives: enum weir_life. Asks the kernel. */
int weir__shown_life(uint64_t page, uint64_t owner);

/* The same of one that was found in the slot. */
int weir__slot_life(const struct weir__slot_shm *slot, uint64_t owner);

/* Asks the kernel for the slot's owner; puts a dead one out. true: it was dead. stats: who counts. */
bool weir__slot_reap(const struct weir__slots *slots, uint32_t number, uint64_t owner,
                     struct weir__stats_shm *stats);

/* The same for each slot. true: somebody was dead. */
bool weir__slots_reap(const struct weir__slots *slots, struct weir__stats_shm *stats);

/* How many show their memory. Reads only. */
uint32_t weir__slots_shown(const struct weir__slots *slots);

/* Rings all owners of slots of this role: so many. */
uint32_t weir__slots_ring(const struct weir__slots *slots);

#endif
