/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

/*
 * An arena: memory of any size, given away from the front to the back, and all taken back at
 * once. For what is built once and lives as long as the segment: tables, strings, configuration.
 *
 * As in <weir/pool.h>, what is given belongs to a place in the same memory, and a process that is
 * killed at any instruction neither loses a byte nor lets one be given twice. Whoever inherits a
 * lock calls weir_arena_recover() before it looks at a place, or moves what stands there. Also as there, until
 * weir_arena_alloc() has returned, the place is its caller's alone, or, after its death, that of
 * whoever has called weir_arena_recover() since: who takes what stands there before may see it given
 * to another as well. To hand it over without a lock, store the offset in a second word when the call
 * has returned.
 *
 * Also as there, spaces begin at the same byte and may end at different ones: what a process died in the
 * midst of is finished or taken back by the next call of one whose space has the place. Until then each
 * call by one whose space ends before it is -EUCLEAN, changes nothing, and says where the place is.
 *
 *     struct table {
 *         struct weir_mutex mutex;
 *         WEIR_POINTER(struct row) rows;
 *     };
 *
 *     weir_arena_alloc(&arena, 1000 * sizeof(struct row), 64, &table->rows.offset);
 *
 * Killed in weir_arena_reset(), at any instruction: all is as before it, or all is free; which,
 * weir_arena_used() says. The places are as their caller has left them: one that is not 0 yet may be
 * followed into memory that is given to another by then. So who inherits the lock sets all of them to
 * 0, and resets once more.
 *
 * The memory is mapped for writing, also for who only asks how much is given (else SIGSEGV: all but
 * weir_arena_open() store there).
 *
 * Concurrency: alloc, recover, used and reset may run at the same time, from any thread or process;
 * two calls with one place must not.
 * Progress: an inner weir_mutex for a few stores; whoever dies in it is succeeded, within one IPC
 * namespace: see <weir/pool.h>.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>
#include <weir/offset.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir__arena_shm;

/* What an arena needs beside what it gives, in bytes. */
#define WEIR_ARENA_HEADER_BYTES 128

/* A process's view of an arena. Its own memory; fill it with weir_arena_open(). */
struct weir_arena {
    struct weir_space space;
    struct weir__arena_shm *shm;
    uint64_t begin_offset, end_offset; /* what it gives, in the space */
};

/*
 * weir_arena_init() - make an arena in zeroed memory
 *
 * space: the memory. offset: where in it, so that the address is a multiple of 64. size_bytes: of all
 * of it, the header's WEIR_ARENA_HEADER_BYTES included, and less than 16 TiB. An arena that is there
 * already with the same size is left as it is.
 *
 * Returns: 0.
 * Errors: -EINVAL (no base, offset, size, not enough space, or an arena of another size is there: the
 *     sentence has both), -EPROTO (something else is there).
 * Blocking: never. Threads: any number at the same time. Fork: any.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_arena_init(struct weir_space space, uint64_t offset, uint64_t size_bytes);

/*
 * weir_arena_open() - this process's view of an arena
 *
 * arena: receives it; untouched on failure. Nothing to close. space, offset: as in
 * weir_arena_init(), the base as it is in this process.
 *
 * Returns: 0.
 * Errors: -ENOENT (no arena is there yet), -EPROTO (something else is there), -EUCLEAN (it does not
 *     fit into the space), -EINVAL (no base, offset).
 * Blocking: never. Threads: any. Fork: the child may use a copy where the memory is inherited.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_arena_open(struct weir_arena *arena, struct weir_space space, uint64_t offset);

/*
 * weir_arena_alloc() - memory, for a place
 *
 * arena: the view. size_bytes: 1 or more. align: of the offset, a power of two, 1 to 4,096; of the
 * address, too, where the space begins at such a one, as each mapping does. place:
 * in the space, aligned to 8, holding 0; receives the offset. The bytes are 0, unless the arena
 * was reset.
 *
 * Returns: 0.
 * Errors: -ENOMEM (the sentence says what is left), -EINVAL (size, align; place NULL, not aligned,
 *     outside of the space or not 0), -EUCLEAN (the arena is damaged; or a process died in the midst
 *     of a call, with a place that is not in this space: see above), -EDEADLK (this thread is in a
 *     call on the arena: in a handler of a signal that came in it, or since longjmp(3) has left it),
 *     -ENOTRECOVERABLE, -EOVERFLOW (the lock of the arena was written over), those of weir_identity().
 * Blocking: for other calls on the arena. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_arena_alloc(struct weir_arena *arena, uint64_t size_bytes, uint64_t align,
                                 uint64_t *place);

/*
 * weir_arena_recover() - finish what a process that died was doing
 *
 * arena: the view.
 *
 * Returns: 0: nothing was to be done; WEIR_OWNER_DIED: something was, and it is done.
 * Errors: -EUCLEAN (as weir_arena_alloc(): something may be to be done still), -EDEADLK, -ENOTRECOVERABLE,
 *     -EOVERFLOW (as weir_arena_alloc()), those of weir_identity().
 * Blocking: for other calls on the arena. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_arena_recover(struct weir_arena *arena);

/*
 * weir_arena_used() - how much is given
 *
 * arena: the view. used_bytes: receives it, gaps for alignment included.
 *
 * Returns: 0. Errors: -EUCLEAN, -EDEADLK, -ENOTRECOVERABLE, -EOVERFLOW (as weir_arena_alloc()), those
 *     of weir_identity().
 * Blocking: for other calls on the arena. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_arena_used(struct weir_arena *arena, uint64_t *used_bytes);

/*
 * weir_arena_reset() - all of it is free again
 *
 * arena: the view. No place may be followed any more: set them to 0 before.
 *
 * Returns: 0. Errors: -EUCLEAN, -EDEADLK, -ENOTRECOVERABLE, -EOVERFLOW (as weir_arena_alloc()), those
 *     of weir_identity().
 * Blocking: for other calls on the arena. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_arena_reset(struct weir_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
