/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_THREAD_H
#define WEIR_BASE_THREAD_H

/* Threads of the library's own. */

#include <pthread.h>

/* One that takes no signals: they are the program's. 0, or an errno as pthread_create() gives it. */
int weir__thread_start(pthread_t *thread, void *(*function)(void *), void *argument);

#endif
