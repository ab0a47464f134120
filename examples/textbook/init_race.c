/* SPDX-License-Identifier: MIT */
/*
 * init_race - a semaphore set exists before it has its first value.
 *
 * cc -Wall -Wextra -o init_race init_race.c && ./init_race
 *
 * semget() creates the set, semctl(SETVAL) gives it its value: two calls, and
 * anybody may run between them. Linux starts with 0; POSIX promises nothing.
 *
 *   1  Who opens the set in between works on a value that SETVAL then wipes out.
 *   2  When the creator dies in between, everybody waits, and nobody comes.
 *   3  The known cure (W. R. Stevens): the creator ends its setting with a
 *      semop(), which sets sem_otime; who opens waits for sem_otime to be other
 *      than 0. It closes 1. It does not close 2: a dead creator and a slow one
 *      look the same, and all that is left is a time-out.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* semtimedop */
#endif
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static void check(long result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(1);
    }
}

/* A creator is stopped between its two calls, where the kernel might have switched by itself. */
struct creator {
    pid_t pid;
    int created[2]; /* it says: the set exists now */
    int go_on[2];   /* we say: give it its value */
};

static struct creator start_creator(key_t key, bool stevens)
{
    struct creator creator;
    char byte = 0;
    check(pipe(creator.created), "pipe");
    check(pipe(creator.go_on), "pipe");
    creator.pid = fork();
    check(creator.pid, "fork");
    if (creator.pid == 0) {
        close(creator.go_on[1]); /* or our own end would keep read() from seeing the end */
        int sem = semget(key, 1, IPC_CREAT | IPC_EXCL | 0600);
        check(sem, "creator: semget");
        check(write(creator.created[1], &byte, 1), "write");
        if (read(creator.go_on[0], &byte, 1) != 1)
            _exit(1);
        check(semctl(sem, 0, SETVAL, (union semun){ .val = stevens ? 0 : 1 }), "semctl SETVAL");
        struct sembuf first_value = { 0, +1, 0 };
        if (stevens)
            check(semop(sem, &first_value, 1), "semop");
        _exit(0);
    }
    close(creator.go_on[0]);
    close(creator.created[1]);
    check(read(creator.created[0], &byte, 1), "read");
    return creator;
}

static void finish_creator(struct creator *creator)
{
    check(write(creator->go_on[1], "", 1), "write");
    check(waitpid(creator->pid, NULL, 0), "waitpid");
    close(creator->created[0]);
    close(creator->go_on[1]);
}

static void kill_creator(struct creator *creator)
{
    check(kill(creator->pid, SIGKILL), "kill");
    check(waitpid(creator->pid, NULL, 0), "waitpid");
    close(creator->created[0]);
    close(creator->go_on[1]);
}

static long last_semop(int sem)
{
    struct semid_ds status;
    check(semctl(sem, 0, IPC_STAT, (union semun){ .buf = &status }), "semctl IPC_STAT");
    return status.sem_otime;
}

static int work_in_the_window(key_t key)
{
    struct creator creator = start_creator(key, false);
    int sem = semget(key, 1, 0600);
    check(sem, "opener: semget");
    struct sembuf post = { 0, +1, 0 };
    check(semop(sem, &post, 1), "opener: semop");
    finish_creator(&creator);
    int value = semctl(sem, 0, GETVAL);
    printf("1  first value 1, and one post: 2 expected, %d there\n", value);
    check(semctl(sem, 0, IPC_RMID), "semctl IPC_RMID");
    return value == 1;
}

static int die_in_the_window(key_t key)
{
    struct creator creator = start_creator(key, false);
    kill_creator(&creator);
    int sem = semget(key, 1, 0600);
    check(sem, "opener: semget");
    struct sembuf wait_for_it = { 0, -1, 0 };
    struct timespec patience = { 0, 100000000 }; /* in place of "for ever" */
    int result = semtimedop(sem, &wait_for_it, 1, &patience);
    printf("2  creator killed: semop %s; sem_otime %ld\n",
           result == -1 && errno == EAGAIN ? "waits, and nobody will come" : "returned",
           last_semop(sem));
    check(semctl(sem, 0, IPC_RMID), "semctl IPC_RMID");
    return result == -1;
}

static int stevens(key_t key)
{
    struct creator creator = start_creator(key, true);
    int sem = semget(key, 1, 0600);
    check(sem, "opener: semget");
    long before = last_semop(sem);
    finish_creator(&creator);
    long after = last_semop(sem);
    printf("3  sem_otime: %ld: not yet; %ld: ready, and the value is %d\n", before, after,
           semctl(sem, 0, GETVAL));
    check(semctl(sem, 0, IPC_RMID), "semctl IPC_RMID");
    return before == 0 && after != 0;
}

int main(void)
{
    key_t key = (key_t)(0x57000000 | (getpid() & 0xffffff)); /* a key that is likely to be free */
    return work_in_the_window(key) && die_in_the_window(key) && stevens(key) ? 0 : 1;
}
