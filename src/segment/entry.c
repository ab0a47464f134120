/* SPDX-License-Identifier: MIT */
#include "segment/entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "segment/header.h"
#include "segment/identity.h"
#include "segment/semset.h"
#include "segment/sysv.h"

void weir__entry_name(const char *name, char directory[WEIR__ENTRY_NAME_BYTES])
{
    size_t i = 0;
    for (; i < WEIR__ENTRY_NAME_BYTES - 1 && name[i]; i++)
        directory[i] = name[i] == '/' ? ',' : name[i];
    directory[i] = '\0';
}

void weir__entry_nameless(uint64_t nonce, char directory[WEIR__ENTRY_NAME_BYTES])
{
    char text[WEIR__NONCE_TEXT_BYTES];
    weir__nonce_text(nonce, text);
    snprintf(directory, WEIR__ENTRY_NAME_BYTES, "~%s", text);
}

bool weir__entry_is_name(const char *directory, char name[WEIR__ENTRY_NAME_BYTES])
{
    struct weir__error_saved saved;
    size_t i = 0;
    for (; i < WEIR__ENTRY_NAME_BYTES - 1 && directory[i]; i++) {
        if (directory[i] == '/')
            return false;
        name[i] = directory[i] == ',' ? '/' : directory[i];
    }
    name[i] = '\0';
    weir__error_save(&saved);
    bool is_name = !directory[i] && weir_name_check(name) == 0;
    weir__error_restore(&saved);
    return is_name;
}

static DIR *open_listing(const struct weir__rundir *dir, const char *directory)
{
    int fd = openat(dir->fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing && fd >= 0)
        close(fd);
    return listing;
}

/* The next thing in a directory, "." and ".." left out; NULL at the end. */
static const char *next_in(DIR *listing)
{
    struct dirent *found;
    while ((found = readdir(listing)) != NULL)
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
            return found->d_name;
    return NULL;
}

static int corrupt(const struct weir__rundir *dir, const char *directory, const char *what)
{
    return weir__fail(EUCLEAN, "%s/%s: %s: 'weir rm' takes it away", dir->path, directory, what);
}

/*
 * Whether an object that was made in another user namespace may be there: what answers under its id
 * is of its size, and has, or had, its key. Whose it is nobody can say here, so that is not asked.
 */
static bool may_be_there(const struct weir__record *record)
{
    struct shmid_ds segment;
    struct semid_ds set;
    int result;
    if (record->shm_key == 0) {
        result = weir__semset_stat(record->sem_id, &set);
        return result == 0 ? (uint32_t)set.sem_perm.__key == record->sem_key : result != -EIDRM;
    }
    result = weir__shm_stat(record->shm_id, &segment);
    if (result != 0)
        return result != -ENOENT;
    return segment.shm_segsz == record->shm_segsz &&
           (weir__shm_is_removed(&segment) ||
            (record->lifetime == WEIR_PERSISTENT &&
             (uint32_t)segment.shm_perm.__key == record->shm_key));
}

/*
 * Whether the record of another user namespace is of one that is gone, and the caller, who is the
 * file's owner, or root, may take it away: nobody may be left there who does. A draft names what may
 * be there under a key alone.
 */
static bool is_left(const struct weir__rundir *dir, const struct weir__entry *entry, uint32_t owner)
{
    struct weir__error_saved saved;
    uint32_t self = geteuid();
    if (entry->directory[0] == '#' || (self != 0 && self != owner) || !weir__uid_is_told(owner) ||
        weir__ipc_namespace_here() != dir->ipc_namespace)
        return false;
    weir__error_save(&saved);
    bool is_gone = !may_be_there(&entry->record);
    weir__error_restore(&saved);
    return is_gone;
}

