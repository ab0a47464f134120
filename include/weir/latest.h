/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LATEST_H
#define WEIR_LATEST_H

/*
 * The latest value: one writer, any number of readers, in memory that they share. Who
 * reads gets the last value that is complete, never a torn one; nobody waits for anybody.
 * For a state (where the robot stands, the configuration, a frame), not for a stream:
 * values that nobody read are gone. A stream is a channel, see <weir/channel.h>.
 *
 * Versions. Each value has a version: 1, 2, 3 ... with no number twice, also when another
 * writer takes over. 0 is before the first value. At a hundred million values a second
 * they last 22 years; who would become the writer after 11 of them is refused (-EUCLEAN).
 *
 * Memory. Any that is shared, zeroed at first and aligned to 128 bytes: System V, POSIX,
 * memfd, or an anonymous mapping that is inherited by fork. It has two parts:
 *
 *   part    | bytes                           | written by             | readers map it
 *   --------+---------------------------------+------------------------+----------------
 *   values  | 512, and for each buffer         | the writer             | for reading, or
 *           | value_bytes_max + 16 (64 above  |                        | as they like
 *           | 48), up to a multiple of 128    |                        |
 *   readers | about 256 and 16 a hold; none   | readers that hold, wait, | for writing, or
 *           | with holds 0                    | or read; the writer    | not at all
 *
 * They may lie side by side (values_bytes is a multiple of 4,096), or in memory of two
 * kinds with other rights. By name (weir_latest_create(), weir_latest_open()) weir makes one
 * segment for both. Memory that can be truncated under a process (POSIX, memfd without
 * seals) kills who touches it then (SIGBUS): weir cannot help that.
 *
 * What runs at once: one writer, and any number of readers of any kind. Progress: write,
 * loan and commit are wait-free, whatever readers do, die, or write into their part. hold
 * and read end after a bounded number of tries, and in practice after the first. No call
 * makes a system call while all goes well, but for waiting, waking who waits,
 * WEIR_LATEST_ALWAYS_WAKE, and the first hold of a handle: it asks for the identity of the process, which
 * is made then if there is none (see <weir/identity.h>; some 70 system calls, once). So does the first
 * read of a handle that holds, see there, and a wait which asks whether the writer lives.
 *
 * Death. A writer may be killed at any instruction: what it had not finished is in a buffer
 * that nobody believes; the value before is whole, and readable as long as the memory is
 * there. Killed after a value has become the latest one, and before who waits is woken: it is there
 * for all, and who waits for one finds it a fifth of a second later at most. The next one that opens
 * as writer takes the dead one's place (WEIR_OWNER_DIED); a writer that lives, stopped or not, keeps
 * it (-EBUSY). A reader that is killed while it holds a value keeps one buffer out of use until
 * another reader needs its place. Who is dead is the kernel's word, asked within one IPC namespace. Of
 * a process of another one, or where the kernel does not answer (a filter, no identity to be had),
 * nobody is told: there the place of a dead writer stays taken (-EBUSY), and that of a dead reader's
 * hold (-ENOBUFS), and no wait gives -EPIPE.
 *
 * Threads. A handle is one thread's at a time, but for weir_latest_version() and the two calls for the largest
 * value, which any thread, and any handler of a signal, may make until it is closed. Fork: a child may
 * read with its parent's reader where the memory is mapped in it, but not hold with one that its
 * parent has held with; nothing can be written with the parent's writer (-ECHILD). close frees the
 * child's copy and changes nothing that is shared.
 * Signals: no other call is async-signal-safe.
 *
 * Trust. Nothing that stands in the memory is trusted: geometry is checked once against the
 * sizes that the caller gives, and kept; buffer numbers and sizes are checked at each use. Who writes
 * nonsense makes others get -EUCLEAN, or a value that is not what the writer wrote; never makes
 * them read or write outside of the two parts. Who can write the readers' part can make a value
 * that another one holds be overwritten: weir_latest_check() tells, and weir_latest_read() never
 * returns such a one.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/ref.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_latest_writer;
struct weir_latest_reader;

enum weir_latest_flags {
    WEIR_LATEST_ALWAYS_WAKE = 1 << 0, /* part of the geometry: each write wakes who waits, at the
                                         price of one system call. For waiting readers that have the
                                         values alone (read-only, or holds 0): without it they look
                                         once a millisecond */
    WEIR_LATEST_READ_ONLY = 1 << 1,   /* weir_latest_open() alone: attach for reading */
    WEIR_LATEST_SET_GID = 1 << 2,     /* weir_latest_create() alone: what it creates is given to
                                         options.gid */
};

