/* SPDX-License-Identifier: MIT */
#include "segment/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/unforked.h"
#include "segment/pages.h"

/* Linux 4.17; older headers lack the name. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static int explain_map(int error, const struct weir_segment *segment, const void *address,
                       bool read_only)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return weir__fail(EACCES,
                          "the segment behind descriptor %d may not be mapped %s: the descriptor "
                          "or a seal forbids it",
                          segment->fd, read_only ? "at all" : "for writing: open it read-only");
    case EINVAL:
    case EEXIST:
        return weir__fail(EINVAL,
                          "the segment cannot be mapped at %p: the address must be a multiple of "
                          "the page size and have room for %" PRIu64 " free bytes",
                          address, segment->segsz);
    case ENOMEM:
    case EAGAIN: /* memory is locked, and that is limited */
        return weir__fail(ENOMEM,
                          "no room to map a segment of %" PRIu64 " bytes: the address space is "
                          "limited (ulimit -v), or locked memory (ulimit -l, after mlockall(2)), "
                          "or too many mappings (vm.max_map_count), or no huge pages are left",
                          segment->segsz);
    default:
        return weir__fail(error, "mmap(%" PRIu64 " bytes): %s", segment->segsz, strerror(error));
    }
}

/*
 * A memfd that nobody can write any more: before Linux 6.7 a descriptor that could
 * be written cannot be mapped shared then, and private is the same.
 */
static bool is_frozen(const struct weir_segment *segment)
{
    int seals = fcntl(segment->fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_WRITE);
}

static int map(const struct weir_segment *segment, void *address, bool read_only, void **memory)
{
    int protection = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = read_only && is_frozen(segment) ? MAP_PRIVATE : MAP_SHARED;
    if (segment->segsz > SIZE_MAX)
        return explain_map(ENOMEM, segment, address, read_only);
    if (address)
        flags |= MAP_FIXED_NOREPLACE;
    void *where = mmap(address, (size_t)segment->segsz, protection, flags, segment->fd, 0);
    if (where == MAP_FAILED)
        return explain_map(errno, segment, address, read_only);
    if (address && where != address) { /* an emulator that took it for a hint */
        munmap(where, (size_t)segment->segsz);
        return explain_map(EEXIST, segment, address, read_only);
    }
    *memory = where;
    return 0;
}

int weir__mapped_map(const struct weir_segment *segment, void *address, uint32_t flags,
                     void **memory)
{
    int entered = weir__unforked_enter(flags & WEIR_SEGMENT_NO_FORK);
    int result = map(segment, address, flags & WEIR_SEGMENT_READ_ONLY, memory);
    if (result == 0) {
        result = weir__pages_hide(*memory, segment->segsz, flags);
        if (result != 0) {
            munmap(*memory, (size_t)segment->segsz);
            *memory = NULL;
        }
    }
    weir__unforked_leave(entered);
    return result;
}

void weir__mapped_unmap(const struct weir_segment *segment, void *memory)
{
    munmap(memory, (size_t)segment->segsz);
}

int weir__mapped_attach(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    uint32_t flags = ask->options.flags;
    int result = weir__mapped_map(segment, ask->options.address, flags, &segment->memory);
    return result == 0 ? weir__pages_apply(segment->memory, segment->segsz, flags, &segment->pages)
                       : result;
}

int weir__mapped_set_rights(int fd, const struct weir__segment_ask *ask, uint32_t mode)
{
    const struct weir_segment_options *options = &ask->options;
    /* The group first: nobody of the old one is let in by the new mode. */
    if ((options->flags & WEIR_SEGMENT_SET_GID) && fchown(fd, (uid_t)-1, options->gid) != 0) {
        int error = errno;
        return weir__fail(error, "cannot give %s to group %u: %s", ask->what, options->gid,
                          strerror(error));
    }
    if (fchmod(fd, mode) == 0)
        return 0;
    int error = errno;
    return weir__fail(error, "cannot set mode %04o of %s: %s", mode, ask->what, strerror(error));
}

int weir__mapped_check_limit(const struct weir__segment_ask *ask, uint64_t size_bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        size_bytes <= limit.rlim_cur)
        return 0;
    return weir__fail(E2BIG,
                      "%s: %" PRIu64 " bytes are more than a file of this process may have "
                      "(RLIMIT_FSIZE is %" PRIu64 "): raise it with 'ulimit -f'",
                      ask->what, size_bytes, (uint64_t)limit.rlim_cur);
}

void weir__mapped_fill_stat(struct weir_segment_stat *stat, const struct stat *file,
                            uint32_t backend)
{
    uint32_t size = stat->size;
    memset(stat, 0, sizeof *stat);
    stat->size = size;
    stat->id = -1;
    stat->uid = stat->cuid = file->st_uid;
    stat->gid = stat->cgid = file->st_gid;
    stat->mode = file->st_mode & 0777;
    stat->shm_segsz = stat->size_bytes = (uint64_t)file->st_size;
    stat->shm_atime = file->st_atime;
    stat->shm_ctime = file->st_ctime;
    stat->removed = file->st_nlink == 0;
    stat->lifetime = stat->removed ? WEIR_EPHEMERAL : WEIR_PERSISTENT;
    stat->semset_id = -1;
    stat->backend = backend;
    snprintf(stat->kind, sizeof stat->kind, "segment");
}

int weir__mapped_no_descriptor(int error, const char *what)
{
    if (error == EMFILE)
        return weir__fail(EMFILE,
                          "%s: this process has too many files open: close some, or raise "
                          "'ulimit -n'",
                          what);
    if (error == ENFILE)
        return weir__fail(ENFILE, "%s: the system has too many files open (fs.file-max)", what);
    return weir__fail(error, "%s: %s", what, strerror(error));
}
