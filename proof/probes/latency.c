/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long a message takes from before its send until epoll_wait returns for
 * weir_subscriber_fd(), by io_uring and by a thread. Method: another process stamps each
 * message a moment after the subscriber was armed; in turns, the second way in a process that
 * may not set up a ring.
 *
 *   latency [ROUNDS]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#define NOW 0

static int fail(void)
{
    fprintf(stderr, "latency: %s\n", weir_last_error());
    return 1;
}

static int publish(const char *name, long rounds, int asked)
{
    const struct timespec moment = { 0, 200000 };
    struct weir_publisher *publisher;
    char byte;
    if (weir_publisher_open(&publisher, name, NULL) != 0 ||
        weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER) != 0)
        return fail();
    for (long round = 0; round < rounds && read(asked, &byte, 1) == 1; round++) {
        nanosleep(&moment, NULL);
        int64_t now_ns = weir_now_ns();
        if (weir_publisher_send(publisher, &now_ns, sizeof now_ns) != 0)
            return fail();
    }
    weir_publisher_close(publisher);
    return 0;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Arms by a take that finds nothing, asks for a message, polls. */
static int subscribe(const char *name, long rounds, int ask, const char *way)
{
    struct epoll_event event = { .events = EPOLLIN };
    struct weir_subscriber *subscriber;
    int64_t *took_ns = calloc((size_t)rounds, sizeof *took_ns), sent_ns;
    int epoll = epoll_create1(EPOLL_CLOEXEC), result;
    if (!took_ns || weir_subscriber_open(&subscriber, name, NULL) != 0)
        return fail();
    int fd = weir_subscriber_fd(subscriber);
    if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return fail();
    for (long round = 0; round < rounds; round++) {
        while (weir_subscriber_receive_until(subscriber, &sent_ns, sizeof sent_ns, NULL, NOW) !=
               -EAGAIN)
            ;
        if (write(ask, "", 1) != 1)
            return 1;
        do {
            if (epoll_wait(epoll, &event, 1, -1) != 1)
                return perror("epoll_wait"), 1;
            took_ns[round] = weir_now_ns();
            result = weir_subscriber_receive_until(subscriber, &sent_ns, sizeof sent_ns, NULL, NOW);
        } while (result == -EAGAIN); /* the publisher has come */
        if (result != 0)
            return fail();
        took_ns[round] -= sent_ns;
    }
    weir_subscriber_close(subscriber);
    qsort(took_ns, (size_t)rounds, sizeof *took_ns, compare);
    printf("%-12s p50 %6.1f us, p99 %6.1f us\n", way, (double)took_ns[rounds / 2] / 1000,
           (double)took_ns[rounds * 99 / 100] / 1000);
    free(took_ns);
    return 0;
}

static int forbid_rings(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof rules / sizeof rules[0], rules };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* Both sides as children, so that each turn begins alike. */
static int turn(long rounds, int may_ring)
{
    const char *way = may_ring ? "io_uring" : "thread";
    char name[64];
    int ask[2], status, failed = 0;
    snprintf(name, sizeof name, "latency.%d.%s", (int)getpid(), way);
    if (pipe(ask) != 0)
        return 1;
    if (fork() == 0)
        _exit(publish(name, rounds, ask[0]));
    if (fork() == 0) {
        if (!may_ring && !forbid_rings())
            _exit(77);
        int result = subscribe(name, rounds, ask[1], way);
        fflush(stdout);
        _exit(result);
    }
    close(ask[0]);
    close(ask[1]);
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

int main(int count, char **arguments)
{
    long rounds = count > 1 ? strtol(arguments[1], NULL, 10) : 2000;
    int failed = 0;
    if (rounds < 100 || rounds > 1000000)
        return fprintf(stderr, "usage: latency [ROUNDS from 100]\n"), 2;
    for (int i = 0; i < 6 && !failed; i++)
        failed = turn(rounds, i % 2 == 0);
    return failed;
}
