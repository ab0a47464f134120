/* SPDX-License-Identifier: MIT */
#include "segment/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/collect.h>

#include "base/atomics.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "segment/identity.h"
#include "segment/mapped.h"

/*
 * Each user's own. In a user namespace that has a /dev/shm from outside, its uids are not those that
 * the names there are made of: its root is some user, whose directory must be neither root's nor in
 * root's way. There the name says the uid outside, too.
 */
static int default_path(char path[PATH_MAX])
{
    struct stat found;
    uint32_t outside, uid = geteuid();
    int saved_errno = errno;
    bool is_from_outside = stat("/dev/shm", &found) == 0 && !weir__uid_is_told(found.st_uid);
    errno = saved_errno;
    if (!is_from_outside) {
        snprintf(path, PATH_MAX, WEIR__RUNDIR_DEFAULT "%u", (unsigned)uid);
        return 0;
    }
    if (!weir__uid_outside(uid, &outside))
        return weir__fail(EPERM, "this user namespace has no uid for you (see uid_map in "
                                 "user_namespaces(7)), so that none of " WEIR__RUNDIR_DEFAULT
                                 "UID is yours: set WEIR_DIR to a directory of yours");
    snprintf(path, PATH_MAX, WEIR__RUNDIR_DEFAULT "%u-%u", (unsigned)outside, (unsigned)uid);
    return 0;
}

/* The parent directory's path; its default is under /dev/shm, which a restart empties. */
static int base_path(char path[PATH_MAX], bool *is_default)
{
    /* A set-uid program does not let its caller say where it writes. */
    const char *chosen = secure_getenv("WEIR_DIR");
    *is_default = !chosen;
    if (!chosen)
        return default_path(path);
    if (chosen[0] != '/')
        return weir__fail(EINVAL, "WEIR_DIR is '%.200s': it must be an absolute path", chosen);
    int length = snprintf(path, PATH_MAX, "%s", chosen);
    if (length >= PATH_MAX)
        return weir__fail(ENAMETOOLONG, "WEIR_DIR is longer than %d bytes", PATH_MAX - 1);
    /* With one at its end, O_NOFOLLOW would follow. */
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    return 0;
}

#define BOOT_ID_BYTES 37

/* Does not change while the machine runs, so it is kept once it was read. */
static char known_boot_id[BOOT_ID_BYTES];
static weir__atomic_int boot_id_state;
enum { UNKNOWN, BEING_WRITTEN, KNOWN };

/* What fails now (no descriptor free, no /proc yet) may succeed at the next call. */
static int read_boot_id(char text[BOOT_ID_BYTES])
{
    /* Acquire [boot_id.known]: the text before it. Pairs with the release below. */
    if (atomic_load_explicit(&boot_id_state, memory_order_acquire) == KNOWN) {
        memcpy(text, known_boot_id, BOOT_ID_BYTES);
        return 0;
    }
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t length = read(file, text, BOOT_ID_BYTES - 1);
    close(file);
    if (length != BOOT_ID_BYTES - 1)
        return -ENOENT;
    text[length] = '\0';
    int unknown = UNKNOWN;
    /* Relaxed: of several threads one writes, the others have their own copy. */
    if (atomic_compare_exchange_strong_explicit(&boot_id_state, &unknown, BEING_WRITTEN,
                                                memory_order_relaxed, memory_order_relaxed)) {
        memcpy(known_boot_id, text, BOOT_ID_BYTES);
        /* Release [boot_id.known]: the text before it. Pairs with the acquire above. */
        atomic_store_explicit(&boot_id_state, KNOWN, memory_order_release);
    }
    return 0;
}

/*
 * "ipc-4026531839-0f9c1a2b-...": where ids of this kernel and this namespace are kept. To ask for
 * the namespace, if it is not known, is the most expensive step on the way to a name.
 */
static int namespace_name(char name[64], uint64_t *ipc_namespace)
{
    char boot_id[BOOT_ID_BYTES];
    int result = read_boot_id(boot_id);
    if (*ipc_namespace == 0)
        *ipc_namespace = weir__ipc_namespace_here();
    if (result == -EMFILE || result == -ENFILE)
        return weir__mapped_no_descriptor(-result, "the boot id, which names belong to");
    if (result != 0 || *ipc_namespace == 0)
        return weir__fail(ENOSYS, "/proc does not tell the IPC namespace and the boot id, which "
                                  "names belong to: mount /proc");
    snprintf(name, 64, "ipc-%" PRIu64 "-%s", *ipc_namespace, boot_id);
    return 0;
}

