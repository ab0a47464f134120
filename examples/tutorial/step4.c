/* SPDX-License-Identifier: MIT */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    sem_t written;
    char message[1000];
};

static void check(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int shmid = shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    check(shmid == -1, "shmget");
    struct shared *shared = shmat(shmid, NULL, 0);
    check(shmctl(shmid, IPC_RMID, NULL) == -1, "shmctl");
    check(shared == (void *)-1, "shmat");
    check(sem_init(&shared->written, 1, 0) == -1, "sem_init");

    pid_t pid = fork();
    check(pid == -1, "fork");
    if (pid > 0) {
        snprintf(shared->message, sizeof shared->message, "Hello from parent via shared memory");
        printf("Parent writes message\n");
        check(sem_post(&shared->written) == -1, "sem_post");
        check(wait(NULL) == -1, "wait");
    } else {
        check(sem_wait(&shared->written) == -1, "sem_wait");
        printf("Child reads: %s\n", shared->message);
    }
    return 0;
}
