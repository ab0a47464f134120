/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_PEERS_H
#define WEIR_TESTS_PEERS_H

/*
 * Peers: processes that share one memory and nothing else. Each is the test's own program,
 * executed anew, so that it inherits neither memory nor an identity; it maps the memory where it
 * likes, and does one order after the other until it is told to end, or killed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

/* The memory, in the test and in each peer. */
extern void *peers_memory;
extern size_t peers_bytes;

/* In the test: zeroed memory of that size in place of the former; a memfd. */
void peers_share(size_t bytes);
/*
 * The same, of a kind: peers find it by its System V id, its POSIX name, its memfd, or have it from fork()
 * without being executed anew. In each of them it lies elsewhere than in the test, and nothing may be touched
 * where it lies in the test.
 */
enum peers_kind { PEERS_MEMFD, PEERS_SYSTEM_V, PEERS_POSIX, PEERS_INHERITED, PEERS_KINDS };
void peers_share_in(enum peers_kind kind, size_t bytes);
/* In the test: no memory, and no name of it. */
void peers_unshare(void);
/* In the test: as it was when it was made. */
void peers_wipe(void);

struct peers_order {
    int verb;
    uint32_t argument;
    int64_t timeout_ns; /* negative: for ever; 0: look once */
};

struct peers_reply {
    int32_t result;
    uint32_t value;
};

/* Given by the test: does one order. Called in a peer. */
struct peers_reply peers_serve(const struct peers_order *order);

/*
 * The first line of main(): in a peer serves, and does not return. In the test returns.
 */
void peers_begin(int argc, char **argv);

struct peer {
    pid_t pid;
    int orders;
    int replies;
};

void peer_start(struct peer *peer);
/* An order and its reply; together they are ask. */
void peer_tell(struct peer *peer, int verb, uint32_t argument, int64_t timeout_ns);
struct peers_reply peer_answer(struct peer *peer);
struct peers_reply peer_ask(struct peer *peer, int verb, uint32_t argument, int64_t timeout_ns);
/* Whether an answer is there already. */
bool peer_has_answered(struct peer *peer);
/* Waits until the kernel says that it sleeps at a futex. */
void peer_see_asleep(struct peer *peer);
/* The same, after its first sleep, which is short: a wake that is lost costs a slice now. */
void peer_see_fast_asleep(struct peer *peer);
/* The same of one whose deadline may pass before anybody has looked. False: it has answered. */
bool peer_is_seen_asleep(struct peer *peer);
bool peer_is_seen_fast_asleep(struct peer *peer);
/* Stopped, as the kernel says. */
void peer_stop(struct peer *peer);
void peer_go_on(struct peer *peer);
/* SIGKILL, and its end is known. */
void peer_kill(struct peer *peer);
/* It ends by itself, and its end is known. */
void peer_end(struct peer *peer);

#endif