#define WEIR_LATEST_HOLDS_MAX 253
#define WEIR_LATEST_BUFFERS_MAX 255
#define WEIR_LATEST_HOLDS_DEFAULT 4
#define WEIR_LATEST_VALUE_BYTES_MAX ((UINT64_C(1) << 44) - 1)

/* Geometry, and how it is named. Start from WEIR_LATEST_OPTIONS. */
struct weir_latest_options {
    uint32_t size;            /* sizeof(struct weir_latest_options) */
    uint32_t flags;           /* enum weir_latest_flags */
    uint64_t value_bytes_max; /* the largest value: 1 to WEIR_LATEST_VALUE_BYTES_MAX */
    uint32_t buffers;   /* values that there is room for, at least holds + 2, 255 at most. More let
                          slow readers copy undisturbed. 0: holds + 12 for values of up to 4 KiB,
                          + 4 up to 1 MiB, + 2 above, and 255 at most: weir_latest_bytes() says
                          what that takes */
    uint32_t holds;     /* values that all readers together may hold at once; a read of more than
                                 16 KiB holds its value while it copies. 0: none, and no
                                 readers' part: nobody can hold, and who waits looks once a
                                 millisecond, see WEIR_LATEST_ALWAYS_WAKE */
    uint32_t lifetime;  /* by name: enum weir_lifetime, for who creates it */
    uint32_t mode;      /* by name: of what is created; 0 means 0600 */
    uint32_t trust;     /* by name: enum weir_trust */
    uint32_t trust_uid; /* for WEIR_TRUST_UID */
    uint32_t gid;       /* for WEIR_LATEST_SET_GID */
    uint32_t reserved[3]; /* 0 */
};

#define WEIR_LATEST_OPTIONS                                                                        \
    {                                                                                              \
        sizeof(struct weir_latest_options), 0, 0, 0, WEIR_LATEST_HOLDS_DEFAULT, 0, 0, 0, 0, 0,     \
        {                                                                                          \
            0, 0, 0                                                                                \
        }                                                                                          \
    }

/* Where the two parts are in this process, and how large. */
struct weir_latest_memory {
    void *values; /* readers may give a mapping for reading alone */
    uint64_t values_bytes;
    void *readers; /* NULL: not mapped here, or there is none */
    uint64_t readers_bytes;
};

/* A value, as a reader sees it. */
struct weir_latest_value {
    const void *data;    /* aligned to 16 bytes; after weir_latest_read() the caller's buffer */
    uint64_t size_bytes; /* 0 is allowed */
    uint64_t version;    /* from 1 */
    uint32_t hold;       /* weir's: where the hold stands; 0: none */
    uint32_t buffer;     /* weir's: where it lies */
};

