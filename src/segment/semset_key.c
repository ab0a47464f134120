/* SPDX-License-Identifier: MIT */
/*
 * A semaphore set under a key that everybody knows is never seen without its
 * values, and the death of who sets them is seen at once.
 *
 * Behind the n semaphores of the user stands one more, S. Its states:
 *
 *   S       meaning                      moved on by
 *   ------- ---------------------------- -----------------------------------------
 *   FRESH   0: semget(2) made it, nobody claim, one semop, by the creator or by a
 *           sets values; its creator     create_or_open:
 *           comes, or was killed here      {S,0,NOWAIT} {S,+3} {S,-2,UNDO} -> BUSY
 *   BUSY    1: a living process sets     its SETALL, one call: all values and
 *           the values                     S = READY; forgets the undo    -> READY
 *                                        its death: the kernel undoes -2  -> DEAD
 *                                        its failure: {S,+2,UNDO} {S,-3}  -> FRESH
 *   DEAD    3: who set them died before  take-over by a create_or_open:
 *                                          {S,-3,NOWAIT} {S,0,NOWAIT}
 *                                          {S,+3} {S,-2,UNDO}             -> BUSY
 *   READY   22355: complete, for good    –
 *
 * Why it holds:
 *   - Each step is one call, so a kill comes before or after it; a claim without
 *     its undo, values without READY, or READY with an undo do not exist.
 *   - One semop checks and claims: of several claimers one wins.
 *   - Who waits asks for S >= 2, {S,-2} {S,+2}: both READY and DEAD satisfy it, so
 *     the kernel wakes it at either, without polling. In FRESH there is nobody
 *     whose death could be seen; create_or_open claims it, open waits.
 *   - A stopped (SIGSTOP) initialiser is alive: nobody takes over from it; who
 *     waits returns at its deadline.
 *   - Removed meanwhile: EIDRM, and create_or_open starts again.
 *   - In FRESH, BUSY and DEAD all the user's semaphores are 0. A set where they
 *     are not, or where S is anything else, is foreign, and never written to.
 *
 * A plain set has no S; the one trace that a plain program leaves is sem_otime,
 * set by the first semop(2) after SETALL. It wakes nobody, so that wait polls.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <time.h>

#include <weir/clock.h>
#include <weir/segment.h>

#include "base/error.h"
#include "base/limits.h"
#include "segment/semset.h"

enum ready_state {
    FRESH = 0,
    BUSY = 1,
    DEAD = 3,
    READY = 22355,
    FOREIGN = -1,
};

/* How often a set may vanish between the finding and the opening before we give up. */
#define RETRIES 100

static int fail_gone(const struct weir__semset_keyed *ask)
{
    return weir__fail(EIDRM, "%s was removed while it was opened: create or open it again",
                      ask->what);
}

static int fail_call(const struct weir__semset_keyed *ask, const char *call, int error)
{
    if (error == EINVAL || error == EIDRM)
        return fail_gone(ask);
    return weir__fail(error, "%s: %s: %s", call, ask->what, strerror(error));
}

/*
 * Room for all values of a set. The kernel copies as many as the set under the
 * id has; should the id have come round, that is at most SEMMSL.
 */
static unsigned short *new_values(uint32_t nsems)
{
    struct weir_limits limits;
    weir__limits_read(&limits);
    size_t room = limits.semmsl > nsems ? limits.semmsl : nsems;
    unsigned short *values = calloc(room, sizeof *values);
    if (!values)
        weir__fail(ENOMEM, "no memory for the values of %" PRIu32 " semaphores", nsems);
    return values;
}

