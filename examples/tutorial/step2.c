/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int shmid = shmget(IPC_PRIVATE, 1024, 0600);
    check(shmid == -1, "shmget");
    char *str = shmat(shmid, NULL, 0);
    check(str == (void *)-1, "shmat");

    pid_t pid = fork();
    check(pid == -1, "fork");
    if (pid > 0) {
        strcpy(str, "Hello from parent via shared memory");
        printf("Parent writes message\n");
        check(shmdt(str) == -1, "shmdt");
        check(wait(NULL) == -1, "wait");
        check(shmctl(shmid, IPC_RMID, NULL) == -1, "shmctl");
    } else {
        sleep(1);
        printf("Child reads: %s\n", str);
        check(shmdt(str) == -1, "shmdt");
    }
    return 0;
}
