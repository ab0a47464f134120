/* SPDX-License-Identifier: MIT */
/*
 * memfds: memory behind a descriptor, without a name, freed with its last user.
 *
 * What makes a memfd of a stranger safe to read is asked from the kernel, and
 * cannot change any more once it is so:
 *
 *   asked                  | says                           | without it
 *   -----------------------+--------------------------------+----------------------------
 *   F_SEAL_SHRINK          | it stays as large as it is     | ftruncate: SIGBUS under us
 *   F_SEAL_GROW            | all that it has is mapped      | two sizes of one segment
 *   F_SEAL_SEAL            | nobody adds a seal afterwards  | our writes forbidden later
 *   not of hugetlbfs       | a touch finds a page           | a hole punched while no huge
 *                          |                                | page is left: SIGBUS
 *   size above 0           | there is something to map      |
 *
 * All three seals are possible on memfds alone: a file of any other tmpfs has
 * F_SEAL_SEAL from its beginning, so that it can never get the other two.
 *
 * ONE_WRITER is F_SEAL_FUTURE_WRITE, set when the creator has its mapping: no new
 * one can be written, nor can the descriptor, by anybody. A read-only descriptor
 * would forbid nothing to who may open the file again through /proc/self/fd.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/error.h"
#include "base/kept.h"
#include "segment/mapped.h"
#include "segment/memfd.h"

/* Linux 6.3 and 5.1; older headers lack the names. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define REQUIRED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int check(const struct weir__segment_ask *ask, unsigned purpose)
{
    bool by_fd = ask->ref.by == WEIR_BY_FD;
    bool creates = purpose & WEIR__ASK_CREATE;
    if (by_fd && ask->ref.id < 0)
        return weir__fail(EINVAL, "descriptor %d: descriptors are 0 or above", ask->ref.id);
    if (by_fd && creates)
        return weir__fail(EINVAL, "%s: a descriptor is opened; create with weir_memfd()",
                          ask->what);
    if (!by_fd && !creates)
        return weir__fail(EINVAL, "a memfd has no name to be opened by: take its descriptor, with "
                                  "weir_by_fd() or weir_segment_receive()");
    if (creates && ask->options.lifetime == WEIR_PERSISTENT)
        return weir__fail(EOPNOTSUPP, "a memfd cannot be persistent: it has no name to stay under, "
                                      "and the kernel frees it with its last user");
    if (ask->options.semaphores)
        return weir__fail(creates ? EOPNOTSUPP : EINVAL,
                          "a memfd has no semaphores: only a segment by a name of weir's, or a "
                          "private and ephemeral one, can bring them");
    return 0;
}

/* One that nobody can execute either, where the kernel knows that. */
static int make_file(unsigned flags)
{
    int fd = memfd_create("weir", flags | MFD_NOEXEC_SEAL);
    return weir__kept(fd < 0 && errno == EINVAL ? memfd_create("weir", flags) : fd);
}

/* Its size, and the mapping. *segsz: rounded up to whole pages of huge ones. */
static int fill(struct weir_segment *segment, const struct weir__segment_ask *ask, bool is_huge)
{
    struct stat found;
    uint64_t size_bytes = ask->size_bytes;
    if (is_huge && fstat(segment->fd, &found) == 0 && found.st_blksize > 0) {
        uint64_t page = (uint64_t)found.st_blksize;
        size_bytes = (size_bytes + page - 1) / page * page;
    }
    int result = weir__mapped_check_limit(ask, size_bytes);
    if (result != 0)
        return result;
    if (ftruncate(segment->fd, (off_t)size_bytes) != 0) {
        int error = errno;
        return weir__fail(error == EFBIG || error == EINVAL ? E2BIG : error,
                          "a memfd of %" PRIu64 " bytes: %s", size_bytes, strerror(error));
    }
    segment->segsz = size_bytes;
    segment->pages = is_huge ? WEIR_PAGES_HUGETLB : WEIR_PAGES_NORMAL;
    return weir__mapped_attach(segment, ask);
}

