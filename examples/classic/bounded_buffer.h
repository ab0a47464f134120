/* SPDX-License-Identifier: MIT */
#ifndef BOUNDED_BUFFER_H
#define BOUNDED_BUFFER_H

/*
 * The textbook's bounded buffer: N slots, one producer, one consumer and two
 * semaphores, between processes that know nothing of each other but a name;
 * and what the textbook leaves out: who came, who died, and whether everything
 * has arrived. Made of weir's public headers. ('weir send' and 'weir recv' were
 * built on it once; a channel does the same and is faster.)
 *
 * The two sides may come in either order. A buffer serves one pair, once. When
 * a side ends by any way, SIGKILL included, the kernel itself wakes the other.
 *
 * Threads: one for each side's calls. Fork: a child must not use its parent's handle.
 * Results: 0 or above, or -errno:
 *   -EBUSY      somebody else is this name's sender (receiver)
 *   -ETIMEDOUT  the other side did not come by the deadline
 *   -EPIPE      the other side was killed, or left without a word
 *   -ECANCELED  the other side failed and said so: bounded_buffer_peer_error()
 *   -EUCLEAN    what stands in shared memory cannot be true
 *   -EPROTONOSUPPORT  the buffer under this name has another size
 *   -EINTR      a signal arrived while waiting (SIGCONT counts too): call again
 * and those of weir_segment_create_or_open() and weir_semset_op(), for which
 * weir_last_error() has the sentence. After -EPIPE, -ECANCELED and -EUCLEAN
 * nothing is left to do but bounded_buffer_leave().
 */

#include <stddef.h>
#include <stdint.h>

struct bounded_buffer;

enum bounded_buffer_role { BOUNDED_BUFFER_SENDER, BOUNDED_BUFFER_RECEIVER };

/*
 * Takes the role under the name and waits for the other side until the deadline
 * (as weir_deadline_ns() gives it). Both sides state the same slots (1 to 1024)
 * and slot_bytes.
 */
int bounded_buffer_join(struct bounded_buffer **buffer, const char *name,
                        enum bounded_buffer_role role, uint32_t slots, uint32_t slot_bytes,
                        int64_t deadline_ns);

/* Ends the side's part and frees the handle; the other side sees a death unless all was accepted. */
void bounded_buffer_leave(struct bounded_buffer *buffer);

/* Sender: waits for an empty slot; *slot has room for slot_bytes. The same until it is committed. */
int bounded_buffer_reserve(struct bounded_buffer *buffer, void **slot);

/* Sender: hands the reserved slot over with so many bytes in it, 1 to slot_bytes. */
int bounded_buffer_commit(struct bounded_buffer *buffer, uint32_t bytes);

/* Sender: says that this was all and waits until the receiver accepts it. */
int bounded_buffer_end(struct bounded_buffer *buffer);

/* Receiver: waits for a full slot. 1: *data and *bytes are it; 0: that was all. */
int bounded_buffer_next(struct bounded_buffer *buffer, const void **data, uint32_t *bytes);

/* Receiver: the slot of bounded_buffer_next() may be used again. */
int bounded_buffer_release(struct bounded_buffer *buffer);

/* Receiver, after the end: everything is where it belongs. */
int bounded_buffer_accept(struct bounded_buffer *buffer);

/* Either side: tells the other that it failed with this errno. */
void bounded_buffer_fail(struct bounded_buffer *buffer, int error);

/* 0 as long as the other side is there and has not failed; -EPIPE or -ECANCELED. */
int bounded_buffer_peer(const struct bounded_buffer *buffer);

/* After -ECANCELED: the errno that the other side failed with. */
int bounded_buffer_peer_error(const struct bounded_buffer *buffer);

#endif
