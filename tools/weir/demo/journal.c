/* SPDX-License-Identifier: MIT */
/*
 * The journal of a scene: a first line that says where its identifiers mean
 * something (start of the machine, IPC namespace), then a line for each object,
 * written before it is made: a kill at any instant leaves nothing without one.
 *
 * The line names a key, and somebody else may have that key later on: an object
 * is removed only when its size, creator and, of a segment, creator's pid are
 * what stands in the list, and it is not older. Sets, of which the kernel keeps
 * no pid, have random keys.
 */
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weir/inspect.h>
#include <weir/segment.h>
#include <weir/semset.h>

#include "directory.h"

enum { BOOT_LENGTH = 36 }; /* of a UUID */

static int journal_fd = -1;

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
    snprintf(path, sizeof path, "%s/" DIRECTORY_JOURNAL, directory);
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

void journal_add(const struct stage_object *object)
{
    char text[160];
    if (journal_fd < 0 || object->key == IPC_PRIVATE)
        return;
    int length = snprintf(text, sizeof text, "%d %d %" PRIu64 " %u %d %" PRId64 "\n",
                          (int)object->kind, (int)object->key, object->size,
                          (unsigned)object->creator, (int)object->maker, object->changed_at);
    /* A full disk costs the list a line; the scene cleans up by itself all the same. */
    (void)!write(journal_fd, text, (size_t)length);
}

static bool read_object(FILE *file, struct stage_object *object)
{
    int kind, key, maker;
    unsigned creator;
    if (fscanf(file, "%d %d %" SCNu64 " %u %d %" SCNd64, &kind, &key, &object->size, &creator,
               &maker, &object->changed_at) != 6)
        return false;
    object->kind = kind > STAGE_NOTHING && kind <= STAGE_NAMED_SET ? (enum stage_kind)kind : 0;
    object->id = -1;
    object->key = (key_t)key;
    object->maker = (pid_t)maker;
    object->creator = (uid_t)creator;
    return true;
}

/* How a collection goes about it. */
struct collection {
    bool dry_run;
    void (*report)(const struct weir_leftover *, void *);
    void *argument;
};

static void put_name(char *name, size_t room, uint32_t number)
{
    snprintf(name, room, SCENE_SET_NAME, number);
}

void journal_remove_named(uint32_t number)
{
    char name[64];
    put_name(name, sizeof name, number);
    weir_semset_remove(weir_by_name(name));
}

static bool find(struct stage_object *object, const char *name)
{
    struct weir_object found;
    char names[256];
    if (object->kind != STAGE_NAMED_SET)
        return stage_object_find(object);
    if (weir_inspect_one(weir_by_name(name), WEIR_OBJECT_SEMSET, &found, names, sizeof names) != 0)
        return false;
    object->id = found.id;
    return true;
}

static void collect_object(const struct collection *collection, struct stage_object *object)
{
    char name[64];
    put_name(name, sizeof name, (uint32_t)object->key);
    if (object->creator != geteuid() || !find(object, name))
        return;
    bool is_segment = object->kind == STAGE_SEGMENT;
    struct weir_leftover leftover = {
        .size = sizeof leftover,
        .key = is_segment ? (uint32_t)object->key : 0,
        .segment_id = is_segment ? object->id : -1,
        .semset_id = is_segment ? -1 : object->id,
        .size_bytes = is_segment ? object->size : 0,
        .name = object->kind == STAGE_NAMED_SET ? name : NULL,
        .why = "the scene of weir demo that made it was killed",
    };
    if (collection->report)
        collection->report(&leftover, collection->argument);
    if (collection->dry_run)
        return;
    if (object->kind == STAGE_NAMED_SET)
        journal_remove_named((uint32_t)object->key);
    else
        stage_object_remove(object);
}

/* Whether this is a first line, of any start of the machine. */
static bool is_place(const char *line)
{
    static const char hex[] = "0123456789abcdef-";
    size_t boot = strspn(line, hex), space = line[boot] == ' ';
    size_t digits = strspn(line + boot + space, "0123456789");
    return boot == BOOT_LENGTH && space == 1 && digits > 0 &&
           strcmp(line + boot + space + digits, "\n") == 0;
}

/* Whether the scene's directory may go: not while it stands for another namespace's objects. */
static bool collect_listed(const struct collection *collection, int fd)
{
    char here[96], first[96];
    struct stage_object object;
    FILE *file = fdopen(dup(fd), "re");
    bool may_go = false;
    if (file && put_place(here, sizeof here) && fgets(first, sizeof first, file) &&
        is_place(first)) {
        bool is_here = strcmp(first, here) == 0;
        bool is_earlier = strncmp(first, here, BOOT_LENGTH) != 0; /* another start */
        may_go = is_here || is_earlier;
        while (is_here && read_object(file, &object))
            collect_object(collection, &object);
    }
    if (file)
        fclose(file);
    return may_go;
}

/* Long enough after its making for a scene to have begun its list. */
static bool is_stale(const struct stat *info)
{
    return info->st_mtime + 60 < time(NULL);
}

/*
 * Believes a directory only if it is ours and nobody else can have written into it. One without a
 * list was killed as it was made or removed: it is empty, or not a scene's.
 */
static void collect_directory(const struct collection *collection, const char *path)
{
    struct stat info, list = { 0 };
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_ours = directory >= 0 && fstat(directory, &info) == 0 && info.st_uid == geteuid() &&
                   (info.st_mode & 077) == 0;
    int fd = is_ours ? openat(directory, DIRECTORY_JOURNAL, O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1;
    bool may_go = false;
    if (fd >= 0 && fstat(fd, &list) == 0 && S_ISREG(list.st_mode) && lock(fd, F_OFD_SETLK))
        may_go = list.st_size > 0 ? collect_listed(collection, fd) : is_stale(&info);
    if (may_go && !collection->dry_run)
        directory_clear(directory, path);
    else if (is_ours && fd < 0 && is_stale(&info) && !collection->dry_run)
        rmdir(path);
    if (fd >= 0)
        close(fd);
    if (directory >= 0)
        close(directory);
}

void journal_collect(bool dry_run, void (*report)(const struct weir_leftover *, void *),
                     void *argument)
{
    const struct collection collection = { dry_run, report, argument };
    char path[512];
    const char *parent = directory_parent();
    DIR *listing = opendir(parent);
    if (!listing)
        return;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (!directory_is_name(entry->d_name))
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) < sizeof path)
            collect_directory(&collection, path);
    }
    closedir(listing);
}