/* Reads the record file that stands under file_name; -ENOENT when it went in this moment. */
static int read_record(const struct weir__rundir *dir, int listing_fd, const char *file_name,
                       struct weir__entry *entry)
{
    char text[WEIR__RECORD_BYTES + 1], nonce[WEIR__NONCE_TEXT_BYTES];
    struct stat found;
    /* O_NONBLOCK: a fifo in this place must not hold us up. */
    int fd = openat(listing_fd, file_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 && errno == ELOOP)
        return corrupt(dir, entry->directory, "a symbolic link stands where a record should be");
    if (fd < 0) {
        int error = errno;
        return weir__fail(error, "cannot read %s/%s: %s", dir->path, entry->directory,
                          strerror(error));
    }
    ssize_t length = 0;
    int result = fstat(fd, &found);
    if (result == 0 && S_ISREG(found.st_mode))
        length = read(fd, text, sizeof text); /* one byte more than a record has */
    int error = errno;
    close(fd);
    /* Not corrupt: what is corrupt may be taken away, and what cannot be read for now may not. */
    if (result != 0 || length < 0)
        return weir__fail(error, "cannot read %s/%s: %s", dir->path, entry->directory,
                          strerror(error));
    result = weir__record_decode(text, (size_t)length, &entry->record);
    if (result == -EPROTONOSUPPORT)
        return weir__fail(
            EPROTONOSUPPORT,
            "%s/%s: a record of layout %c, this weir knows 1: use one version on both sides, or "
            "move it away",
            dir->path, entry->directory, text[4]);
    if (result != 0)
        return corrupt(dir, entry->directory, "not a record of weir's");
    weir__nonce_text(entry->record.nonce, nonce);
    if (strcmp(nonce, file_name + (file_name[0] == '#')) != 0)
        return corrupt(dir, entry->directory, "the record and its file differ in the nonce");
    /*
     * Who creates an object writes its record. One that names somebody else was put there to have
     * that user, or root, remove or accept what it points to; or its creator has another number in
     * the user namespace where it was made. Not corrupt: nobody here can say whose it is. But what
     * is gone is nobody's any more, and what it has left, its set, is found as the owner's alone.
     */
    if (entry->record.creator != found.st_uid && is_left(dir, entry, found.st_uid))
        entry->record.creator = found.st_uid;
    if (entry->record.creator != found.st_uid)
        return weir__fail(EPERM,
                          "%s/%s: its record says uid %u made it, and is uid %u's: it was made in "
                          "another user namespace, where alone it can be used, or forged",
                          dir->path, entry->directory, entry->record.creator,
                          (unsigned)found.st_uid);
    entry->owner = found.st_uid;
    return 0;
}

