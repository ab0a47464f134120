/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BOOST_QUEUE_H
#define BENCH_BOOST_QUEUE_H

/* boost::interprocess::message_queue for C: boost_queue.cc. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes one of that many messages, or opens one that was made. NULL, and a sentence on stderr. */
void *boost_queue_create(const char *name, size_t messages, size_t size_bytes);
void *boost_queue_open(const char *name);
void boost_queue_remove(const char *name);
void boost_queue_close(void *queue);

/* 0; 1: polled, and it is full or empty; -1: it failed. */
int boost_queue_send(void *queue, const void *data, size_t size_bytes, int is_polled);
int boost_queue_receive(void *queue, void *data, size_t size_bytes, int is_polled);

#ifdef __cplusplus
}
#endif

#endif
