/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_CHECK_H
#define WEIR_SYNC_CHECK_H

/*
 * Whether memory can be a mutex, a semaphore, a once: every rule that their tables leave, reading alone.
 *
 * What a single word can never be condemns at once. Words that contradict each other may have been read
 * while somebody locks or unlocks: then it is looked again, so often, with pauses of different length,
 * and whoever does not contradict itself once is believed. Nobody can be held up between two steps that
 * contradict each other: a death or a stop at any instruction leaves what the tables allow.
 */
#define WEIR__CHECK_LOOKS 100

struct weir_mutex;

/* What contradicts what, for a sentence; NULL: nothing. */
const char *weir__mutex_contradiction(const struct weir_mutex *mutex);

#endif