/* With reserved huge pages; false when there are none, or not for this process. */
static bool make_huge(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    segment->fd = make_file(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (segment->fd >= 0 && fill(segment, ask, true) == 0)
        return true;
    if (segment->memory)
        weir__mapped_unmap(segment, segment->memory);
    if (segment->fd >= 0)
        close(segment->fd);
    segment->memory = NULL;
    segment->fd = -1;
    weir__error_restore(&saved);
    return false;
}

static int make(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    if ((ask->options.flags & WEIR_SEGMENT_HUGE_PAGES) && make_huge(segment, ask))
        return 0;
    segment->fd = make_file(MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (segment->fd < 0)
        return weir__mapped_no_descriptor(errno, "a memfd cannot be made");
    return fill(segment, ask, false);
}

static int seal(int fd, uint32_t flags)
{
    int seals = REQUIRED_SEALS;
    if (flags & WEIR_SEGMENT_ONE_WRITER)
        seals |= F_SEAL_FUTURE_WRITE;
    if (fcntl(fd, F_ADD_SEALS, seals) == 0)
        return 0;
    int error = errno;
    return weir__fail(error, "a memfd cannot be sealed: %s", strerror(error));
}

/* Nobody else has it before the call returns: in which order is not seen. */
static int create(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    int result = make(segment, ask);
    if (result == 0)
        result = weir__mapped_set_rights(segment->fd, ask, ask->options.mode);
    return result == 0 ? seal(segment->fd, ask->options.flags) : result;
}

static int check_seals(const struct weir__segment_ask *ask, int fd, int *seals)
{
    *seals = fcntl(fd, F_GET_SEALS);
    if (*seals < 0)
        return weir__fail(EPROTO, "%s is no memfd: %s", ask->what,
                          errno == EBADF ? "it was opened with O_PATH"
                                         : "it is another file, a pipe or a socket");
    if ((*seals & REQUIRED_SEALS) == REQUIRED_SEALS)
        return 0;
    return weir__fail(EPROTO,
                      "%s could be changed in size under its reader: it lacks %s%s%s(set them with "
                      "fcntl F_ADD_SEALS, on a memfd made with MFD_ALLOW_SEALING)",
                      ask->what, *seals & F_SEAL_SHRINK ? "" : "F_SEAL_SHRINK ",
                      *seals & F_SEAL_GROW ? "" : "F_SEAL_GROW ",
                      *seals & F_SEAL_SEAL ? "" : "F_SEAL_SEAL ");
}

/* What may be done with it, by the descriptor and by its seals. */
static int check_access(const struct weir__segment_ask *ask, int fd, int seals)
{
    int access_mode = fcntl(fd, F_GETFL) & O_ACCMODE;
    bool sealed = seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
    if (access_mode == O_WRONLY)
        return weir__fail(EACCES, "%s is open for writing alone, and cannot be mapped", ask->what);
    if ((ask->options.flags & WEIR_SEGMENT_READ_ONLY) || (access_mode == O_RDWR && !sealed))
        return 0;
    return weir__fail(EACCES, "%s may not be written: %s: open it read-only", ask->what,
                      sealed ? "it is sealed against that" : "its descriptor is for reading");
}

static int check_file(const struct weir__segment_ask *ask, int fd, struct stat *found)
{
    struct statfs kind;
    if (fstat(fd, found) != 0 || fstatfs(fd, &kind) != 0)
        return weir__fail(errno, "cannot look at %s: %s", ask->what, strerror(errno));
    if (kind.f_type == HUGETLBFS_MAGIC && !(ask->options.flags & WEIR_SEGMENT_HUGE_PAGES))
        return weir__fail(EPROTO,
                          "%s is of reserved huge pages, of which its maker can leave us without "
                          "one: WEIR_SEGMENT_HUGE_PAGES accepts that",
                          ask->what);
    if (found->st_size == 0)
        return weir__fail(EPROTO, "%s has no bytes, and can get none", ask->what);
    int result = weir__trust_check_file(ask->options.trust, ask->options.trust_uid, fd,
                                        found->st_uid, ask->what);
    return result == 0 ? weir__segment_check_size(ask, (uint64_t)found->st_size) : result;
}

int weir__memfd_take(struct weir_segment *segment, const struct weir__segment_ask *ask, int fd)
{
    struct stat found;
    int seals;
    segment->fd = fd;
    /* The seals first: what is asked later cannot change any more. */
    int result = check_seals(ask, fd, &seals);
    if (result == 0)
        result = check_file(ask, fd, &found);
    if (result == 0)
        result = check_access(ask, fd, seals);
    if (result != 0)
        return result;
    segment->segsz = (uint64_t)found.st_size;
    return weir__mapped_attach(segment, ask);
}

static int open_segment(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    int seals;
    if (fcntl(ask->ref.id, F_GETFD) < 0)
        return weir__mapped_no_descriptor(errno, ask->what);
    /* Before there is a copy: to close one takes the caller's locks off the file (fcntl F_SETLK). */
    int result = check_seals(ask, ask->ref.id, &seals);
    if (result != 0)
        return result;
    int fd = weir__kept(fcntl(ask->ref.id, F_DUPFD_CLOEXEC, 0));
    return fd < 0 ? weir__mapped_no_descriptor(errno, ask->what)
                  : weir__memfd_take(segment, ask, fd);
}

static int stat_file(int fd, struct weir_segment_stat *stat)
{
    struct stat found;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &found) != 0) {
        int error = errno;
        return weir__fail(error == EINVAL ? EPROTO : error, "descriptor %d is no memfd: %s", fd,
                          strerror(error));
    }
    if (found.st_nlink > 0) /* every file of a tmpfs has seals */
        return weir__fail(EPROTO, "descriptor %d is no memfd: it is a file that has a name", fd);
    weir__mapped_fill_stat(stat, &found, WEIR_BACKEND_MEMFD);
    stat->seals = (uint32_t)seals;
    return 0;
}

static int stat_segment(const struct weir_segment *segment, struct weir_segment_stat *stat)
{
    int result = stat_file(segment->fd, stat);
    if (result == 0)
        stat->pages = segment->pages;
    return result;
}

static int lookup(struct weir_ref ref, struct weir_segment_stat *stat)
{
    if (ref.by == WEIR_BY_FD && ref.id >= 0)
        return stat_file(ref.id, stat);
    return weir__fail(EINVAL, "a memfd is found by its descriptor alone: weir_by_fd()");
}

static int remove_segment(struct weir_ref ref)
{
    (void)ref;
    return weir__fail(EOPNOTSUPP, "a memfd has no name that could be taken away: the kernel frees "
                                  "it with its last user");
}

const struct weir__backend weir__backend_memfd = {
    .number = WEIR_BACKEND_MEMFD,
    .check = check,
    .create = create,
    .open = open_segment,
    .map = weir__mapped_map,
    .unmap = weir__mapped_unmap,
    .stat = stat_segment,
    .lookup = lookup,
    .remove = remove_segment,
};
