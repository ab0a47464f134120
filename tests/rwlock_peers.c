/* SPDX-License-Identifier: MIT */
#include "rwlock_peers.h"

#include <errno.h>
#include <sched.h>

struct weir_rwlock lock;

struct peers_reply peers_serve(const struct peers_order *order)
{
    struct peers_reply reply = { 0, 0 };
    int64_t deadline_ns = order->timeout_ns == 0 ? 0 : weir_deadline_ns(order->timeout_ns);
    static bool is_open;
    if (!is_open)
        CHECK_RESULT(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
    is_open = true;
    switch ((enum verb)order->verb) {
    case READ:
        reply.result = weir_rwlock_read_lock_until(&lock, deadline_ns);
        break;
    case UNREAD:
        reply.result = weir_rwlock_read_unlock(&lock);
        break;
    case WRITE:
        reply.result = weir_rwlock_write_lock_until(&lock, deadline_ns);
        break;
    case UNWRITE:
        reply.result = weir_rwlock_write_unlock(&lock);
        break;
    case CONSISTENT:
        reply.result = weir_rwlock_consistent(&lock);
        break;
    case DOWNGRADE:
        reply.result = weir_rwlock_downgrade(&lock);
        break;
    case LEAVE_NAMESPACE:
        reply.result = unshare(CLONE_NEWIPC) == 0 ? 0 : -errno;
        break;
    case READ_MANY:
        while (reply.value < order->argument && reply.result == 0) {
            reply.result = weir_rwlock_read_lock_until(&lock, deadline_ns);
            reply.value += reply.result == 0;
        }
        break;
    }
    return reply;
}

void rwlock_make(uint32_t readers)
{
    peers_share(weir_rwlock_bytes(readers));
    assert_result(weir_rwlock_init(peers_memory, peers_bytes, readers), 0);
    assert_result(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
}
