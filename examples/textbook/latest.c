/* SPDX-License-Identifier: MIT */
/*
 * latest - the writer of a value is killed in the middle of it.
 *
 *     cc -Wall -Wextra examples/textbook/latest.c -o latest && ./latest
 *
 * One process writes a value again and again, others want the latest one. A
 * sequence lock does it without a lock: the writer makes a number odd, writes,
 * and makes it even. A reader copies the value, and takes the copy if the number
 * was even before and is the same after; else it tries again. That is fast and
 * never torn, until the writer is killed while the number is odd.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS 16
#define READS 10000
#define PATIENCE_MS 200

/* Rule of a value: all its words are equal. */
struct shared {
    atomic_uint sequence;    /* odd: a value is being written */
    atomic_long word[WORDS]; /* atomic: a reader may look while it is written */
    atomic_int stop;
};

struct count {
    long reads, tries, torn;
};

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static void fill(struct shared *shared, int from, int to, long number)
{
    for (int i = from; i < to; i++)
        atomic_store(&shared->word[i], number);
}

static void begin_value(struct shared *shared, long number)
{
    atomic_fetch_add(&shared->sequence, 1);
    fill(shared, 0, WORDS / 2, number);
}

static void end_value(struct shared *shared, long number)
{
    fill(shared, WORDS / 2, WORDS, number);
    atomic_fetch_add(&shared->sequence, 1);
}

static bool try_to_read(struct shared *shared, long copy[WORDS])
{
    unsigned before = atomic_load(&shared->sequence);
    if (before % 2 != 0)
        return false;
    for (int i = 0; i < WORDS; i++)
        copy[i] = atomic_load(&shared->word[i]);
    return atomic_load(&shared->sequence) == before;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* Tries until it has a value. A textbook's reader does so for ever; this one for PATIENCE_MS. */
static bool read_value(struct shared *shared, long copy[WORDS], struct count *count)
{
    long begun = now_ms();
    do {
        count->tries++;
        if (try_to_read(shared, copy)) {
            count->reads++;
            for (int i = 1; i < WORDS; i++)
                if (copy[i] != copy[0]) {
                    count->torn++;
                    break;
                }
            return true;
        }
        sched_yield(); /* on one core: let the writer go on */
    } while (now_ms() - begun < PATIENCE_MS);
    return false;
}

static void write_until_stopped(struct shared *shared)
{
    for (long number = 1; !atomic_load(&shared->stop); number++) {
        begin_value(shared, number);
        if (number % 16 == 0)
            sched_yield(); /* on one core: let the reader see it half-way */
        end_value(shared, number);
        sched_yield(); /* without a pause in between no reader would ever get a copy through */
    }
}

/* READS reads, while a child writes. */
static struct count run(struct shared *shared)
{
    struct count count = { 0, 0, 0 };
    long copy[WORDS];
    pid_t reader = getpid(), writer = fork();
    if (writer < 0)
        stop("fork");
    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no reader left: nobody would set stop */
        if (getppid() != reader)
            _exit(1);
        write_until_stopped(shared);
        _exit(0);
    }
    for (int i = 0; i < READS; i++) {
        read_value(shared, copy, &count);
        if (i % 16 == 0)
            sched_yield();
    }
    atomic_store(&shared->stop, 1);
    waitpid(writer, NULL, 0);
    return count;
}

/* A child writes the value 1, begins the next one, and is killed. */
static void kill_the_writer(struct shared *shared)
{
    int told[2];
    char byte;
    if (pipe(told) != 0)
        stop("pipe");
    fflush(stdout);
    pid_t writer = fork();
    if (writer < 0)
        stop("fork");
    if (writer == 0) {
        begin_value(shared, 1);
        end_value(shared, 1);
        begin_value(shared, 2);
        if (write(told[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause(); /* end_value(shared, 2) would come next */
    }
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        stop("the writer did not begin");
    close(told[0]);
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
}

int main(void)
{
    int id = shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    struct shared *shared = shmat(id, NULL, 0);
    if (shared == (void *)-1)
        stop("shmget, shmat");
    /* Removed at once: the kernel frees it with the last process, however that one ends. */
    if (shmctl(id, IPC_RMID, NULL) != 0)
        stop("shmctl");

    struct count living = run(shared);
    printf("the writer lives: %ld reads in %ld tries, %ld torn\n", living.reads, living.tries,
           living.torn);

    struct count dead = { 0, 0, 0 };
    long copy[WORDS];
    kill_the_writer(shared);
    bool got_it = read_value(shared, copy, &dead);
    printf("it was killed in the middle: %s after %ld tries, the sequence is %u\n",
           got_it ? "a value" : "no value", dead.tries, atomic_load(&shared->sequence));
    return living.torn == 0 && !got_it ? 0 : 1;
}
