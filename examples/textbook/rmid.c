/* SPDX-License-Identifier: MIT */
/*
 * rmid.c - a segment that is removed while processes are attached to it.
 *
 *     cc -Wall -Wextra examples/textbook/rmid.c -o rmid && ./rmid
 *
 * IPC_RMID does not take the memory from those who have it. It takes the key:
 * from then on nobody finds the segment by it, and a shmget() with the same key
 * makes another segment. Who is attached goes on, and the last detach, by
 * shmdt(), exit() or SIGKILL, frees the memory. So remove early: what is removed
 * already cannot be left behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

/* Attached by inheritance before the removal; reads after it, when the pipe ends. */
static pid_t start_reader(const char *memory, int go[2])
{
    if (pipe(go) != 0)
        stop("pipe");
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        stop("fork");
    if (child > 0) {
        close(go[0]);
        return child;
    }
    char byte;
    close(go[1]);
    if (read(go[0], &byte, 1) != 0)
        _exit(1);
    printf("the child, attached before, reads: %s\n", memory);
    fflush(stdout);
    _exit(0);
}

/* Who comes after the removal: not by the key, but on Linux by the identifier. */
static void try_to_join(key_t key, int id)
{
    if (shmget(key, 0, 0) >= 0 || errno != ENOENT)
        stop("shmget found a removed segment by its key");
    printf("by its key nobody finds it any more\n");

    int other = shmget(key, 4096, 0600 | IPC_CREAT | IPC_EXCL);
    if (other < 0)
        stop("shmget");
    printf("the key is free: it makes another segment, %s\n",
           other == id ? "with the same identifier?!" : "with another identifier");
    if (shmctl(other, IPC_RMID, NULL) != 0)
        stop("shmctl IPC_RMID");

    void *late = shmat(id, NULL, SHM_RDONLY);
    if (late == (void *)-1) {
        printf("by its identifier nobody can attach either\n");
        return;
    }
    printf("by its identifier it can still be attached: Linux allows that\n");
    shmdt(late);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* or a pipe would get the lines of two processes swapped */
    /* The current directory stands for the file that the programs agreed upon. */
    key_t key = ftok(".", 'r');
    if (key == -1)
        stop("ftok");
    int id = shmget(key, 4096, 0600 | IPC_CREAT | IPC_EXCL);
    if (id < 0)
        stop("shmget");
    char *memory = shmat(id, NULL, 0);
    if (memory == (void *)-1) {
        shmctl(id, IPC_RMID, NULL);
        stop("shmat");
    }
    int go[2];
    pid_t child = start_reader(memory, go);

    if (shmctl(id, IPC_RMID, NULL) != 0)
        stop("shmctl IPC_RMID");
    strcpy(memory, "written after the removal");
    printf("removed, with two processes attached; both still have it\n");
    close(go[1]);
    waitpid(child, NULL, 0);

    try_to_join(key, id);

    if (shmdt(memory) != 0)
        stop("shmdt");
    struct shmid_ds ds;
    if (shmctl(id, IPC_STAT, &ds) == 0 || (errno != EINVAL && errno != EIDRM))
        stop("the segment outlived its last detach");
    printf("the last one detached: the kernel has freed it\n");
    return 0;
}
