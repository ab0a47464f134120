/* SPDX-License-Identifier: MIT */
#ifndef WEIR_IDENTITY_H
#define WEIR_IDENTITY_H

/*
 * Who lives: the identity of a process, and the kernel's word on its death.
 *
 * A process that takes part has a beacon: a System V segment that it alone is
 * attached to, removed at once and with mode 0, so that nobody without privilege
 * can attach it and keep it. The kernel frees it when the process ends, by any
 * way, and then it does not answer any more. The identity is what the kernel
 * answers for it and nobody can change: its id and its size, which is random.
 *
 *   bits 63..33   id of the segment (31 bits)
 *   bits 32..13   its size in bytes, less 1 (20 bits: 1 byte to 1 MiB; no page of
 *                 it is ever touched)
 *   bits 12..0    a session number, for the caller's use: 0 in weir_identity()
 *
 * It fits one word, so that one compare-and-swap claims a place and names its
 * owner. Ids come round after some million creations; the pair does not by
 * chance. 0 is nobody.
 *
 * What it does not say: pids are reused, and mean nothing in another PID
 * namespace; times can be set. None of them is asked.
 *
 * A process is dead when the kernel has torn its memory down: after SIGKILL, about
 * 80 ms for each GiB that it had touched, longer while it dumps core. A child by
 * vfork(2) or posix_spawn(3) is in that memory, too, until it executes a program or
 * ends: so long a parent that was killed meanwhile seems to live. A stopped process
 * (SIGSTOP, a debugger) is alive.
 */

#include <stdint.h>

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_IDENTITY_NOBODY UINT64_C(0)

/* The part that a session number may fill in. */
#define WEIR_IDENTITY_SESSION_MAX UINT64_C(0x1fff)

/*
 * In place of a uid, for weir_life(): whoever made it. Another user who makes ids come round on
 * purpose can then let a dead process seem alive.
 */
#define WEIR_UID_ANY UINT32_MAX

enum weir_life {
    WEIR_LIFE_UNKNOWN = 0, /* the kernel does not tell this thread, or the caller can have no
                              identity (weir_identity() says why): take nothing away from it */
    WEIR_LIFE_ALIVE = 1,
    WEIR_LIFE_DEAD = 2,
};

/*
 * weir_identity() - the identity of this process
 *
 * identity: receives it, with session 0; undefined on failure.
 *
 * The first call makes the beacon; later ones return the same until the process
 * ends, executes another program, or forks: a child has no identity until it
 * calls this, and then one of its own. All threads have the same.
 *
 * Returns: 0.
 * Errors: -ENOSPC (SHMMNI or SHMALL is reached), -ENOMEM, -EPERM (the kernel, or a
 *     filter (seccomp), does not let this thread ask for its own beacon), -EBUSY
 *     (other threads made children by clone(2) again and again meanwhile, or the run
 *     directory cannot be made), -EXDEV (this thread is in another IPC namespace than
 *     the beacon), and those of weir_segment_create().
 * Blocking: never waits for a process; the first call makes a segment.
 * Threads: any. Fork: see above. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_identity(uint64_t *identity);

/*
 * weir_life() - whether the process with this identity lives
 *
 * identity: from weir_identity() of that process, handed over through shared
 * memory or anyhow; its session number does not matter. uid: the effective uid
 * that it had, which the kernel must confirm: another user who makes ids come
 * round is not it; or WEIR_UID_ANY. A process in another user
 * namespace knows itself by another uid than the caller sees: that needs WEIR_UID_ANY.
 * A caller that has left the user namespace in which it got its identity sees other
 * numbers than it knows: there no uid is confirmed, and each counts as WEIR_UID_ANY.
 *
 * DEAD is said only while the caller's own beacon answers the same question from
 * the same thread: "no such id" is also the answer of another IPC namespace.
 * With the uid that it had, a process that is DEAD does not come back; but the question may be
 * answered ALIVE later, as its own user can make id and size come round, and with WEIR_UID_ANY anybody
 * can. With another uid than it had, DEAD says nothing of it.
 *
 * Returns: enum weir_life. WEIR_IDENTITY_NOBODY is DEAD.
 * Blocking: never: one to three system calls, more without /proc; the first call of a process makes
 *     its own beacon. Threads: any. Fork: any. Signals: not async-signal-safe.
 * Source: shmctl(2), SHM_STAT_ANY (Linux 4.17).
 */
WEIR_EXPORT int weir_life(uint64_t identity, uint32_t uid);

/*
 * weir_life_name() - "alive", "dead" or "unknown"
 *
 * Returns: static memory, never NULL. Threads: any. Signals: safe.
 */
WEIR_EXPORT const char *weir_life_name(int life);

#ifdef __cplusplus
}
#endif
#endif
