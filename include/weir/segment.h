/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_H
#define WEIR_SEGMENT_H

/*
 * Segments: memory that several processes share. System V underneath
 * (shmget, shmat, shmdt, shmctl), with the textbook's words; or POSIX
 * (shm_open, mmap), to meet programs that use it; or memfd, to hand memory to
 * another process over a socket.
 *
 * What a segment is called × how long it lives:
 *
 *              | WEIR_EPHEMERAL                    | WEIR_PERSISTENT
 *   -----------+-----------------------------------+------------------------------------
 *   name       | found by its name; freed by the   | key by ftok on the name's own file;
 *              | kernel with its last user         | stays until weir_segment_remove()
 *   ftok, key  | create: -EOPNOTSUPP (a removed    | the textbook's segment, as every
 *              | segment has no key to be found by)| program with shmget(2) sees it
 *   id         | create: -EINVAL (the kernel       | create: -EINVAL; opens either,
 *              | chooses ids); opens either        | whatever its lifetime
 *   private    | the textbook's IPC_PRIVATE,       | a random key that nobody knows;
 *              | freed with its last user          | stays until removed by its id
 *   POSIX      | create: -EOPNOTSUPP (nobody       | a file in /dev/shm, as every program
 *              | counts users: it stays)           | with shm_open(3) sees it
 *   memfd      | freed with its last user: mapping | create: -EOPNOTSUPP (it has no name to
 *              | or open descriptor                | stay under)
 *
 * A segment with a name has a header page of weir's in front (magic, layout,
 * build, size, nonce), checked at each open; weir_segment_data() points behind
 * it. A segment by ftok, key or id, or a private one, is raw: its first byte is
 * yours, so it can be shared with programs that know nothing of weir. (A named
 * one that is opened by its id or key is raw too: the header is in front of it.)
 * POSIX segments and memfds are raw as well.
 *
 * What is underneath, and what it can do (docs/backends.md says more):
 *
 *                | System V               | POSIX                  | memfd
 *   -------------+------------------------+------------------------+-----------------------
 *   found by     | name, key, ftok, id    | weir_by_posix()        | weir_by_fd(), a socket
 *   users        | counted (shm_nattch)   | not counted            | not counted
 *   freed        | with the last user, or | when removed and       | with the last user
 *                | when removed           | unmapped everywhere    |
 *   truncation   | cannot be              | by who may write: then | refused by its seals
 *                |                        | a read is a SIGBUS     |
 *   limits       | SHMMNI, SHMMAX, SHMALL | size of /dev/shm,      | memory, descriptors
 *                |                        | descriptors            |
 *   lack of room | SHMALL: error of       | error of create        | error of create with
 *                | create; memory: with   |                        | PREFAULT, else later
 *                | PREFAULT, else later   |                        |
 *   container    | its IPC namespace      | its own /dev/shm       | whoever has the socket
 *   after a kill | nothing, or collected  | nothing half-made; the | nothing
 *                |                        | name stays             |
 *   semaphores   | options.semaphores     | none                   | none
 *
 * Who may do what at the same time:
 *
 *                        | on one handle              | on one object
 *   ---------------------+----------------------------+--------------------------
 *   create, open         | –                          | any number, any process
 *   data, size, stat     | any number of threads      | any number
 *   attach, detach       | any number of threads      | any number
 *   close                | alone: last use of handle  | any number
 *   remove               | –                          | any number
 *
 * Signals: none of these functions is async-signal-safe. None waits for another
 * process, but weir_segment_send() and weir_segment_receive() on a socket that
 * waits, and the latter for the server of a file that a stranger has sent it. A process may be killed
 * (SIGKILL) at any instruction of any of them: an ephemeral segment then vanishes with its last user,
 * and what was being created is collected by the next weir process (see <weir/collect.h>). What was
 * being created by POSIX name or as a memfd has no name yet: the kernel frees it. By ftok or key, which are
 * persistent, it stays; with ONE_WRITER, SET_GID or a mode without 0600 perhaps still with mode 0600.
 *
 * Fork: a child inherits the mappings (unless WEIR_SEGMENT_NO_FORK) and may use
 * and close its copy of the handle: this detaches the child and never takes the
 * object away from the parent. Exec detaches everything. Descriptors of POSIX
 * segments and memfds are inherited by fork and closed by exec. With WEIR_SEGMENT_NO_FORK a child has
 * nothing mapped, also one that another thread forks in the midst of a call; but one by clone(2) or
 * _Fork(3), which no library hears of, may have what was being attached in that moment.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/ref.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_segment;
struct weir_semset;

enum weir_lifetime {
    WEIR_EPHEMERAL = 0,  /* freed by the kernel when the last user is gone, by any way */
    WEIR_PERSISTENT = 1, /* stays until removed, or until the machine restarts */
};