int weir_run_directory(char *path, size_t capacity_bytes)
{
    char base[PATH_MAX], name[64];
    bool is_default;
    uint64_t ipc_namespace = 0;
    int result = base_path(base, &is_default);
    if (result == 0)
        result = namespace_name(name, &ipc_namespace);
    if (result != 0)
        return result;
    int length = snprintf(path, capacity_bytes, "%s/%s", base, name);
    if (length < 0 || (size_t)length >= capacity_bytes)
        return weir__fail(ENAMETOOLONG,
                          "the run directory's path has %d bytes, there is room for "
                          "%zu",
                          length, capacity_bytes);
    return 0;
}

static int belongs_to_another(const char *path, const struct stat *found, int error)
{
    /* It may be anybody's outside, whose names live: nobody is told to remove that. */
    if (!weir__uid_is_told(found->st_uid))
        return weir__fail(
            error,
            "%s belongs to somebody who has no uid in this user namespace, instead of "
            "you (uid %u): set WEIR_DIR to a directory of yours",
            path, (unsigned)geteuid());
    return weir__fail(error,
                      "%s belongs to uid %u instead of you (uid %u): sudo rm -r '%s', or set "
                      "WEIR_DIR to a directory of yours",
                      path, (unsigned)found->st_uid, (unsigned)geteuid(), path);
}

/* A directory that others could exchange under us, or that nobody could clean, is refused. */
static int check_base(const char *path, const struct stat *found, bool is_default)
{
    if (is_default && found->st_uid != geteuid())
        return belongs_to_another(path, found, EPERM);
    if (is_default && (found->st_mode & 077) != 0)
        return weir__fail(EPERM,
                          "%s has mode %04o, so that others may reach into it: chmod 0700 %s", path,
                          (unsigned)found->st_mode & 07777, path);
    if ((found->st_mode & S_ISVTX) && (found->st_mode & 022))
        return weir__fail(EPERM,
                          "WEIR_DIR=%s is sticky (mode %04o): another user's old name there could "
                          "never be used again; take a directory inside it",
                          path, (unsigned)found->st_mode & 07777);
    return 0;
}

static int cannot_make(const char *path, bool is_default, int error)
{
    return weir__fail(error, "cannot make the run directory %s: %s%s", path, strerror(error),
                      is_default ? ": set WEIR_DIR to a directory that can be written"
                                 : ": its parent must exist and be writable");
}

static const char *type_text(mode_t mode)
{
    return S_ISLNK(mode)    ? "a symbolic link"
           : S_ISREG(mode)  ? "a file"
           : S_ISFIFO(mode) ? "a FIFO"
                            : "something else";
}

/* What stands in the default directory's place. Of a link the kernel says ENOTDIR or ELOOP. */
static int is_in_the_way(const char *path, const struct stat *found, int error)
{
    bool is_own = found->st_uid == geteuid();
    bool is_far = !weir__uid_is_told(found->st_uid);
    return weir__fail(
        error,
        "%s is %s of uid %u, and no directory: %s%s%s%sset WEIR_DIR to a directory of "
        "yours",
        path, type_text(found->st_mode), (unsigned)found->st_uid,
        is_far   ? ""
        : is_own ? "rm '"
                 : "sudo rm '",
        is_far ? "" : path, is_far ? "" : "'", is_far ? "" : ", or ");
}

static int cannot_open(const char *path, bool is_default, int error)
{
    struct stat found;
    bool is_about = error == EACCES || error == ENOTDIR || error == ELOOP;
    bool is_seen = is_default && is_about && lstat(path, &found) == 0;
    if (is_seen && !S_ISDIR(found.st_mode))
        return is_in_the_way(path, &found, error);
    is_seen = is_seen && error == EACCES;
    if (is_seen && found.st_uid != geteuid())
        return belongs_to_another(path, &found, error);
    if (is_seen)
        return weir__fail(error, "%s has mode %04o, so that you may not use it: chmod 0700 %s",
                          path, (unsigned)found.st_mode & 07777, path);
    return weir__fail(error, "cannot open the run directory %s: %s%s", path, strerror(error),
                      error == ELOOP    ? ": it is not a directory"
                      : error == EACCES ? ": set WEIR_DIR to a directory that you may read, or "
                                          "ask its owner"
                                        : "");
}

/* Whose default directory this is, by its name. (uid_t)-1: nobody's. */
static uid_t default_owner(const char *path)
{
    static const char prefix[] = WEIR__RUNDIR_DEFAULT;
    char name[PATH_MAX];
    const char *digits = path + sizeof prefix - 1;
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return (uid_t)-1;
    unsigned long number = strtoul(digits, NULL, 10);
    snprintf(name, sizeof name, "%s%lu", prefix, number);
    return number < (uid_t)-1 && strcmp(name, path) == 0 ? (uid_t)number : (uid_t)-1;
}

