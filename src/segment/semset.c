/* SPDX-License-Identifier: MIT */
/* Semaphore sets by any kind of reference: create, open, close, remove. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>

#include <weir/clock.h>
#include <weir/segment.h>

#include "base/error.h"
#include "segment/handle.h"
#include "segment/ref.h"
#include "segment/semset.h"

/* How long an open waits for the values when the options do not say. */
#define DEFAULT_WAIT_NS 1000000000

static int read_options(uint32_t by, const struct weir_semset_options *given,
                        struct weir_semset_options *options)
{
    *options = (struct weir_semset_options)WEIR_SEMSET_OPTIONS;
    if (given) {
        if (given->size < sizeof *options)
            return weir__fail(EINVAL,
                              "semset options: size is %" PRIu32 ": start from WEIR_SEMSET_OPTIONS",
                              given->size);
        *options = *given;
    }
    if (options->flags & ~(uint32_t)WEIR_SEMSET_PLAIN)
        return weir__fail(EINVAL, "semset flags 0x%" PRIx32 " are not known", options->flags);
    if (options->reserved != 0)
        return weir__fail(EINVAL, "semset options: reserved is not 0");
    if (options->trust > WEIR_TRUST_ANYONE)
        return weir__fail(EINVAL, "trust %" PRIu32 " is not known", options->trust);
    if (options->trust == WEIR_TRUST_DIRECTORY && by != WEIR_BY_NAME)
        return weir__fail(EINVAL, "WEIR_TRUST_DIRECTORY is for names: keys and ids stand in no "
                                  "directory");
    if ((options->flags & WEIR_SEMSET_PLAIN) && by != WEIR_BY_FTOK && by != WEIR_BY_KEY)
        return weir__fail(EINVAL, "WEIR_SEMSET_PLAIN is for sets by ftok or key");
    if (options->mode == 0)
        options->mode = 0600;
    if (options->deadline_ns == 0)
        options->deadline_ns = weir_deadline_ns(DEFAULT_WAIT_NS);
    return 0;
}

/* What the trust policy is asked with, for weir__semset_keyed.trusted. */
struct trust_question {
    const struct weir_semset_options *options;
    const char *what;
};

static int check_trust(const struct semid_ds *status, const void *argument)
{
    const struct trust_question *question = argument;
    return weir__trust_check(question->options->trust, question->options->trust_uid,
                             status->sem_perm.cuid, status->sem_perm.uid, NULL, question->what);
}

/* All that a reference by ftok or key needs; the parts point to one another. */
struct by_key {
    struct weir__semset_keyed ask;
    struct trust_question question;
    char what[WEIR__REF_TEXT_BYTES];
};

static int prepare_key(struct by_key *by_key, struct weir_ref ref, uint32_t count,
                       const uint16_t *values, const struct weir_semset_options *options)
{
    uint32_t key;
    int result = weir__ref_key(ref, &key);
    if (result != 0)
        return result;
    weir__ref_text(ref, by_key->what);
    by_key->question = (struct trust_question){ options, by_key->what };
    by_key->ask = (struct weir__semset_keyed){
        .key = key,
        .count = count,
        .values = values,
        .mode = options->mode,
        .deadline_ns = options->deadline_ns,
        .plain = options->flags & WEIR_SEMSET_PLAIN,
        .trusted = check_trust,
        .argument = &by_key->question,
        .what = by_key->what,
    };
    return 0;
}

static int fail_reference(struct weir_ref ref)
{
    return weir__fail(EINVAL, "a reference of kind %" PRIu32 " cannot be used here", ref.by);
}

static int create_private(struct weir_semset **set, uint32_t count, const uint16_t *values,
                          const struct weir_semset_options *options)
{
    int id;
    int result = weir__semset_make(IPC_PRIVATE, count, values, options->mode, &id);
    if (result != 0)
        return result;
    result = weir__semset_wrap(set, id, count);
    if (result != 0)
        semctl(id, 0, IPC_RMID);
    return result;
}

static int create(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                  const uint16_t *values, const struct weir_semset_options *given)
{
    struct weir_semset_options options;
    struct by_key by_key;
    int id;
    int result = read_options(ref.by, given, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_NAME:
        return weir__semset_name_create(set, ref.text, count, values, &options);
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        result = prepare_key(&by_key, ref, count, values, &options);
        if (result == 0)
            result = weir__semset_key_create(&by_key.ask, &id);
        return result == 0 ? weir__semset_wrap(set, id, count) : result;
    case WEIR_BY_NONE:
        return create_private(set, count, values, &options);
    case WEIR_BY_ID:
        return weir__fail(EINVAL, "a set cannot be created by its id: the kernel chooses ids");
    default:
        return fail_reference(ref);
    }
}

