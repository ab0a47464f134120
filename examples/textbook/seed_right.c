/* SPDX-License-Identifier: MIT */
/* seed_right.c - the program of seed.c made right, with System V memory and no weir. */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    sem_t written; /* lives in the segment and dies with it; a System V set would stay */
    char message[1000];
};

static void check(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void be_child(struct shared *shared, pid_t parent)
{
    /* No sleep: it waits for the message. Once a second it looks whether one can still come. */
    struct timespec until = { .tv_sec = time(NULL) + 1 };
    for (; sem_timedwait(&shared->written, &until) != 0; until.tv_sec++)
        check((errno != ETIMEDOUT && errno != EINTR) || getppid() != parent, "no message");
    printf("Child reads: %s\n", shared->message);
    check(fflush(stdout) != 0, "stdout");
    _exit(EXIT_SUCCESS);
}

int main(void)
{
    pid_t parent = getpid();
    /* No key: nobody meets it by accident. 0600: nobody else may. */
    int id = shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    check(id < 0, "shmget");
    struct shared *shared = shmat(id, NULL, 0);
    int error = errno;
    shmctl(id, IPC_RMID, NULL); /* removed while attached: the last detach frees it, SIGKILL too */
    errno = error;
    check(shared == (void *)-1, "shmat");
    check(sem_init(&shared->written, 1, 0) != 0, "sem_init");
    pid_t child = fork(); /* the buffer of stdout is empty here: nothing is doubled */
    check(child < 0, "fork");
    if (child == 0)
        be_child(shared, parent);
    snprintf(shared->message, sizeof shared->message, "Hello from parent via shared memory");
    printf("Parent writes message\n");
    check(fflush(stdout) != 0, "stdout"); /* written out before the child may speak */
    sem_post(&shared->written);
    int status;
    check(waitpid(child, &status, 0) != child, "waitpid");
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
