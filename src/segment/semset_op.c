/* SPDX-License-Identifier: MIT */
/*
 * The operations on a semaphore set: semop(2) and semtimedop(2) with indexes
 * checked against what the user has, deadlines that are absolute, and errors
 * that say what happened.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ipc.h>
#include <time.h>

#include <weir/clock.h>

#include "base/error.h"
#include "base/limits.h"
#include "segment/semset.h"

struct timespec weir__semset_left(int64_t deadline_ns)
{
    int64_t now_ns = weir_now_ns();
    int64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    return (struct timespec){ (time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000) };
}

/* Linux's default for SEMOPM; the most that one call of ours takes. */
#define OPS_MAX 500

#define TRY INT64_MIN /* as a deadline: do not wait at all */

static int fail_index(const struct weir_semset *set, uint32_t index)
{
    return weir__fail(EINVAL, "semaphore %" PRIu32 " of set %d: it has %" PRIu32 ", from 0", index,
                      set->id, set->count);
}

/* EINVAL for a set that was there means that it is not: our arguments were checked. */
static int fail_gone(const struct weir_semset *set)
{
    return weir__fail(EIDRM,
                      "semaphore set %d was removed (or this thread is in another IPC namespace): "
                      "create or open it again",
                      set->id);
}

static int fail_too_many(size_t count)
{
    struct weir_limits limits;
    weir__limits_read(&limits);
    return weir__fail(E2BIG,
                      "%zu operations at once: the limit is %" PRIu64
                      " (3rd number of kernel.sem), and %d of weir's: do fewer in one call",
                      count, limits.semopm, OPS_MAX);
}

static int fail_op(const struct weir_semset *set, size_t count, int error)
{
    switch (error) {
    case EINVAL:
    case EIDRM:
        return fail_gone(set);
    case EINTR:
        return weir__fail(
            EINTR, "semaphore set %d: interrupted, as by a signal; nothing was done: wait again",
            set->id);
    case ERANGE:
        return weir__fail(ERANGE,
                          "semaphore set %d: a value, or what is to be undone at the end of this "
                          "process, would exceed %d: is it posted more often than taken?",
                          set->id, WEIR_SEM_VALUE_MAX);
    case E2BIG:
        return fail_too_many(count);
    case EACCES:
        return weir__fail(EACCES, "semaphore set %d: its mode does not let this user change it",
                          set->id);
    default:
        return weir__fail(error, "semop: set %d: %s", set->id, strerror(error));
    }
}

/* 0; -EAGAIN at TRY, -ETIMEDOUT at a deadline, both unexplained: they are answers. */
static int operate(const struct weir_semset *set, struct sembuf *kernel_ops, size_t count,
                   int64_t deadline_ns)
{
    for (;;) {
        int result;
        if (deadline_ns == WEIR_NEVER || deadline_ns == TRY) {
            result = semop(set->id, kernel_ops, count);
        } else {
            struct timespec left = weir__semset_left(deadline_ns);
            result = semtimedop(set->id, kernel_ops, count, &left);
        }
        if (result == 0)
            return 0;
        if (errno != EAGAIN)
            return fail_op(set, count, errno);
        if (deadline_ns == TRY)
            return weir__fail(EAGAIN, "semaphore set %d: it would have to wait", set->id);
        if (weir_now_ns() >= deadline_ns)
            return weir__fail(ETIMEDOUT, "semaphore set %d: the deadline passed", set->id);
    }
}

static int translate(const struct weir_semset *set, const struct weir_sem_op *ops, size_t count,
                     bool no_wait, struct sembuf *kernel_ops)
{
    if (count == 0)
        return weir__fail(EINVAL, "semaphore set %d: no operation was given", set->id);
    if (count > OPS_MAX)
        return fail_too_many(count);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].index >= set->count)
            return fail_index(set, ops[i].index);
        if (ops[i].flags & ~(uint32_t)WEIR_SEM_UNDO)
            return weir__fail(EINVAL, "semaphore flags 0x%" PRIx32 " are not known", ops[i].flags);
        kernel_ops[i].sem_num = ops[i].index;
        kernel_ops[i].sem_op = ops[i].change;
        kernel_ops[i].sem_flg =
            (short)((ops[i].flags & WEIR_SEM_UNDO ? SEM_UNDO : 0) | (no_wait ? IPC_NOWAIT : 0));
    }
    return 0;
}

