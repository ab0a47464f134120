/* SPDX-License-Identifier: MIT */
/* seed_right.c - the program of seed.c made right, without weir. */
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
    sem_t written; /* dies with the segment; a System V set would stay */
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
    /* No sleep. Once a second it looks whether a message can still come. */
    struct timespec until = { time(NULL) + 1, 0 };
    for (; sem_timedwait(&shared->written, &until) != 0; until.tv_sec++)
        check(errno != ETIMEDOUT || getppid() != parent, "no message");
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
    /* Removed at once: the last detach frees it, also that of SIGKILL. */
    check(shmctl(id, IPC_RMID, NULL) != 0, "IPC_RMID");
    check(shared == (void *)-1, "shmat");
    check(sem_init(&shared->written, 1, 0) != 0, "sem_init");
    pid_t child = fork(); /* with an empty stdout: nothing is doubled */
    check(child < 0, "fork");
    if (child == 0)
        be_child(shared, parent);
    strcpy(shared->message, "Hello from parent via shared memory");
    printf("Parent writes message\n");
    check(fflush(stdout) != 0, "stdout"); /* out before the child speaks */
    check(sem_post(&shared->written) != 0, "sem_post");
    int status;
    check(waitpid(child, &status, 0) != child, "waitpid");
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
