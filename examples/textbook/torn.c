/* SPDX-License-Identifier: MIT */
/*
 * torn - a reader sees half of the old record and half of the new one.
 *
 * cc -Wall -Wextra -o torn torn.c && ./torn
 *
 * The writer stores record after record; all words of one record are equal. A
 * machine stores one word in one step, and a record word by word: who reads in
 * between gets a mixture that never existed. On one core the kernel has to
 * switch processes half-way, so the writer offers it that with sched_yield().
 * A semaphore around both, the writing and the reading, is the cure.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 16
#define READS 10000       /* at least so many reads, */
#define CHANGES 200       /* and so many of them that find the writer further on, */
#define READS_MAX 5000000 /* unless the writer is stuck */

/* volatile: each load and each store happens as written here. It orders and locks nothing. */
struct shared {
    volatile long word[WORDS];
    volatile long records; /* that were written */
    volatile int stop;
};

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static void check(int result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(1);
    }
}

static void change(int sem, short by)
{
    struct sembuf operation = { 0, by, 0 };
    int result;
    do
        result = semop(sem, &operation, 1);
    while (result == -1 && errno == EINTR); /* a handler ran; or stopped, and goes on: Ctrl-Z, fg */
    check(result, "semop");
}

static void write_until_stopped(struct shared *shared, int sem, bool locked)
{
    for (long number = 1; !shared->stop; number++) {
        if (locked)
            change(sem, -1);
        for (int i = 0; i < WORDS; i++) {
            shared->word[i] = number;
            if (i == WORDS / 2)
                sched_yield();
        }
        if (locked)
            change(sem, +1);
        shared->records = number;
    }
}

static bool read_is_torn(const struct shared *shared, int sem, bool locked)
{
    long copy[WORDS];
    if (locked)
        change(sem, -1);
    for (int i = 0; i < WORDS; i++)
        copy[i] = shared->word[i];
    if (locked)
        change(sem, +1);
    for (int i = 1; i < WORDS; i++)
        if (copy[i] != copy[0])
            return true;
    return false;
}

struct count {
    int reads, torn;
};

static struct count run(struct shared *shared, int sem, bool locked)
{
    shared->records = 0;
    shared->stop = 0;
    pid_t reader = getpid(), writer = fork();
    check(writer, "fork");
    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no reader left: nobody would set stop */
        if (getppid() != reader)
            _exit(1);
        write_until_stopped(shared, sem, locked);
        _exit(0);
    }
    struct count count = { 0, 0 };
    long changes = 0, before = 0;
    while ((count.reads < READS || changes < CHANGES) && count.reads < READS_MAX) {
        long now = shared->records;
        changes += now != before;
        before = now;
        count.torn += read_is_torn(shared, sem, locked);
        count.reads++;
        sched_yield(); /* on one core: let the writer write */
    }
    shared->stop = 1;
    check(waitpid(writer, NULL, 0), "waitpid");
    return count;
}

int main(void)
{
    int shm = shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    check(shm, "shmget");
    struct shared *shared = shmat(shm, NULL, 0);
    if (shared == (void *)-1)
        check(-1, "shmat");
    /* Marked at once: the kernel frees it with the last process, however that one ends. */
    check(shmctl(shm, IPC_RMID, NULL), "shmctl IPC_RMID");

    int sem = semget(IPC_PRIVATE, 1, 0600);
    check(sem, "semget");
    check(semctl(sem, 0, SETVAL, (union semun){ .val = 1 }), "semctl SETVAL");

    struct count bare = run(shared, sem, false);
    printf("without a semaphore: %d reads, %d torn\n", bare.reads, bare.torn);
    struct count locked = run(shared, sem, true);
    printf("with a semaphore:    %d reads, %d torn\n", locked.reads, locked.torn);

    /* Nobody counts the users of a semaphore set: it has to be removed by hand. */
    check(semctl(sem, 0, IPC_RMID), "semctl IPC_RMID");
    return bare.torn > 0 && locked.torn == 0 ? 0 : 1;
}
