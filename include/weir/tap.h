/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TAP_H
#define WEIR_TAP_H

/*
 * Watching a channel without being a member: a tap has no place, writes nothing there, and maps all that it
 * looks at read-only. (Where it meets a dead publisher this process's identity is made, as by <weir/inspect.h>.) No publisher knows of it, waits for it or wakes it; so it may miss
 * messages, and learns how many. It asks for messages from time to time instead of being woken.
 *
 * A handle is used by one thread at a time, and only by the process that opened it. What it
 * looks at goes on as long as it is looked at: a channel of which all members have left stays, for
 * those who come, until its taps are closed.
 *
 * Source: docs/lane.md, "Overwriting".
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_tap;

struct weir_tap_options {
    uint32_t size;       /* sizeof(struct weir_tap_options) */
    uint32_t start;      /* enum weir_start: of the publishers that are there; those who come later
                            are read from their begin */
    uint64_t start_back; /* WEIR_START_BACK: messages of each */
    uint64_t reserved;   /* 0 */
};
/* Ends as struct weir_channel_options does: what is not named is 0. */
#define WEIR_TAP_OPTIONS                                                                           \
    {                                                                                              \
        sizeof(struct weir_tap_options), 0, 0, 0                                                   \
    }

/*
 * weir_tap_open() - watch a channel
 *
 * tap: receives the handle. name: of the channel, see weir_name_check(); it must be there.
 * options: NULL, or WEIR_TAP_OPTIONS changed.
 *
 * Returns: 0; -EPROTO (the name is of something else), -EPROTONOSUPPORT (a channel of another layout),
 *     -EUCLEAN (its directory cannot be true), -EINVAL (options), -ENOMEM, and those of weir_segment_open().
 * Blocking: never waits for a process. Threads: any. Signals: not safe. Fork: a child opens its own.
 */
WEIR_EXPORT int weir_tap_open(struct weir_tap **tap, const char *name,
                              const struct weir_tap_options *options);

/*
 * weir_tap_receive_until() - a copy of the next message
 *
 * data, capacity_bytes: where to; what stands there after a call that does not give 0 is undefined. message:
 * receives what is known of it, or NULL; message->data is data; message->missed says how
 * many of its publisher's messages were overwritten since the one before, and with -EMSGSIZE says it
 * of a message that will say it again; message->session is a
 * number for each publisher. deadline_ns: as weir_subscriber_take_until(); 0 looks once.
 *
 * Returns: 0; -EAGAIN (nothing is there), -ETIMEDOUT, -EINTR; -EMSGSIZE (message->size_bytes is
 *     above capacity_bytes; it stays the next one, as long as nobody overwrites it); -ECHILD; -ENOMEM
 *     (no room to attach a publisher's ring: told at once, and then by each call that finds nothing else,
 *     if it is not to wait, or has waited 200 ms; the others are read on); -EXDEV (a publisher has
 *     come, and the calling thread is in another IPC namespace than the tap's open: each time); and,
 *     once for each publisher, which is left alone from then on: -EUCLEAN (it writes nonsense),
 *     -EPROTO (what it shows is no lane), -EACCES or -EPERM (its memory may not be read: see mode in
 *     struct weir_channel_options). That publishers end, are killed, or come is not told.
 * Blocking: until a message or the deadline. Nobody wakes a tap: it looks after 0.5 ms, and then after twice as
 *     long each time, to 8 ms. So one that has nothing to read wakes 125 times a second, and took 2 ms
 *     of a core's time a second.
 * Threads: one at a time. Signals: not safe.
 */
WEIR_EXPORT int weir_tap_receive_until(struct weir_tap *tap, void *data, size_t capacity_bytes,
                                       struct weir_message *message, int64_t deadline_ns);

/*
 * weir_tap_missed() - how many messages were overwritten before this tap could read them
 *
 * Returns: their number, since the open and of all publishers. It counts them as soon as that is found, so it
 *     may be ahead of the sum of what the messages say (message->missed): by what the next one of that
 *     publisher is to tell, and by what was lost behind its last one, of which no message can tell.
 *     In a child of fork what it was at the fork.
 * Blocking: never. Threads: one at a time. Signals: not safe.
 */
WEIR_EXPORT uint64_t weir_tap_missed(const struct weir_tap *tap);

/*
 * weir_tap_close() - watch no more
 *
 * tap: or NULL. In a child of fork it frees the child's copy.
 * Blocking: never. Threads: one at a time. Signals: not safe.
 */
WEIR_EXPORT void weir_tap_close(struct weir_tap *tap);

#ifdef __cplusplus
}
#endif
#endif