static int open_id(struct weir_semset **set, int id, uint32_t count,
                   const struct weir_semset_options *options)
{
    struct semid_ds status;
    int result = weir__semset_stat(id, &status);
    if (result == -EIDRM)
        return weir__fail(ENOENT, "there is no semaphore set with id %d", id);
    if (result == 0)
        result = weir__trust_check(options->trust, options->trust_uid, status.sem_perm.cuid,
                                   status.sem_perm.uid, NULL, "the semaphore set");
    if (result != 0)
        return result;
    uint32_t has = options->flags & WEIR_SEMSET_PLAIN ? (uint32_t)status.sem_nsems
                                                      : weir__semset_user_count(id, &status);
    if (has < count)
        return weir__fail(EINVAL, "set %d has %" PRIu32 " semaphores, %" PRIu32 " are needed", id,
                          has, count);
    return weir__semset_wrap(set, id, has);
}

int weir_semset_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                     const struct weir_semset_options *given)
{
    struct weir_semset_options options;
    struct by_key by_key;
    int id;
    int result = read_options(ref.by, given, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_NAME:
        return weir__semset_name_open(set, ref.text, count, &options);
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        result = prepare_key(&by_key, ref, count, NULL, &options);
        if (result == 0)
            result = weir__semset_key_open(&by_key.ask, &id, &count);
        return result == 0 ? weir__semset_wrap(set, id, count) : result;
    case WEIR_BY_ID:
        return open_id(set, ref.id, count, &options);
    case WEIR_BY_NONE:
        return weir__fail(EINVAL, "a private set cannot be opened: use its id, or inherit the "
                                  "handle by fork");
    default:
        return fail_reference(ref);
    }
}

static int create_or_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                          const uint16_t *values, const struct weir_semset_options *given)
{
    struct weir_semset_options options;
    struct by_key by_key;
    int id;
    int result = read_options(ref.by, given, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_NAME:
        return weir__semset_name_create_or_open(set, ref.text, count, values, &options);
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        result = prepare_key(&by_key, ref, count, values, &options);
        if (result == 0)
            result = weir__semset_check(count, 0, values, options.mode);
        if (result == 0)
            result = weir__semset_key_create_or_open(&by_key.ask, &id, &count);
        if (result >= 0) {
            int wrapped = weir__semset_wrap(set, id, count);
            result = wrapped != 0 ? wrapped : result;
        }
        return result;
    case WEIR_BY_NONE:
        result = create_private(set, count, values, &options);
        return result == 0 ? WEIR_CREATED : result;
    case WEIR_BY_ID:
        return weir__fail(EINVAL, "a set cannot be created by its id: the kernel chooses ids");
    default:
        return fail_reference(ref);
    }
}

/* What is tried on the way and fails is no news when the whole succeeds. */
int weir_semset_create(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                       const uint16_t *values, const struct weir_semset_options *options)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = create(set, ref, count, values, options);
    if (result >= 0)
        weir__error_restore(&saved);
    return result;
}

int weir_semset_create_or_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                               const uint16_t *values, const struct weir_semset_options *options)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = create_or_open(set, ref, count, values, options);
    if (result >= 0)
        weir__error_restore(&saved);
    return result;
}

void weir_semset_close(struct weir_semset *set)
{
    int saved_errno = errno;
    free(set);
    errno = saved_errno;
}

static int remove_id(int id, const char *what)
{
    if (semctl(id, 0, IPC_RMID) == 0)
        return 0;
    switch (errno) {
    case EINVAL:
    case EIDRM:
        return weir__fail(ENOENT, "there is no semaphore set with %s", what);
    case EPERM:
        return weir__fail(EPERM,
                          "the semaphore set with %s is another user's: its owner, its creator or "
                          "root may remove it",
                          what);
    default:
        return weir__fail(errno, "semctl IPC_RMID: %s: %s", what, strerror(errno));
    }
}

static int remove_key(struct weir_ref ref)
{
    char what[WEIR__REF_TEXT_BYTES];
    uint32_t key;
    int result = weir__ref_key(ref, &key);
    if (result != 0)
        return result;
    weir__ref_text(ref, what);
    int id = semget((key_t)key, 0, 0);
    if (id < 0 && errno == ENOENT)
        return weir__fail(ENOENT, "there is no semaphore set with %s", what);
    if (id < 0)
        return weir__fail(errno, "semget: %s: %s", what, strerror(errno));
    return remove_id(id, what);
}

int weir_semset_remove(struct weir_ref ref)
{
    char what[WEIR__REF_TEXT_BYTES];
    switch (ref.by) {
    case WEIR_BY_NAME:
        return weir__semset_name_remove(ref.text);
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        return remove_key(ref);
    case WEIR_BY_ID:
        return remove_id(ref.id, weir__ref_text(ref, what));
    case WEIR_BY_NONE:
        return weir__fail(EINVAL, "a private set is removed by its id");
    default:
        return fail_reference(ref);
    }
}
