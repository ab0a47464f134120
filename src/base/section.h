/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_SECTION_H
#define WEIR_BASE_SECTION_H

/*
 * A section under a lock of the process's, with calls that end a cancelled thread (read, write,
 * pthread_cond_wait; pthreads(7) has the list). Ended there it would keep the lock, and the next one,
 * who closes the handle, would wait for ever. So it is ended afterwards.
 */

#include <pthread.h>

/* Takes the lock. Returns what weir__section_leave() wants. */
static inline int weir__section_enter(pthread_mutex_t *lock)
{
    int cancelling;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    pthread_mutex_lock(lock);
    return cancelling;
}

static inline void weir__section_leave(pthread_mutex_t *lock, int cancelling)
{
    pthread_mutex_unlock(lock);
    pthread_setcancelstate(cancelling, NULL);
}

#endif