/*
 * weir_latest_bytes() - how much memory a geometry needs
 *
 * options: value_bytes_max, buffers, holds and flags are used. memory: its values_bytes and
 * readers_bytes are set, the pointers left alone. values_bytes is a multiple of 4,096.
 *
 * Returns: 0; -EINVAL (options NULL, of another size, with an unknown flag or WEIR_LATEST_READ_ONLY,
 *     reserved not 0; a number is out of its range: the sentence says which).
 * Blocking: never. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_latest_bytes(const struct weir_latest_options *options,
                                  struct weir_latest_memory *memory);

/*
 * weir_latest_init() - make zeroed memory the place of a value
 *
 * memory: both parts, for writing (readers NULL with holds 0); it may be larger than needed.
 * options: the geometry. Any number of processes may call this at once, or again later, with
 * the same geometry: one of them sets it, the others find it. A kill at any instruction leaves
 * memory that the next call completes.
 *
 * Returns: 0.
 * Errors: -EINVAL (options, as weir_latest_bytes(); memory too small, NULL or not aligned to 128
 *     bytes; another geometry is set: the sentence has both), -EPROTO (the first 16 bytes of a part
 *     are not zero, and not weir's; nothing else of them is looked at: zeroing is the caller's),
 *     -EPROTONOSUPPORT (made by a weir with another layout). Nothing was changed then.
 * Blocking: never. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_latest_init(const struct weir_latest_memory *memory,
                                 const struct weir_latest_options *options);

/*
 * weir_latest_writer_open() - become the writer, in memory that was made ready
 *
 * writer: receives the handle; untouched on failure. memory: both parts, for writing; mapped
 * until the handle is closed. It is copied.
 *
 * Returns: 0, or WEIR_OWNER_DIED when the former writer was killed, or ended without close: its last
 *     complete value is there, and the versions go on from it.
 * Errors: -EBUSY (a living process is the writer, be it stopped), -EAGAIN (the memory is not
 *     made ready yet), -EPROTO (it holds something else), -EPROTONOSUPPORT (made by a weir with
 *     another layout), -EINVAL (memory is smaller than its
 *     geometry, not aligned, or the two parts are not of one kind), -EUCLEAN (what stands
 *     there cannot be true), -ENOMEM, those of weir_identity().
 * Blocking: never waits for a process; some system calls.
 * Threads: any. Fork: see above. Signals: not safe.
 */
WEIR_EXPORT int weir_latest_writer_open(struct weir_latest_writer **writer,
                                        const struct weir_latest_memory *memory);

/*
 * weir_latest_create() - become the writer of a value that has a name
 *
 * Opens what ref names, or makes it as options say: a segment of kind "latest" by name, a raw one
 * by ftok or key (with options.lifetime WEIR_PERSISTENT: see <weir/segment.h>).
 *
 * writer: receives the handle; untouched on failure. ref: by name, ftok, key or id. options:
 * the geometry, which must be that of what is there; NULL, or value_bytes_max 0: whatever is
 * there, which must exist.
 *
 * Returns: 0, or WEIR_OWNER_DIED, as weir_latest_writer_open().
 * Errors: those of weir_latest_writer_open(), weir_latest_init() and
 *     weir_segment_create_or_open(). A persistent segment that was made stays: the next call goes
 *     on with it.
 * Blocking: never waits for a process. Threads: any. Fork: see above. Signals: not safe.
 */
WEIR_EXPORT int weir_latest_create(struct weir_latest_writer **writer, struct weir_ref ref,
                                   const struct weir_latest_options *options);

/*
 * weir_latest_writer_close() - leave the writer's place
 *
 * The last value stays as long as the memory does. A loan is abandoned. writer: NULL is
 * allowed. Never fails. Blocking: never.
 */
WEIR_EXPORT void weir_latest_writer_close(struct weir_latest_writer *writer);

/*
 * weir_latest_writer_max_bytes() - the largest value, in bytes
 *
 * Returns: value_bytes_max of the geometry. Threads: any. Signals: safe.
 */
WEIR_EXPORT uint64_t weir_latest_writer_max_bytes(const struct weir_latest_writer *writer);

/*
 * weir_latest_write() - a new value, copied
 *
 * data, size_bytes: the value; 0 bytes are allowed. Readers see it, whole, when this returns.
 *
 * Returns: 0; -EMSGSIZE (above weir_latest_writer_max_bytes()), -EINVAL (a loan is out),
 *     -ECHILD. Blocking: never; one system call when somebody waits, or has for the value before, and at the
 *     handle's first value.
 */
WEIR_EXPORT int weir_latest_write(struct weir_latest_writer *writer, const void *data,
                                  size_t size_bytes);

/*
 * weir_latest_loan() - room for a new value, to be written in place
 *
 * data: receives where: weir_latest_writer_max_bytes() of it, aligned to 16 bytes, with undefined
 * contents. Nobody sees it before weir_latest_commit(). One loan at a time.
 *
 * Returns: 0; -EINVAL (a loan is out), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_latest_loan(struct weir_latest_writer *writer, void **data);

/*
 * weir_latest_commit() - the loan becomes the latest value
 *
 * size_bytes: how much of it counts.
 *
 * Returns: 0; -EMSGSIZE (above weir_latest_writer_max_bytes(): the loan stays out), -EINVAL (no
 *     loan is out), -ECHILD.
 * Blocking: never; one system call as weir_latest_write().
 */
