/* SPDX-License-Identifier: MIT */
#include "segment/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

void weir__nonce_text(uint64_t nonce, char text[WEIR__NONCE_TEXT_BYTES])
{
    snprintf(text, WEIR__NONCE_TEXT_BYTES, "%016" PRIx64, nonce);
}

uint64_t weir__name_hash(const char *directory)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *byte = directory; *byte; byte++)
        hash = (hash ^ (unsigned char)*byte) * UINT64_C(0x100000001b3);
    return hash != 0 ? hash : 1;
}

bool weir__nonce_is(const char *text)
{
    return strspn(text, "0123456789abcdef") == WEIR__NONCE_TEXT_BYTES - 1 &&
           text[WEIR__NONCE_TEXT_BYTES - 1] == '\0';
}

void weir__record_encode(const struct weir__record *record, char text[WEIR__RECORD_BYTES])
{
    char line[WEIR__RECORD_BYTES];
    int length =
        snprintf(line, sizeof line,
                 "weir1 nonce=%016" PRIx64 " name=%016" PRIx64 " lifetime=%u creator=%u pid=%d"
                 " shm=%08x,%d,%" PRIu64 " sem=%08x,%d,%u kind=%s",
                 record->nonce, record->name, record->lifetime, record->creator, record->pid,
                 record->shm_key, record->shm_id, record->shm_segsz, record->sem_key,
                 record->sem_id, record->sem_count, record->kind);
    memset(text, ' ', WEIR__RECORD_BYTES);
    memcpy(text, line, (size_t)length);
    text[WEIR__RECORD_BYTES - 1] = '\n';
}

/* Kinds reach terminals: no other bytes, whoever wrote the record. */
static bool is_kind(const char *kind)
{
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strnlen(kind, WEIR_KIND_MAX + 1);
    return length > 0 && length <= WEIR_KIND_MAX && strspn(kind, bytes) == length &&
           strcmp(kind, ".") != 0 && strcmp(kind, "..") != 0;
}

/* "weir1 ", and another digit: of a weir that is older, or newer. */
static bool is_other_layout(const char *text, size_t length)
{
    return length >= 6 && memcmp(text, "weir", 4) == 0 && text[4] >= '0' && text[4] <= '9' &&
           text[4] != '1' && text[5] == ' ';
}

int weir__record_decode(const char *text, size_t length, struct weir__record *record)
{
    char line[WEIR__RECORD_BYTES + 1], again[WEIR__RECORD_BYTES];
    if (is_other_layout(text, length))
        return -EPROTONOSUPPORT;
    if (length != WEIR__RECORD_BYTES)
        return -EUCLEAN;
    memcpy(line, text, WEIR__RECORD_BYTES);
    line[WEIR__RECORD_BYTES] = '\0';
    memset(record, 0, sizeof *record);
    int fields =
        sscanf(line,
               "weir1 nonce=%16" SCNx64 " name=%16" SCNx64 " lifetime=%10u creator=%10u pid=%11d"
               " shm=%8x,%11d,%20" SCNu64 " sem=%8x,%11d,%10u kind=%15s",
               &record->nonce, &record->name, &record->lifetime, &record->creator, &record->pid,
               &record->shm_key, &record->shm_id, &record->shm_segsz, &record->sem_key,
               &record->sem_id, &record->sem_count, record->kind);
    if (fields != 12)
        return -EUCLEAN;
    weir__record_encode(record, again);
    if (memcmp(text, again, WEIR__RECORD_BYTES) != 0)
        return -EUCLEAN;
    if (!is_kind(record->kind) || record->nonce == 0 || record->lifetime > WEIR_PERSISTENT ||
        record->shm_id < -1 || record->sem_id < -1)
        return -EUCLEAN;
    return 0;
}

int weir__kind_check(const char *kind)
{
    if (!is_kind(kind))
        return weir__fail(EINVAL, "kind '%.40s': must be 1 to %d bytes of A-Z a-z 0-9 _ . -", kind,
                          WEIR_KIND_MAX);
    return 0;
}