enum weir_segment_flags {
    WEIR_SEGMENT_READ_ONLY = 1 << 0,  /* attach for reading: a store is a SIGSEGV. Open and attach
                                         only: -EINVAL with create and create_or_open */
    WEIR_SEGMENT_PREFAULT = 1 << 1,   /* have every page in memory before the call returns */
    WEIR_SEGMENT_LOCK = 1 << 2,       /* and keep them there while this process is attached:
                                         counts against RLIMIT_MEMLOCK */
    WEIR_SEGMENT_HUGE_PAGES = 1 << 3, /* ask for huge pages, fall back to normal ones;
                                         weir_segment_stat.pages says what it became, also to who
                                         opens with this flag. A memfd of reserved huge pages has
                                         a whole number of them, and is opened only with this
                                         flag. POSIX: as /dev/shm is mounted (huge=) */
    WEIR_SEGMENT_NO_FORK = 1 << 4,    /* not mapped in children (MADV_DONTFORK) */
    WEIR_SEGMENT_DUMP = 1 << 5,       /* in core dumps, however large, as far as
                                         /proc/PID/coredump_filter allows, see core(5): as it is by
                                         default, neither POSIX segments nor reserved huge pages */
    WEIR_SEGMENT_NO_DUMP = 1 << 6,    /* not in core dumps. Without either flag: in, up to
                                         WEIR_SEGMENT_DUMP_LIMIT_BYTES, header included. Both
                                         flags at once are -EINVAL */
    WEIR_SEGMENT_ONE_WRITER = 1 << 7, /* create only: drop the write bits from the mode once the
                                         creator is attached; nobody else attaches read-write, nor
                                         does the creator once more, but root does (POSIX: so
                                         does who has the creator's descriptor, as its handle). The
                                         owner can set the bits again; of a memfd nobody can, root
                                         included: it is sealed (F_SEAL_FUTURE_WRITE) */
    WEIR_SEGMENT_SET_GID = 1 << 8,    /* create only: give it to options.gid */
};

#define WEIR_SEGMENT_DUMP_LIMIT_BYTES (UINT64_C(16) << 20)

/* Longest kind, in bytes, without the closing NUL. */
#define WEIR_KIND_MAX 15

/*
 * Options of create and open. Start from WEIR_SEGMENT_OPTIONS; a NULL pointer
 * to options means exactly that: so by ftok or key, which are never ephemeral,
 * create needs options. What is "create only" is not used by open.
 */
struct weir_segment_options {
    uint32_t size;       /* sizeof(struct weir_segment_options) */
    uint32_t lifetime;   /* enum weir_lifetime; create only */
    uint32_t mode;       /* permission bits, create only: 0 means 0600; the umask has no part.
                           weir takes read and write bits alone: others are -EINVAL */
    uint32_t flags;      /* enum weir_segment_flags */
    uint32_t trust;      /* enum weir_trust; open only */
    uint32_t trust_uid;  /* for WEIR_TRUST_UID */
    uint32_t gid;        /* for WEIR_SEGMENT_SET_GID */
    uint32_t semaphores; /* create by name, or private and ephemeral: a set of so many System V
                            semaphores that lives as long as the segment (the kernel keeps sets
                            for ever: weir removes it with its segment). 0: none.
                            Open: fewer than so many are -EINVAL. The set has the
                            segment's mode and group, whatever ONE_WRITER says; who may not
                            write it may neither post nor wait. Its mode has 0600, else -EINVAL */
    const uint16_t *semaphore_values; /* their first values, 0 to 32,767; NULL means all 0, which
                                          suits a message to wait for; a lock needs 1 */
    const char *kind; /* by name: what this is, "segment" if NULL; 1 to WEIR_KIND_MAX bytes of
                          a name's characters, '/' excepted. An open with another kind is -EPROTO */
    void *address; /* where the user's first byte comes (a multiple of SHMLBA; by name, with pages
                             larger than the 4,096 bytes of the header in front of it, such a multiple
                             and 4,096) or fail with -EINVAL; NULL: anywhere */
    uint64_t reserved[2]; /* 0 */
};

