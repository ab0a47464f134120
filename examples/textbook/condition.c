/* SPDX-License-Identifier: MIT */
/*
 * condition - a wake-up is lost between the look and the sleep.
 *
 *     cc -Wall -Wextra examples/textbook/condition.c -o condition && ./condition
 *
 * One process waits until a mailbox is full, another one fills it and rings a
 * bell. The bell is futex(2), what locks and semaphores are made of:
 * FUTEX_WAIT(word, value) sleeps if the word still has the value, FUTEX_WAKE
 * wakes who sleeps there now. It is not remembered for who sleeps later. So who
 * looks first, and then prepares to sleep, may sleep on a full mailbox. The cure
 * is the order: prepare (read the bell), look, sleep.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 200

struct mailbox {
    atomic_int full; /* 1: what the waiter waits for */
    atomic_int bell; /* how often it rang */
};

enum order {
    LOOK_FIRST,    /* look, prepare, sleep: wrong */
    PREPARE_FIRST, /* prepare, look, sleep */
};

struct outcome {
    int wait;  /* what the sleep said: 0, EAGAIN, ETIMEDOUT */
    int woken; /* how many the bell woke */
    int full;  /* the mailbox, after the sleep */
};

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

/* Sleeps if the bell rang as often as ticket says, PATIENCE_MS at most: the error, or 0 when woken. */
static int sleep_on(struct mailbox *mailbox, int ticket)
{
    struct timespec patience = { .tv_nsec = PATIENCE_MS * 1000000L };
    return syscall(SYS_futex, &mailbox->bell, FUTEX_WAIT, ticket, &patience, NULL, 0) ? errno : 0;
}

/* How many it woke. */
static int ring(struct mailbox *mailbox)
{
    atomic_fetch_add(&mailbox->bell, 1);
    return (int)syscall(SYS_futex, &mailbox->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* One message through a pipe, so that the two meet at the place that matters. */
static void tell(int fd)
{
    if (write(fd, "", 1) != 1)
        stop("write");
}

static void listen_for(int fd)
{
    char byte;
    if (read(fd, &byte, 1) != 1)
        stop("read");
}

/* In a child; its exit status is what the sleep said. */
static int wait_until_full(struct mailbox *mailbox, enum order order, int looked, int rung)
{
    int ticket = 0;
    if (order == PREPARE_FIRST)
        ticket = atomic_load(&mailbox->bell);
    if (atomic_load(&mailbox->full))
        return 0;
    tell(looked); /* the kernel switches to the other process just here */
    listen_for(rung);
    if (order == LOOK_FIRST)
        ticket = atomic_load(&mailbox->bell);
    return sleep_on(mailbox, ticket);
}

static struct outcome meet(struct mailbox *mailbox, enum order order)
{
    int looked[2], rung[2], status;
    struct outcome outcome;
    atomic_store(&mailbox->full, 0);
    if (pipe(looked) != 0 || pipe(rung) != 0)
        stop("pipe");
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        stop("fork");
    if (child == 0) {
        close(rung[1]);
        _exit(wait_until_full(mailbox, order, looked[1], rung[0]));
    }
    close(looked[1]);
    close(rung[0]);
    listen_for(looked[0]);
    atomic_store(&mailbox->full, 1);
    outcome.woken = ring(mailbox);
    tell(rung[1]);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        stop("the child did not end as it should");
    outcome.wait = WEXITSTATUS(status);
    outcome.full = atomic_load(&mailbox->full);
    close(looked[0]);
    close(rung[1]);
    return outcome;
}

static void report(const char *how, struct outcome outcome)
{
    printf("%s: the bell woke %d, the mailbox is %s, and the waiter %s\n", how, outcome.woken,
           outcome.full ? "full" : "empty",
           outcome.wait == ETIMEDOUT ? "sleeps until it gives up"
           : outcome.wait == EAGAIN  ? "does not sleep"
                                     : "was woken");
}

int main(void)
{
    int id = shmget(IPC_PRIVATE, sizeof(struct mailbox), 0600);
    struct mailbox *mailbox = shmat(id, NULL, 0);
    if (mailbox == (void *)-1)
        stop("shmget, shmat");
    /* Removed at once: the kernel frees it with the last process, however that one ends. */
    if (shmctl(id, IPC_RMID, NULL) != 0)
        stop("shmctl");
    struct outcome wrong = meet(mailbox, LOOK_FIRST);
    report("look, prepare, sleep", wrong);
    struct outcome right = meet(mailbox, PREPARE_FIRST);
    report("prepare, look, sleep", right);
    return wrong.wait == ETIMEDOUT && right.wait == EAGAIN ? 0 : 1;
}