static int several(const struct weir_semset *set, const struct weir_sem_op *ops, size_t count,
                   int64_t deadline_ns)
{
    struct sembuf kernel_ops[OPS_MAX];
    int result = translate(set, ops, count, deadline_ns == TRY, kernel_ops);
    return result != 0 ? result : operate(set, kernel_ops, count, deadline_ns);
}

int weir_semset_op(struct weir_semset *set, const struct weir_sem_op *ops, size_t count)
{
    return several(set, ops, count, WEIR_NEVER);
}

int weir_semset_try_op(struct weir_semset *set, const struct weir_sem_op *ops, size_t count)
{
    return several(set, ops, count, TRY);
}

int weir_semset_op_until(struct weir_semset *set, const struct weir_sem_op *ops, size_t count,
                         int64_t deadline_ns)
{
    return several(set, ops, count, deadline_ns == TRY ? TRY + 1 : deadline_ns);
}

/* One operation; a short path without the large array. */
static int one(const struct weir_semset *set, uint32_t index, int change, uint32_t flags,
               int64_t deadline_ns)
{
    struct sembuf kernel_op;
    struct weir_sem_op op = { (uint16_t)index, (int16_t)change, flags };
    if (index >= set->count)
        return fail_index(set, index);
    if (index >= WEIR__SEM_NUMBERS)
        return weir__fail(EINVAL,
                          "semaphore %" PRIu32 " of set %d: no operation reaches those behind "
                          "number %d",
                          index, set->id, WEIR__SEM_NUMBERS - 1);
    int result = translate(set, &op, 1, deadline_ns == TRY, &kernel_op);
    return result != 0 ? result : operate(set, &kernel_op, 1, deadline_ns);
}

int weir_semset_wait(struct weir_semset *set, uint32_t index, uint32_t flags)
{
    return one(set, index, -1, flags, WEIR_NEVER);
}

int weir_semset_try_wait(struct weir_semset *set, uint32_t index, uint32_t flags)
{
    return one(set, index, -1, flags, TRY);
}

int weir_semset_wait_until(struct weir_semset *set, uint32_t index, uint32_t flags,
                           int64_t deadline_ns)
{
    return one(set, index, -1, flags, deadline_ns == TRY ? TRY + 1 : deadline_ns);
}

int weir_semset_post(struct weir_semset *set, uint32_t index, uint32_t flags)
{
    return one(set, index, 1, flags, WEIR_NEVER);
}

static int fail_control(const struct weir_semset *set, const char *command, int error)
{
    if (error == EINVAL || error == EIDRM)
        return fail_gone(set);
    return weir__fail(error, "semctl %s: set %d: %s", command, set->id, strerror(error));
}

int weir_semset_value(struct weir_semset *set, uint32_t index)
{
    if (index >= set->count)
        return fail_index(set, index);
    int value = semctl(set->id, (int)index, GETVAL);
    return value >= 0 ? value : fail_control(set, "GETVAL", errno);
}

int weir_semset_set_value(struct weir_semset *set, uint32_t index, uint32_t value)
{
    if (index >= set->count)
        return fail_index(set, index);
    if (value > WEIR_SEM_VALUE_MAX)
        return weir__fail(ERANGE,
                          "semaphore %" PRIu32 " cannot be %" PRIu32 ": the largest value is %d",
                          index, value, WEIR_SEM_VALUE_MAX);
    if (semctl(set->id, (int)index, SETVAL, (union weir__semun){ .val = (int)value }) == 0)
        return 0;
    return fail_control(set, "SETVAL", errno);
}

int weir_semset_stat(struct weir_semset *set, struct weir_semset_stat *stat)
{
    struct semid_ds status;
    if (stat->size < sizeof *stat)
        return weir__fail(EINVAL,
                          "weir_semset_stat: size is %" PRIu32
                          ": set it to sizeof(struct weir_semset_stat)",
                          stat->size);
    if (semctl(set->id, 0, IPC_STAT, (union weir__semun){ .buf = &status }) != 0)
        return fail_control(set, "IPC_STAT", errno);
    uint32_t known = stat->size;
    *stat = (struct weir_semset_stat){
        .size = known,
        .key = (uint32_t)status.sem_perm.__key,
        .id = set->id,
        .uid = status.sem_perm.uid,
        .gid = status.sem_perm.gid,
        .cuid = status.sem_perm.cuid,
        .cgid = status.sem_perm.cgid,
        .mode = status.sem_perm.mode & 0777,
        .count = set->count,
        .sem_nsems = (uint32_t)status.sem_nsems,
        .sem_otime = status.sem_otime,
        .sem_ctime = status.sem_ctime,
    };
    return 0;
}
