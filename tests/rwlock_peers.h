/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_RWLOCK_PEERS_H
#define WEIR_TESTS_RWLOCK_PEERS_H

/* A read-write lock in the memory that the test and its peers share. */

#include "fixture.h"
#include "peers.h"
#include "sync/rwlock.h"

#define FOREVER INT64_C(-1)
#define NOW INT64_C(0)
#define SHORT_NS INT64_C(300000000)
#define LONG_NS INT64_C(20000000000)
/* What a death costs at most: a slice, and room for a loaded machine. */
#define BOUND_NS INT64_C(3000000000)

/* What a peer does with it. */
enum verb { READ, UNREAD, WRITE, UNWRITE, CONSISTENT, DOWNGRADE, READ_MANY, LEAVE_NAMESPACE };

extern struct weir_rwlock lock;

/* Anew, with so many places for readers, and opened. */
void rwlock_make(uint32_t readers);

#define assert_ask(peer, verb, timeout_ns, expected)                                               \
    assert_int_equal(peer_ask(&(peer), verb, 0, timeout_ns).result, expected)
#define assert_answer(peer, expected) assert_int_equal(peer_answer(&(peer)).result, expected)

#endif
