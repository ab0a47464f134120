/* SPDX-License-Identifier: MIT */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

/*
 * A pool: blocks of one size in shared memory, given to any process and taken back from any. A
 * process that is killed at any instruction, also inside of these calls, neither loses a block nor
 * lets one be given twice.
 *
 * That is so because a block always belongs to a place: a 64-bit offset in the same memory.
 * weir_pool_alloc() writes the block's offset there, weir_pool_free() takes it from there, and
 * either has happened whole or not at all, whatever becomes of the process. (With an address that
 * is returned, a process that dies before it has stored it takes the block with it.)
 *
 *     struct list {
 *         struct weir_mutex mutex;
 *         node_pointer head, fresh;          (typedef WEIR_POINTER(struct node) node_pointer;)
 *     };
 *
 *     weir_pool_alloc(&pool, &list->fresh.offset);          a node, in a place of its own
 *     struct node *node = weir_pointer_get(space, list->fresh);
 *     node->next = list->head;
 *     atomic_signal_fence(memory_order_seq_cst);            <stdatomic.h>
 *     list->head = list->fresh;                             linked, by one store
 *     atomic_signal_fence(memory_order_seq_cst);
 *     list->fresh.offset = 0;
 *
 * (The compiler may swap two stores when nobody in this process can tell; who finds what a killed
 * one left can. The fences keep it from that; they cost no instruction.)
 *
 * Whoever takes the mutex with WEIR_OWNER_DIED first calls weir_pool_recover(), then looks at the
 * places: fresh is 0: nothing was begun, or all was done; it is head: linked already, and only the
 * last line is missing; else the node was not linked: free it. Without the first call the former
 * holder's last call might not be finished, and what it looks like now would be taken back.
 *
 * Until weir_pool_alloc() or weir_pool_free() has returned, the place is its caller's alone; or, when the
 * caller has been killed, that of whoever has called weir_pool_recover() since. Nobody else may read on
 * from what stands there, or change it: where it was moved away, a death in the call takes the
 * block back, and gives it twice. A mutex sees to that, as above. Without one, do not let another
 * process take a block out of the place that a call fills: fill a place of your own, and store the offset in
 * a second word, which the other one looks at, when the call has returned.
 *
 * The memory: weir_pool_bytes() of a space (see <weir/offset.h>), at any address in it that is a
 * multiple of 64. Zeroed memory, mapped for writing, also for who only counts or checks (else SIGSEGV:
 * all but weir_pool_open() store there); and weir_pool_init() by any number of processes, the same each.
 *
 * The spaces of all processes begin at the same byte of the memory, and all of the pool is in each;
 * one may end before another. A place need only be in the space of whoever calls. When a process dies in
 * the midst of a call, any process whose space has that place finishes or takes back what was begun, by
 * its next call on the pool. Until then each call by one whose space ends before the place is
 * -EUCLEAN, changes nothing, and says where the place is: it cannot know whether the block is given.
 * So let whoever may inherit a lock have all places in its space. One that has not, and gets -EUCLEAN from
 * weir_pool_recover(), must neither look at the places nor say that the lock is consistent: it maps
 * the rest and opens the pool anew, or ends with the lock held.
 *
 * Who may write the memory may damage the pool, or block everybody who uses it; then calls fail with
 * -EUCLEAN, -ENOTRECOVERABLE or -EOVERFLOW, wait, or give blocks that others use. Nobody can make a
 * call read or write outside of the space.
 *
 * Concurrency: alloc, free, recover and counts may run at the same time, from any thread or process;
 * two calls with one place must not.
 * Progress: an inner weir_mutex for a few stores, and in weir_pool_used() and weir_pool_check() for as
 * long as it takes to walk over all free blocks; whoever dies in it is succeeded, as <weir/mutex.h>
 * says: one that is stopped in a call is waited for, and so is for ever one that was killed there in
 * another IPC namespace. Share a pool within one.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>
#include <weir/offset.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir__pool_shm;

/* A process's view of a pool. Its own memory; fill it with weir_pool_open(). */
struct weir_pool {
    struct weir_space space;
    struct weir__pool_shm *shm;
    uint64_t blocks_offset; /* of the first block, in the space */
    uint64_t block_bytes;
    uint32_t count; /* of blocks */
};

/* Most blocks of one pool. */
#define WEIR_POOL_BLOCKS_MAX UINT32_C(0xfffffff0)

