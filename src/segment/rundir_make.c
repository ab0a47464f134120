/* SPDX-License-Identifier: MIT */
/*
 * A directory is made where others may reach in: the run directory, a namespace's in it, a draft.
 * Nobody else's is taken for it, and none but a new one is opened to others or given away.
 */
#include "segment/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYS_FCHMODAT2 452 /* the same everywhere; headers before Linux 6.6 do not have it */

/* As getdents64(2) has it. */
struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short bytes;
    unsigned char type;
    char name[];
};

/* Of a descriptor that was opened here: nobody else reads from it. */
static bool is_empty(int fd)
{
    _Alignas(struct entry) char entries[1024];
    long bytes;
    while ((bytes = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0; at < bytes;) {
            const struct entry *entry = (const struct entry *)(const void *)(entries + at);
            if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
                return false;
            at += entry->bytes;
        }
    return bytes == 0 && lseek(fd, 0, SEEK_SET) == 0;
}

/*
 * What root has just made where a user's names stand becomes that user's, who could do nothing in
 * it otherwise, also after root has left. By its descriptor, and only while it is root's and
 * empty: the user may have put another directory of root's in its place. Who may not give it away
 * (root of a user namespace that does not have that uid) keeps it.
 */
static void give(int fd, uid_t owner)
{
    if (owner != (uid_t)-1 && owner != 0 && geteuid() == 0 && is_empty(fd))
        (void)!fchown(fd, owner, (gid_t)-1);
}

/* Whether nobody but this user, and root, can exchange what stands in it. */
static bool is_ours_alone(int directory)
{
    struct stat found;
    return fstat(directory, &found) == 0 && found.st_uid == geteuid() &&
           (found.st_mode & 0022) == 0;
}

/*
 * The mode of what a descriptor of O_PATH leads to. By a call of Linux 6.6; before that through
 * /proc, which a process that has given up root's rights may not use.
 */
static int set_mode(int fd, mode_t mode)
{
    char path[64];
    if (syscall(SYS_FCHMODAT2, fd, "", mode, AT_EMPTY_PATH) == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, mode);
}

/* One whose owner, who is us, may not open it: a umask has taken that right, and it comes back. */
static int open_shut(int parent, const char *name)
{
    struct stat found;
    int path = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (path < 0)
        return -errno;
    int result = fstat(path, &found) == 0 ? 0 : -errno;
    if (result == 0 && found.st_uid != geteuid())
        result = -EBUSY; /* another user's by now */
    if (result == 0 && set_mode(path, (found.st_mode & 07777) | 0700) != 0)
        result = -errno;
    int fd = result == 0 ? openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (result == 0 && fd < 0)
        result = -errno;
    close(path);
    return result == 0 ? fd : result;
}

/* Opens what mkdir has just made; no link that stands there by now is followed. */
static int open_made(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    return errno == EACCES ? open_shut(parent, name) : -errno;
}

/*
 * Whether it is the one that we made: our own, and, where others may write, who may have exchanged
 * it for another directory of ours, one with nothing in it.
 */
static bool is_new(int parent, int fd, const struct stat *found)
{
    return found->st_uid == geteuid() &&
           (is_ours_alone(parent) || (found->st_nlink <= 2 && is_empty(fd)));
}

int weir__rundir_make(int parent, const char *name, uint32_t mode, uint32_t owner)
{
    struct stat found;
    if (mkdirat(parent, name, 0700) != 0)
        return -errno;
    int fd = open_made(parent, name);
    int result = fd < 0 ? fd : fstat(fd, &found) != 0 ? -errno : 0;
    if (result == 0 && !is_new(parent, fd, &found))
        result = -EBUSY;
    if (result == 0)
        give(fd, owner);
    if (result == 0 && (found.st_mode & 07777) != mode && fchmod(fd, mode) != 0)
        result = -errno;
    if (result == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    unlinkat(parent, name, AT_REMOVEDIR);
    return result == -ENOENT || result == -ENOTDIR || result == -ELOOP ? -EBUSY : result;
}