/* FRESH, BUSY, DEAD, READY or FOREIGN in *state. */
static int look(const struct weir__semset_keyed *ask, int id, uint32_t nsems, int *state)
{
    int value = semctl(id, (int)nsems - 1, GETVAL);
    if (value < 0)
        return fail_call(ask, "semctl GETVAL", errno);
    *state = value;
    if (value == READY)
        return 0;
    unsigned short *values = new_values(nsems);
    if (!values)
        return -ENOMEM;
    int result = 0;
    if (semctl(id, 0, GETALL, (union weir__semun){ .array = values }) != 0)
        result = fail_call(ask, "semctl GETALL", errno);
    /* All values are of one instant, S included: it may have become READY since. */
    value = values[nsems - 1];
    *state = value == FRESH || value == BUSY || value == DEAD || value == READY ? value : FOREIGN;
    for (uint32_t i = 0; i < nsems - 1 && *state != READY; i++)
        if (values[i] != 0)
            *state = FOREIGN;
    free(values);
    return result;
}

/* 0: ours now (BUSY). -EAGAIN, unexplained: somebody else was first. */
static int claim(const struct weir__semset_keyed *ask, int id, uint32_t nsems, int state)
{
    unsigned short s = (unsigned short)(nsems - 1);
    struct sembuf fresh[] = { { s, 0, IPC_NOWAIT }, { s, DEAD, 0 }, { s, BUSY - DEAD, SEM_UNDO } };
    struct sembuf dead[] = {
        { s, -DEAD, IPC_NOWAIT }, { s, 0, IPC_NOWAIT }, { s, DEAD, 0 }, { s, BUSY - DEAD, SEM_UNDO }
    };
    int result = state == FRESH ? semop(id, fresh, 3) : semop(id, dead, 4);
    if (result == 0)
        return 0;
    return errno == EAGAIN ? -EAGAIN : fail_call(ask, "semop", errno);
}

/* After a claim: BUSY -> READY with all values, or back to FRESH. */
static int finish(const struct weir__semset_keyed *ask, int id, uint32_t nsems)
{
    unsigned short s = (unsigned short)(nsems - 1);
    struct sembuf release[] = { { s, DEAD - BUSY, SEM_UNDO }, { s, -DEAD, 0 } };
    int result = -ENOMEM;
    unsigned short *values = new_values(nsems);
    if (values) {
        for (uint32_t i = 0; ask->values && i < ask->count; i++)
            values[i] = ask->values[i];
        values[s] = READY;
        result = 0;
        /* CRASH: claimed, values not set; the kernel makes it DEAD and wakes who waits. */
        if (semctl(id, 0, SETALL, (union weir__semun){ .array = values }) != 0)
            result = fail_call(ask, "semctl SETALL", errno);
        free(values);
    }
    if (result != 0)
        semop(id, release, 2);
    return result;
}

/* As other programs expect it: sem_otime is set when the values are. */
static int finish_plain(const struct weir__semset_keyed *ask, int id)
{
    struct sembuf nothing[] = { { 0, -1, IPC_NOWAIT }, { 0, 1, 0 } };
    struct sembuf zero = { 0, 0, IPC_NOWAIT };
    unsigned short *values = new_values(ask->count);
    if (!values)
        return -ENOMEM;
    for (uint32_t i = 0; ask->values && i < ask->count; i++)
        values[i] = ask->values[i];
    int result = semctl(id, 0, SETALL, (union weir__semun){ .array = values });
    int first = values[0];
    free(values);
    if (result != 0)
        return fail_call(ask, "semctl SETALL", errno);
    result = first ? semop(id, nothing, 2) : semop(id, &zero, 1);
    /* EAGAIN: somebody changed it already, by a semop, which sets sem_otime as well. */
    if (result != 0 && errno != EAGAIN)
        return fail_call(ask, "semop", errno);
    return 0;
}