WEIR_EXPORT int weir_latest_commit(struct weir_latest_writer *writer, uint64_t size_bytes);

/*
 * weir_latest_abandon() - give the loan back, without a trace
 *
 * Never fails; without a loan it does nothing. Blocking: never.
 */
WEIR_EXPORT void weir_latest_abandon(struct weir_latest_writer *writer);

/*
 * weir_latest_reader_open() - read values, in memory that was made ready
 *
 * reader: receives the handle; untouched on failure. memory: the values, for reading at least,
 * and the readers' part for writing, or NULL: then it cannot hold, and its waits are as said at
 * WEIR_LATEST_ALWAYS_WAKE. Given one that is mapped for reading alone, the process is killed (SIGSEGV)
 * by the first call that stores there: a hold, a wait, a read of a large value, or of one that is
 * overwritten again and again while it is copied. Mapped until the
 * handle is closed. It is copied.
 *
 * Returns: 0.
 * Errors: -EAGAIN (not made ready yet), -EPROTO, -EPROTONOSUPPORT, -EINVAL, -EUCLEAN, -ENOMEM: see
 *     weir_latest_writer_open().
 * Blocking: never; no system call. Threads: any. Fork: see above. Signals: not safe.
 */
WEIR_EXPORT int weir_latest_reader_open(struct weir_latest_reader **reader,
                                        const struct weir_latest_memory *memory);

/*
 * weir_latest_open() - read a value that has a name
 *
 * reader: receives the handle; untouched on failure. ref: by name, ftok, key or id. options:
 * flags, trust and trust_uid are used; NULL means WEIR_LATEST_OPTIONS. It is attached for writing
 * where the mode allows it, so that it can hold and be woken, and for reading else; the values then
 * are mapped for reading alone, where they begin at a page (they do with pages of 4 KiB).
 *
 * Returns: 0.
 * Errors: -EINVAL (options), -ENOENT (nobody has created it: unlike a channel it is not made by who reads, and
 *     cannot be waited for; try again, or have the writer start first), -EAGAIN (its creator has not made it
 *     ready yet), those of weir_segment_open() and weir_latest_reader_open().
 * Blocking: never waits for a process. Threads: any. Fork: see above. Signals: not safe.
 */
WEIR_EXPORT int weir_latest_open(struct weir_latest_reader **reader, struct weir_ref ref,
                                 const struct weir_latest_options *options);

/*
 * weir_latest_reader_close() - end the handle, and give back what it holds
 *
 * reader: NULL is allowed. Never fails. Blocking: never.
 */
WEIR_EXPORT void weir_latest_reader_close(struct weir_latest_reader *reader);

/*
 * weir_latest_reader_max_bytes() - the largest value, in bytes
 *
 * Returns: value_bytes_max of the geometry. Threads: any. Signals: safe.
 */
WEIR_EXPORT uint64_t weir_latest_reader_max_bytes(const struct weir_latest_reader *reader);

/*
 * weir_latest_version() - the version of the latest value
 *
 * One load: the cheapest way to see whether there is anything new.
 *
 * Returns: the version; 0 when there is no value yet. Threads: any. Signals: safe.
 */
WEIR_EXPORT uint64_t weir_latest_version(const struct weir_latest_reader *reader);

/*
 * weir_latest_read() - a copy of the latest value
 *
 * buffer, capacity_bytes: where to. value: receives what was copied; NULL is allowed.
 *
 * Small values are copied and checked; those above 16 KiB, and those that were overwritten in the
 * meantime again and again, are held while they are copied, where that is possible: see
 * weir_latest_hold(). Where it is not, they are copied without.
 *
 * Returns: 0.
 * Errors: -EAGAIN (no value yet; or overwritten a hundred times while it was read, without a
 *     hold to be had: more buffers help), -EMSGSIZE (capacity_bytes is too small:
 *     value->size_bytes says what it takes), -EUCLEAN (what stands in the memory cannot be true).
 *     What is in buffer after a failure is undefined, and so are its bytes behind the value after a
 *     success.
 * Blocking: never.
 */