static int open_base(const char *path, bool is_default, bool create, struct stat *found)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_default ? O_NOFOLLOW : 0);
    int fd = open(path, flags);
    /* Whoever leaves last takes it away, also between our two calls: then once more. */
    for (int i = 0; fd < 0 && errno == ENOENT && create && i < WEIR__RETRIES; i++) {
        /* CRASH rundir.base: an empty one of root's, which its user is told to have removed. */
        fd = weir__rundir_make(AT_FDCWD, path, 0700, default_owner(path));
        if (fd < 0 && fd != -EEXIST && fd != -EBUSY)
            return cannot_make(path, is_default, -fd);
        if (fd < 0)
            fd = open(path, flags);
    }
    if (fd < 0 && errno == ENOENT && !create)
        return -ENOENT;
    if (fd < 0)
        return cannot_open(path, is_default, errno);
    int result =
        fstat(fd, found) == 0
            ? check_base(path, found, is_default)
            : weir__fail(errno, "cannot look at the run directory %s: %s", path, strerror(errno));
    if (result != 0) {
        close(fd);
        return result;
    }
    return fd;
}

static void sweep(int base)
{
    int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (!listing) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (strncmp(entry->d_name, ".new-", 5) == 0)
            unlinkat(base, entry->d_name, AT_REMOVEDIR);
    closedir(listing);
}

void weir__rundir_sweep(const struct weir__rundir *dir)
{
    char path[PATH_MAX];
    struct stat found;
    bool is_default;
    if (base_path(path, &is_default) != 0)
        return;
    int base = open_base(path, is_default, false, &found);
    if (base < 0)
        return;
    sweep(base);
    close(base);
    if (dir->fd < 0 && is_default)
        rmdir(path);
}

/*
 * Makes the namespace's directory with the parent's mode, whatever the umask
 * is: under another name first, because nobody must ever meet it with fewer
 * rights, or as root's. A full one that is there already is as good. CRASH rundir.new: an empty
 * .new-* stays; the next one to come here, or the collector, removes it.
 */
static int make_inside(int base, const char *name, uint32_t mode, uid_t owner)
{
    char temporary[32];
    /* One that is just being made goes too: its maker gets -ENOENT and comes again. */
    sweep(base);
    snprintf(temporary, sizeof temporary, ".new-%016" PRIx64, weir__random_nonzero());
    int result = weir__rundir_make(base, temporary, mode, owner);
    if (result >= 0) {
        close(result);
        result = 0;
        /* Replaces an empty one, whose users get -ENOENT and come again; fails over a full one. */
        if (renameat(base, temporary, base, name) != 0)
            result = errno == EEXIST || errno == ENOTEMPTY ? -EEXIST : -errno;
    }
    if (result != 0)
        unlinkat(base, temporary, AT_REMOVEDIR);
    return result == -EEXIST ? 0 : result == -EBUSY ? -ENOENT : result;
}

/* A descriptor of the namespace's directory, which was not there; -ENOENT: from the beginning. */
static int make_and_open(int base, const char *name, uint32_t mode, uid_t owner)
{
    /* Where nobody else may look, nobody meets it half made; but root's would lock its user out. */
    if ((mode & 077) == 0 && owner == geteuid()) {
        int fd = weir__rundir_make(base, name, mode, owner);
        return fd == -EEXIST || fd == -EBUSY ? -ENOENT : fd;
    }
    int result = make_inside(base, name, mode, owner);
    if (result != 0)
        return result;
    int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

/*
 * What may not be opened, and is empty, a killed process left half made: it is as good as none. Who
 * only looks takes it for that where the file system counts a directory's directories, itself twice.
 */
static int open_inside(int base, const char *name, bool is_to_look)
{
    struct stat found;
    int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != EACCES)
        return fd >= 0 ? fd : -errno;
    bool is_none = is_to_look ? fstatat(base, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                                    S_ISDIR(found.st_mode) && found.st_nlink == 2
                              : unlinkat(base, name, AT_REMOVEDIR) == 0;
    return is_none ? -ENOENT : -EACCES;
}

/* The namespace's directory was made for fewer than are let into the one around it by now. */
static bool is_behind(const struct stat *found, const struct stat *base)
{
    bool is_others_group = (base->st_mode & 0020) != 0 && base->st_gid != found->st_gid;
    return S_ISDIR(found->st_mode) &&
           (is_others_group || (base->st_mode & ~found->st_mode & 0777) != 0);
}

static int was_made_before(const char *path, const struct stat *found, const struct stat *base)
{
    return weir__fail(
        EACCES,
        "%s was made before the directory around it was opened to others: it has mode "
        "%04o and group %u, that one %04o and %u: have uid %u, whose it is, run: chgrp "
        "%u '%s' && chmod %04o '%s'",
        path, (unsigned)found->st_mode & 07777, (unsigned)found->st_gid,
        (unsigned)base->st_mode & 07777, (unsigned)base->st_gid, (unsigned)found->st_uid,
        (unsigned)base->st_gid, path, (unsigned)base->st_mode & 07777, path);
}

static int cannot_use(const char *path, bool is_default, int error, const struct stat *base)
{
    struct stat found;
    bool is_seen = error == EACCES && lstat(path, &found) == 0 && found.st_uid != geteuid();
    if (is_default && is_seen)
        return belongs_to_another(path, &found, error);
    if (is_seen && is_behind(&found, base))
        return was_made_before(path, &found, base);
    return weir__fail(error, "cannot use the run directory %s: %s%s", path, strerror(error),
                      error == EROFS || error == EACCES
                          ? ": set WEIR_DIR to a directory that can be written"
                          : "");
}

/*
 * Whoever could take away what stands in the namespace's directory may be asked to; so it is not
 * one that somebody else has moved there. Its owner and its mode are those of the base, as it was made.
 */
static int check_inside(const char *path, int fd, const struct stat *base)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return weir__fail(errno, "cannot look at the run directory %s: %s", path, strerror(errno));
    /* In a directory of one user's, what root put there for itself is not weir's. Root's: as root said. */
    if ((base->st_mode & 0022) == 0 && base->st_uid != 0 && found.st_uid != base->st_uid)
        return weir__fail(
            EPERM,
            "%s belongs to uid %u, and what it stands in to uid %u: weir did not make "
            "it so; move it away",
            path, (unsigned)found.st_uid, (unsigned)base->st_uid);
    if ((base->st_mode & 0022 & ~found.st_mode) != 0)
        return weir__fail(EPERM,
                          "%s has mode %04o, and what it stands in %04o: weir did not make it so; "
                          "move it away, or, if nothing but names is in it, give it that mode, too",
                          path, (unsigned)found.st_mode & 07777, (unsigned)base->st_mode & 07777);
    return 0;
}

