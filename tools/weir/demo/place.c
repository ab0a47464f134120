/* SPDX-License-Identifier: MIT */
/*
 * Where a scene plays: in a private IPC and mount namespace with its own
 * /dev/shm if the machine permits it, and in an empty directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"
#include "journal.h"
#include "stage.h"

static int write_file(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, line, strlen(line));
    int result = n < 0 ? -errno : 0;
    close(fd);
    return result;
}

/* Without privilege a user namespace is what gives the right to make the others. */
static int unshare_with_user(int flags)
{
    char uid_map[64], gid_map[64];
    snprintf(uid_map, sizeof uid_map, "%u %u 1", geteuid(), geteuid());
    snprintf(gid_map, sizeof gid_map, "%u %u 1", getegid(), getegid());
    if (unshare(flags | CLONE_NEWUSER) != 0)
        return -errno;
    int result = write_file("/proc/self/setgroups", "deny");
    if (result == 0)
        result = write_file("/proc/self/uid_map", uid_map);
    if (result == 0)
        result = write_file("/proc/self/gid_map", gid_map);
    return result;
}

static int enter_namespaces(void)
{
    int flags = CLONE_NEWIPC | CLONE_NEWNS;
    if (unshare(flags) != 0) {
        int result = unshare_with_user(flags);
        if (result != 0)
            return result;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("weir-demo", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0)
        return -errno;
    return 0;
}

static int try_namespaces(void)
{
    return enter_namespaces() == 0 ? 0 : 1;
}

/* A namespace cannot be left again, so a child finds out first whether all of it works. */
static bool can_enter_namespaces(void)
{
    return scene_play("scout", try_namespaces) == 0;
}

static int enter_private_directory(void)
{
    static const char directory[] = "/dev/shm/work";
    if (mkdir(directory, 0755) != 0 || chdir(directory) != 0)
        return -errno;
    return setenv("WEIR_DIR", "/dev/shm/weir", 1) != 0 ? -errno : 0;
}

static int enter_shared_directory(void)
{
    char path[sizeof stage->directory];
    stage_making_begin();
    int result = directory_make(path, sizeof path - 32);
    if (result == 0)
        memcpy(stage->directory, path, sizeof path);
    stage_making_end();
    if (result == 0 && chdir(path) != 0)
        result = -errno;
    return result == 0 ? journal_open(path) : result;
}

int place_enter(void)
{
    stage->private = can_enter_namespaces() && enter_namespaces() == 0;
    return stage->private ? enter_private_directory() : enter_shared_directory();
}

void place_leave_at_once(void)
{
    int fd = stage->directory[0] ? open(stage->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    directory_clear(fd, stage->directory);
    close(fd);
}

void place_leave(void)
{
    place_leave_at_once();
    stage->directory[0] = '\0';
}
