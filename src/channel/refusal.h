/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_REFUSAL_H
#define WEIR_CHANNEL_REFUSAL_H

/*
 * What a publisher waits for, or was refused, and whether the same call would wait again: for
 * the call's own wait, and for the descriptor, whose thread looks at a copy.
 *
 *   refused    | over when, of the subscribers that are there
 *   -----------+---------------------------------------------------------------------
 *   nothing    | always
 *   room       | all have our lane, and their cursors leave room; or nobody is there; or one has
 *              | released something that was in the way
 *   subscriber | as many as are wanted have our lane
 *   taken      | all cursors are at the last message, and nothing is held; or nobody is there
 *   attached   | all have our lane; or nobody is there
 *
 * A lossy one counts for "subscriber" and "attached" alone.
 * Who has refused our lane, and whose page we cannot have, is nobody that is there.
 *
 * Whatever is refused, it is over when one shows its memory that we have not attached: the
 * next call meets it. A cursor that cannot be is the end of waiting, too: the call says
 * -EUCLEAN.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/layout.h"
#include "channel/peer.h"

/* A subscriber, as a publisher knows it. */
struct weir__reader {
    struct weir__peer peer;
    const struct weir__page_shm *page;   /* NULL: it was found, and not met yet */
    const struct weir__entry_shm *entry; /* ours, in its page */
    const struct weir__aside_shm *aside; /* likewise */
    uint64_t unmet_shown; /* its slot's, of which we cannot be a reader: it refuses us; 0: none */
    bool is_attached;     /* it had our lane, when we last looked */
    bool is_out;          /* it had refused our lane, or we its page: nobody waits for it */
    uint64_t cursor;      /* at that look */
    uint64_t found_at;    /* our tail when it was found */
    bool is_lossy;        /* never waited for */
    bool is_evicted;      /* not waited for, until it has caught up */
    uint64_t holds;       /* at that look: what it had announced of our lane */
    /* What it shows, of which the memory is gone. */
    struct weir__vain gone;
};

enum weir__refused {
    WEIR__REFUSED_NOTHING = 0,
    WEIR__REFUSED_ROOM,
    WEIR__REFUSED_SUBSCRIBER,
    WEIR__REFUSED_TAKEN,
    WEIR__REFUSED_ATTACHED,
};

struct weir__refusal {
    const struct weir__side *side; /* of it only what never changes, and the slots */
    enum weir__refused refused;
    bool has_ended;
    uint64_t capacity;
    uint64_t wanted;       /* room: up to here */
    uint64_t last_end;     /* taken: up to here */
    uint64_t committed;    /* no cursor may be above it */
    uint32_t subscribers;  /* subscriber: so many */
    uint32_t changes_seen; /* of the slots, when readers were looked for */
    uint32_t reader_count;
    struct weir__reader readers[];
};

static inline size_t weir__refusal_bytes(uint32_t readers)
{
    return sizeof(struct weir__refusal) + readers * sizeof(struct weir__reader);
}

/* Whether the reader's cursor is one of our lane, which our slot shows by this word. */
bool weir__reader_is_reading(const struct weir__reader *reader, uint64_t shown, bool has_ended);

/* Whether it has refused our lane, and so will not read what we write. */
bool weir__reader_refuses(const struct weir__reader *reader, uint64_t shown);

/* Whether its subscriber has closed its page: of one that was met. */
bool weir__reader_has_left(const struct weir__reader *reader);

/* Of a struct weir__refusal. Cheap, changes nothing that others see. */
bool weir__refusal_is_over(void *argument);

/*
 * Asks the kernel for the subscribers, and puts the dead out. true: there was one, or our own place
 * is to be looked after.
 */
bool weir__refusal_ask(void *argument);

#endif