int weir__semset_key_create(const struct weir__semset_keyed *ask, int *id)
{
    uint32_t nsems = ask->count + (ask->plain ? 0 : WEIR_SEMSET_EXTRA);
    int made = -1;
    int result =
        weir__semset_check(ask->count, ask->plain ? 0 : WEIR_SEMSET_EXTRA, ask->values, ask->mode);
    if (result == 0)
        result = weir__semset_get(ask->key, nsems, ask->mode, &made);
    if (result != 0)
        return result;
    if (ask->plain) {
        result = finish_plain(ask, made);
        if (result != 0)
            semctl(made, 0, IPC_RMID);
    } else {
        /* CRASH: FRESH; the next create_or_open claims it. */
        result = claim(ask, made, nsems, FRESH);
        if (result == 0)
            result = finish(ask, made, nsems);
        if (result == -EAGAIN)
            result =
                weir__fail(EEXIST, "%s exists already: another process was quicker", ask->what);
        /* Not removed on failure: another process may have claimed and filled it. */
    }
    if (result == 0)
        *id = made;
    return result;
}

/* The set that has the key now, accepted by the caller's trust and large enough. */
static int find(const struct weir__semset_keyed *ask, int *id, uint32_t *nsems)
{
    struct semid_ds status;
    int found = semget((key_t)ask->key, 0, 0);
    if (found < 0 && errno == ENOENT)
        return weir__fail(ENOENT, "there is no semaphore set with %s", ask->what);
    if (found < 0)
        return weir__fail(errno, "semget: %s: %s", ask->what, strerror(errno));
    int result = weir__semset_stat(found, &status);
    if (result == -EIDRM)
        return fail_gone(ask);
    if (result == 0)
        result = ask->trusted(&status, ask->argument);
    if (result != 0)
        return result;
    *id = found;
    *nsems = (uint32_t)status.sem_nsems;
    uint64_t needed = (uint64_t)ask->count + (ask->plain ? 0 : WEIR_SEMSET_EXTRA);
    if (!ask->plain && *nsems < 1 + WEIR_SEMSET_EXTRA)
        return weir__fail(EPROTO,
                          "%s (set %d) has 1 semaphore: weir did not make it: open it with "
                          "WEIR_SEMSET_PLAIN",
                          ask->what, found);
    if (!ask->plain && *nsems > WEIR__SEMS_MAX)
        return weir__fail(EPROTO,
                          "%s (set %d) has %" PRIu32 " semaphores, more than weir makes: open it "
                          "with WEIR_SEMSET_PLAIN",
                          ask->what, found, *nsems);
    if (*nsems < needed)
        return weir__fail(EINVAL, "%s (set %d) has %" PRIu32 " semaphores, %" PRIu32 " are needed",
                          ask->what, found, *nsems - (ask->plain ? 0 : WEIR_SEMSET_EXTRA),
                          ask->count);
    return 0;
}

/* Until S >= 2, which READY and DEAD are. -EAGAIN, unexplained, at the deadline. */
static int wait_settled(const struct weir__semset_keyed *ask, int id, uint32_t nsems)
{
    unsigned short s = (unsigned short)(nsems - 1);
    struct sembuf settled[] = { { s, -2, 0 }, { s, 2, 0 } };
    for (;;) {
        struct timespec left = weir__semset_left(ask->deadline_ns);
        if (semtimedop(id, settled, 2, &left) == 0)
            return 0;
        if (errno == EAGAIN && weir_now_ns() >= ask->deadline_ns)
            return -EAGAIN;
        if (errno != EAGAIN && errno != EINTR)
            return fail_call(ask, "semop", errno);
    }
}

static int fail_unsettled(const struct weir__semset_keyed *ask, int id, int state)
{
    if (state == BUSY)
        return weir__fail(ETIMEDOUT,
                          "%s (set %d): process %d is still setting the values: allow more time",
                          ask->what, id, semctl(id, 0, GETPID));
    return weir__fail(ENOTRECOVERABLE,
                      "%s (set %d) has no values: its creator died before it set them: "
                      "weir_semset_create_or_open() finishes it",
                      ask->what, id);
}

