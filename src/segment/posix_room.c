/* SPDX-License-Identifier: MIT */
/* Room in /dev/shm: taken before a segment is seen; and what to say when there is none. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "segment/posix.h"

/*
 * On many kernels a signal undoes the whole fallocate, and it starts again: a
 * program with a timer would never come to an end. So piece by piece.
 */
#define PIECE_BYTES (1 << 20)

/* What stands in the way of one more file, or of more memory for one. */
int weir__posix_explain_room(int error, const struct weir__segment_ask *ask, uint64_t size_bytes)
{
    struct statvfs room = { 0 };
    statvfs(WEIR__POSIX_DIRECTORY, &room);
    uint64_t total = (uint64_t)room.f_blocks * room.f_frsize;
    uint64_t left = (uint64_t)room.f_bavail * room.f_frsize;
    if (error == EFBIG)
        return weir__fail(E2BIG, "%s: %" PRIu64 " bytes are more than a file can have", ask->what,
                          size_bytes);
    if (error == ENOSPC && room.f_files != 0 && room.f_favail == 0)
        return weir__fail(ENOSPC,
                          WEIR__POSIX_DIRECTORY
                          " has room for %" PRIu64 " files, and all are "
                          "there: see 'weir list -p', or mount -o remount,nr_inodes=%" PRIu64
                          " " WEIR__POSIX_DIRECTORY,
                          (uint64_t)room.f_files, (uint64_t)room.f_files * 2);
    if (error == ENOSPC && total != 0 && left < size_bytes)
        return weir__fail(ENOSPC,
                          WEIR__POSIX_DIRECTORY
                          " has %" PRIu64 " bytes, %" PRIu64 " of them are "
                          "left and %" PRIu64 " are asked for: see 'weir list -p', or mount -o "
                          "remount,size=%" PRIu64 " " WEIR__POSIX_DIRECTORY " (docker run "
                          "--shm-size=)",
                          total, left, size_bytes, total + size_bytes);
    if (error == ENOSPC || error == ENOMEM)
        return weir__fail(ENOMEM,
                          "the kernel has no memory for a segment of %" PRIu64 " bytes: see "
                          "'free -h' and vm.overcommit_memory",
                          size_bytes);
    return weir__fail(error, "cannot make room for %s: %s", ask->what, strerror(error));
}

/* Known to be too much: then nobody else's room is taken for a moment either. */
static bool is_too_much(uint64_t size_bytes)
{
    struct statvfs room;
    return statvfs(WEIR__POSIX_DIRECTORY, &room) == 0 && room.f_blocks != 0 &&
           size_bytes > (uint64_t)room.f_bavail * room.f_frsize;
}

int weir__posix_allocate(int fd, const struct weir__segment_ask *ask, uint64_t size_bytes,
                         bool keep_size)
{
    int mode = keep_size ? FALLOC_FL_KEEP_SIZE : 0;
    if (!keep_size && is_too_much(size_bytes))
        return weir__posix_explain_room(ENOSPC, ask, size_bytes);
    for (uint64_t done = 0; done < size_bytes;) {
        uint64_t rest = size_bytes - done;
        uint64_t piece = rest < PIECE_BYTES ? rest : PIECE_BYTES;
        if (fallocate(fd, mode, (off_t)done, (off_t)piece) == 0) {
            done += piece;
        } else if (errno != EINTR) {
            int error = errno;
            if (!keep_size)
                (void)!ftruncate(fd, 0); /* what is left is told without our part */
            return weir__posix_explain_room(error, ask, size_bytes);
        }
    }
    return 0;
}

bool weir__posix_has_huge(void)
{
    bool has_huge = false;
    struct mntent entry;
    char line[4096];
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    while (mounts && getmntent_r(mounts, &entry, line, sizeof line)) {
        if (strcmp(entry.mnt_dir, WEIR__POSIX_DIRECTORY) != 0)
            continue;
        /* What was mounted last covers the others. */
        const char *option = hasmntopt(&entry, "huge");
        has_huge = option && strncmp(option, "huge=never", 10) != 0;
    }
    if (mounts)
        endmntent(mounts);
    return has_huge;
}
