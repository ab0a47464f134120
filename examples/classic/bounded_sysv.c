/* SPDX-License-Identifier: MIT */
/*
 * The producer and the consumer, as the textbook has them: a buffer of N slots
 * in shared memory, a semaphore that counts the empty ones and one that counts
 * the full ones. Plain System V calls, each one checked.
 *
 *   bounded_sysv <file >copy
 *
 * Compiles alone: cc -O2 bounded_sysv.c
 *
 * What it does beyond the textbook:
 *   - The segment is marked for removal as soon as it is attached: the kernel
 *     frees it with its last user, however that one ends.
 *   - Parent, producer and consumer are three processes. When one of the two
 *     fails or is killed, the parent removes the semaphores, and the other one,
 *     waiting at them, wakes up with EIDRM instead of waiting for ever.
 *   - The first values are set before anybody else knows the set (fork comes
 *     after), and no operation has SEM_UNDO: it would take back, at the end of a
 *     process, what that process has handed over.
 *
 * What System V alone cannot do: nobody counts the users of a set of semaphores.
 * When the parent is killed, the set stays, and 'ipcrm -s' must remove it; and
 * a child that waits then may wait for ever. bounded_weir.c has neither fault.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOTS = 4, SLOT_BYTES = 512 * 1024 };
enum { EMPTY, FULL, SEMAPHORES };

struct slot {
    size_t length; /* 0: the end */
    _Alignas(4096) unsigned char bytes[SLOT_BYTES];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* -1: wait for a unit and take it; +1: give one. */
static void change(int set, unsigned short semaphore, short by)
{
    struct sembuf operation = { semaphore, by, 0 };
    while (semop(set, &operation, 1) != 0) {
        if (errno == EIDRM || errno == EINVAL)
            exit(1); /* the other side failed, and said so itself */
        if (errno != EINTR)
            fail("semop");
    }
}

static void produce(struct slot *slots, int set)
{
    ssize_t length;
    size_t next = 0;
    do {
        struct slot *slot = &slots[next++ % SLOTS];
        change(set, EMPTY, -1);
        while ((length = read(STDIN_FILENO, slot->bytes, SLOT_BYTES)) < 0)
            if (errno != EINTR)
                fail("read");
        slot->length = (size_t)length;
        change(set, FULL, 1); /* a system call: the slot is seen before its unit */
    } while (length > 0);
}

static void write_all(const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno != EINTR)
            fail("write");
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

static void consume(const struct slot *slots, int set)
{
    for (size_t next = 0;; next++) {
        const struct slot *slot = &slots[next % SLOTS];
        change(set, FULL, -1);
        if (slot->length == 0)
            break;
        write_all(slot->bytes, slot->length);
        change(set, EMPTY, 1);
    }
    if (close(STDOUT_FILENO) != 0) /* a full disk may be told as late as here */
        fail("close");
}

static pid_t start(void (*child)(struct slot *slots, int set), struct slot *slots, int set)
{
    pid_t pid = fork();
    if (pid == 0) {
        child(slots, set);
        exit(0);
    }
    if (pid < 0)
        perror("fork");
    return pid;
}

static void consume_child(struct slot *slots, int set)
{
    consume(slots, set);
}

int main(void)
{
    unsigned short first[SEMAPHORES] = { [EMPTY] = SLOTS, [FULL] = 0 };
    union {
        int val;
        unsigned short *array;
    } argument = { .array = first };

    int segment = shmget(IPC_PRIVATE, SLOTS * sizeof(struct slot), 0600);
    if (segment < 0)
        fail("shmget");
    struct slot *slots = shmat(segment, NULL, 0);
    int error = errno;
    if (shmctl(segment, IPC_RMID, NULL) != 0)
        fail("shmctl");
    errno = error;
    if ((void *)slots == (void *)-1)
        fail("shmat");

    int set = semget(IPC_PRIVATE, SEMAPHORES, 0600);
    if (set < 0)
        fail("semget");
    int ended_well = 0;
    if (semctl(set, 0, SETALL, argument) != 0)
        perror("semctl");
    else if (start(consume_child, slots, set) > 0 && start(produce, slots, set) > 0)
        for (int status; ended_well < 2 && wait(&status) > 0 && status == 0;)
            ended_well++;
    /* Whoever is left wakes up here. */
    if (semctl(set, 0, IPC_RMID) != 0)
        fail("semctl");
    while (wait(NULL) > 0)
        ;
    return ended_well == 2 ? 0 : 1;
}
