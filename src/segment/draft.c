/* SPDX-License-Identifier: MIT */
#include "segment/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/error.h"
#include "base/random.h"

/* Descriptors of drafts that this process has in hand, +1; 0 is a free slot. */
static weir__atomic_int open_drafts[64];

/* A child that kept the descriptor would keep its dead parent's draft locked. */
static void close_in_child(void)
{
    for (size_t i = 0; i < sizeof open_drafts / sizeof open_drafts[0]; i++) {
        /* Relaxed: a child of fork has one thread, and the fork ordered it after its parent. */
        int held = atomic_exchange_explicit(&open_drafts[i], 0, memory_order_relaxed);
        if (held != 0)
            close(held - 1);
    }
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, close_in_child);
}

/*
 * A fork between the open and this call gives the child a copy that it does not
 * close; the draft is then collected only after the child's exec or end.
 */
static int remember(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    for (size_t i = 0; i < sizeof open_drafts / sizeof open_drafts[0]; i++) {
        int free_slot = 0;
        /* Relaxed: a slot carries a number and orders nothing else. */
        if (atomic_compare_exchange_strong_explicit(&open_drafts[i], &free_slot, fd + 1,
                                                    memory_order_relaxed, memory_order_relaxed))
            return (int)i;
    }
    return -1;
}

static void close_draft(struct weir__draft *draft)
{
    if (draft->slot >= 0)
        atomic_store_explicit(&open_drafts[draft->slot], 0, memory_order_relaxed);
    close(draft->fd);
}

static int lock_file(int fd, int command)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, command, &lock) != 0)
        return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
    /* F_OFD_GETLK answers with the lock that stands in the way, if one does. */
    return command == F_OFD_GETLK && lock.l_type != F_UNLCK ? -EBUSY : 0;
}

static int write_record(struct weir__draft *draft)
{
    char text[WEIR__RECORD_BYTES];
    weir__record_encode(&draft->entry.record, text);
    ssize_t written = pwrite(draft->fd, text, sizeof text, 0);
    if (written == (ssize_t)sizeof text)
        return 0;
    return written < 0 ? -errno : -ENOSPC;
}

static int create_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : -errno;
}

/* The record file of a new draft, and the directory around it; or -errno. */
static int make_file(const struct weir__draft *draft)
{
    char nonce[WEIR__NONCE_TEXT_BYTES];
    const char *directory = draft->entry.directory;
    if (draft->is_file)
        return create_file(draft->dir->fd, directory);
    /* CRASH draft.directory: an empty directory; the collector removes it, and so it may now. */
    int inside = weir__rundir_make(draft->dir->fd, directory, draft->dir->mode, WEIR__NOBODY);
    if (inside < 0) {
        unlinkat(draft->dir->fd, directory, AT_REMOVEDIR);
        return inside;
    }
    weir__nonce_text(draft->entry.record.nonce, nonce);
    int fd = create_file(inside, nonce);
    close(inside);
    return fd;
}

