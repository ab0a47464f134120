/* SPDX-License-Identifier: MIT */
/* Where a name is that is not here: of another IPC namespace, or another user. For sentences. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/collect.h>

#include "base/error.h"
#include "segment/entry.h"

struct search {
    const char *directory; /* the entry that is looked for */
    const char *own;       /* "ipc-NAMESPACE-BOOT" of the caller */
    char *where;
};

static int visit(const struct weir__rundir *base, const char *candidate, void *argument)
{
    struct search *search = argument;
    char path[2 * WEIR__ENTRY_NAME_BYTES];
    const char *boot = strchr(search->own + 4, '-');
    size_t length = strlen(candidate), tail = strlen(boot);
    /* Of this boot alone: what was before it does not exist any more. */
    if (strncmp(candidate, "ipc-", 4) != 0 || strcmp(candidate, search->own) == 0 ||
        length < tail + 4 || length - tail - 4 >= WEIR__NAMESPACE_TEXT_BYTES ||
        strcmp(candidate + length - tail, boot) != 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", candidate, search->directory);
    if (faccessat(base->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    snprintf(search->where, WEIR__NAMESPACE_TEXT_BYTES, "%.*s", (int)(length - tail - 4),
             candidate + 4);
    return 1;
}

bool weir__entry_elsewhere(const char *directory, char where[WEIR__NAMESPACE_TEXT_BYTES])
{
    struct weir__rundir base;
    struct weir__error_saved saved;
    struct search search = { .directory = directory, .where = where };
    bool is_found = false;
    weir__error_save(&saved);
    if (weir_run_directory(base.path, sizeof base.path) == 0) {
        char *own = strrchr(base.path, '/');
        *own = '\0';
        search.own = own + 1;
        base.fd = open(base.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        is_found = base.fd >= 0 && weir__entry_each(&base, visit, &search) == 1;
        if (base.fd >= 0)
            close(base.fd);
    }
    weir__error_restore(&saved);
    return is_found;
}

/* "weir-1000": whose. false: it is no default directory. */
static bool owner_by_name(const char *name, uid_t *uid)
{
    char again[32];
    if (strncmp(name, "weir-", 5) != 0)
        return false;
    unsigned long number = strtoul(name + 5, NULL, 10);
    snprintf(again, sizeof again, "weir-%lu", number);
    *uid = (uid_t)number;
    return number < (uid_t)-1 && strcmp(again, name) == 0;
}

/* One candidate: what is not its user's own, and what is a link, says nothing of that user. */
static enum weir__others look(int parent, const char *name, const char *path, uid_t uid)
{
    enum weir__others result = WEIR__OTHERS_NONE;
    struct stat found;
    if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) != 0 || found.st_uid != uid ||
        !S_ISDIR(found.st_mode))
        return result;
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const char *slash = strchr(path, '/');
    char part[WEIR__ENTRY_NAME_BYTES];
    snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
    int base = openat(parent, name, flags);
    int fd = base >= 0 ? openat(base, part, flags) : -1;
    if (fd < 0 && errno == EACCES)
        result = WEIR__OTHERS_HIDE;
    if (fd >= 0 && faccessat(fd, slash + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        result = WEIR__OTHERS_HAVE;
    if (fd >= 0)
        close(fd);
    if (base >= 0)
        close(base);
    return result;
}

/* path: "ipc-NAMESPACE-BOOT/ENTRY"; own: the directory in use. */
static enum weir__others look_at_all(const char *path, const char *own, uid_t *uid)
{
    static const char parent[] = "/dev/shm";
    char candidate[sizeof parent + sizeof((struct dirent *)0)->d_name + 1];
    enum weir__others result = WEIR__OTHERS_NONE;
    DIR *listing = opendir(parent);
    if (!listing)
        return result;
    for (struct dirent *entry; result < WEIR__OTHERS_HAVE && (entry = readdir(listing)) != NULL;) {
        snprintf(candidate, sizeof candidate, "%s/%s", parent, entry->d_name);
        if (!owner_by_name(entry->d_name, uid) || strcmp(candidate, own) == 0)
            continue;
        enum weir__others now = look(dirfd(listing), entry->d_name, path, *uid);
        result = now > result ? now : result;
    }
    closedir(listing);
    return result;
}

static void tell(enum weir__others result, const char *own, uid_t uid,
                 char text[WEIR__OTHERS_TEXT_BYTES])
{
    const size_t size = WEIR__OTHERS_TEXT_BYTES;
    *text = '\0';
    if (result == WEIR__OTHERS_HIDE)
        snprintf(text, size, "; names are each user's own: to share them set one WEIR_DIR for all");
    else if (result == WEIR__OTHERS_HAVE && uid == geteuid())
        snprintf(text, size, " in %s, but in " WEIR__RUNDIR_DEFAULT "%u: unset WEIR_DIR", own,
                 (unsigned)uid);
    else if (result == WEIR__OTHERS_HAVE)
        snprintf(text, size,
                 " in %s, but uid %u has that name: set WEIR_DIR=" WEIR__RUNDIR_DEFAULT "%u", own,
                 (unsigned)uid, (unsigned)uid);
}

enum weir__others weir__entry_others(const char *directory, char text[WEIR__OTHERS_TEXT_BYTES])
{
    enum weir__others result = WEIR__OTHERS_NONE;
    struct weir__error_saved saved;
    char own[PATH_MAX], path[2 * WEIR__ENTRY_NAME_BYTES];
    uid_t uid = 0;
    weir__error_save(&saved);
    if (weir_run_directory(own, sizeof own) == 0) {
        char *slash = strrchr(own, '/');
        snprintf(path, sizeof path, "%s/%s", slash + 1, directory);
        *slash = '\0';
        result = look_at_all(path, own, &uid);
    }
    /* Who has set WEIR_DIR knows. */
    if (result == WEIR__OTHERS_HIDE && secure_getenv("WEIR_DIR"))
        result = WEIR__OTHERS_NONE;
    tell(result, own, uid, text);
    weir__error_restore(&saved);
    return result;
}