int weir__rundir_open(struct weir__rundir *dir, bool create)
{
    weir__rundir_init(dir);
    return weir__rundir_enter(dir, create);
}

int weir__rundir_open_to_look(struct weir__rundir *dir)
{
    weir__rundir_init(dir);
    dir->is_to_look = true;
    return weir__rundir_enter(dir, false);
}

int weir__rundir_enter(struct weir__rundir *dir, bool create)
{
    char base[PATH_MAX], name[64];
    struct stat found;
    if (dir->fd >= 0)
        return 0;
    int result = base_path(base, &dir->is_default);
    if (result == 0)
        result = namespace_name(name, &dir->ipc_namespace);
    if (result != 0)
        return result;
    if (snprintf(dir->path, sizeof dir->path, "%s/%s", base, name) >= (int)sizeof dir->path)
        return weir__fail(ENAMETOOLONG, "WEIR_DIR is too long");
    for (int attempt = 0; attempt < WEIR__RETRIES; attempt++) {
        int base_fd = open_base(base, dir->is_default, create, &found);
        if (base_fd < 0)
            return base_fd;
        dir->mode = found.st_mode & 03777 & ~(mode_t)S_ISVTX;
        int fd = open_inside(base_fd, name, dir->is_to_look);
        if (fd == -ENOENT && create)
            fd = make_and_open(base_fd, name, dir->mode, found.st_uid);
        close(base_fd);
        if (fd >= 0) {
            result = check_inside(dir->path, fd, &found);
            if (result == 0)
                dir->fd = fd;
            else
                close(fd);
            return result;
        }
        if (fd != -ENOENT)
            return cannot_use(dir->path, dir->is_default, -fd, &found);
        if (!create)
            return -ENOENT;
    }
    return weir__fail(EBUSY,
                      "the run directory %s cannot be made: its file system takes no directories, "
                      "or somebody removes it again and again",
                      dir->path);
}

void weir__rundir_close(struct weir__rundir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    dir->fd = -1;
}

void weir__rundir_tidy(struct weir__rundir *dir)
{
    struct stat found;
    /* Most file systems count a directory's directories, itself twice. So there are entries still,
     * now that ours is gone: whoever takes the last of them away comes here after us. */
    if (dir->fd < 0 || (fstat(dir->fd, &found) == 0 && found.st_nlink > 2))
        return;
    weir__rundir_close(dir);
    /* Only empty directories go; who is just making an entry makes the directory again. */
    if (rmdir(dir->path) != 0 || !dir->is_default)
        return;
    /* CRASH rundir.empty: the default directory, and nothing in it. */
    *strrchr(dir->path, '/') = '\0';
    rmdir(dir->path);
}

void weir__rundir_close_tidy(struct weir__rundir *dir)
{
    weir__rundir_tidy(dir);
    weir__rundir_close(dir);
}