/* An existing set: 0 opened, WEIR_CREATED when take_over was due. */
static int settle(const struct weir__semset_keyed *ask, int id, uint32_t nsems, bool take_over)
{
    bool late = false;
    for (;;) {
        int state = FOREIGN;
        int result = look(ask, id, nsems, &state);
        if (result != 0 || state == READY)
            return result;
        if (state == FOREIGN)
            return weir__fail(EPROTO,
                              "%s (set %d) is not a set of weir's: open it with WEIR_SEMSET_PLAIN",
                              ask->what, id);
        if (take_over && (state == FRESH || state == DEAD)) {
            result = claim(ask, id, nsems, state);
            if (result == 0)
                result = finish(ask, id, nsems);
            if (result == 0)
                return WEIR_CREATED;
            if (result != -EAGAIN)
                return result;
        } else if (state == DEAD || late) {
            return fail_unsettled(ask, id, state);
        }
        result = wait_settled(ask, id, nsems);
        if (result != 0 && result != -EAGAIN)
            return result;
        late = result == -EAGAIN;
    }
}

/* A plain set: its creator's first semop tells. */
static int settle_plain(const struct weir__semset_keyed *ask, int id)
{
    int64_t pause_ns = 100000;
    for (;;) {
        struct semid_ds status;
        int result = weir__semset_stat(id, &status);
        if (result == -EIDRM)
            return fail_gone(ask);
        if (result != 0 || status.sem_otime != 0)
            return result;
        if (weir_now_ns() >= ask->deadline_ns)
            return weir__fail(ETIMEDOUT,
                              "%s (set %d): no semop was done on it (sem_otime is 0), so its "
                              "creator may not have set the values yet",
                              ask->what, id);
        nanosleep(&(struct timespec){ 0, pause_ns }, NULL);
        if (pause_ns < 10000000)
            pause_ns *= 2;
    }
}

static int open_found(const struct weir__semset_keyed *ask, int *id, uint32_t *count,
                      bool take_over)
{
    int found = -1;
    uint32_t nsems = 0;
    int result = find(ask, &found, &nsems);
    if (result != 0)
        return result;
    result = ask->plain ? settle_plain(ask, found) : settle(ask, found, nsems, take_over);
    if (result < 0)
        return result;
    *id = found;
    *count = nsems - (ask->plain ? 0 : WEIR_SEMSET_EXTRA);
    return result;
}

int weir__semset_key_open(const struct weir__semset_keyed *ask, int *id, uint32_t *count)
{
    return open_found(ask, id, count, false);
}

int weir__semset_key_create_or_open(const struct weir__semset_keyed *ask, int *id, uint32_t *count)
{
    for (int tries = 0; tries < RETRIES; tries++) {
        int result = open_found(ask, id, count, true);
        if (result == -EIDRM)
            continue;
        if (result != -ENOENT)
            return result;
        result = weir__semset_key_create(ask, id);
        if (result == 0) {
            *count = ask->count;
            return WEIR_CREATED;
        }
        if (result != -EEXIST && result != -EIDRM)
            return result;
    }
    return fail_gone(ask);
}

int weir__semset_user_count(int id, const struct semid_ds *status, uint32_t *count)
{
    *count = (uint32_t)status->sem_nsems;
    if (status->sem_perm.__key == 0 || *count <= WEIR_SEMSET_EXTRA)
        return 0;
    int last = semctl(id, (int)*count - 1, GETVAL);
    bool is_hidden = last < 0 && errno == EACCES;
    if ((last != READY && !is_hidden) || weir__semset_is_named(id, status))
        return 0;
    if (is_hidden)
        return weir__fail(EACCES,
                          "semaphore set %d has mode %04o and belongs to uid %u: who may not read "
                          "it cannot open it by its id",
                          id, (unsigned)status->sem_perm.mode & 0777,
                          (unsigned)status->sem_perm.uid);
    *count -= WEIR_SEMSET_EXTRA;
    return 0;
}
