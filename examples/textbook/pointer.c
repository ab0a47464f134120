/* SPDX-License-Identifier: MIT */
/*
 * pointer - a pointer in shared memory is right for the one who stored it alone.
 *
 * cc -Wall -Wextra -o pointer pointer.c && ./pointer
 *
 * Each process has the segment at an address of its own. A child of fork()
 * inherits the address, so the mistake goes unseen until the first program that
 * was started by itself. Here the second program is this one, by exec. What is
 * right everywhere is an offset from the beginning of the segment.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    char *pointer; /* wrong: an address of the writer */
    size_t offset; /* right: so many bytes from the beginning of the segment */
    char text[64];
};

static void check(int result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(1);
    }
}

static struct shared *attach(int shm)
{
    struct shared *shared = shmat(shm, NULL, 0);
    if (shared == (void *)-1)
        check(-1, "shmat");
    return shared;
}

/*
 * Where the writer's address is free in this process (address randomisation is
 * off, or by chance), something of ours takes the place, as in a larger program.
 */
static struct shared *attach_elsewhere(int shm, void *writers)
{
    struct shared *shared = attach(shm);
    if (shared != writers)
        return shared;
    check(shmdt(shared), "shmdt");
    struct shared *ours = mmap(writers, sizeof(struct shared), PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (ours == MAP_FAILED)
        check(-1, "mmap");
    strcpy(ours->text, "of the reader's own");
    return attach(shm);
}

/* A child follows the pointer, because that may kill. */
static void follow(const char *pointer)
{
    int status;
    fflush(stdout); /* or the child would print our lines again */
    pid_t child = fork();
    check(child, "fork");
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        printf("  the pointer leads to \"%.20s\"\n", pointer);
        fflush(stdout);
        _exit(0);
    }
    check(waitpid(child, &status, 0), "waitpid");
    if (WIFSIGNALED(status))
        printf("  who follows the pointer dies: %s\n", strsignal(WTERMSIG(status)));
}

static int read_it(int shm, void *writers)
{
    struct shared *shared = attach_elsewhere(shm, writers);
    printf("reader: the segment is at %p, the stored pointer is %p\n", (void *)shared,
           (void *)shared->pointer);
    follow(shared->pointer);
    printf("  the offset leads to \"%s\"\n", (char *)shared + shared->offset);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3) { /* the second program: ID ADDRESS */
        void *writers;
        if (sscanf(argv[2], "%p", &writers) != 1)
            return 2;
        return read_it(atoi(argv[1]), writers);
    }
    int shm = shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    check(shm, "shmget");
    struct shared *shared = attach(shm);
    /* Marked at once; on Linux others may still attach it by its id while we are. */
    check(shmctl(shm, IPC_RMID, NULL), "shmctl IPC_RMID");
    strcpy(shared->text, "Hello");
    shared->pointer = shared->text;
    shared->offset = offsetof(struct shared, text);
    printf("writer: the segment is at %p, the stored pointer is %p\n", (void *)shared,
           (void *)shared->pointer);
    fflush(stdout);

    pid_t reader = fork();
    check(reader, "fork");
    if (reader == 0) {
        char id[16], address[32];
        snprintf(id, sizeof id, "%d", shm);
        snprintf(address, sizeof address, "%p", (void *)shared);
        execl("/proc/self/exe", argv[0], id, address, (char *)NULL); /* exec detaches everything */
        check(-1, "exec");
    }
    int status;
    check(waitpid(reader, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
