/* SPDX-License-Identifier: MIT */
/* Semaphore sets by any kind of reference: create, open, close, remove. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/segment.h>

#include "base/error.h"
#include "segment/semset.h"

/* How long an open waits for the values when the options do not say. */
#define DEFAULT_WAIT_NS 1000000000

static int read_options(const struct weir_semset_options *given,
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
    if (options->mode == 0)
        options->mode = 0600;
    if (options->deadline_ns == 0)
        options->deadline_ns = weir_deadline_ns(DEFAULT_WAIT_NS);
    return 0;
}

static int check_trust(const struct semid_ds *status, const void *argument)
{
    const struct weir_semset_options *options = argument;
    uid_t me = geteuid();
    uid_t users[2] = { status->sem_perm.cuid, status->sem_perm.uid };
    if (options->trust == WEIR_TRUST_ANYONE)
        return 0;
    if (options->trust == WEIR_TRUST_DIRECTORY)
        return weir__fail(EINVAL, "WEIR_TRUST_DIRECTORY is for names: a key or an id stands in no "
                                  "directory");
    for (int i = 0; i < 2; i++)
        if (users[i] != me && users[i] != 0 &&
            !(options->trust == WEIR_TRUST_UID && users[i] == options->trust_uid))
            return weir__fail(EPERM,
                              "the semaphore set belongs to user %u (made by user %u), whom the "
                              "trust option does not accept",
                              status->sem_perm.uid, status->sem_perm.cuid);
    return 0;
}

/* By ftok or key: what to ask for; what has room for the sentence's subject. */
static int keyed(struct weir_ref ref, uint32_t count, const uint16_t *values,
                 const struct weir_semset_options *options, char what[128],
                 struct weir__semset_keyed *ask)
{
    uint32_t key = ref.key;
    if (ref.by == WEIR_BY_FTOK) {
        int result = weir_ftok(ref.text, ref.project, &key);
        if (result != 0)
            return result;
        snprintf(what, 128, "key 0x%08" PRIx32 " of ftok(%.64s, %d)", key, ref.text, ref.project);
    } else {
        if (key == 0 || key == UINT32_MAX)
            return weir__fail(EINVAL,
                              "key 0x%08" PRIx32
                              " is nobody's: 0 is IPC_PRIVATE, and 0xffffffff is "
                              "what a failed ftok gives to everyone",
                              key);
        snprintf(what, 128, "key 0x%08" PRIx32, key);
    }
    *ask = (struct weir__semset_keyed){
        .key = key,
        .count = count,
        .values = values,
        .mode = options->mode,
        .deadline_ns = options->deadline_ns,
        .plain = options->flags & WEIR_SEMSET_PLAIN,
        .trusted = check_trust,
        .argument = options,
        .what = what,
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

int weir_semset_create(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                       const uint16_t *values, const struct weir_semset_options *given)
{
    struct weir_semset_options options;
    struct weir__semset_keyed ask;
    char what[128];
    int id;
    int result = read_options(given, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        result = keyed(ref, count, values, &options, what, &ask);
        if (result == 0)
            result = weir__semset_key_create(&ask, &id);
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
        result = check_trust(&status, options);
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
    struct weir__semset_keyed ask;
    char what[128];
    int id;
    int result = read_options(given, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        result = keyed(ref, count, NULL, &options, what, &ask);
        if (result == 0)
            result = weir__semset_key_open(&ask, &id, &count);
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

int weir_semset_create_or_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                               const uint16_t *values, const struct weir_semset_options *given)
{
    struct weir_semset_options options;
    struct weir__semset_keyed ask;
    char what[128];
    int id;
    int result = read_options(given, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY:
        result = keyed(ref, count, values, &options, what, &ask);
        if (result == 0)
            result = weir__semset_check(count, 0, values, options.mode);
        if (result == 0)
            result = weir__semset_key_create_or_open(&ask, &id, &count);
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

int weir_semset_remove(struct weir_ref ref)
{
    struct weir_semset_options options;
    struct weir__semset_keyed ask;
    char what[128];
    int result = read_options(NULL, &options);
    if (result != 0)
        return result;
    switch (ref.by) {
    case WEIR_BY_FTOK:
    case WEIR_BY_KEY: {
        result = keyed(ref, 0, NULL, &options, what, &ask);
        if (result != 0)
            return result;
        int id = semget((key_t)ask.key, 0, 0);
        if (id < 0 && errno == ENOENT)
            return weir__fail(ENOENT, "there is no semaphore set with %s", what);
        if (id < 0)
            return weir__fail(errno, "semget: %s: %s", what, strerror(errno));
        return remove_id(id, what);
    }
    case WEIR_BY_ID:
        snprintf(what, sizeof what, "id %d", ref.id);
        return remove_id(ref.id, what);
    case WEIR_BY_NONE:
        return weir__fail(EINVAL, "a private set is removed by its id");
    default:
        return fail_reference(ref);
    }
}
