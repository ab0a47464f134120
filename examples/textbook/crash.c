/* SPDX-License-Identifier: MIT */
/*
 * crash.c - a process is killed while it holds a semaphore.
 *
 *     cc -Wall -Wextra examples/textbook/crash.c -o crash && ./crash
 *
 * A semaphore is a number, and the kernel does not know who took it down. When
 * the holder dies, the number stays 0 and everybody waits for ever. With
 * SEM_UNDO the kernel writes down what each process did, and takes it back when
 * the process ends, by whatever way. That frees the lock; it does not finish
 * what the dead process was writing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/sem.h> leaves this to the program. */
union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

/* What the semaphore guards. Rule: whoever holds it leaves both the same. */
struct account {
    int debit, credit;
};

struct outcome {
    int value;   /* of the semaphore after the death */
    int got_it;  /* 1: the survivor could take it */
    int is_torn; /* 1: the account breaks its rule */
};

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

/* Takes the semaphore, says so, and is in the midst of its work for ever. */
static pid_t start_holder(int set, int undo, struct account *account)
{
    int told[2];
    char byte;
    if (pipe(told) != 0)
        stop("pipe");
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        stop("fork");
    if (child == 0) {
        struct sembuf down = { .sem_num = 0, .sem_op = -1, .sem_flg = (short)undo };
        if (semop(set, &down, 1) != 0)
            stop("semop");
        account->debit = 100;
        if (write(told[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause(); /* account->credit = 100 would come next */
    }
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        stop("the child did not get the semaphore");
    close(told[0]);
    return child;
}

/* undo: 0 or SEM_UNDO. */
static struct outcome kill_the_holder(int undo)
{
    int set = semget(IPC_PRIVATE, 1, 0600);
    int id = shmget(IPC_PRIVATE, sizeof(struct account), 0600);
    struct account *account = shmat(id, NULL, 0);
    if (set < 0 || id < 0 || account == (void *)-1)
        stop("semget, shmget, shmat");
    if (shmctl(id, IPC_RMID, NULL) != 0 || semctl(set, 0, SETVAL, (union semun){ .val = 1 }) != 0)
        stop("shmctl, semctl");

    pid_t child = start_holder(set, undo, account);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);

    struct outcome outcome = { .value = semctl(set, 0, GETVAL) };
    /* IPC_NOWAIT: a textbook's semop() would now hang, for ever. */
    struct sembuf down = { .sem_num = 0, .sem_op = -1, .sem_flg = IPC_NOWAIT };
    outcome.got_it = semop(set, &down, 1) == 0;
    if (!outcome.got_it && errno != EAGAIN)
        stop("semop");
    outcome.is_torn = account->debit != account->credit;

    semctl(set, 0, IPC_RMID);
    shmdt(account);
    return outcome;
}

static void report(const char *how, struct outcome outcome)
{
    printf("%s: the semaphore is %d, %s\n", how, outcome.value,
           outcome.got_it ? "and the next process gets it" : "and the next process waits for ever");
    printf("%s: what it guards is %s\n", how, outcome.is_torn ? "half written" : "whole");
}

int main(void)
{
    report("without SEM_UNDO", kill_the_holder(0));
    report("with SEM_UNDO", kill_the_holder(SEM_UNDO));
    return 0;
}