#define WEIR_SEGMENT_OPTIONS                                                                       \
    {                                                                                              \
        sizeof(struct weir_segment_options), 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL,                \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

enum weir_pages {
    WEIR_PAGES_NORMAL = 0,      /* of weir_limits.page_size_bytes */
    WEIR_PAGES_TRANSPARENT = 1, /* the kernel may use huge pages (madvise accepted and enabled) */
    WEIR_PAGES_HUGETLB = 2,     /* reserved huge pages (SHM_HUGETLB) */
};

/* What a segment is made of. */
enum weir_backend {
    WEIR_BACKEND_SYSV = 0,  /* shmget(2) */
    WEIR_BACKEND_POSIX = 1, /* shm_open(3): a file in /dev/shm */
    WEIR_BACKEND_MEMFD = 2, /* memfd_create(2) */
};

/*
 * All of the kernel's struct shmid_ds, by its field names, and what weir adds. Of
 * a POSIX segment and a memfd, which are files: key, shm_dtime, shm_cpid, shm_lpid
 * and shm_nattch are not known and 0, id is -1; uid and gid stand for cuid and
 * cgid too, shm_atime and shm_ctime are the file's.
 */
struct weir_segment_stat {
    uint32_t size;       /* set to sizeof(struct weir_segment_stat) before the call */
    uint32_t key;        /* shm_perm.__key; 0 for private and removed ones */
    int32_t id;          /* the System V identifier */
    uint32_t uid, gid;   /* shm_perm: owner */
    uint32_t cuid, cgid; /* shm_perm: creator; nobody can change these */
    uint32_t mode;       /* shm_perm.mode: permission bits only */
    uint64_t shm_segsz;  /* bytes, weir's header included */
    int64_t shm_atime, shm_dtime, shm_ctime; /* last attach, detach, change: seconds since 1970 */
    int32_t shm_cpid, shm_lpid; /* pid of creator, and of the last that attached or detached; 0
                                   when it lives in a PID namespace that cannot be seen from here */
    uint64_t shm_nattch;        /* attachments now: exact, counted by the kernel; System V alone */
    uint32_t removed;           /* 1: marked for destruction (SHM_DEST), freed at the last detach;
                                   so is a POSIX segment without its name, and every memfd */
    uint32_t locked;            /* 1: locked in memory by shmctl(SHM_LOCK) */
    uint32_t lifetime;          /* enum weir_lifetime: ephemeral as soon as it is removed */
    uint32_t pages;             /* enum weir_pages, as this handle got them; by reference: NORMAL */
    uint64_t size_bytes;        /* bytes that the user has: shm_segsz less the header */
    uint64_t nonce;             /* the random number that tells it from all others: by name, and
                                     private with semaphores; else 0 */
    int32_t semset_id;          /* the set that lives with it, or -1 */
    uint32_t semaphores;        /* how many are in it */
    char kind[WEIR_KIND_MAX + 1]; /* its kind: where it has a nonce; else "segment" */
    uint32_t backend;             /* enum weir_backend */
    uint32_t seals;               /* memfd: F_SEAL_... of fcntl(2); else 0 */
};

/*
 * weir_segment_create() - make a segment and attach it for reading and writing
 *
 * segment: receives the handle; untouched on failure. ref: what it is called.
 * size_bytes: 1 to SHMMAX (by name 4,096 less, for the header; POSIX and memfd:
 * as there is room); the memory is a
 * multiple of the page size and starts as zeros. options: NULL for an ephemeral
 * one with mode 0600, which by ftok, key or POSIX name there is not.
 *
 * Nobody sees a half-made object: by name, POSIX ones included, it is published
 * complete, in one step, and exactly one of several creators wins. A POSIX segment
 * has all its memory by then, so that a full /dev/shm is an error here (-ENOSPC)
 * and not a SIGBUS at some later write. A memfd is sealed: nobody can change its
 * size (F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL).
 *
 * Returns: 0.
 * Errors: -EEXIST (the sentence says who holds the name or key), -EINVAL (size,
 *     name, key, mode, gid, flags, trust, address, WEIR_DIR), -ENAMETOOLONG, -ENOTDIR, -ELOOP (the run
 *     directory's path, or ftok's, is none), -ENOENT (the file
 *     for ftok, or the parent of WEIR_DIR; POSIX: no /dev/shm or no /proc; by name: somebody else who may write
 *     into the run directory took away what was being made), -ENOSYS (by name or
 *     private: no /proc), -EOPNOTSUPP (see the table; semaphores by key, or private and persistent; a
 *     /dev/shm without O_TMPFILE), -E2BIG (above SHMMAX, SEMMSL or RLIMIT_FSIZE), -ERANGE (a semaphore's
 *     value), -ENOSPC (SHMMNI, SHMALL or the limits of sets reached, the run
 *     directory or /dev/shm full, or all keys of the name's file taken), -EMFILE (not by key or ftok),
 *     -ENFILE (a segment is a file to the kernel), -ENOMEM, -EACCES, -EBUSY (by name: it is taken and let go
 *     of again and again, or the kernel does not tell whether what has it lives, or the run directory cannot be
 *     made), -EIDRM (by key or ftok: removed before it was attached), -EPROTONOSUPPORT (the record
 *     under the name is of another layout), -EPERM (WEIR_SEGMENT_LOCK over RLIMIT_MEMLOCK;
 *     WEIR_SEGMENT_SET_GID of POSIX segments and memfds to a group that the caller is not in; the run
 *     directory is another user's, sticky, or not as weir makes it; what stands under the name was moved there
 *     from another one, or is of another user namespace and may live; by name or with semaphores: another
 *     thread has changed the process's user meanwhile), -EUCLEAN (what stands under the
 *     name is no object: remove it), -EROFS.
 * Blocking: never waits for a process; prefaulting takes time.
 * Threads: any. Fork: see above. Signals: not async-signal-safe.
 * Source: shmget(2), shmat(2), shmctl(2), open(2) O_TMPFILE, linkat(2),
 *     fallocate(2), memfd_create(2), fcntl(2) F_ADD_SEALS.
 */
WEIR_EXPORT int weir_segment_create(struct weir_segment **segment, struct weir_ref ref,
                                    uint64_t size_bytes,
                                    const struct weir_segment_options *options);

/*
 * weir_segment_open() - attach a segment that exists
 *
 * segment: receives the handle; untouched on failure. ref: what it is called.
 * size_bytes: how much the caller needs; 0: whatever it has. options: flags,
 * trust, kind and address are used; NULL for read-write and WEIR_TRUST_SELF.
 * By name, POSIX name and descriptor it takes descriptors; else perhaps one, to look up whether uid
 * 65534 is a user.
 *
 * A POSIX segment is mapped as large as it is now; whoever may write it can cut it
 * off afterwards, and a touch behind its end is then a SIGBUS. By descriptor, what
 * is no memfd is refused, and so is one that lacks a seal against that.
 *
 * Returns: 0.
 * Errors: -ENOENT, -EINVAL (smaller than size_bytes, or fewer semaphores than
 *     asked for: the sentence has both numbers; reference, options, address, WEIR_DIR), -ENAMETOOLONG,
 *     -ENOTDIR, -ELOOP (the run directory's path, or ftok's, is none), -ENOSYS (by name: no /proc),
 *     -EACCES, -EPERM (the trust policy refuses its creator or owner, or they have uid 65534 and
 *     nobody tells whether that is a user here: no /proc, and Linux before 6.11; its record was moved
 *     there from another name, or is of another user namespace and may live; WEIR_SEGMENT_LOCK over
 *     RLIMIT_MEMLOCK), -EPROTO (foreign: no header of weir's, another segment or set than the name's
 *     own, or another kind; no regular file in /dev/shm; no memfd, or one with a seal missing, or of
 *     reserved huge pages without WEIR_SEGMENT_HUGE_PAGES), -EPROTONOSUPPORT (another layout version, feature
 *     or build; the record under the name is of another layout), -EUCLEAN (header or name corrupt, or
 *     its set was removed), -EAGAIN (POSIX: its creator
 *     has not given it a size yet), -EBADF, -EMFILE, -ENFILE, -EROFS (POSIX: /dev/shm is mounted
 *     for reading), -ENOSPC (POSIX, with WEIR_SEGMENT_PREFAULT), -ENOMEM, -EIDRM (removed in this moment).
 * Blocking: never waits for a process.
 * Threads: any. Fork: see above. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_segment_open(struct weir_segment **segment, struct weir_ref ref,
                                  uint64_t size_bytes, const struct weir_segment_options *options);

/*
 * weir_segment_create_or_open() - open it, or make it if it is not there
 *
 * As weir_segment_create() and weir_segment_open(); with several callers at
 * once exactly one creates. An existing one that is smaller than size_bytes is
 * -EINVAL; a larger one is opened as it is. What cannot be created (by id or
 * descriptor, or read-only) is refused as create refuses it, also where it exists.
 *
 * Returns: WEIR_CREATED, or 0 when it existed.
 * Errors: those of weir_segment_create() and weir_segment_open().
 * Blocking: never waits for a process.
 * Threads: any. Fork: see above. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                            uint64_t size_bytes,
                                            const struct weir_segment_options *options);

/*
 * weir_segment_close() - detach, and let go of the handle
 *
 * segment: the handle; NULL is allowed. It and every pointer into its mappings
 * are invalid afterwards. When this was the last user of an ephemeral segment,
 * the kernel frees it, and weir takes its name and its semaphores away. A last user who may not
 * (another user than the maker, or one that has changed its uid since, as by setuid()), or who has no
 * descriptor left for it, leaves both until a process of the maker's user collects (weir_collect(), or
 * its next create).
 *
 * Never fails and leaves errno and weir_last_error() as they were.
 * Blocking: never. Threads: the last use of the handle. Fork: a child that
 *     closes its copy detaches itself alone. Signals: not async-signal-safe.
 * Source: shmdt(2).
 */
WEIR_EXPORT void weir_segment_close(struct weir_segment *segment);

/*
 * weir_segment_data() - where the memory is in this process
 *
 * Returns: the first byte, aligned to a page (4,096 bytes at least). Each
 *     process has its own address: store offsets in shared memory, no pointers.
 * Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT void *weir_segment_data(const struct weir_segment *segment);

/*
 * weir_segment_size() - how many bytes the user has
 *
 * Returns: bytes, as given to create; of a memfd of huge pages rounded up to whole ones; of what
 *     others have made, as many as there were at the open. Never changes and never read from the shared memory.
 * Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_segment_size(const struct weir_segment *segment);

/*
 * weir_segment_attach() - map the same segment once more
 *
 * segment: the handle. address: as options.address, or NULL for anywhere.
 * flags: WEIR_SEGMENT_READ_ONLY and the page, fork and dump flags. data:
 * receives where the user's first byte is.
 *
 * Returns: 0.
 * Errors: -EINVAL (address unaligned or taken, flags), -EACCES (read-write on
 *     what may only be read), -EIDRM (System V: this thread is in another IPC
 *     namespace), -ENOMEM, -ENFILE, -EPERM (WEIR_SEGMENT_LOCK over RLIMIT_MEMLOCK).
 * Blocking: never waits for a process; prefaulting takes time. Threads: any. Fork: inherited. Signals:
 *     not safe.
 * Source: shmat(2), mmap(2).
 */
WEIR_EXPORT int weir_segment_attach(struct weir_segment *segment, void *address, uint32_t flags,
                                    void **data);

/*
 * weir_segment_detach() - undo one weir_segment_attach()
 *
 * segment: the handle. data: what attach gave. The mapping that create or open
 * made goes with weir_segment_close() alone: -EINVAL here.
 *
 * Returns: 0; -EINVAL (data is not such a mapping).
 * Blocking: never. Threads: any. Fork: this process alone. Signals: not safe.
 * Source: shmdt(2).
 */
WEIR_EXPORT int weir_segment_detach(struct weir_segment *segment, void *data);

/*
 * weir_segment_semset() - the semaphores that live with the segment
 *
 * Returns: the set made by options.semaphores, usable with <weir/semset.h>
 *     until the segment is closed (do not close it by itself); NULL if none.
 * Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_semset *weir_segment_semset(const struct weir_segment *segment);

/* In C++ a function may hide a struct of its name; the struct is then called struct, as in C. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

/*
 * weir_segment_stat() - all that the kernel knows of an attached segment
 *
 * segment: the handle. stat: stat->size says how much the caller knows of the
 * struct. A segment that was removed while attached still answers, with
 * stat->removed 1.
 *
 * Returns: 0; -EINVAL (stat->size), -EACCES (the mode lost its read bit, and a filter of system calls
 *     forbids to ask without it), -EIDRM (this thread is in another IPC namespace).
 * Blocking: never. Threads: any. Signals: not safe. Source: shmctl(2) IPC_STAT.
 */
WEIR_EXPORT int weir_segment_stat(const struct weir_segment *segment,
                                  struct weir_segment_stat *stat);

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/*
 * weir_segment_lookup() - the same of a segment that is not attached
 *
 * ref: what it is called; not weir_private() or weir_memfd(). Attaches a named
 * one for the length of the call, to check its header, which needs the right to
 * read it and changes its times and shm_lpid; shm_nattch is told without it.
 * Attaches no other. Whose it is does not matter: the caller sees creator and
 * owner.
 *
 * A memfd may lack the seals that weir_segment_open() wants: stat->seals says which it has.
 *
 * Returns: 0. Errors: -ENOENT, -EACCES, -EINVAL, -EPROTO (in /dev/shm or behind
 *     the descriptor is something else), -EBADF, and those of weir_segment_open() for names and of weir_ftok().
 * Blocking: never. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_segment_lookup(struct weir_ref ref, struct weir_segment_stat *stat);

/*
 * weir_segment_remove() - take a segment's name or key away
 *
 * ref: what it is called; not weir_private() or a memfd, which have no name.
 * Nobody finds it afterwards; who is attached keeps the memory until the last
 * detach, when the kernel frees it.
 * Only its owner, its creator or root may; a name whose segment is foreign or
 * corrupt can be removed too: then the segment that is not ours stays. By name
 * it removes an object of any kind. By id or key of a named one its name is left
 * behind: it counts as absent, and is cleaned up in passing.
 *
 * Returns: 0. Errors: -ENOENT, -EPERM, -EACCES, -EINVAL,
 *     -EUCLEAN (a directory stands there, with what weir did not make in it),
 *     -EPROTONOSUPPORT (the record under the name is of another layout: remove it with that weir, or
 *     move it away), -EOPNOTSUPP (a memfd has no name), -EPROTO (in /dev/shm, something else than a
 *     segment), -ENAMETOOLONG, -ENOTDIR, -ELOOP (the run directory's path, or ftok's, is none),
 *     -ENOSYS (by name: no /proc), -EMFILE, -ENFILE, -EROFS, those of weir_ftok().
 * Blocking: never. Threads: any. Signals: not safe. Source: shmctl(2) IPC_RMID,
 *     shm_unlink(3).
 */
WEIR_EXPORT int weir_segment_remove(struct weir_ref ref);

/*
 * weir_segment_fd() - the descriptor of a POSIX segment or a memfd
 *
 * segment: the handle, which keeps the descriptor: do not close it. It has
 * FD_CLOEXEC; a program that is to get it by exec needs
 * fcntl(fd, F_SETFD, 0) in between, and opens it with weir_by_fd().
 *
 * Returns: the descriptor; -EOPNOTSUPP (System V has none).
 * Threads: any. Fork: inherited. Signals: not safe.
 */
WEIR_EXPORT int weir_segment_fd(const struct weir_segment *segment);

/*
 * weir_segment_send() - hand a memfd to the process at the other end of a socket
 *
 * socket: a connected Unix socket (stream, seqpacket or datagram). segment: a
 * memfd's handle. One message is sent: one byte, 'w', with the descriptor as
 * SCM_RIGHTS. The receiver gets the rights that the descriptor has: to forbid
 * writing to everybody else, create with WEIR_SEGMENT_ONE_WRITER. The segment may
 * be closed as soon as the call returns.
 *
 * Returns: 0. Errors: -EOPNOTSUPP (not a memfd), -EPIPE (the other side is gone;
 *     no signal is raised), -EAGAIN (a non-blocking socket is full, or its
 *     SO_SNDTIMEO passed), -EINTR, -ETOOMANYREFS (too many descriptors are
 *     on their way), -EBADF, -ENOTSOCK, -ENOTCONN, -EINVAL (no Unix socket).
 * Blocking: until the socket takes the message, as the socket is set. Threads:
 *     any. Signals: not safe. Source: sendmsg(2), unix(7) SCM_RIGHTS.
 */
WEIR_EXPORT int weir_segment_send(int socket, const struct weir_segment *segment);

/*
 * weir_segment_receive() - take a memfd from a socket, and attach it
 *
 * segment: receives the handle; untouched on failure. socket: as in
 * weir_segment_send(). size_bytes, options: as in weir_segment_open(): who made
 * the memfd is checked by options.trust, and read-only needs its flag.
 *
 * One message is taken, which must be one byte with one descriptor, from weir or
 * not (Python's socket.send_fds() will do). Whatever is wrong with it, it is lost
 * and all its descriptors are closed. A memfd must have the seals F_SEAL_SHRINK, F_SEAL_GROW
 * and F_SEAL_SEAL, and a size: so nothing that the sender does later can make a
 * read of it fail.
 *
 * Returns: 0. Errors: -EPROTO (the message is another one: no descriptor, several,
 *     more bytes in a datagram, or what weir_by_fd() refuses; it is lost), -EPIPE (the
 *     other side has closed), -EAGAIN (a non-blocking socket is empty, or its
 *     SO_RCVTIMEO passed), -EINTR (a signal came first; or a close of a wait
 *     set or subscriber, see weir_wait_set_close()), -EMFILE (the message is lost), -EBADF,
 *     -ENOTSOCK, -ENOTCONN, -EINVAL (no Unix socket), and those of weir_segment_open().
 * Blocking: until a message comes, as the socket is set; poll(2) waits with a
 *     deadline. A datagram socket does not tell that the other side has closed: a
 *     receive goes on waiting there. To close what came and is refused can wait, too:
 *     a file of a FUSE or network file system for its server, who may be the sender
 *     and never answer. And as every close(2) it takes the record locks that this
 *     process has on that file (fcntl F_SETLK, lockf; not F_OFD_SETLK, flock) away,
 *     whoever has sent the descriptor. The kernel has no other way to let go of a
 *     descriptor: receive from those alone of whom you expect neither, by the mode of
 *     the socket's path or by SO_PEERCRED. Threads: any, one message each. Fork: see
 *     above. Signals: not safe.
 * Source: recvmsg(2), unix(7) SCM_RIGHTS, fcntl(2) F_GET_SEALS, F_SETLK.
 */
WEIR_EXPORT int weir_segment_receive(struct weir_segment **segment, int socket, uint64_t size_bytes,
                                     const struct weir_segment_options *options);

#ifdef __cplusplus
}
#endif
#endif
