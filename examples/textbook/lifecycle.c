/* SPDX-License-Identifier: MIT */
/*
 * lifecycle.c - the life of a System V segment, counted by the kernel.
 *
 *     cc -Wall -Wextra examples/textbook/lifecycle.c -o lifecycle && ./lifecycle
 *
 * A segment belongs to no process. shmget() makes it, shmat() maps it and adds
 * one to shm_nattch, shmdt() takes one away, fork() and exit() count as well.
 * Nothing of this frees the memory: that takes shmctl(IPC_RMID), and then the
 * last detach. Watch shm_nattch go 0, 1, 2, 4, 2, 1, 0.
 */
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

/* shm_nattch as the kernel has it now: exact, it is not an estimate. */
static unsigned long attached(int id)
{
    struct shmid_ds ds;
    if (shmctl(id, IPC_STAT, &ds) != 0)
        stop("shmctl IPC_STAT");
    return (unsigned long)ds.shm_nattch;
}

/* A child inherits every mapping of its parent: it is attached without shmat(). */
static void share_with_child(int id, char *memory)
{
    fflush(stdout); /* else the child would carry our unwritten output along, and write it too */
    pid_t child = fork();
    if (child < 0)
        stop("fork");
    if (child == 0) {
        strcpy(memory, "from the child");
        printf("the child inherited both mappings: attached %lu\n", attached(id));
        fflush(stdout);
        _exit(0); /* and _exit(), like a crash, detaches both of the child's */
    }
    if (waitpid(child, NULL, 0) < 0)
        stop("waitpid");
    printf("the child ended: attached %lu\n", attached(id));
}

int main(void)
{
    /* 5000 bytes: the kernel gives whole pages (8192), and remembers 5000. */
    int id = shmget(IPC_PRIVATE, 5000, 0600);
    if (id < 0)
        stop("shmget");
    printf("created: attached %lu\n", attached(id));

    char *first = shmat(id, NULL, 0);
    if (first == (void *)-1)
        stop("shmat");
    printf("attached once: attached %lu\n", attached(id));

    /* The same memory at a second address: this is why pointers in it mean nothing. */
    const char *second = shmat(id, NULL, SHM_RDONLY);
    if (second == (void *)-1)
        stop("shmat");
    strcpy(first, "written at the first address");
    printf("attached twice: attached %lu, the second address reads: %s\n", attached(id), second);

    share_with_child(id, first);

    if (shmdt(second) != 0)
        stop("shmdt");
    printf("detached once: attached %lu, the first address reads: %s\n", attached(id), first);
    if (shmdt(first) != 0)
        stop("shmdt");
    printf("detached twice: attached %lu, and it is still there\n", attached(id));

    if (shmctl(id, IPC_RMID, NULL) != 0)
        stop("shmctl IPC_RMID");
    printf("removed: only now is the memory free again\n");
    return 0;
}
