/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <weir/collect.h>
#include <weir/error.h>

#include "text.h"

#define NAME "run directory"

/* Where nothing of the default directory is the user's to change. */
#define OWN_DIRECTORY "mkdir -p -m 0700 ~/.weir && export WEIR_DIR=~/.weir"

/* Any at all; a file system may not count its blocks, or its files, and root may use the last ones. */
static bool has_room(const struct statvfs *system)
{
    bool has_blocks = geteuid() == 0 ? system->f_bfree > 0 : system->f_bavail > 0;
    return (system->f_blocks == 0 || has_blocks) && (system->f_files == 0 || system->f_favail > 0);
}

/* The namespace's directory was made for fewer than are let into the one around it by now. */
static bool is_behind(const char *inside, const struct stat *base, struct stat *found)
{
    if (lstat(inside, found) != 0 || !S_ISDIR(found->st_mode))
        return false;
    bool is_others_group = (base->st_mode & 0020) != 0 && base->st_gid != found->st_gid;
    return is_others_group || (base->st_mode & ~found->st_mode & 0777) != 0;
}

/* The directory of this namespace, if it is there, as each command opens it; or why not. */
static bool is_opened(void)
{
    return weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL) >= 0;
}

/* Whether a name can be made in a directory: by a file without one, or, where there is no such thing, by
 * a directory that is removed at once. 0, or -errno. */
static int try_to_make(const char *path)
{
    int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return close(fd);
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return -errno;
    char *made = text_format("%s/.doctor-XXXXXX", path);
    int result = mkdtemp(made) ? 0 : -errno;
    if (result == 0)
        rmdir(made);
    free(made);
    return result;
}

/* A sticky directory is often everybody's, as /tmp: it stays so, and what is wanted is one inside it. */
static char *sticky_cure(const char *path, const struct stat *entry, bool is_default)
{
    if (is_default)
        return text_format("chmod 0700 '%s'", path);
    if ((entry->st_mode & 0002) == 0 && entry->st_uid == geteuid())
        return text_format("chmod -t '%s'", path);
    const char *between = path[strlen(path) - 1] == '/' ? "" : "/";
    return text_format("mkdir -m 700 '%s%sweir-%u' && export WEIR_DIR='%s%sweir-%u'", path, between,
                       (unsigned)geteuid(), path, between, (unsigned)geteuid());
}

/* The default one belongs to one user; one that WEIR_DIR names may be a group's. inside: the one of
 * this IPC namespace in it. */
static void check_access(struct doctor *doctor, const char *path, const struct stat *entry,
                         bool is_default, const char *inside)
{
    struct stat found;
    struct statvfs system;
    bool has_system = statvfs(path, &system) == 0;
    char *cure = NULL;
    int made = 0;
    if ((entry->st_mode & S_ISVTX) && (entry->st_mode & 0022)) {
        cure = sticky_cure(path, entry, is_default);
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, cure,
                    "%s is sticky: what another user left there could never be used again", path);
    } else if (is_default && (entry->st_mode & 0077)) {
        cure = text_format("chmod 0700 '%s'", path);
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, cure,
                    "%s has mode %04o: others could change your names", path,
                    (unsigned)entry->st_mode & 07777);
    } else if (has_system && system.f_flag & ST_RDONLY) {
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME,
                    is_default ? "sudo mount -o remount,rw /dev/shm" : "unset WEIR_DIR",
                    "%s is on a file system that is read-only", path);
    } else if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        cure = is_default ? text_format("chmod 0700 '%s'", path)
                          : text_format("ls -ld '%s'    (and ask its owner for access)", path);
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, cure,
                    "%s may not be used by you: mode %04o, "
                    "owner %u",
                    path, (unsigned)entry->st_mode & 07777, entry->st_uid);
    } else if (has_system && !has_room(&system)) {
        cure = text_format("df -h '%s'    (and make room, or set WEIR_DIR)", path);
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, cure,
                    "%s is on a file system that is full: no name can be made", path);
    } else if ((made = try_to_make(path)) != 0) {
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, is_default ? NULL : OWN_DIRECTORY,
                    "nothing can be made in %s: %s", path, strerror(-made));
    } else if (!is_default && is_behind(inside, entry, &found)) {
        cure = text_format("chgrp %u '%s' && chmod %04o '%s'", entry->st_gid, inside,
                           (unsigned)entry->st_mode & 07777, inside);
        doctor_tell(doctor, is_opened() ? DOCTOR_WARNING : DOCTOR_PROBLEM, NAME, cure,
                    "%s of user %u was made before the directory around it was opened to others: "
                    "it has mode %04o and group %u, that one %04o and %u. If nothing but names is "
                    "in it, give it these",
                    inside, found.st_uid, (unsigned)found.st_mode & 07777, found.st_gid,
                    (unsigned)entry->st_mode & 07777, entry->st_gid);
    } else if (!is_opened()) {
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, NULL, "%s", weir_last_error());
    } else if (!is_default && (entry->st_mode & 0002)) {
        cure = text_format("chmod o-w '%s'", path);
        doctor_tell(doctor, DOCTOR_WARNING, NAME, cure,
                    "%s may be written by everybody: any user could change your names", path);
    } else {
        doctor_tell(doctor, DOCTOR_OK, NAME, NULL, "%s, mode %04o", path,
                    (unsigned)entry->st_mode & 07777);
    }
    free(cure);
}

