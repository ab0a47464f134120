/* SPDX-License-Identifier: MIT */
/*
 * ftok - two unrelated files, one key; and a missing file, the key of everybody.
 *
 * cc -Wall -Wextra -o ftok ftok.c && ./ftok
 *
 * ftok(path, project) keeps 8 bits of the project, 8 of the device and 16 of
 * the file's inode number. Files whose inode numbers end in the same 16 bits
 * have the same key. Here such a pair is made, in /dev/shm: it is in memory, and
 * counts its inode numbers up, so the 65,536th file after one has its key.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 100000
#define PROJECT 'p'

static void check(int result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(1);
    }
}

static ino_t make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    check(fd, path);
    struct stat status;
    check(fstat(fd, &status), "fstat");
    close(fd);
    return status.st_ino;
}

/* How many files it took until b has the 16 bits of a; 0 when FILES_MAX were not enough. */
static int collide(const char *a, const char *b)
{
    ino_t wanted = make_file(a) & 0xffff;
    for (int files = 2; files <= FILES_MAX; files++) {
        if ((make_file(b) & 0xffff) == wanted)
            return files;
        unlink(b);
    }
    return 0;
}

/* What each of two programs does that never heard of one another. */
static int my_segment(const char *path)
{
    key_t key = ftok(path, PROJECT);
    check(key, "ftok");
    int shm = shmget(key, 64, IPC_CREAT | 0600);
    check(shm, "shmget");
    return shm;
}

static void show(const char *path)
{
    struct stat status;
    check(stat(path, &status), path);
    printf("%s  inode %10lu = 0x%lx  key 0x%08x\n", path, (unsigned long)status.st_ino,
           (unsigned long)status.st_ino, (unsigned)ftok(path, PROJECT));
}

static void meet_by_accident(const char *a, const char *b)
{
    int shm = my_segment(a);
    char *text = shmat(shm, NULL, 0);
    if (text == (void *)-1)
        check(-1, "shmat");
    pid_t other = fork();
    check(other, "fork");
    if (other == 0) {
        char *theirs = shmat(my_segment(b), NULL, 0);
        if (theirs == (void *)-1)
            check(-1, "shmat");
        strcpy(theirs, "I am another program");
        _exit(0);
    }
    check(waitpid(other, NULL, 0), "waitpid");
    printf("in the segment of %s now stands: \"%s\"\n", a, text);
    check(shmctl(shm, IPC_RMID, NULL), "shmctl IPC_RMID");
}

int main(void)
{
    char folder[] = "/dev/shm/ftok-XXXXXX";
    if (!mkdtemp(folder))
        check(-1, folder);
    check(chdir(folder), folder);
    int files = collide("a", "b");
    if (files) {
        printf("file number %d has the 16 bits of the first:\n", files);
        show("a");
        show("b");
        meet_by_accident("a", "b");
    } else {
        printf("no pair among %d files: is /dev/shm not a tmpfs?\n", FILES_MAX);
    }
    printf("ftok of a missing file: %d, and of any other: %d; shmget takes that as a key\n",
           ftok("missing", PROJECT), ftok("another", PROJECT));
    unlink("a");
    unlink("b");
    check(chdir("/"), "/");
    check(rmdir(folder), folder);
    return files ? 0 : 1;
}
