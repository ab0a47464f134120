/* SPDX-License-Identifier: MIT */
/*
 * The journal of a scene: a first line that says where its identifiers mean
 * something (start of the machine, IPC namespace), then a line for each object.
 *
 * An identifier comes round, so an object is removed only when its key, size,
 * creator and creator's pid are what stands in the list, and it is not older.
 *
 * One gap is left, of some microseconds: between the call that makes an object
 * and the line that says so. A private namespace has no such gap.
 */
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int journal_fd = -1;

struct line {
    int kind; /* enum stage_kind */
    int id;
    uint32_t key;
    uint64_t size; /* bytes, or semaphores */
    uint32_t creator;
    int pid; /* 0 for a set: the kernel does not keep it */
    int64_t changed_at;
};

const char *journal_parent(void)
{
    const char *parent = getenv("TMPDIR");
    return parent && *parent ? parent : "/tmp";
}

/* "BOOT NAMESPACE" */
static bool put_place(char *out, size_t room)
{
    char boot[40] = "";
    struct stat namespace;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file)
        return false;
    bool ok = fscanf(file, "%39s", boot) == 1 && stat("/proc/self/ns/ipc", &namespace) == 0;
    fclose(file);
    if (ok)
        snprintf(out, room, "%s %" PRIuMAX "\n", boot, (uintmax_t) namespace.st_ino);
    return ok;
}

static bool lock(int fd, int command)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, command, &whole) == 0;
}

int journal_open(const char *directory)
{
    char path[sizeof stage->directory + 16], place[96];
    snprintf(path, sizeof path, "%s/" JOURNAL_FILE, directory);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    /* A collector that came in between found no first line, and goes away again. */
    if (!put_place(place, sizeof place) || !lock(fd, F_OFD_SETLKW) ||
        write(fd, place, strlen(place)) != (ssize_t)strlen(place)) {
        close(fd);
        return -EIO;
    }
    journal_fd = fd;
    return 0;
}

static bool look(int kind, int id, struct line *line)
{
    struct shmid_ds shm;
    struct semid_ds sem;
    union {
        struct semid_ds *buf;
    } argument = { &sem };
    line->kind = kind;
    line->id = id;
    if (kind == STAGE_SEGMENT && shmctl(id, IPC_STAT, &shm) == 0) {
        line->key = (uint32_t)shm.shm_perm.__key;
        line->size = shm.shm_segsz;
        line->creator = shm.shm_perm.cuid;
        line->pid = shm.shm_cpid;
        line->changed_at = shm.shm_ctime;
        return true;
    }
    if (kind == STAGE_SEMSET && semctl(id, 0, IPC_STAT, argument) == 0) {
        line->key = (uint32_t)sem.sem_perm.__key;
        line->size = sem.sem_nsems;
        line->creator = sem.sem_perm.cuid;
        line->pid = 0;
        line->changed_at = sem.sem_ctime;
        return true;
    }
    return false;
}

void journal_add(enum stage_kind kind, int id)
{
    struct line line;
    char text[160];
    if (journal_fd < 0 || !look((int)kind, id, &line))
        return;
    int length =
        snprintf(text, sizeof text, "%d %d %" PRIu32 " %" PRIu64 " %" PRIu32 " %d %" PRId64 "\n",
                 line.kind, line.id, line.key, line.size, line.creator, line.pid, line.changed_at);
    /* A full disk costs the list a line; the scene cleans up by itself all the same. */
    (void)!write(journal_fd, text, (size_t)length);
}

static void remove_object(const struct line *was)
{
    struct line is;
    if (!look(was->kind, was->id, &is) || is.key != was->key || is.size != was->size ||
        is.creator != was->creator || is.creator != geteuid() || is.changed_at < was->changed_at)
        return;
    if (was->kind == STAGE_SEMSET)
        semctl(was->id, 0, IPC_RMID);
    else if (is.pid == was->pid)
        shmctl(was->id, IPC_RMID, NULL);
}

/* Whether the scene's directory may go: not while it stands for another namespace's objects. */
static bool remove_listed(int fd)
{
    char here[96], first[96];
    struct line line;
    FILE *file = fdopen(dup(fd), "re");
    bool may_go = false;
    if (file && put_place(here, sizeof here) && fgets(first, sizeof first, file)) {
        bool is_here = strcmp(first, here) == 0;
        bool is_earlier = strncmp(first, here, strcspn(here, " ")) != 0; /* another start */
        may_go = is_here || is_earlier;
        while (is_here && fscanf(file, "%d %d %" SCNu32 " %" SCNu64 " %" SCNu32 " %d %" SCNd64,
                                 &line.kind, &line.id, &line.key, &line.size, &line.creator,
                                 &line.pid, &line.changed_at) == 7)
            remove_object(&line);
    }
    if (file)
        fclose(file);
    return may_go;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    remove(path);
    return 0;
}

/* A directory without a list: killed as it was made or removed. There are no objects any more. */
static bool is_stale(const struct stat *info)
{
    return info->st_mtime + 60 < time(NULL);
}

/* Believes a directory only if it is ours and nobody else can have written into it. */
static void collect_directory(const char *path)
{
    struct stat info, list = { 0 };
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_ours = directory >= 0 && fstat(directory, &info) == 0 && info.st_uid == geteuid() &&
                   (info.st_mode & 077) == 0;
    int fd = is_ours ? openat(directory, JOURNAL_FILE, O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1;
    bool may_go = false;
    if (fd >= 0 && fstat(fd, &list) == 0 && lock(fd, F_OFD_SETLK))
        may_go = list.st_size > 0 ? remove_listed(fd) : is_stale(&info);
    else if (is_ours && fd < 0)
        may_go = is_stale(&info);
    if (may_go)
        nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    if (fd >= 0)
        close(fd);
    if (directory >= 0)
        close(directory);
}

void journal_collect(void)
{
    char path[512];
    const char *parent = journal_parent();
    DIR *listing = opendir(parent);
    if (!listing)
        return;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (strncmp(entry->d_name, JOURNAL_DIRECTORY, strlen(JOURNAL_DIRECTORY)) != 0)
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) < sizeof path)
            collect_directory(path);
    }
    closedir(listing);
}
