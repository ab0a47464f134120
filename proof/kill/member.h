/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_MEMBER_H
#define WEIR_PROOF_MEMBER_H

/*
 * A peer as a member of a channel: what channel_peer.c and crowd_peer.c share. Each call of weir's
 * stands between peer_enter() and peer_leave(); the accounts of its stream follow each message.
 */

#include <stdbool.h>
#include <stdint.h>

#include "act.h"

extern struct member {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    unsigned stream;      /* its own */
    unsigned next_number; /* of the next to be sent */
    struct weir_message held[WEIR_HOLDS_MAX];
    unsigned held_count;
} member;

int member_publish(const struct order *order, const char *channel,
                   const struct weir_channel_options *options);
int member_subscribe(const struct order *order, const char *channel,
                     const struct weir_channel_options *options);

/* One message, within wait_ns; polling when is_polling. */
int member_send(const struct order *order, bool is_polling);

/* Whether it is whole, and what it says of itself; else the peer is broken. */
bool member_is_whole(const uint64_t *words, const struct weir_message *message);

/* What is done with each message that was got. */
typedef void member_note(const uint64_t *words, const struct weir_message *message);

int member_receive(const struct order *order, member_note *note);
int member_take(const struct order *order, member_note *note); /* and holds it */

act member_end, member_close; /* whichever is open */

#endif
