/* SPDX-License-Identifier: MIT */
#include "segment/sysv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kept.h"
#include "base/limits.h"

static int explain_create(int error, uint64_t size_bytes)
{
    struct weir_limits limits;
    weir__limits_read(&limits);
    uint64_t page = limits.page_size_bytes;
    uint64_t pages = size_bytes / page + (size_bytes % page != 0);
    switch (error) {
    case EINVAL:
        return weir__fail(E2BIG,
                          "a segment of %" PRIu64 " bytes is larger than kernel.shmmax allows "
                          "(%" PRIu64 "): sysctl -w kernel.shmmax=%" PRIu64,
                          size_bytes, limits.shmmax_bytes, size_bytes);
    case ENOSPC:
        if (limits.shm_used >= limits.shmmni)
            return weir__fail(ENOSPC,
                              "kernel.shmmni is %" PRIu64 " segments and %" PRIu64 " exist: see "
                              "'weir list' and 'weir gc', or sysctl -w kernel.shmmni=%" PRIu64,
                              limits.shmmni, limits.shm_used,
                              limits.shmmni ? limits.shmmni * 2 : 4096);
        return weir__fail(ENOSPC,
                          "kernel.shmall is %" PRIu64 " pages for all segments, %" PRIu64
                          " are taken and %" PRIu64 " more are asked for: see 'weir list', or "
                          "sysctl -w kernel.shmall=%" PRIu64,
                          limits.shmall_pages, limits.shm_used_pages, pages,
                          limits.shm_used_pages + pages);
    case ENOMEM:
        return weir__fail(ENOMEM,
                          "the kernel has no memory for a segment of %" PRIu64 " bytes: see "
                          "'free -h' and vm.overcommit_memory",
                          size_bytes);
    default:
        return weir__fail(error, "shmget(%" PRIu64 " bytes): %s", size_bytes, strerror(error));
    }
}

int weir__shm_create(uint32_t key, uint64_t size_bytes, uint32_t mode, int flags)
{
    int id = shmget((key_t)key, size_bytes, IPC_CREAT | IPC_EXCL | (int)mode | flags);
    if (id >= 0)
        return id;
    return errno == EEXIST ? -EEXIST : explain_create(errno, size_bytes);
}

int weir__shm_find(uint32_t key)
{
    int id = shmget((key_t)key, 0, 0);
    if (id >= 0)
        return id;
    int error = errno;
    if (error == ENOENT)
        return -ENOENT;
    return weir__fail(error, "shmget(key 0x%08x): %s", key, strerror(error));
}

/* EAGAIN, where memory is locked and that is limited, means want of memory: not "not yet", as with us. */
static int explain_attach(int error, int id, const void *address, bool read_only)
{
    struct shmid_ds found;
    if (error == EAGAIN)
        error = ENOMEM;
    int asked = weir__shm_stat(id, &found);
    if (asked == -ENOENT)
        return weir__fail(EIDRM, "segment %d was removed", id);
    if (asked < 0) /* nothing more is known of it */
        return weir__fail(error, "segment %d cannot be attached: %s", id, strerror(error));
    switch (error) {
    case EACCES:
        return weir__fail(EACCES,
                          "segment %d has mode %04o and belongs to uid %u, gid %u: uid %u may not "
                          "attach it %s",
                          id, (unsigned)found.shm_perm.mode & 0777, (unsigned)found.shm_perm.uid,
                          (unsigned)found.shm_perm.gid, (unsigned)geteuid(),
                          read_only ? "at all" : "for writing: open it read-only");
    case EINVAL:
        return weir__fail(EINVAL,
                          "segment %d cannot be attached at %p: the address must be a multiple of "
                          "%ld and have room for %zu free bytes",
                          id, address, (long)SHMLBA, (size_t)found.shm_segsz);
    case ENOMEM:
        return weir__fail(ENOMEM,
                          "no room to attach segment %d of %zu bytes: the address space is limited "
                          "(ulimit -v), or locked memory (ulimit -l, after mlockall(2)), or too "
                          "many mappings (vm.max_map_count)",
                          id, (size_t)found.shm_segsz);
    default:
        return weir__fail(error, "shmat(%d): %s", id, strerror(error));
    }
}

int weir__shm_attach(int id, void *address, bool read_only, void **memory)
{
    /* shmat's error is (void *)-1, and NULL is none. */
    void *where = shmat(id, address, read_only ? SHM_RDONLY : 0);
    if (where == (void *)-1)
        return errno == EIDRM ? weir__fail(EIDRM, "segment %d was removed", id)
                              : explain_attach(errno, id, address, read_only);
    *memory = where;
    return 0;
}

int weir__shm_stat(int id, struct shmid_ds *found)
{
    if (id < 0)
        return -ENOENT;
    *found = (struct shmid_ds){ 0 }; /* for valgrind, which does not know the newer call */
    /*
     * SHM_STAT_ANY asks for no right and answers with the full id that stands
     * in that place: another one than ours means that ours is gone.
     */
    int result = shmctl(id, SHM_STAT_ANY, found);
    /* A filter forbids the newer call; or nobody knows it (an old kernel, an emulator), and then
     * EINVAL says nothing of the segment. */
    if (result < 0 && errno != EIDRM)
        result = shmctl(id, IPC_STAT, found) == 0 ? id : -1;
    if (result >= 0)
        return result == id ? 0 : -ENOENT;
    if (errno == EINVAL || errno == EIDRM)
        return -ENOENT;
    int error = errno;
    return weir__fail(error, "shmctl(%d): %s", id, strerror(error));
}

int weir__shm_maker_pidfd(int id)
{
    struct shmid_ds found;
    if (weir__shm_stat(id, &found) != 0 || found.shm_cpid <= 0)
        return -1;
    return weir__kept((int)syscall(SYS_pidfd_open, found.shm_cpid, 0));
}

bool weir__shm_is_removed(const struct shmid_ds *found)
{
    return (found->shm_perm.mode & SHM_DEST) != 0;
}

int weir__shm_remove(int id)
{
    if (shmctl(id, IPC_RMID, NULL) == 0 || errno == EINVAL || errno == EIDRM)
        return 0;
    int error = errno;
    struct shmid_ds found;
    if (error == EPERM && weir__shm_stat(id, &found) == 0)
        return weir__fail(EPERM,
                          "segment %d belongs to uid %u, made by uid %u: only these and root may "
                          "remove it",
                          id, (unsigned)found.shm_perm.uid, (unsigned)found.shm_perm.cuid);
    return weir__fail(error, "shmctl(%d, IPC_RMID): %s", id, strerror(error));
}

int weir__shm_set(int id, uint32_t mode, int64_t gid)
{
    struct shmid_ds found;
    int result = weir__shm_stat(id, &found);
    if (result != 0)
        return result == -ENOENT ? weir__fail(EIDRM, "segment %d was removed", id) : result;
    found.shm_perm.mode = (unsigned short)mode;
    if (gid >= 0)
        found.shm_perm.gid = (gid_t)gid;
    if (shmctl(id, IPC_SET, &found) == 0)
        return 0;
    int error = errno;
    return weir__fail(error, "cannot set mode %04o%s of segment %d: %s", mode,
                      gid >= 0 ? " and group" : "", id, strerror(error));
}