static int take_away(const struct weir__draft *draft)
{
    const struct weir__entry *entry = &draft->entry;
    if (!draft->is_file)
        return weir__entry_unlink(draft->dir, entry->directory, entry->record.nonce);
    return unlinkat(draft->dir->fd, entry->directory, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

/* A new draft, without a record; -ENOENT or -EBUSY: somebody cleaned it up, do it again. */
static int make_draft(struct weir__draft *draft)
{
    char nonce[WEIR__NONCE_TEXT_BYTES];
    struct weir__entry *entry = &draft->entry;
    struct stat found;
    entry->record.nonce = weir__random_nonzero();
    weir__nonce_text(entry->record.nonce, nonce);
    snprintf(entry->directory, sizeof entry->directory, "#%s", nonce);
    draft->fd = make_file(draft);
    if (draft->fd < 0) {
        int error = draft->fd;
        take_away(draft); /* of which there may be the directory */
        return error;
    }
    draft->slot = remember(draft->fd);
    int result = lock_file(draft->fd, F_OFD_SETLK);
    /* CRASH draft.empty: a file without a record; nothing was made under it. */
    if (result == 0 && (fstat(draft->fd, &found) != 0 || found.st_nlink == 0))
        result = -ENOENT; /* a collector was here between the open and the lock */
    /* Its creator alone writes it, whoever may write in the directory. */
    mode_t mode = draft->dir->mode & 0644;
    if (result == 0 && (found.st_mode & 07777) != mode && fchmod(draft->fd, mode) != 0)
        result = -errno;
    if (result != 0) {
        close_draft(draft);
        take_away(draft);
    }
    return result;
}

static const char *cure(int error)
{
    return error == -ENOSPC  ? ": make room there, or set WEIR_DIR"
           : error == -EROFS ? ": set WEIR_DIR to a directory that can be written"
                             : "";
}

/* A write that this limit forbids kills: SIGXFSZ. */
static int check_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= WEIR__RECORD_BYTES)
        return 0;
    return weir__fail(E2BIG,
                      "RLIMIT_FSIZE is %llu, and a record in the run directory has %d bytes: raise "
                      "it with 'ulimit -f', or make what needs one before the limit is set",
                      (unsigned long long)limit.rlim_cur, WEIR__RECORD_BYTES);
}

int weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                      const struct weir__record *record, bool is_published)
{
    int result = check_limit();
    if (result != 0) {
        weir__rundir_tidy(dir); /* it may have been made for this */
        return result;
    }
    draft->dir = dir;
    draft->is_file = !is_published;
    draft->entry.record = *record;
    draft->entry.owner = geteuid();
    for (int attempt = 0; attempt < WEIR__RETRIES; attempt++) {
        result = weir__rundir_enter(dir, true);
        if (result != 0)
            return result;
        result = make_draft(draft);
        if (result == 0)
            return 0;
        if (result != -ENOENT && result != -EBUSY)
            break;
        weir__rundir_close(dir);
    }
    weir__fail(-result, "cannot create in the run directory %s: %s%s", dir->path, strerror(-result),
               cure(result));
    weir__rundir_close_tidy(dir); /* it may have been made for this */
    return result;
}

int weir__draft_update(struct weir__draft *draft)
{
    int result = write_record(draft);
    if (result != 0)
        return weir__fail(-result, "cannot write in the run directory %s: %s%s", draft->dir->path,
                          strerror(-result), cure(result));
    return 0;
}

/*
 * The kernel orders what is written before a rename, and what is read after the name was found. The C
 * language, and the thread sanitizer, know nothing of that: for two threads of one process it is said
 * here as well.
 */
static weir__atomic_u32 published;

void weir__draft_order(void)
{
    /* Acquire [entry.publish]: all that its maker wrote. Pairs with weir__draft_publish(). */
    atomic_load_explicit(&published, memory_order_acquire);
}

int weir__draft_publish(struct weir__draft *draft, const char *directory)
{
    struct weir__entry *entry = &draft->entry;
    /* Release [entry.publish]: the record, the header and the values, before the name. Pairs with
     * weir__draft_order(). */
    atomic_fetch_add_explicit(&published, 1, memory_order_release);
    if (renameat(draft->dir->fd, entry->directory, draft->dir->fd, directory) != 0) {
        int error = errno;
        if (error == ENOTEMPTY || error == EEXIST || error == ENOTDIR)
            return -EEXIST; /* or something else stands there: the caller looks */
        return weir__fail(error, "cannot publish in %s: %s", draft->dir->path, strerror(error));
    }
    snprintf(entry->directory, sizeof entry->directory, "%s", directory);
    /* No draft any more, wherever a member of the group may move it. Done before the lock goes. */
    (void)fchmod(draft->fd, draft->dir->mode & 0444);
    close_draft(draft);
    return 0;
}

