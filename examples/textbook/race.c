/* SPDX-License-Identifier: MIT */
/*
 * race - two processes add to one counter: without a semaphore additions get lost.
 *
 * cc -Wall -Wextra -o race race.c && ./race
 *
 * "counter = counter + 1" is three steps: load, add, store. When the other
 * process stores between our load and our store, our store wipes out its
 * addition. On two cores that happens by itself; on one core only when the
 * kernel switches processes just there, so each round offers it the chance with
 * sched_yield(). That makes the gap wider; it does not make the gap.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 10000

/* The textbook declares this union itself: <sys/sem.h> does not. */
union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

enum { GATE, LOCK }; /* the two semaphores of the set */

static void check(int result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(1);
    }
}

static void change(int sem, unsigned short index, short by)
{
    struct sembuf operation = { index, by, 0 };
    int result;
    do
        result = semop(sem, &operation, 1);
    while (result == -1 && errno == EINTR); /* a handler ran; or stopped, and goes on: Ctrl-Z, fg */
    check(result, "semop");
}

/*
 * volatile makes the compiler really load and really store in every round. It
 * does not make the addition one step, and is no cure for anything.
 */
static void add_many(volatile long *counter, int sem, bool locked)
{
    change(sem, GATE, -1); /* both processes start at the same time */
    for (int i = 0; i < ROUNDS; i++) {
        if (locked)
            change(sem, LOCK, -1);
        long value = *counter; /* load */
        sched_yield();         /* the gap: now anybody may run */
        *counter = value + 1;  /* store */
        if (locked)
            change(sem, LOCK, +1);
    }
}

static long run(volatile long *counter, int sem, bool locked)
{
    *counter = 0;
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        check(child, "fork");
        if (child == 0) {
            add_many(counter, sem, locked);
            _exit(0);
        }
    }
    change(sem, GATE, +2);
    for (int i = 0; i < 2; i++)
        check(wait(NULL), "wait");
    return *counter;
}

int main(void)
{
    int shm = shmget(IPC_PRIVATE, sizeof(long), 0600);
    check(shm, "shmget");
    long *counter = shmat(shm, NULL, 0);
    if (counter == (void *)-1)
        check(-1, "shmat");
    /* Marked at once: the kernel frees it with the last process, however that one ends. */
    check(shmctl(shm, IPC_RMID, NULL), "shmctl IPC_RMID");

    int sem = semget(IPC_PRIVATE, 2, 0600);
    check(sem, "semget");
    unsigned short values[2] = { [GATE] = 0, [LOCK] = 1 };
    check(semctl(sem, 0, SETALL, (union semun){ .array = values }), "semctl SETALL");

    /* On a busy machine one process may be through before the other gets a processor: again. */
    long bare = run(counter, sem, false);
    for (int again = 0; bare == 2 * ROUNDS && again < 100; again++)
        bare = run(counter, sem, false);
    printf("without a semaphore: %d expected, %ld there, %ld lost\n", 2 * ROUNDS, bare,
           2 * ROUNDS - bare);
    long locked = run(counter, sem, true);
    printf("with a semaphore:    %d expected, %ld there, %ld lost\n", 2 * ROUNDS, locked,
           2 * ROUNDS - locked);

    /* Nobody counts the users of a semaphore set: it has to be removed by hand. */
    check(semctl(sem, 0, IPC_RMID), "semctl IPC_RMID");
    return bare < 2 * ROUNDS && locked == 2 * ROUNDS ? 0 : 1;
}
