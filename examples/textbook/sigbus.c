/* SPDX-License-Identifier: MIT */
/*
 * sigbus - a POSIX segment in a full /dev/shm: the size is granted, the write kills.
 *
 * cc -Wall -Wextra -o sigbus sigbus.c && ./sigbus
 *
 * shm_open() makes a file in /dev/shm, and ftruncate() makes it long, without
 * taking memory. The page is looked for when it is first written; when the file
 * system is full then, there is no call that could fail: the process dies of
 * SIGBUS. posix_fallocate() asks beforehand, so that it is an error.
 *
 * To try it without harm, the process gets a mount namespace of its own, with a
 * /dev/shm of 1 MiB. (Nobody else sees it, and it vanishes with the process.)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* unshare */
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (4 << 20)

static void check(int result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(1);
    }
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    check(fd, path);
    check(write(fd, text, strlen(text)) < 0 ? -1 : 0, path);
    close(fd);
}

/* Who is not root may do it in a user namespace of his own, where the machine allows that. */
static void private_dev_shm(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)) == -1 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") == -1) {
        printf("not allowed here: %s\n", strerror(errno));
        exit(0);
    }
    if (uid) { /* without maps our numbers mean nothing in there, and we may create no file */
        char map[32];
        snprintf(map, sizeof map, "0 %u 1", uid);
        write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", gid);
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/gid_map", map);
    }
}

/* Writes all of it in a child; returns the signal that the child died of, or 0. */
static int fill(char *memory)
{
    int status;
    pid_t child = fork();
    check(child, "fork");
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        memset(memory, 1, SIZE);
        _exit(0);
    }
    check(waitpid(child, &status, 0), "waitpid");
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void report(const char *what, int died_of)
{
    printf("%s: %s\n", what, died_of ? strsignal(died_of) : "written");
}

int main(void)
{
    private_dev_shm();

    int fd = shm_open("/sigbus", O_CREAT | O_EXCL | O_RDWR, 0600);
    check(fd, "shm_open");
    check(ftruncate(fd, SIZE), "ftruncate");
    printf("ftruncate to 4 MiB in 1 MiB of /dev/shm: granted\n");
    char *posix = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (posix == MAP_FAILED)
        check(-1, "mmap");
    int died_of = fill(posix);
    report("writing the POSIX segment", died_of);

    /* The call that should have stood in place of ftruncate(). It returns its errno. */
    check(ftruncate(fd, 0), "ftruncate");
    printf("posix_fallocate of 4 MiB: %s\n", strerror(posix_fallocate(fd, 0, SIZE)));

    /* System V memory is on a mount of the kernel's own, which no size of /dev/shm limits. */
    int shm = shmget(IPC_PRIVATE, SIZE, 0600);
    check(shm, "shmget");
    char *systemv = shmat(shm, NULL, 0);
    if (systemv == (void *)-1)
        check(-1, "shmat");
    check(shmctl(shm, IPC_RMID, NULL), "shmctl IPC_RMID");
    int spared = fill(systemv);
    report("writing the System V segment", spared);

    shm_unlink("/sigbus");
    return died_of == SIGBUS && spared == 0 ? 0 : 1;
}