/* Whether a uid stands for all that this user namespace has not: what belongs to it may be root's. */
static bool is_from_outside(uid_t uid)
{
    unsigned long long first, lower, count, nobody = 65534;
    char text[32] = "";
    doctor_read_file("/proc/sys/kernel/overflowuid", text, sizeof text);
    sscanf(text, "%llu", &nobody);
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (!map)
        return false;
    bool has_all =
        fscanf(map, "%llu %llu %llu", &first, &lower, &count) == 3 && count >= UINT32_MAX;
    fclose(map);
    return uid == nobody && !has_all;
}

/* The first command makes it: can it? */
static void check_absent(struct doctor *doctor, const char *path, bool is_default)
{
    struct stat entry;
    char *parent = text_format("%s", path), *cure = NULL;
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    int made;
    if (stat(parent, &entry) != 0 || !S_ISDIR(entry.st_mode)) {
        cure = text_format("mkdir -p '%s'", parent);
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, cure,
                    "%s is not there, where names would be made", parent);
    } else if ((made = try_to_make(parent)) != 0) {
        const char *remount = "sudo mount -o remount,rw /dev/shm";
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME,
                    is_default && made == -EROFS ? remount : OWN_DIRECTORY,
                    "%s is not there, and cannot be made: %s", path, strerror(-made));
    } else {
        doctor_tell(doctor, DOCTOR_OK, NAME, NULL, "%s, made when the first name is", path);
    }
    free(cure);
    free(parent);
}

void doctor_check_names(struct doctor *doctor)
{
    char path[PATH_MAX];
    struct stat entry;
    const char *chosen = getenv("WEIR_DIR");
    int result = weir_run_directory(path, sizeof path);
    if (result < 0) {
        const char *cure = result == -ENOSYS  ? "sudo mount -t proc proc /proc"
                           : result == -EPERM ? OWN_DIRECTORY
                                              : "unset WEIR_DIR";
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, cure, "%s", weir_last_error());
        return;
    }
    char *inside = text_format("%s", path);
    /* Its last component is the one of this IPC namespace and boot. */
    *strrchr(path, '/') = '\0';
    /* What somebody has chosen may be a file of his. */
    char *remove = chosen ? text_format("unset WEIR_DIR") : text_format("sudo rm -r '%s'", path);
    int found = lstat(path, &entry) == 0 ? 0 : errno;
    if (found == ENOENT) {
        check_absent(doctor, path, !chosen);
    } else if (!chosen && found == 0 && S_ISLNK(entry.st_mode)) {
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, remove,
                    "%s is a symbolic link: somebody else "
                    "could choose where your names are",
                    path);
    } else if (stat(path, &entry) != 0) {
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, NULL, "%s: %s", path, strerror(errno));
    } else if (!S_ISDIR(entry.st_mode)) {
        doctor_tell(doctor, DOCTOR_PROBLEM, NAME, remove, "%s is no directory", path);
    } else if (!chosen && entry.st_uid != geteuid()) {
        doctor_tell(
            doctor, DOCTOR_PROBLEM, NAME, is_from_outside(entry.st_uid) ? OWN_DIRECTORY : remove,
            "%s belongs to user %u instead of you: weir will not use it", path, entry.st_uid);
    } else {
        check_access(doctor, path, &entry, !chosen, inside);
    }
    free(remove);
    free(inside);
}
