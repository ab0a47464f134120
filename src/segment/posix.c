/* SPDX-License-Identifier: MIT */
/*
 * POSIX segments: files in /dev/shm, where shm_open(3) of glibc and musl looks.
 *
 * How one comes to be:
 *
 *   1 a file without a name (O_TMPFILE)             CRASH posix.nameless
 *   2 all its memory (fallocate), group, mode
 *   3 mapped, pages as asked for                    CRASH posix.mapped
 *   4 linked under its name, if that is free        CRASH posix.linked
 *
 * Up to 4 the kernel frees the file with its last descriptor: a kill leaves
 * nothing, and nothing has to be collected. Step 4 never replaces: one of several
 * creators wins. Whoever opens it finds its size, its memory and its mode.
 *
 * Others make theirs in several steps (shm_open, then ftruncate): in between the
 * size is 0, and an open says -EAGAIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kept.h"
#include "segment/mapped.h"
#include "segment/posix.h"

static void path_of(struct weir_ref ref, char path[WEIR__POSIX_PATH_BYTES])
{
    snprintf(path, WEIR__POSIX_PATH_BYTES, WEIR__POSIX_DIRECTORY "%s", ref.text);
}

static int check(const struct weir__segment_ask *ask, unsigned purpose)
{
    int result = weir_posix_name_check(ask->ref.text);
    if (result != 0)
        return result;
    if ((purpose & WEIR__ASK_CREATE) && ask->options.lifetime == WEIR_EPHEMERAL)
        return weir__fail(EOPNOTSUPP,
                          "%s cannot be ephemeral: nobody counts who has it mapped, so it stays "
                          "until it is removed; say WEIR_PERSISTENT, or use a name of weir's",
                          ask->what);
    if (ask->options.semaphores)
        return weir__fail(purpose & WEIR__ASK_CREATE ? EOPNOTSUPP : EINVAL,
                          "%s has no semaphores: only a segment by a name of weir's, or a private "
                          "and ephemeral one, can bring them",
                          ask->what);
    return 0;
}

static int explain_taken(const struct weir__segment_ask *ask)
{
    char path[WEIR__POSIX_PATH_BYTES];
    struct stat found;
    path_of(ask->ref, path);
    if (lstat(path, &found) != 0)
        return weir__fail(EEXIST, "%s is taken", ask->what);
    if (!S_ISREG(found.st_mode))
        return weir__fail(EEXIST,
                          "%s is taken by a file that is no segment, of uid %u: take another "
                          "name, or remove '%s' by hand",
                          ask->what, (unsigned)found.st_uid, path);
    return weir__fail(EEXIST,
                      "%s is taken by a segment of uid %u, %" PRIu64 " bytes, mode %04o: open it, "
                      "or remove it with 'weir rm posix:%s'",
                      ask->what, (unsigned)found.st_uid, (uint64_t)found.st_size,
                      (unsigned)found.st_mode & 0777, ask->ref.text);
}

/* Step 1. */
static int make_nameless(const struct weir__segment_ask *ask)
{
    int fd = weir__kept(open(WEIR__POSIX_DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd >= 0)
        return fd;
    int error = errno;
    switch (error) {
    case ENOENT:
        return weir__fail(ENOENT, WEIR__POSIX_DIRECTORY
                          " is not there, and POSIX segments are files in "
                          "it: mount -t tmpfs -o mode=1777 tmpfs " WEIR__POSIX_DIRECTORY);
    case EOPNOTSUPP:
    case EISDIR:
        return weir__fail(EOPNOTSUPP,
                          "the file system of " WEIR__POSIX_DIRECTORY " has no files without a "
                          "name (O_TMPFILE), which a segment is while it is made: mount a tmpfs "
                          "there");
    case ENOSPC:
        return weir__posix_explain_room(error, ask, ask->size_bytes);
    case EACCES:
    case EROFS:
        return weir__fail(error, "%s: you may not make files in " WEIR__POSIX_DIRECTORY ": %s",
                          ask->what, strerror(error));
    default:
        return weir__mapped_no_descriptor(error, ask->what);
    }
}

/* Step 4. */
static int publish(const struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    char path[WEIR__POSIX_PATH_BYTES], nameless[64];
    path_of(ask->ref, path);
    /* As open(2) says for O_TMPFILE. Of this thread: its descriptors may be its own. */
    snprintf(nameless, sizeof nameless, "/proc/thread-self/fd/%d", segment->fd);
    /* Release [posix.publish]: size, zeros and mode come before the name. Pairs with open_file(),
     * which finds them through it. */
    if (linkat(AT_FDCWD, nameless, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    int error = errno;
    if (error == EEXIST)
        return explain_taken(ask);
    if (error == ENOSPC)
        return weir__posix_explain_room(error, ask, ask->size_bytes);
    if (error == ENOENT && access("/proc/thread-self/fd", F_OK) != 0)
        return weir__fail(ENOENT, "%s cannot be given its name without /proc: mount /proc",
                          ask->what);
    return weir__fail(error, "%s cannot be given its name in " WEIR__POSIX_DIRECTORY ": %s",
                      ask->what, strerror(error));
}

/* Huge pages come as the mount says, not as the kernel's own shared memory has them. */
static int attach(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    int result = weir__mapped_attach(segment, ask);
    bool may_be_huge = (ask->options.flags & WEIR_SEGMENT_HUGE_PAGES) && weir__posix_has_huge();
    segment->pages = may_be_huge ? WEIR_PAGES_TRANSPARENT : WEIR_PAGES_NORMAL;
    return result;
}

static int create(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    char path[WEIR__POSIX_PATH_BYTES];
    struct stat found;
    uint32_t mode = ask->options.mode;
    if (ask->options.flags & WEIR_SEGMENT_ONE_WRITER)
        mode &= ~0222u; /* the creator, who has it mapped, goes on writing */
    path_of(ask->ref, path);
    if (lstat(path, &found) == 0) /* before its memory is taken for nothing */
        return explain_taken(ask);
    int result = weir__mapped_check_limit(ask, ask->size_bytes);
    if (result == 0)
        result = segment->fd = make_nameless(ask);
    if (result < 0)
        return result;
    segment->segsz = ask->size_bytes;
    result = weir__posix_allocate(segment->fd, ask, segment->segsz, false);
    if (result == 0)
        result = weir__mapped_set_rights(segment->fd, ask, mode);
    if (result == 0)
        result = attach(segment, ask);
    return result == 0 ? publish(segment, ask) : result;
}

static int not_regular(struct weir_ref ref, mode_t mode)
{
    return weir__fail(EPROTO, "'%s' is no POSIX segment but %s in " WEIR__POSIX_DIRECTORY, ref.text,
                      S_ISLNK(mode)   ? "a symbolic link"
                      : S_ISDIR(mode) ? "a directory"
                                      : "something else");
}

static int not_there(struct weir_ref ref)
{
    return weir__fail(ENOENT,
                      "there is no POSIX segment '%s': no such file in " WEIR__POSIX_DIRECTORY
                      " (a container may have one of its own): 'weir list -p' shows what is there",
                      ref.text);
}

static int explain_open(int error, const struct weir__segment_ask *ask)
{
    char path[WEIR__POSIX_PATH_BYTES];
    struct stat found;
    bool read_only = ask->options.flags & WEIR_SEGMENT_READ_ONLY;
    if (error == ENOENT)
        return not_there(ask->ref);
    path_of(ask->ref, path);
    bool is_found = lstat(path, &found) == 0;
    if (is_found && !S_ISREG(found.st_mode))
        return not_regular(ask->ref, found.st_mode);
    if (error == EACCES && is_found)
        return weir__fail(EACCES,
                          "%s has mode %04o and belongs to uid %u, gid %u: uid %u may not open it "
                          "%s",
                          ask->what, (unsigned)found.st_mode & 0777, (unsigned)found.st_uid,
                          (unsigned)found.st_gid, (unsigned)geteuid(),
                          read_only ? "at all" : "for writing: open it read-only");
    return weir__mapped_no_descriptor(error, ask->what);
}

static int open_file(struct weir_segment *segment, const struct weir__segment_ask *ask,
                     struct stat *found)
{
    char path[WEIR__POSIX_PATH_BYTES];
    int access_mode = ask->options.flags & WEIR_SEGMENT_READ_ONLY ? O_RDONLY : O_RDWR;
    path_of(ask->ref, path);
    /* What stands there may be a link, a FIFO or a terminal: not followed, not waited for. */
    /* Acquire [posix.publish]: the name before what it names. Pairs with publish(). */
    segment->fd =
        weir__kept(open(path, access_mode | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (segment->fd < 0)
        return explain_open(errno, ask);
    if (fstat(segment->fd, found) != 0)
        return weir__fail(errno, "cannot look at %s", ask->what);
    if (!S_ISREG(found->st_mode))
        return not_regular(ask->ref, found->st_mode);
    return 0;
}

static int open_segment(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    struct stat found;
    int result = open_file(segment, ask, &found);
    if (result == 0)
        result = weir__trust_check_file(ask->options.trust, ask->options.trust_uid, segment->fd,
                                        found.st_uid, ask->what);
    if (result == 0 && found.st_size == 0)
        result = weir__fail(EAGAIN,
                            "%s has no bytes: whoever made it has not given it a size yet, or was "
                            "killed before: try again, or remove it with 'weir rm posix:%s'",
                            ask->what, ask->ref.text);
    if (result == 0)
        result = weir__segment_check_size(ask, (uint64_t)found.st_size);
    if (result != 0)
        return result;
    /* Once and for all: whoever cuts it off later makes a touch a SIGBUS, and whoever makes it
     * larger gives us nothing. */
    segment->segsz = (uint64_t)found.st_size;
    bool writable = !(ask->options.flags & WEIR_SEGMENT_READ_ONLY);
    if ((ask->options.flags & WEIR_SEGMENT_PREFAULT) && writable)
        result = weir__posix_allocate(segment->fd, ask, segment->segsz, true);
    if (result == 0)
        result = attach(segment, ask);
    /* A read takes a page for a hole, too; its failure does not tell who is full, /dev/shm or all. */
    if (result == -ENOMEM && segment->memory && (ask->options.flags & WEIR_SEGMENT_PREFAULT))
        result = weir__posix_explain_room(ENOSPC, ask, segment->segsz);
    return result;
}

static int stat_segment(const struct weir_segment *segment, struct weir_segment_stat *stat)
{
    struct stat found;
    if (fstat(segment->fd, &found) != 0) {
        int error = errno;
        return weir__fail(error, "cannot look at a POSIX segment: %s", strerror(error));
    }
    weir__mapped_fill_stat(stat, &found, WEIR_BACKEND_POSIX);
    stat->size_bytes = segment->segsz;
    stat->pages = segment->pages;
    return 0;
}

int weir__posix_look(struct weir_ref ref, struct stat *found)
{
    char path[WEIR__POSIX_PATH_BYTES];
    int result = weir_posix_name_check(ref.text);
    if (result != 0)
        return result;
    path_of(ref, path);
    if (lstat(path, found) != 0) {
        int error = errno;
        return error == ENOENT ? not_there(ref)
                               : weir__fail(error, "%s: %s", path, strerror(error));
    }
    return S_ISREG(found->st_mode) ? 0 : not_regular(ref, found->st_mode);
}

static int lookup(struct weir_ref ref, struct weir_segment_stat *stat)
{
    struct stat found;
    int result = weir__posix_look(ref, &found);
    if (result == 0)
        weir__mapped_fill_stat(stat, &found, WEIR_BACKEND_POSIX);
    return result;
}

static int remove_segment(struct weir_ref ref)
{
    char path[WEIR__POSIX_PATH_BYTES];
    struct stat found;
    int result = weir__posix_look(ref, &found);
    if (result != 0)
        return result;
    path_of(ref, path);
    if (unlink(path) == 0)
        return 0;
    int error = errno;
    if (error == ENOENT) /* somebody was quicker */
        return not_there(ref);
    if (error == EACCES || error == EPERM)
        return weir__fail(EPERM,
                          "POSIX segment '%s' belongs to uid %u: only its owner and root may "
                          "remove it",
                          ref.text, (unsigned)found.st_uid);
    return weir__fail(error, "cannot remove POSIX segment '%s': %s", ref.text, strerror(error));
}

const struct weir__backend weir__backend_posix = {
    .number = WEIR_BACKEND_POSIX,
    .check = check,
    .create = create,
    .open = open_segment,
    .map = weir__mapped_map,
    .unmap = weir__mapped_unmap,
    .stat = stat_segment,
    .lookup = lookup,
    .remove = remove_segment,
};
