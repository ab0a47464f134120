/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_RECORD_H
#define WEIR_SEGMENT_RECORD_H

/*
 * The record: what a name says of its object. One line of text, always
 * WEIR__RECORD_BYTES long, in a file named by the nonce.
 *
 * Who writes it: the creator alone, while the file stands in a draft that it
 * holds the lock of (see draft.h). Published, it never changes. It is written
 * with one pwrite of constant length, so that a killed creator leaves the
 * former text or the new one.
 *
 * Who reads it trusts nothing: a text that does not come out the same when its
 * fields are written again is refused.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/segment.h>

#define WEIR__RECORD_BYTES 256

/* "0123456789abcdef" and the NUL. */
#define WEIR__NONCE_TEXT_BYTES 17

struct weir__record {
    uint64_t nonce;
    uint64_t name;      /* weir__name_hash() of what it was published under; 0: no name */
    uint32_t lifetime;  /* enum weir_lifetime */
    uint32_t creator;   /* effective uid that created it */
    int32_t pid;        /* of the creator, in its own PID namespace */
    uint32_t shm_key;   /* key at the creation; ephemeral: random, and gone since. 0: no segment */
    int32_t shm_id;     /* -1: not made yet, or no segment */
    uint64_t shm_segsz; /* bytes, header included */
    uint32_t sem_key;   /* 0: no set */
    int32_t sem_id;     /* -1: not made yet, or no set */
    uint32_t sem_count; /* semaphores in the set */
    char kind[WEIR_KIND_MAX + 1];
};

void weir__nonce_text(uint64_t nonce, char text[WEIR__NONCE_TEXT_BYTES]);

/*
 * What a record keeps of its entry's name, so that it is not believed under another: whoever may
 * write in the run directory can move it there. Never 0. (FNV-1a: who chooses both names may have
 * them collide, and has made both.)
 */
uint64_t weir__name_hash(const char *directory);

/* Whether a file could be a record by its name: nothing else in the run directory is weir's. */
bool weir__nonce_is(const char *text);

/* Fills text, without a NUL. */
void weir__record_encode(const struct weir__record *record, char text[WEIR__RECORD_BYTES]);

/* 0; without a sentence -EPROTONOSUPPORT: of another layout, -EUCLEAN: it is no record. */
int weir__record_decode(const char *text, size_t length, struct weir__record *record);

/* Whether kind is 1 to WEIR_KIND_MAX bytes of a name's characters; -EINVAL. */
int weir__kind_check(const char *kind);

#endif
