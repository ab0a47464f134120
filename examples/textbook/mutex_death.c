/* SPDX-License-Identifier: MIT */
/*
 * mutex_death - a process is killed while it holds a mutex.
 *
 *     cc -Wall -Wextra examples/textbook/mutex_death.c -o mutex_death && ./mutex_death
 *
 * A pthread mutex with PTHREAD_PROCESS_SHARED is a lock between processes: it
 * lies in memory that they share. Whoever locked it must unlock it, and a dead
 * process does not: everybody else waits for ever. A mutex that is also
 * "robust" (PTHREAD_MUTEX_ROBUST) goes to the next one, who is told with
 * EOWNERDEAD. That frees the lock; it does not finish what the dead process was
 * writing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 200

/* Rule: whoever holds the mutex leaves debit and credit the same. */
struct account {
    pthread_mutex_t mutex;
    int debit, credit;
};

struct outcome {
    int lock;          /* what the next one's attempt said: 0 or an error number */
    int debit, credit; /* what the dead one left */
};

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

/* pthread functions do not set errno: their result is the error. */
static void check(int error, const char *what)
{
    errno = error;
    if (error)
        stop(what);
}

/* robust: PTHREAD_MUTEX_STALLED, which is what a mutex is if nobody says more, or _ROBUST. */
static struct account *make_account(int robust)
{
    int id = shmget(IPC_PRIVATE, sizeof(struct account), 0600);
    struct account *account = shmat(id, NULL, 0);
    if (account == (void *)-1)
        stop("shmget, shmat");
    /* Removed at once: the kernel frees it with the last process, however that one ends. */
    if (shmctl(id, IPC_RMID, NULL) != 0)
        stop("shmctl");
    pthread_mutexattr_t attributes;
    check(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
    check(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "setpshared");
    check(pthread_mutexattr_setrobust(&attributes, robust), "setrobust");
    check(pthread_mutex_init(&account->mutex, &attributes), "pthread_mutex_init");
    pthread_mutexattr_destroy(&attributes);
    return account;
}

/* A child locks it, says so, and is in the midst of its work when it is killed. */
static void kill_the_holder(struct account *account)
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
        check(pthread_mutex_lock(&account->mutex), "pthread_mutex_lock");
        account->debit = 100;
        if (write(told[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause(); /* account->credit = 100 and the unlock would come next */
    }
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        stop("the child did not get the mutex");
    close(told[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* pthread_mutex_lock() might hang, for ever: this waits for PATIENCE_MS. */
static struct outcome try_next(struct account *account)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PATIENCE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    struct outcome outcome;
    outcome.lock = pthread_mutex_timedlock(&account->mutex, &until);
    outcome.debit = account->debit;
    outcome.credit = account->credit;
    return outcome;
}

/* The robust mutex is held now, with EOWNERDEAD. */
static void repair(struct account *account)
{
    account->credit = account->debit;
    check(pthread_mutex_consistent(&account->mutex), "pthread_mutex_consistent");
    check(pthread_mutex_unlock(&account->mutex), "pthread_mutex_unlock");
}

static void report(const char *how, struct outcome outcome)
{
    printf("%s: the next one gets: %s\n", how, outcome.lock ? strerror(outcome.lock) : "the lock");
    printf("%s: debit %d, credit %d\n", how, outcome.debit, outcome.credit);
}

int main(void)
{
    struct account *account = make_account(PTHREAD_MUTEX_STALLED);
    kill_the_holder(account);
    struct outcome plain = try_next(account);
    report("not robust", plain);
    shmdt(account);

    account = make_account(PTHREAD_MUTEX_ROBUST);
    kill_the_holder(account);
    struct outcome robust = try_next(account);
    report("robust", robust);
    if (robust.lock == EOWNERDEAD)
        repair(account);
    shmdt(account);
    return plain.lock == ETIMEDOUT && robust.lock == EOWNERDEAD ? 0 : 1;
}
