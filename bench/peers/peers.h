/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

/*
 * Other ways between two processes, as transports of bench/lane. Each is used as its users do: with
 * one call a message, by copying, its limits as the distribution has set them. They close what they
 * have opened also where the benchmark gives up.
 */

#include "lane/lane.h"

/* Round trips poll, other traffic waits in the kernel. */
extern const struct transport transport_unix, transport_sysv_messages, transport_posix_messages,
    transport_boost;

/* These wait in the kernel only: a poll of theirs would keep what does their work from its core,
 * or is not how they are taught. */
extern const struct transport transport_textbook, transport_textbook_16, transport_zeromq;

/* iceoryx waits in the kernel where it does not poll; Aeron sleeps for longer and longer. Both need
 * a daemon, which runs while the benchmark does. False, and a sentence on stderr: it is not there. */
extern const struct transport transport_iceoryx, transport_aeron;
bool peers_iceoryx_start(void);
void peers_iceoryx_end(void);
bool peers_aeron_start(void);
void peers_aeron_end(void);

/* The largest message; 0: as large as there is memory for. */
uint64_t peers_sysv_message_most(void);
uint64_t peers_posix_message_most(void);

#endif