/* Mostly root was at work in a user's run directory: what it makes there is for itself alone. */
static int cannot_list(const struct weir__rundir *dir, const char *directory, int error)
{
    struct stat found;
    if (error == EACCES && fstatat(dir->fd, directory, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
        found.st_uid != geteuid())
        return weir__fail(error,
                          "%s/%s is uid %u's alone: take another name, or let that user remove it "
                          "with 'weir rm'",
                          dir->path, directory, (unsigned)found.st_uid);
    return weir__fail(error, "cannot look into %s/%s: %s", dir->path, directory, strerror(error));
}

int weir__entry_read_any(const struct weir__rundir *dir, const char *directory,
                         struct weir__entry *entry)
{
    memset(entry, 0, sizeof *entry);
    snprintf(entry->directory, sizeof entry->directory, "%s", directory);
    DIR *listing = open_listing(dir, directory);
    if (!listing && errno == ENOENT)
        return -ENOENT;
    if (!listing && errno == ENOTDIR && directory[0] == '#') /* a draft that has no directory */
        return read_record(dir, dir->fd, directory, entry);
    if (!listing && (errno == ENOTDIR || errno == ELOOP))
        return corrupt(dir, directory, "not a directory");
    if (!listing)
        return cannot_list(dir, directory, errno);
    const char *file_name = next_in(listing);
    int result = -ENOENT;
    if (file_name && !weir__nonce_is(file_name))
        result = weir__fail(EUCLEAN, "%s/%s: what is in it is not weir's: move it away", dir->path,
                            directory);
    else if (file_name)
        result = read_record(dir, dirfd(listing), file_name, entry);
    if (result == 0 && next_in(listing))
        result = corrupt(dir, directory, "more than one record in it");
    closedir(listing);
    return result;
}

int weir__entry_read(const struct weir__rundir *dir, const char *directory,
                     struct weir__entry *entry)
{
    int result = weir__entry_read_any(dir, directory, entry);
    if (result != 0 || directory[0] == '#' || directory[0] == '~' ||
        entry->record.name == weir__name_hash(directory))
        return result;
    return weir__fail(
        EPERM,
        "%s/%s: the %s in it was made under another name: somebody has moved it here; "
        "move it back, or remove it by its id",
        dir->path, directory, entry->record.kind);
}

bool weir__record_matches(const struct weir__record *record, const struct shmid_ds *found)
{
    if (found->shm_segsz != record->shm_segsz || found->shm_perm.cuid != record->creator)
        return false;
    if (weir__shm_is_removed(found))
        return true;
    return record->lifetime == WEIR_PERSISTENT &&
           (uint32_t)found->shm_perm.__key == record->shm_key;
}

int weir__record_check_maker(struct weir__record *record)
{
    const uint32_t told = record->creator;
    uint32_t of_segment = told, of_set = told;
    struct weir__error_saved saved;
    struct shmid_ds segment;
    struct semid_ds set;
    weir__error_save(&saved);
    if (record->shm_id >= 0 && weir__shm_stat(record->shm_id, &segment) == 0)
        of_segment = segment.shm_perm.cuid;
    if (record->sem_id >= 0 && weir__semset_stat(record->sem_id, &set) == 0)
        of_set = set.sem_perm.cuid;
    weir__error_restore(&saved); /* who is not told has nothing to object to */
    if (of_segment == told && of_set == told)
        return 0;
    record->creator = of_set;
    return weir__fail(EPERM,
                      "this process was uid %u when it began to make a %s, and uid %u when it had: "
                      "another thread has "
                      "changed its user meanwhile; make it before that, or after it",
                      told, record->kind, of_segment == told ? of_set : of_segment);
}

enum weir__verdict weir__record_verdict(const struct weir__record *record)
{
    if (record->shm_key == 0) {
        int same = weir__semset_same(record->sem_id, record->sem_key, record->creator);
        return same < 0 ? WEIR__UNKNOWN : same ? WEIR__ALIVE : WEIR__DEAD;
    }
    struct shmid_ds found;
    int result = weir__shm_stat(record->shm_id, &found);
    if (result == -ENOENT)
        return WEIR__DEAD;
    if (result != 0)
        return WEIR__UNKNOWN;
    /* Ids come round: another segment under the number means that ours is gone. */
    if (!weir__record_matches(record, &found))
        return WEIR__DEAD;
    /* A persistent one that somebody removed is only waiting for its last detach. */
    if (record->lifetime == WEIR_PERSISTENT && weir__shm_is_removed(&found))
        return WEIR__DEAD;
    return WEIR__ALIVE;
}

enum weir__verdict weir__entry_verdict(const struct weir__rundir *dir,
                                       const struct weir__record *record)
{
    /* Ids of another namespace mean nothing here, and "no such id" is no death there. */
    if (weir__ipc_namespace_here() != dir->ipc_namespace)
        return WEIR__UNKNOWN;
    return weir__record_verdict(record);
}

int weir__entry_unlink(const struct weir__rundir *dir, const char *directory, uint64_t nonce)
{
    char text[WEIR__NONCE_TEXT_BYTES];
    weir__nonce_text(nonce, text);
    /* No link that a member of the group may have put there is followed. */
    int fd = openat(dir->fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int result = unlinkat(fd, text, 0) == 0 || errno == ENOENT ? 0 : -errno;
    close(fd);
    if (result != 0)
        return result;
    /* CRASH entry.empty: an empty directory is as good as none, and the collector removes it. */
    if (unlinkat(dir->fd, directory, AT_REMOVEDIR) != 0 && errno != ENOENT && errno != ENOTEMPTY &&
        errno != EEXIST)
        return -errno;
    return 0;
}

int weir__entry_bury_set(const struct weir__record *record)
{
    struct shmid_ds found;
    if (record->sem_key == 0 || record->sem_id < 0)
        return 0;
    /* A persistent segment that was removed but is still attached keeps its set. */
    if (record->shm_key != 0 && weir__shm_stat(record->shm_id, &found) == 0 &&
        weir__record_matches(record, &found))
        return -EBUSY;
    return weir__semset_destroy(record->sem_id, record->sem_key, record->creator);
}

int weir__entry_bury(const struct weir__rundir *dir, const struct weir__entry *entry)
{
    int result = weir__entry_bury_set(&entry->record);
    /* CRASH entry.set_gone: the entry without its set is buried again by the next one. */
    return result == 0 ? weir__entry_unlink(dir, entry->directory, entry->record.nonce) : result;
}

/*
 * The empty directory of an object without a name, of root in somebody's directory that user's, who
 * will collect. Made under another name, and renamed when it is whole: what stands under this one
 * may be anything that a member of the group has put there, of which only an empty one is replaced.
 */
static int make_nameless(const struct weir__rundir *dir, const struct weir__entry *entry,
                         const char *nameless)
{
    char draft[WEIR__ENTRY_NAME_BYTES], nonce[WEIR__NONCE_TEXT_BYTES];
    weir__nonce_text(weir__random_nonzero(), nonce);
    snprintf(draft, sizeof draft, "#%s", nonce);
    /* CRASH entry.nameless: an empty directory. */
    int fd = weir__rundir_make(dir->fd, draft, dir->mode, entry->owner);
    if (fd < 0 || renameat(dir->fd, draft, dir->fd, nameless) == 0)
        return fd;
    int error = errno;
    close(fd);
    unlinkat(dir->fd, draft, AT_REMOVEDIR);
    return -error;
}

/* One try: -ENOENT when the record is gone, -EAGAIN when a collector removed the new directory. */
static int move_to_nameless(const struct weir__rundir *dir, int from,
                            const struct weir__entry *entry)
{
    char nameless[WEIR__ENTRY_NAME_BYTES], file[WEIR__NONCE_TEXT_BYTES];
    struct stat found;
    weir__nonce_text(entry->record.nonce, file);
    weir__entry_nameless(entry->record.nonce, nameless);
    int to = make_nameless(dir, entry, nameless);
    int result = to < 0 ? to : 0;
    if (result == 0 && renameat(from, file, to, file) != 0)
        result = -errno;
    if (to >= 0)
        close(to);
    bool is_there = fstatat(from, file, &found, AT_SYMLINK_NOFOLLOW) == 0;
    /* The new directory was taken away as it was made, or before the record came into it. */
    if ((result == -ENOENT || result == -EBUSY) && is_there)
        return -EAGAIN;
    /* Another one, who takes the same name away, was quicker: what is left to do is to tidy up. */
    if ((result == -ENOTEMPTY || result == -EEXIST) && !is_there)
        return -ENOENT;
    if (result == -EBUSY)
        result = -ENOENT;
    if (result != 0)
        unlinkat(dir->fd, nameless, AT_REMOVEDIR);
    return result;
}

int weir__entry_retire(const struct weir__rundir *dir, const struct weir__entry *entry)
{
    if (entry->record.sem_key != 0 && entry->directory[0] != '~') {
        int from =
            openat(dir->fd, entry->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int result = from >= 0 ? -EAGAIN : -errno;
        for (int attempt = 0; result == -EAGAIN && attempt < WEIR__RETRIES; attempt++)
            result = move_to_nameless(dir, from, entry);
        if (from >= 0)
            close(from);
        /* -ENOENT: its last user took it away meanwhile. */
        if (result != 0 && result != -ENOENT)
            return result;
    }
    return weir__entry_unlink(dir, entry->directory, entry->record.nonce);
}

static int tell_taken(const struct weir__entry *entry, const char *what)
{
    const struct weir__record *record = &entry->record;
    const char *lifetime = record->lifetime == WEIR_PERSISTENT ? "a persistent" : "an ephemeral";
    if (record->shm_key == 0)
        return weir__fail(EEXIST,
                          "%s is taken by a %s (semaphore set %d) of uid %u: open it, or remove it "
                          "with 'weir rm'",
                          what, record->kind, record->sem_id, record->creator);
    return weir__fail(EEXIST,
                      "%s is taken by %s %s of %llu bytes (segment %d) of uid %u: open it, or "
                      "remove it with 'weir rm'",
                      what, lifetime, record->kind,
                      (unsigned long long)(record->shm_segsz - WEIR__HEADER_BYTES), record->shm_id,
                      record->creator);
}

int weir__entry_vacate(const struct weir__rundir *dir, const char *directory, const char *what)
{
    struct weir__entry entry;
    int result = weir__entry_read(dir, directory, &entry);
    if (result != 0)
        return result == -ENOENT ? 0 : result;
    switch (weir__entry_verdict(dir, &entry.record)) {
    case WEIR__ALIVE:
        return tell_taken(&entry, what);
    case WEIR__UNKNOWN:
        return weir__fail(EBUSY, "%s is taken, and the kernel does not tell whether it is in use",
                          what);
    case WEIR__DEAD:
        break;
    }
    result = weir__entry_bury(dir, &entry);
    /* Its set is in use still, or another member's, who will collect it: the name is free. */
    if (result == -EBUSY || result == -EPERM)
        result = weir__entry_retire(dir, &entry);
    if (result == 0)
        return 0;
    return weir__fail(-result, "%s has a dead object's record in %s that cannot be taken away: %s",
                      what, dir->path, strerror(-result));
}

/*
 * Whether what stands in a directory may be cleared away by this user. Root is obeyed by every file,
 * and whoever owns the run directory may have moved one of root's own directories here.
 */
static bool is_to_be_cleared(const struct weir__rundir *dir, int fd)
{
    struct stat inside, around;
    if (fstat(fd, &inside) != 0 || fstat(dir->fd, &around) != 0)
        return false;
    return geteuid() == 0 ? around.st_uid == 0 || inside.st_uid != 0 : inside.st_uid == geteuid();
}

int weir__entry_clear(const struct weir__rundir *dir, const char *directory)
{
    /* Something that is no directory is unlinked itself. */
    if (unlinkat(dir->fd, directory, 0) == 0)
        return 0;
    DIR *listing = open_listing(dir, directory);
    if (!listing)
        return -errno;
    if (!is_to_be_cleared(dir, dirfd(listing))) {
        closedir(listing);
        return -EPERM;
    }
    const char *file_name;
    while ((file_name = next_in(listing)) != NULL)
        if (weir__nonce_is(file_name) && unlinkat(dirfd(listing), file_name, 0) != 0)
            unlinkat(dirfd(listing), file_name, AT_REMOVEDIR);
    closedir(listing);
    return unlinkat(dir->fd, directory, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int weir__entry_each(const struct weir__rundir *dir,
                     int (*visit)(const struct weir__rundir *dir, const char *directory,
                                  void *argument),
                     void *argument)
{
    DIR *listing = open_listing(dir, ".");
    if (!listing)
        return -errno;
    const char *directory;
    int result = 0;
    while (result == 0 && (directory = next_in(listing)) != NULL)
        if (strlen(directory) < WEIR__ENTRY_NAME_BYTES)
            result = visit(dir, directory, argument);
    closedir(listing);
    return result;
}
