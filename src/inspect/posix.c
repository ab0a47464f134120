/* SPDX-License-Identifier: MIT */
/*
 * POSIX segments: the regular files that stand directly in /dev/shm, which is
 * where shm_open(3) of glibc and musl looks. A named POSIX semaphore is such a
 * file too, "sem.NAME", and shm_open would find it: it is listed with the kind
 * "posix-sem". Who has one mapped is not counted anywhere: attached is -1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "inspect/walk.h"
#include "segment/posix.h"

static int by_name(const void *left, const void *right)
{
    const struct weir__seen *a = left, *b = right;
    return strcmp(a->object.name, b->object.name);
}

/* file: its name in the directory. The object's own name is left to the caller. */
static struct weir_object describe(const char *file, const struct stat *entry)
{
    return (struct weir_object){
        .size = sizeof(struct weir_object),
        .type = WEIR_OBJECT_POSIX,
        .lifetime = WEIR_PERSISTENT,
        .id = -1,
        .uid = entry->st_uid,
        .gid = entry->st_gid,
        .cuid = entry->st_uid,
        .cgid = entry->st_gid,
        .mode = entry->st_mode & 0777,
        .size_bytes = (uint64_t)entry->st_size,
        .resident_bytes = (uint64_t)entry->st_blocks * 512,
        .attached = -1,
        .atime = entry->st_atime,
        .ctime = entry->st_ctime,
        .kind = strncmp(file, "sem.", 4) == 0 ? "posix-sem" : "posix",
    };
}

static int add_file(struct weir__seen_list *list, const char *file, const struct stat *entry)
{
    struct weir__seen *seen = weir__seen_add(list);
    if (!seen)
        return -ENOMEM;
    seen->object = describe(file, entry);
    char *name = malloc(strlen(file) + 2);
    if (!name) {
        list->count--;
        return weir__fail(ENOMEM, "no memory for the list of POSIX segments");
    }
    name[0] = '/';
    strcpy(name + 1, file);
    seen->object.name = name;
    return 0;
}

int weir__look_posix(struct weir_ref ref, struct weir__seen *seen)
{
    struct stat entry;
    int result = weir__posix_look(ref, &entry);
    if (result != 0)
        return result;
    *seen = (struct weir__seen){ .object = describe(ref.text + 1, &entry) };
    seen->object.state = WEIR_STATE_IDLE;
    seen->object.name = ref.text;
    return 0;
}

int weir__walk_posix(struct weir__seen_list *list)
{
    DIR *directory = opendir(WEIR__POSIX_DIRECTORY);
    if (!directory && errno == ENOENT)
        return 0; /* then there is none */
    if (!directory)
        return weir__fail(errno, "%s: %s", WEIR__POSIX_DIRECTORY, strerror(errno));
    size_t first = list->count;
    int result = 0;
    struct dirent *file;
    while (result == 0 && (file = readdir(directory))) {
        struct stat entry;
        if (fstatat(dirfd(directory), file->d_name, &entry, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(entry.st_mode))
            result = add_file(list, file->d_name, &entry);
    }
    closedir(directory);
    if (result == 0 && list->count > first)
        qsort(list->items + first, list->count - first, sizeof *list->items, by_name);
    return result;
}
