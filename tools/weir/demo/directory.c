/* SPDX-License-Identifier: MIT */
#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PREFIX "weir-demo-"

enum { DIGITS = 16 };

/* What scenes make in their directory; in the directory of a run there is the first alone. */
static const char *const files[] = { "shmfile", "spooler.conf", "camera.conf" };

const char *directory_parent(void)
{
    const char *parent = getenv("TMPDIR");
    return parent && *parent ? parent : "/tmp";
}

int directory_make(char *path, size_t room)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -EIO;
    int length = snprintf(path, room, "%s/" PREFIX "%0*llx", directory_parent(), DIGITS,
                          (unsigned long long)number);
    if (length < 0 || (size_t)length >= room)
        return -ENAMETOOLONG;
    return mkdir(path, 0700) != 0 ? -errno : 0;
}

bool directory_is_name(const char *name)
{
    size_t length = sizeof PREFIX - 1;
    return strncmp(name, PREFIX, length) == 0 &&
           strspn(name + length, "0123456789abcdef") == DIGITS && name[length + DIGITS] == '\0';
}

static bool is_file(const char *name)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(name, files[i]) == 0)
            return true;
    return false;
}

/* "run1" and so on, where a program of the textbook plays. */
static bool is_run(const char *name)
{
    return strncmp(name, "run", 3) == 0 && name[3] != '\0' &&
           name[3 + strspn(name + 3, "0123456789")] == '\0';
}

static void clear_run(int directory, const char *name)
{
    int run = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (run < 0)
        return;
    unlinkat(run, files[0], 0);
    close(run);
    unlinkat(directory, name, AT_REMOVEDIR);
}

/* As getdents64(2) gives it; glibc and musl name it differently. */
struct directory_entry {
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* readdir() allocates, which a signal handler must not. */
void directory_clear(int fd, const char *path)
{
    _Alignas(struct directory_entry) char entries[2048];
    long size;
    while ((size = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            struct directory_entry entry;
            memcpy(&entry, entries + at, sizeof entry);
            const char *name = entries + at + offsetof(struct directory_entry, name);
            if (is_file(name))
                unlinkat(fd, name, 0);
            else if (is_run(name))
                clear_run(fd, name);
            at += entry.size;
        }
    }
    unlinkat(fd, DIRECTORY_JOURNAL, 0); /* last: without it nobody clears the rest */
    rmdir(path);
}
