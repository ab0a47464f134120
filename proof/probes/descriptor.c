/* SPDX-License-Identifier: MIT */
/*
 * Goal: what makes the better descriptor for a sleeper's word: a thread and an eventfd, or
 * the descriptor of an io_uring that waits for the futex. Method: another process stamps the
 * time, changes the word and wakes; measured is until epoll_wait returns, in turns. And what
 * a waiting ring does to the thread that armed it, tried one by one.
 *
 *   descriptor [ROUNDS]
 *
 * Prints what it finds. Exit status: 0; 77 where io_uring, or its futex wait, is not to be had.
 */
#include "uring.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

/* What the two processes share. */
struct shared {
    _Alignas(128) _Atomic uint32_t bell;
    _Alignas(128) _Atomic uint32_t asked; /* rounds that the sleeper is ready for */
    _Alignas(128) _Atomic int64_t stamp_ns;
};

static struct shared *shared;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void nap(long ns)
{
    const struct timespec time = { 0, ns };
    nanosleep(&time, NULL);
}

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
    while (atomic_load(word) == value)
        syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void give_up(const char *what, int error)
{
    printf("%s: %s\n", what, strerror(error));
    exit(77);
}

/*
 * The ways to wait
 */

enum way { WAY_FUTEX, WAY_THREAD, WAY_RING, WAY_RING_EVENTFD, WAYS };

static const char *const way_names[WAYS] = {
    "bare futex, no descriptor",
    "thread and eventfd",
    "io_uring, its own descriptor",
    "io_uring, deferred, an eventfd",
};

static const unsigned ring_flags[WAYS] = {
    [WAY_RING_EVENTFD] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
};

/*
 * A ring whose completions wait for the thread that armed it signals nothing on its own
 * descriptor before that thread asks; but an eventfd that is registered with it, at once.
 */
struct ring {
    struct uring uring;
    int fd; /* to poll */
};

static int ring_open(struct ring *ring, enum way way)
{
    int result = uring_open(&ring->uring, ring_flags[way]);
    ring->fd = ring->uring.fd;
    if (result != 0 || way != WAY_RING_EVENTFD)
        return result;
    ring->fd = eventfd(0, EFD_NONBLOCK);
    return syscall(SYS_io_uring_register, ring->uring.fd, IORING_REGISTER_EVENTFD, &ring->fd, 1) < 0
               ? -errno
               : 0;
}

static int ring_arm(struct ring *ring)
{
    return uring_arm(&ring->uring, &shared->bell, atomic_load(&shared->bell));
}

/* Takes the completion, so that the descriptor is not readable any more. */
static int ring_take(const struct ring *ring)
{
    uint64_t count;
    int result = 0;
    uring_enter(&ring->uring, 0, 0, IORING_ENTER_GETEVENTS); /* signals the eventfd once more */
    if (ring->fd != ring->uring.fd && read(ring->fd, &count, sizeof count) < 0)
        return -errno;
    if (!uring_take(&ring->uring, &result))
        return -EOPNOTSUPP;
    return result == -EAGAIN ? 0 : result;
}

static void ring_close(const struct ring *ring)
{
    if (ring->fd != ring->uring.fd)
        close(ring->fd);
    uring_close(&ring->uring);
}

/* A thread that waits in the sleeper's place, as long as it is armed. */
struct helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_armed, is_ending;
    uint32_t value;
    int fd;
};

static void *help(void *argument)
{
    struct helper *helper = argument;
    const uint64_t one = 1;
    pthread_mutex_lock(&helper->lock);
    while (!helper->is_ending) {
        if (!helper->is_armed) {
            pthread_cond_wait(&helper->changed, &helper->lock);
            continue;
        }
        uint32_t value = helper->value;
        pthread_mutex_unlock(&helper->lock);
        wait_while(&shared->bell, value);
        pthread_mutex_lock(&helper->lock);
        helper->is_armed = false;
        if (write(helper->fd, &one, sizeof one) != sizeof one)
            abort();
    }
    pthread_mutex_unlock(&helper->lock);
    return NULL;
}

