/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

/*
 * Errors of weir.
 *
 * Every function that can fail returns 0 or a count on success and -errno on
 * failure. A negative result means that nothing was acquired or changed, unless
 * the function's comment says otherwise. A positive result named WEIR_... carries
 * news together with success.
 *
 * Arguments that a program can know to be wrong beforehand are its own to check: a handle, or a place for a
 * result, that is NULL where the comment does not allow it is an access to NULL, as in the C library.
 * Some calls say -EINVAL instead (those of a mutex, whose memory is shared); do not count on it. A
 * close takes NULL.
 *
 * The vocabulary is small; every code that weir itself gives is listed here,
 * with what it means and what to do about it. Other values of errno are the
 * kernel's own (EACCES, ENOMEM, EMFILE ...) and keep their usual meaning.
 */

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Success with news: what was got belonged to a process that has died. Repair what it guards. */
#define WEIR_OWNER_DIED 2

/* X(code, what it means, what to do about it); the codes are those of <errno.h>. */
#define WEIR_ERRORS(X)                                                                             \
    X(EINVAL, "an argument is outside of its range", "see the sentence of weir_last_error()")      \
    X(ENAMETOOLONG, "a name or a path is too long", "choose a shorter one: a name has 200 bytes")  \
    X(ENOENT, "no such object", "create it first, or check the name with 'weir list'")             \
    X(EEXIST, "the object exists already", "open it, or remove it with 'weir rm'")                 \
    X(EACCES, "permission denied", "ask the owner for a wider mode, or open it read-only")         \
    X(EPERM, "not allowed to this user", "act as the owner, or change the trust option")           \
    X(ENOSPC, "a limit of the system is reached", "see 'weir doctor' and 'weir gc'")               \
    X(ENOMEM, "not enough memory", "free memory, or ask for a smaller size")                       \
    X(E2BIG, "larger than a limit allows", "see 'weir doctor' for the limit")                      \
    X(ERANGE, "a value is above what the kernel can count", "see weir_last_error()")               \
    X(EIDRM, "the object was removed under us", "create or open it again")                         \
    X(EAGAIN, "not now: the call would have to wait", "try again, or use the waiting form")        \
    X(EBUSY, "somebody else holds it", "wait for the other one to finish")                         \
    X(EDEADLK, "this thread would wait for itself", "unlock first, or make the mutex recursive")   \
    X(EOWNERDEAD, "who wrote it died in the midst", "take it for writing, and repair it")          \
    X(EOVERFLOW, "it counts no further", "look for the unlock or the wait that is missing")        \
    X(EINTR, "interrupted, mostly by a signal", "call again; deadlines are absolute")              \
    X(ETIMEDOUT, "the deadline passed", "allow more time, or look whether the other side lives")   \
    X(EPIPE, "the other side is gone", "start it again")                                           \
    X(ENODATA, "the publisher has said that this was all", "wait for another one, or end")         \
    X(EMSGSIZE, "the message is too large", "make the ring larger, or the buffer")                 \
    X(ENOBUFS, "too many messages are held", "release one first")                                  \
    X(ECHILD, "the handle is the parent process's", "open one in the child")                       \
    X(EXDEV, "in another IPC namespace", "work in the namespace that the process began in")        \
    X(EPROTO, "foreign: not made by weir, or of another kind",                                     \
      "check the name; 'weir info' tells")                                                         \
    X(EPROTOTYPE, "the channel's messages are of another type",                                    \
      "'weir info' tells which; build both sides with the same type, and let whoever comes first " \
      "give it")                                                                                   \
    X(EPROTONOSUPPORT, "made by a weir with another layout", "use the same version on both sides") \
    X(EUCLEAN, "corrupt: its contents cannot be true", "remove it and create it again")            \
    X(ENOTRECOVERABLE, "its state was lost with its owner", "remove it and create it again")       \
    X(EOPNOTSUPP, "this combination does not exist", "see the comment of the call")                \
    X(ENOTDIR, "something that is no directory stands in the way", "see weir_last_error()")        \
    X(EROFS, "the run directory cannot be written", "set WEIR_DIR to one that can")                \
    X(EBADF, "no open descriptor", "look who has closed it")                                       \
    X(ENOTSOCK, "the descriptor is no socket", "give a connected Unix socket")                     \
    X(ELOOP, "a path or epoll descriptors lead back to themselves", "see weir_last_error()")       \
    X(EMFILE, "this process has too many files open", "close some, or raise 'ulimit -n'")          \
    X(ENOSYS, "this kernel does not have the call, or there is no /proc",                          \
      "'weir doctor' says what is missing")

/*
 * weir_strerror() - what an error code means and what to do about it
 *
 * error: a result of a weir function; the sign does not matter.
 *
 * Returns: a sentence in static memory, never NULL; "success" for 0. For a code that is not in
 *     WEIR_ERRORS the C library's text, which its next one may write over (see strerror(3)).
 * Threads: may be called from any thread; for such a code with glibc from 2.32 on.
 * Signals: not async-signal-safe for codes outside of WEIR_ERRORS.
 */
WEIR_EXPORT const char *weir_strerror(int error);

/*
 * weir_strerror_name() - the symbol of an error code
 *
 * error: a result of a weir function; the sign does not matter.
 *
 * Returns: "EAGAIN" and the like in static memory; "E?" for an unknown code;
 *     "0" for no error.
 * Threads: may be called from any thread. Signals: async-signal-safe.
 */
WEIR_EXPORT const char *weir_strerror_name(int error);

/*
 * weir_last_error() - the sentence that the last failing call left
 *
 * Says what was tried, why it failed, the present value of the limit that was
 * met, and the cure: "shmget: all 4096 segment identifiers are in use
 * (kernel.shmmni): see 'weir gc', or raise it with sysctl kernel.shmmni=8192".
 *
 * Returns: the sentence, without a newline, of 511 bytes at most; the empty string when no call of
 *     this thread has failed yet. A successful call leaves it unchanged, as
 *     with errno. The memory belongs to the thread and is overwritten by its
 *     next failing call.
 * Threads: each thread has its own. Fork: the child inherits a copy.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT const char *weir_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
