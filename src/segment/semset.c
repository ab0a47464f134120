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
        int result = weir__options_end(given, given->size, sizeof *options);
        if (result != 0)
            return result;
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

/* One call of a creation or an open: what the caller asked for, options complete and checked. */
struct ask {
    struct weir_ref ref;
    uint32_t count;
    const uint16_t *values;
    const struct weir_semset_options *options;
};

/* --- by name ------------------------------------------------------------------------------ */

static int name_create(struct weir_semset **set, const struct ask *ask)
{
    return weir__semset_name_create(set, ask->ref.text, ask->count, ask->values, ask->options);
}

static int name_open(struct weir_semset **set, const struct ask *ask)
{
    return weir__semset_name_open(set, ask->ref.text, ask->count, ask->options);
}

static int name_create_or_open(struct weir_semset **set, const struct ask *ask)
{
    return weir__semset_name_create_or_open(set, ask->ref.text, ask->count, ask->values,
                                            ask->options);
}

static int name_remove(struct weir_ref ref)
{
    return weir__semset_name_remove(ref.text);
}

/* --- by ftok or key ----------------------------------------------------------------------- */

/* All that a reference by ftok or key needs; the parts point to one another. */
struct by_key {
    struct weir__semset_keyed keyed;
    struct trust_question question;
    char what[WEIR__REF_TEXT_BYTES];
};

static int prepare_key(struct by_key *by_key, const struct ask *ask)
{
    uint32_t key;
    int result = weir__ref_key(ask->ref, &key);
    if (result != 0)
        return result;
    weir__ref_text(ask->ref, by_key->what);
    by_key->question = (struct trust_question){ ask->options, by_key->what };
    by_key->keyed = (struct weir__semset_keyed){
        .key = key,
        .count = ask->count,
        .values = ask->values,
        .mode = ask->options->mode,
        .deadline_ns = ask->options->deadline_ns,
        .plain = ask->options->flags & WEIR_SEMSET_PLAIN,
        .trusted = check_trust,
        .argument = &by_key->question,
        .what = by_key->what,
    };
    return 0;
}

/* A handle for what was found or made; news (WEIR_CREATED) passes through, as do errors. */
static int wrap(struct weir_semset **set, int id, uint32_t count, int result)
{
    int wrapped = result >= 0 ? weir__semset_wrap(set, id, count) : result;
    return wrapped != 0 ? wrapped : result;
}

static int key_create(struct weir_semset **set, const struct ask *ask)
{
    struct by_key by_key;
    int id = -1;
    int result = prepare_key(&by_key, ask);
    if (result == 0)
        result = weir__semset_key_create(&by_key.keyed, &id);
    return wrap(set, id, ask->count, result);
}

static int key_open(struct weir_semset **set, const struct ask *ask)
{
    struct by_key by_key;
    uint32_t count = 0;
    int id = -1;
    int result = prepare_key(&by_key, ask);
    if (result == 0)
        result = weir__semset_key_open(&by_key.keyed, &id, &count);
    return wrap(set, id, count, result);
}

