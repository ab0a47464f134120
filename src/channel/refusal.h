/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_REFUSAL_H
#define WEIR_CHANNEL_REFUSAL_H

/*
 * What a publisher was refused, and whether the same call would wait again: for the
 * publisher's descriptor, whose thread looks at a copy.
 *
 *   refused    | over when                                     | else
 *   -----------+-----------------------------------------------+-------------------
 *   nothing    | always                                        |
 *   room       | the cursor leaves it, or nobody is there      | somebody else shows
 *   subscriber | its page has our lane                         | his page: the next
 *   taken      | the cursor is at the last, or nobody is there | call meets him
 *
 * A cursor that cannot be is the end of waiting, too: the call says -EUCLEAN.
 */

#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"
#include "channel/side.h"

enum weir__refused {
    WEIR__REFUSED_NOTHING = 0,
    WEIR__REFUSED_ROOM,
    WEIR__REFUSED_SUBSCRIBER,
    WEIR__REFUSED_TAKEN,
};

struct weir__refusal {
    const struct weir__side *side; /* of it only what never changes, and the slots */
    const struct weir__page_shm *page;
    enum weir__refused refused;
    bool has_ended;
    uint64_t peer, peer_page; /* whose page it is */
    uint64_t capacity;
    uint64_t wanted;            /* room: up to here */
    uint64_t last_end;          /* taken: up to here */
    uint64_t cursor, committed; /* between them the page's cursor must stand */
};

/* Of a struct weir__refusal. Cheap, changes nothing that others see. */
bool weir__refusal_is_over(void *argument);

/* Asks the kernel for the subscriber, and puts a dead one out. */
void weir__refusal_ask(void *argument);

#endif
