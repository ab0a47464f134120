/* SPDX-License-Identifier: MIT */
#include "act.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VERB_NAME(verb, how, name) [verb] = (name),
const char *const verb_names[VERBS] = { EVERY_VERB(VERB_NAME)[QUIT] = "quit" };

struct accounts *accounts;
struct reply reply;
enum who peer_self;

int peer_broken(const char *format, ...)
{
    va_list arguments;
    reply.result = BROKEN;
    va_start(arguments, format);
    vsnprintf(reply.sentence, sizeof reply.sentence, format, arguments);
    va_end(arguments);
    return BROKEN;
}

/* A call with a bound: how long it took. */
int peer_timed(const struct order *order, int64_t before_ns, int result)
{
    int64_t took_ns = weir_now_ns() - before_ns;
    if (order->wait_ns <= BOUND_NS && took_ns > accounts->longest_ns)
        accounts->longest_ns = took_ns;
    return result;
}

int64_t peer_deadline(const struct order *order, int64_t before_ns)
{
    return order->wait_ns ? before_ns + order->wait_ns : 0;
}

void peer_enter(const struct order *order)
{
    if (!order->is_marked)
        return;
    atomic_store(&accounts->place, INSIDE);
    syscall(SYS_getppid); /* where the stepper begins */
}

void peer_leave(const struct order *order)
{
    if (order->is_marked)
        atomic_store(&accounts->place, AFTER);
}

static int obey(const struct order *order)
{
    static act *const *const subjects[] = { channel_acts, crowd_acts,   sync_acts,    rwlock_acts,
                                            permits_acts, barrier_acts, segment_acts, alloc_acts,
                                            latest_acts,  named_acts };
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        if (subjects[i][order->verb])
            return subjects[i][order->verb](order);
    return -ENOSYS;
}

static _Noreturn void serve(int orders, int replies)
{
    struct order order;
    while (read(orders, &order, sizeof order) == sizeof order && order.verb != QUIT) {
        memset(&reply, 0, sizeof reply);
        int result = obey(&order);
        if (reply.result != BROKEN) {
            reply.result = result;
            if (result < 0)
                snprintf(reply.sentence, sizeof reply.sentence, "%s", weir_last_error());
        }
        if (write(replies, &reply, sizeof reply) != sizeof reply)
            break;
    }
    _exit(0);
}

bool peer_start(struct peer *peer, struct accounts *shared, enum who who)
{
    int down[2], up[2];
    if (pipe(down) != 0)
        return false;
    if (pipe(up) != 0)
        return close(down[0]), close(down[1]), false;
    peer->pid = fork();
    if (peer->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        accounts = shared;
        peer_self = who;
        serve(down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    peer->orders = down[1];
    peer->replies = up[0];
    if (peer->pid > 0)
        return true;
    peer_forget(peer);
    return false;
}

bool peer_tell(const struct peer *peer, struct order order)
{
    return write(peer->orders, &order, sizeof order) == sizeof order;
}

bool peer_answer(const struct peer *peer, struct reply *answer)
{
    struct pollfd wait = { .fd = peer->replies, .events = POLLIN };
    return poll(&wait, 1, (int)(3 * BOUND_NS / 1000000)) == 1 &&
           read(peer->replies, answer, sizeof *answer) == sizeof *answer;
}

void peer_forget(struct peer *peer)
{
    close(peer->orders);
    close(peer->replies);
    peer->pid = 0;
}