static int key_create_or_open(struct weir_semset **set, const struct ask *ask)
{
    struct by_key by_key;
    uint32_t count = 0;
    int id = -1;
    int result = prepare_key(&by_key, ask);
    if (result == 0)
        result = weir__semset_check(ask->count, 0, ask->values, ask->options->mode);
    if (result == 0)
        result = weir__semset_key_create_or_open(&by_key.keyed, &id, &count);
    return wrap(set, id, count, result);
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

static int key_remove(struct weir_ref ref)
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

/* --- by id -------------------------------------------------------------------------------- */

static int id_create(struct weir_semset **set, const struct ask *ask)
{
    (void)set, (void)ask;
    return weir__fail(EINVAL, "a set cannot be created by its id: the kernel chooses ids");
}

static int id_open(struct weir_semset **set, const struct ask *ask)
{
    const struct weir_semset_options *options = ask->options;
    struct semid_ds status;
    int id = ask->ref.id;
    int result = weir__semset_stat(id, &status);
    if (result == -EIDRM)
        return weir__fail(ENOENT, "there is no semaphore set with id %d", id);
    if (result == 0)
        result = weir__trust_check(options->trust, options->trust_uid, status.sem_perm.cuid,
                                   status.sem_perm.uid, NULL, "the semaphore set");
    uint32_t has = 0;
    if (result == 0)
        result = weir__semset_user_count(id, &status, &has);
    if (result != 0)
        return result;
    if (has < ask->count)
        return weir__fail(EINVAL, "set %d has %" PRIu32 " semaphores, %" PRIu32 " are needed", id,
                          has, ask->count);
    return weir__semset_wrap(set, id, has);
}

static int id_remove(struct weir_ref ref)
{
    char what[WEIR__REF_TEXT_BYTES];
    return remove_id(ref.id, weir__ref_text(ref, what));
}

/* --- private ------------------------------------------------------------------------------ */

static int private_create(struct weir_semset **set, const struct ask *ask)
{
    int id;
    int result = weir__semset_make(IPC_PRIVATE, ask->count, ask->values, ask->options->mode, &id);
    if (result != 0)
        return result;
    result = weir__semset_wrap(set, id, ask->count);
    if (result != 0)
        semctl(id, 0, IPC_RMID);
    return result;
}

static int private_open(struct weir_semset **set, const struct ask *ask)
{
    (void)set, (void)ask;
    return weir__fail(EINVAL, "a private set cannot be opened: use its id, or inherit the handle "
                              "by fork");
}

static int private_create_or_open(struct weir_semset **set, const struct ask *ask)
{
    int result = private_create(set, ask);
    return result == 0 ? WEIR_CREATED : result;
}

static int private_remove(struct weir_ref ref)
{
    (void)ref;
    return weir__fail(EINVAL, "a private set is removed by its id");
}

/* --- all of them -------------------------------------------------------------------------- */

/* What each kind of reference can do; every cell is filled, with a reason where it cannot. */
static const struct kind {
    int (*create)(struct weir_semset **set, const struct ask *ask);
    int (*open)(struct weir_semset **set, const struct ask *ask);
    int (*create_or_open)(struct weir_semset **set, const struct ask *ask);
    int (*remove)(struct weir_ref ref);
} kinds[] = {
    [WEIR_BY_NONE] = { private_create, private_open, private_create_or_open, private_remove },
    [WEIR_BY_NAME] = { name_create, name_open, name_create_or_open, name_remove },
    [WEIR_BY_FTOK] = { key_create, key_open, key_create_or_open, key_remove },
    [WEIR_BY_KEY] = { key_create, key_open, key_create_or_open, key_remove },
    [WEIR_BY_ID] = { id_create, id_open, id_create, id_remove },
};

/* NULL, explained: there is no such kind. */
static const struct kind *find_kind(struct weir_ref ref)
{
    if (ref.by < sizeof kinds / sizeof kinds[0] && kinds[ref.by].create)
        return &kinds[ref.by];
    if (ref.by >= WEIR_BY_POSIX && ref.by <= WEIR_BY_FD)
        weir__fail(
            EINVAL,
            "a POSIX name or a memfd cannot be used here: semaphore sets are of System V alone");
    else
        weir__fail(EINVAL, "a reference of kind %" PRIu32 " cannot be used here", ref.by);
    return NULL;
}

enum verb { CREATE, OPEN, CREATE_OR_OPEN };

static int make_or_open(enum verb verb, struct weir_semset **set, struct weir_ref ref,
                        uint32_t count, const uint16_t *values,
                        const struct weir_semset_options *given)
{
    struct weir_semset_options options;
    const struct ask ask = { ref, count, values, &options };
    int result = read_options(ref.by, given, &options);
    if (result != 0)
        return result;
    const struct kind *kind = find_kind(ref);
    if (!kind)
        return -EINVAL;
    return verb == CREATE ? kind->create(set, &ask)
           : verb == OPEN ? kind->open(set, &ask)
                          : kind->create_or_open(set, &ask);
}

int weir_semset_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                     const struct weir_semset_options *options)
{
    return make_or_open(OPEN, set, ref, count, NULL, options);
}

/* What is tried on the way and fails is no news when the whole succeeds. */
int weir_semset_create(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                       const uint16_t *values, const struct weir_semset_options *options)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = make_or_open(CREATE, set, ref, count, values, options);
    if (result >= 0)
        weir__error_restore(&saved);
    return result;
}

int weir_semset_create_or_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                               const uint16_t *values, const struct weir_semset_options *options)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = make_or_open(CREATE_OR_OPEN, set, ref, count, values, options);
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

int weir_semset_remove(struct weir_ref ref)
{
    const struct kind *kind = find_kind(ref);
    return kind ? kind->remove(ref) : -EINVAL;
}