static int end_draft(struct weir__draft *draft, int result)
{
    close_draft(draft);
    if (result == 0)
        return 0;
    return weir__fail(-result, "cannot take a draft away from the run directory %s: %s",
                      draft->dir->path, strerror(-result));
}

int weir__draft_abandon(struct weir__draft *draft)
{
    return end_draft(draft, take_away(draft));
}

int weir__draft_hand_over(struct weir__draft *draft)
{
    int result = take_away(draft);
    /* Before the lock goes; and not before the file, which names what a kill would leave. */
    if (result == 0 && ftruncate(draft->fd, 0) != 0)
        result = -errno;
    return end_draft(draft, result);
}

/*
 * The record in a file that we have locked: not through its path, which others may exchange. A
 * creator's one write leaves all of it or nothing: what has anything else in it is not weir's.
 */
static int read_seized(int fd, const char *nonce, const struct stat *found, bool *valid,
                       struct weir__record *record)
{
    char text[WEIR__RECORD_BYTES + 1], expected[WEIR__NONCE_TEXT_BYTES];
    ssize_t length = pread(fd, text, sizeof text, 0);
    if (length < 0)
        return -errno;
    *valid = length > 0;
    if (length == 0)
        return 0;
    if (weir__record_decode(text, (size_t)length, record) != 0 || !(found->st_mode & S_IWUSR))
        return -EEXIST;
    weir__nonce_text(record->nonce, expected);
    if (strcmp(nonce, expected) != 0)
        return -EEXIST;
    return record->creator == found->st_uid ? 0 : -EPERM; /* another user namespace's, or forged */
}

/* Whether what we have opened still stands under this name: a directory, or the file alone. */
static bool is_still(const struct weir__rundir *dir, const char *directory, int fd)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 &&
           fstatat(dir->fd, directory, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

int weir__draft_seize(const struct weir__rundir *dir, const char *directory, bool dry_run, int *fd,
                      bool *valid, struct weir__entry *entry)
{
    struct stat found;
    const char *nonce = directory + 1; /* the file's name is the directory's without its '#' */
    /* No link on the way, and none at its end: what is opened may be a device. */
    const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int inside = openat(dir->fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inside < 0 && errno != ENOTDIR)
        return -errno;
    *fd = inside >= 0 ? openat(inside, nonce, flags) : openat(dir->fd, directory, flags);
    /* Where the directory opens and the file does not: it has lost its write bits, published. */
    int result = *fd >= 0 ? 0 : errno == EACCES ? -EEXIST : -errno;
    if (result == 0)
        result = lock_file(*fd, dry_run ? F_OFD_GETLK : F_OFD_SETLK);
    /* Its creator may have published or abandoned it between the open and the lock. */
    if (result == 0 && (fstat(*fd, &found) != 0 || found.st_nlink == 0 ||
                        !is_still(dir, directory, inside >= 0 ? inside : *fd)))
        result = -ENOENT;
    else if (result == 0 && found.st_uid != geteuid())
        result = -EPERM; /* its segment is not ours to remove */
    else if (result == 0 && !S_ISREG(found.st_mode))
        result = -EEXIST;
    if (inside >= 0)
        close(inside);
    memset(entry, 0, sizeof *entry);
    if (result == 0)
        result = read_seized(*fd, nonce, &found, valid, &entry->record);
    if (result != 0) {
        if (*fd >= 0)
            close(*fd);
        return result;
    }
    snprintf(entry->directory, sizeof entry->directory, "%s", directory);
    entry->owner = found.st_uid;
    return 0;
}

void weir__draft_forget(const struct weir__rundir *dir, const char *directory)
{
    if (unlinkat(dir->fd, directory, 0) == 0)
        return;
    int inside = openat(dir->fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inside < 0)
        return;
    unlinkat(inside, directory + 1, 0);
    close(inside);
    unlinkat(dir->fd, directory, AT_REMOVEDIR);
}