/*
 * weir_pool_bytes() - how much memory a pool needs
 *
 * block_bytes: of one block, 1 to less than 16 TiB; blocks stand at multiples of 16 bytes (of 64 when that is
 * their size or a multiple). blocks: how many, 1 to WEIR_POOL_BLOCKS_MAX.
 *
 * Returns: bytes; 0 when that is no pool, or more than an address space holds.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_pool_bytes(uint64_t block_bytes, uint32_t blocks);

/*
 * weir_pool_init() - make a pool in zeroed memory
 *
 * space: the memory. offset: where in it, so that the address is a multiple of 64. block_bytes, blocks: as in
 * weir_pool_bytes(). A pool that is there already with the same numbers is left as it is.
 *
 * Returns: 0.
 * Errors: -EINVAL (no base, offset, numbers, not enough space, or a pool with other numbers is there: the
 *     sentence has both), -EPROTO (something else is there).
 * Blocking: never. Threads: any number at the same time. Fork: any.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_pool_init(struct weir_space space, uint64_t offset, uint64_t block_bytes,
                               uint32_t blocks);

/*
 * weir_pool_open() - this process's view of a pool
 *
 * pool: receives it; untouched on failure. Nothing to close. space, offset: as in weir_pool_init(),
 * the base as it is in this process.
 *
 * Returns: 0.
 * Errors: -ENOENT (no pool is there yet), -EPROTO (something else is there), -EUCLEAN (it does not
 *     fit into the space), -EINVAL (no base, offset).
 * Blocking: never. Threads: any. Fork: the child may use a copy where the memory is inherited.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_pool_open(struct weir_pool *pool, struct weir_space space, uint64_t offset);

/*
 * weir_pool_alloc() - a block, for a place
 *
 * pool: the view. place: in the space, aligned to 8, holding 0; receives the block's offset. The
 * block's bytes are as its last owner left them; 0 if it had none.
 *
 * Returns: 0.
 * Errors: -ENOMEM (all blocks are in use: the sentence says how many), -EINVAL (place NULL, not
 *     aligned, outside of the space or not 0), -EUCLEAN (the pool is damaged; or a process died in the
 *     midst of a call, with a place that is not in this space: see above), -EDEADLK (this thread is in
 *     a call on the pool: in a handler of a signal that came in it, or since longjmp(3) has left it),
 *     -ENOTRECOVERABLE, -EOVERFLOW (the lock of the pool was written over), those of weir_identity().
 * Blocking: for other calls on the pool. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_pool_alloc(struct weir_pool *pool, uint64_t *place);

/*
 * weir_pool_free() - the block of a place goes back
 *
 * pool: the view. place: in the space, aligned to 8; holds a block's offset; receives 0.
 *
 * Returns: 0.
 * Errors: -EINVAL (place NULL, not aligned, outside of the space; no block of this pool in it, or one
 *     that is free: freed twice), -EUCLEAN, -EDEADLK, -ENOTRECOVERABLE, -EOVERFLOW (as
 *     weir_pool_alloc()), those of weir_identity().
 * Blocking: for other calls on the pool. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_pool_free(struct weir_pool *pool, uint64_t *place);

/*
 * weir_pool_recover() - finish what a process that died was doing
 *
 * pool: the view. To be called by whoever inherits a lock, before it looks at a place. Every other
 * call on the pool begins with the same.
 *
 * Returns: 0: nothing was to be done; WEIR_OWNER_DIED: something was, and it is done.
 * Errors: -EUCLEAN (as weir_pool_alloc(): something may be to be done still), -EDEADLK, -ENOTRECOVERABLE,
 *     -EOVERFLOW (as weir_pool_alloc()), those of weir_identity().
 * Blocking: for other calls on the pool. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_pool_recover(struct weir_pool *pool);

/*
 * weir_pool_used() - how many blocks are given
 *
 * pool: the view. used: receives the number, of pool->count. Walks over all free blocks with the pool
 * locked: some nanoseconds each, in which all other calls wait.
 *
 * Returns: 0. Errors: -EUCLEAN, -EDEADLK, -ENOTRECOVERABLE, -EOVERFLOW (as weir_pool_alloc()), those
 *     of weir_identity().
 * Blocking: for other calls on the pool. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_pool_used(struct weir_pool *pool, uint32_t *used);

/*
 * weir_pool_check() - whether the pool can be true
 *
 * pool: the view. Walks the free list and counts, with the pool locked: for tests and tools.
 *
 * Returns: 0. Errors: -EUCLEAN (the sentence says what contradicts what; or as weir_pool_alloc()), -EDEADLK,
 *     -ENOTRECOVERABLE, -EOVERFLOW (as there), those of weir_identity().
 * Blocking: for other calls on the pool. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_pool_check(struct weir_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
