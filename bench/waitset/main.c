/* SPDX-License-Identifier: MIT */
/*
 * waitset - one process sleeps in a wait set of 1, 8 and 64 channels, another sends on one of them
 *
 *   weir   from before the send until the wait has returned and the message is taken
 *   bare   the same with an eventfd in place of each channel, and epoll_wait(2)
 *
 * The two take turns, so that whatever else the machine does falls on both alike. The sender waits
 * after each message until it is taken, and then long enough for the other to sleep again.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/error.h>
#include <weir/waitset.h>

#include "../values.h"

enum { CHANNELS_MAX = 64, ROUNDS_MAX = 100000, PAUSE_NS = 60000 };

static const char usage[] = "Usage: waitset [-h] [ROUNDS]\n"
                            "\n"
                            "Wakes one who sleeps on 1, 8 and 64 channels, 2000 rounds.\n";

/* Between the two processes. */
static struct board {
    _Atomic uint64_t ready, taken, sent_ns;
} * board;

static struct weir_wait_set *set;
static struct weir_subscriber *subscribers[CHANNELS_MAX];
static struct weir_publisher *publishers[CHANNELS_MAX];
static int epoll, events[CHANNELS_MAX];
static double times_us[2][ROUNDS_MAX];

static void need(long result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "waitset: %s\n", weir_last_error());
    exit(1);
}

/* The first two that we may run on; where there is one, both on that. */
static void pin(unsigned index)
{
    cpu_set_t allowed, one;
    unsigned count = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && count++ == index) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}

static const char *name_of(int number)
{
    static char name[32];
    snprintf(name, sizeof name, "bench/waitset/%d", number);
    return name;
}

static void spin_until(int64_t until_ns)
{
    while (weir_now_ns() < until_ns)
        ;
}

static void send(int count, long rounds)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    for (int i = 0; i < count; i++) {
        need(weir_publisher_open(&publishers[i], name_of(i), &options));
        need(weir_publisher_wait_subscribers(publishers[i], 1, WEIR_NEVER));
    }
    for (long round = 0; round < 2 * rounds; round++) {
        int at = (int)(round * 7 % count);
        while (atomic_load(&board->ready) <= (uint64_t)round)
            sched_yield();
        spin_until(weir_deadline_ns(PAUSE_NS));
        int64_t now_ns = weir_now_ns();
        atomic_store(&board->sent_ns, (uint64_t)now_ns);
        if (round % 2 == 0)
            need(weir_publisher_send(publishers[at], &now_ns, sizeof now_ns));
        else
            eventfd_write(events[at], 1);
        while (atomic_load(&board->taken) <= (uint64_t)round)
            sched_yield();
    }
    for (int i = 0; i < count; i++)
        weir_publisher_close(publishers[i]);
}

static int64_t receive_weir(void)
{
    struct weir_wait_event event;
    int64_t sent_ns;
    for (;;) {
        need(weir_wait_set_wait_until(set, &event, 1, WEIR_NEVER));
        int result = weir_subscriber_receive_until(subscribers[event.token], &sent_ns,
                                                   sizeof sent_ns, NULL, 0);
        if (result == 0)
            return weir_now_ns();
    }
}

static int64_t receive_bare(void)
{
    struct epoll_event event;
    eventfd_t value;
    while (epoll_wait(epoll, &event, 1, -1) != 1)
        ;
    if (eventfd_read(events[event.data.u32], &value) != 0)
        abort();
    return weir_now_ns();
}

static void open_all(int count)
{
    struct weir_wait_set_options options = WEIR_WAIT_SET_OPTIONS;
    options.flags = WEIR_WAIT_SET_SLEEP_ONLY;
    need(weir_wait_set_open(&set, &options));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
        need(weir_subscriber_open(&subscribers[i], name_of(i), NULL));
        need(weir_wait_set_add_subscriber(set, subscribers[i], (uint64_t)i));
        events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (events[i] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, events[i], &event) != 0) {
            perror("waitset: eventfd");
            exit(1);
        }
    }
}

static void close_all(int count)
{
    weir_wait_set_close(set);
    for (int i = 0; i < count; i++) {
        weir_subscriber_close(subscribers[i]);
        close(events[i]);
    }
    close(epoll);
}

static void measure(int count, long rounds)
{
    int status;
    memset(board, 0, sizeof *board);
    open_all(count);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        send(count, rounds);
        _exit(0);
    }
    pin(0);
    for (long round = 0; round < 2 * rounds; round++) {
        atomic_store(&board->ready, (uint64_t)round + 1);
        int64_t now_ns = round % 2 == 0 ? receive_weir() : receive_bare();
        times_us[round % 2][round / 2] =
            (double)(now_ns - (int64_t)atomic_load(&board->sent_ns)) / 1e3;
        atomic_store(&board->taken, (uint64_t)round + 1);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        exit(1);
    close_all(count);
    for (int i = 0; i < 2; i++)
        values_sort(times_us[i], (size_t)rounds);
    printf("%2d channels  weir %6.1f us  (10 %% %.1f, 90 %% %.1f)   bare %6.1f us  (10 %% %.1f, "
           "90 %% %.1f)   ÷ bare %.2f\n",
           count, times_us[0][rounds / 2], times_us[0][rounds / 10], times_us[0][rounds * 9 / 10],
           times_us[1][rounds / 2], times_us[1][rounds / 10], times_us[1][rounds * 9 / 10],
           times_us[0][rounds / 2] / times_us[1][rounds / 2]);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    static const int counts[] = { 1, 8, CHANNELS_MAX };
    long rounds = count > 1 ? strtol(arguments[1], NULL, 10) : 2000;
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fputs(usage, count > 1 && strcmp(arguments[1], "-h") == 0 ? stdout : stderr);
        return count > 1 && strcmp(arguments[1], "-h") == 0 ? 0 : 2;
    }
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        measure(counts[i], rounds);
    return 0;
}