WEIR_EXPORT int weir_latest_read(struct weir_latest_reader *reader, void *buffer,
                                 size_t capacity_bytes, struct weir_latest_value *value);

/*
 * weir_latest_peek() - the latest value in place, not protected
 *
 * value: receives where it lies. The writer may overwrite it at any time: whatever was
 * computed from it counts only if weir_latest_check() says so afterwards. Needs nothing but
 * the values, mapped for reading.
 *
 * Returns: 0; -EAGAIN (no value yet; or overwritten a hundred times meanwhile), -EUCLEAN.
 * Blocking: never.
 */
WEIR_EXPORT int weir_latest_peek(struct weir_latest_reader *reader,
                                 struct weir_latest_value *value);

/*
 * weir_latest_check() - whether a value in place is what it was
 *
 * value: of weir_latest_peek() or weir_latest_hold().
 *
 * Returns: 0: all that was read of it until now was this value; -EAGAIN (it was, or is being,
 *     overwritten: forget what was read, and look again; weir_last_error() says nothing of it),
 *     -EINVAL (it can be no value of this object; one of another object may look like one). Blocking:
 *     never. Fork: in a child, to whom no hold of its parent counts, also -EAGAIN while the writer
 *     looks whether the buffer is held.
 */
WEIR_EXPORT int weir_latest_check(const struct weir_latest_reader *reader,
                                  const struct weir_latest_value *value);

/*
 * weir_latest_hold() - the latest value in place, held
 *
 * value: receives it. It stays what it is until weir_latest_release() or close; the writer
 * goes on in other buffers. One reader may hold several; all readers together as many
 * as options.holds says. The places of dead readers are taken back when there is no other.
 *
 * Returns: 0.
 * Errors: -EAGAIN (no value yet; or it changes faster than it can be held: more buffers help),
 *     -ENOBUFS (living readers hold as many as there may be),
 *     -EOPNOTSUPP (no readers' part: holds is 0, the reader was opened without it, or attached for reading by
 *     weir_latest_open()), -EUCLEAN, -ECHILD, those of weir_identity().
 * Blocking: never; system calls at the first hold of a handle, and when all places are taken.
 */
WEIR_EXPORT int weir_latest_hold(struct weir_latest_reader *reader,
                                 struct weir_latest_value *value);

/*
 * weir_latest_release() - give a value back that is held
 *
 * Once for each hold: a second time may give back a later one of the same value.
 *
 * Returns: 0; -EINVAL (it is not held by this handle), -ECHILD.
 * Blocking: never.
 */
WEIR_EXPORT int weir_latest_release(struct weir_latest_reader *reader,
                                    const struct weir_latest_value *value);

/*
 * weir_latest_wait_until() - wait for a version above one that is known
 *
 * newer_than: 0 waits for the first value. deadline_ns: as weir_deadline_ns() gives it;
 * WEIR_NEVER waits for ever, 0 looks once. Spins for 20 µs, then sleeps; versions that came
 * and went meanwhile are not told of.
 *
 * Returns: 0: weir_latest_version() is above newer_than.
 * Errors: -EAGAIN (deadline_ns 0), -ETIMEDOUT, -EINTR (a handler of a signal has run while it slept,
 *     with SA_RESTART or without; one that runs while it spins, or between two sleeps, is not noticed:
 *     give a wait that a signal is to end a deadline), -EPIPE (the writer was killed, or ended
 *     without weir_latest_writer_close(), and nobody has taken its place: asked after each fifth of a
 *     second, and at the deadline; call again to wait for a successor). A writer that closed, or has
 *     not come yet, is waited for.
 * Blocking: see deadline_ns.
 */
WEIR_EXPORT int weir_latest_wait_until(struct weir_latest_reader *reader, uint64_t newer_than,
                                       int64_t deadline_ns);

#ifdef __cplusplus
}
#endif
#endif