static void helper_open(struct helper *helper)
{
    memset(helper, 0, sizeof *helper);
    helper->fd = eventfd(0, EFD_NONBLOCK);
    pthread_mutex_init(&helper->lock, NULL);
    pthread_cond_init(&helper->changed, NULL);
    pthread_create(&helper->thread, NULL, help, helper);
}

static void helper_arm(struct helper *helper, uint32_t value)
{
    uint64_t count;
    pthread_mutex_lock(&helper->lock);
    if (read(helper->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
    helper->value = value;
    helper->is_armed = true;
    pthread_cond_signal(&helper->changed);
    pthread_mutex_unlock(&helper->lock);
}

static void helper_close(struct helper *helper)
{
    pthread_mutex_lock(&helper->lock);
    helper->is_ending = true;
    pthread_cond_signal(&helper->changed);
    pthread_mutex_unlock(&helper->lock);
    pthread_join(helper->thread, NULL);
    close(helper->fd);
}

/*
 * How long from the stamp until the sleeper is back
 */

/* The other process: a moment after it is asked, when the sleeper sleeps, it rings. */
static pid_t start_ringer(unsigned rounds)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    for (uint32_t round = 0; round < rounds; round++) {
        wait_while(&shared->asked, round);
        nap(200000);
        atomic_store(&shared->stamp_ns, now_ns());
        atomic_fetch_add(&shared->bell, 1);
        wake(&shared->bell);
    }
    _exit(0);
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

struct figures {
    int64_t p50_ns, p99_ns;
};

/* Asks to be rung, sleeps, and notes what it took. */
static int64_t sleep_once(int epoll, uint32_t bell)
{
    struct epoll_event event;
    atomic_fetch_add(&shared->asked, 1);
    wake(&shared->asked);
    if (epoll < 0)
        wait_while(&shared->bell, bell);
    else
        while (epoll_wait(epoll, &event, 1, -1) != 1) /* EINTR */
            ;
    return now_ns() - atomic_load(&shared->stamp_ns);
}

static int new_epoll(int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return epoll;
}

static void sleep_with_ring(enum way way, unsigned rounds, int64_t *took_ns)
{
    struct ring ring;
    int result = ring_open(&ring, way);
    if (result != 0)
        give_up("io_uring", -result);
    int epoll = new_epoll(ring.fd);
    for (unsigned round = 0; round < rounds; round++) {
        if ((result = ring_arm(&ring)) != 1)
            give_up("io_uring_enter", -result);
        took_ns[round] = sleep_once(epoll, 0);
        if ((result = ring_take(&ring)) != 0)
            give_up("a futex wait by io_uring", -result);
    }
    close(epoll);
    ring_close(&ring);
}

static void sleep_with_thread(unsigned rounds, int64_t *took_ns)
{
    struct helper helper;
    helper_open(&helper);
    int epoll = new_epoll(helper.fd);
    for (unsigned round = 0; round < rounds; round++) {
        helper_arm(&helper, atomic_load(&shared->bell));
        took_ns[round] = sleep_once(epoll, 0);
    }
    close(epoll);
    helper_close(&helper);
}

static void sleep_rounds(enum way way, unsigned rounds, int64_t *took_ns)
{
    if (way >= WAY_RING)
        sleep_with_ring(way, rounds, took_ns);
    else if (way == WAY_THREAD)
        sleep_with_thread(rounds, took_ns);
    else
        for (unsigned round = 0; round < rounds; round++)
            took_ns[round] = sleep_once(-1, atomic_load(&shared->bell));
}

static struct figures measure(enum way way, unsigned rounds)
{
    int64_t *took_ns = calloc(rounds, sizeof *took_ns);
    atomic_store(&shared->asked, 0);
    pid_t ringer = start_ringer(rounds);
    sleep_rounds(way, rounds, took_ns);
    waitpid(ringer, NULL, 0);
    qsort(took_ns, rounds, sizeof *took_ns, compare);
    struct figures figures = { took_ns[rounds / 2], took_ns[rounds * 99 / 100] };
    free(took_ns);
    return figures;
}

static void compare_ways(unsigned rounds)
{
    printf("from the ring to the sleeper's return, %u rounds each, two turns:\n", rounds);
    for (int turn = 0; turn < 2; turn++)
        for (enum way way = 0; way < WAYS; way++) {
            struct figures figures = measure(way, rounds);
            printf("  %-30s p50 %6.1f us, p99 %6.1f us\n", way_names[way],
                   (double)figures.p50_ns / 1000, (double)figures.p99_ns / 1000);
        }
}

/*
 * What a ring does to its thread
 */

static void *ring_later(void *argument)
{
    (void)argument;
    nap(50000000);
    atomic_fetch_add(&shared->bell, 1);
    wake(&shared->bell);
    return NULL;
}

enum call { CALL_EPOLL_WAIT, CALL_POLL, CALL_NANOSLEEP, CALLS };

static const char *const call_names[CALLS] = { "epoll_wait", "poll", "nanosleep" };

/* How a call that has nothing to do with the ring ends, when the ring is rung meanwhile. */
static const char *sleep_in(enum call call)
{
    const struct timespec time = { 0, 200000000 };
    struct epoll_event event;
    int result;
    if (call == CALL_EPOLL_WAIT) {
        int epoll = epoll_create1(0);
        result = epoll_wait(epoll, &event, 1, 200) < 0 ? errno : 0;
        close(epoll);
    } else if (call == CALL_POLL) {
        result = poll(NULL, 0, 200) < 0 ? errno : 0;
    } else {
        result = nanosleep(&time, NULL) < 0 ? errno : 0;
    }
    return result == 0 ? "undisturbed" : strerror(result);
}

static void try_interruption(enum way way)
{
    printf("%s: rung while its thread sleeps in\n", way_names[way]);
    for (enum call call = 0; call < CALLS; call++) {
        struct ring ring;
        pthread_t ringer;
        if (ring_open(&ring, way) != 0)
            return;
        ring_arm(&ring);
        pthread_create(&ringer, NULL, ring_later, NULL);
        printf("  %-30s %s\n", call_names[call], sleep_in(call));
        pthread_join(ringer, NULL);
        ring_close(&ring);
    }
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    return poll(&poll_fd, 1, timeout_ms) == 1;
}

struct lost {
    struct ring ring;
    enum way way;
};

static void *arm_and_end(void *argument)
{
    struct lost *lost = argument;
    if (ring_open(&lost->ring, lost->way) == 0)
        ring_arm(&lost->ring);
    return NULL;
}

static void try_thread_that_ends(enum way way)
{
    struct lost lost = { .way = way };
    pthread_t thread;
    pthread_create(&thread, NULL, arm_and_end, &lost);
    pthread_join(thread, NULL);
    printf("%s: the thread that armed it ends\n", way_names[way]);
    printf("  nobody rings                   %s\n",
           is_readable(lost.ring.fd, 1000) ? "readable" : "not readable");
    ring_later(NULL);
    printf("  rung                           %s\n",
           is_readable(lost.ring.fd, 1000) ? "readable" : "not readable");
    int result = ring_arm(&lost.ring);
    printf("  another thread arms it         %s\n", result < 0 ? strerror(-result) : "works");
    ring_close(&lost.ring);
}

static void try_rings(enum way way)
{
    struct ring ring;
    if (ring_open(&ring, way) != 0)
        return;
    ring_arm(&ring);
    printf("%s: readiness\n", way_names[way]);
    /* Its ringer was killed between the commit and the ring. */
    printf("  a message without a ring       %s\n",
           is_readable(ring.fd, 500) ? "readable" : "not readable");
    /* The message was seen, and taken, before its ring arrived. */
    ring_later(NULL);
    printf("  a ring without a message       %s\n",
           is_readable(ring.fd, 500) ? "readable" : "not readable");
    ring_close(&ring);
}

int main(int count, char **arguments)
{
    long rounds = count > 1 ? strtol(arguments[1], NULL, 10) : 2000;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || rounds < 100 || rounds > 1000000)
        return fprintf(stderr, "usage: descriptor [ROUNDS from 100]\n"), 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    compare_ways((unsigned)rounds);
    for (enum way way = WAY_RING; way < WAYS; way++) {
        try_interruption(way);
        try_thread_that_ends(way);
        try_rings(way);
    }
    return 0;
}
