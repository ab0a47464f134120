/* SPDX-License-Identifier: MIT */
/*
 * seed.c - parent and child through shared memory, as a textbook prints it.
 *
 *     cc examples/textbook/seed.c -o seed && ./seed
 *
 * DO NOT COPY THIS. It looks right, it mostly works, and it has seven faults:
 * 'weir demo seed --explain' runs it and shows each of them. seed_right.c,
 * beside it, is the same program without them.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    key_t key = ftok("shmfile", 65);
    int shmid = shmget(key, 1024, 0666 | IPC_CREAT);

    pid_t pid = fork();
    if (pid > 0) {
        char *str = (char *)shmat(shmid, (void *)0, 0);
        strcpy(str, "Hello from parent via shared memory");
        printf("Parent writes message\n");
        shmdt(str);
        wait(NULL);
        shmctl(shmid, IPC_RMID, NULL);
    } else {
        sleep(1);
        char *str = (char *)shmat(shmid, (void *)0, 0);
        printf("Child reads: %s\n", str);
        shmdt(str);
    }
    return 0;
}
