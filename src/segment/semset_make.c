/* SPDX-License-Identifier: MIT */
/*
 * The making and destroying of a semaphore set, with every refusal of the
 * kernel explained: semget(2) says ENOSPC for two different limits and EINVAL
 * for a third, and names none of them.
 */
#include "segment/semset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>

#include "base/error.h"
#include "base/limits.h"

int weir__semset_check(uint32_t count, uint32_t extra, const uint16_t *values, uint32_t mode)
{
    struct weir_limits limits;
    if (count == 0)
        return weir__fail(EINVAL, "a semaphore set needs at least one semaphore");
    if ((mode & ~UINT32_C(0666)) != 0 || (mode & 0600) != 0600)
        return weir__fail(EINVAL,
                          "mode 0%o: a semaphore set takes read and alter bits (0666) and its "
                          "owner needs both (0600)",
                          mode);
    weir__limits_read(&limits);
    if (limits.semmsl && (uint64_t)count + extra > limits.semmsl)
        return weir__fail(E2BIG,
                          "a set of %" PRIu32 " semaphores%s: the limit is %" PRIu64
                          " a set: raise the 1st number with sysctl -w kernel.sem='%" PRIu64
                          " %" PRIu64 " %" PRIu64 " %" PRIu64 "'",
                          count, extra ? " and weir's own" : "", limits.semmsl,
                          (uint64_t)count + extra, limits.semmns, limits.semopm, limits.semmni);
    if ((uint64_t)count + extra > WEIR__SEMS_MAX)
        return weir__fail(
            E2BIG, "a set of %" PRIu32 " semaphores%s: the largest has %d: make several sets",
            count, extra ? " and weir's own" : "", WEIR__SEMS_MAX);
    for (uint32_t i = 0; values && i < count; i++)
        if (values[i] > WEIR_SEM_VALUE_MAX)
            return weir__fail(ERANGE,
                              "semaphore %" PRIu32 " cannot start at %u: the largest value is %d",
                              i, values[i], WEIR_SEM_VALUE_MAX);
    return 0;
}

static int fail_no_space(uint32_t count)
{
    struct weir_limits limits;
    weir__limits_read(&limits);
    if (limits.semset_used >= limits.semmni)
        return weir__fail(ENOSPC,
                          "semget: all %" PRIu64 " semaphore sets are in use: see 'weir list' and "
                          "'weir gc', or raise the 4th number with sysctl -w kernel.sem='%" PRIu64
                          " %" PRIu64 " %" PRIu64 " %" PRIu64 "'",
                          limits.semmni, limits.semmsl, limits.semmns, limits.semopm,
                          limits.semmni * 2);
    return weir__fail(ENOSPC,
                      "semget: %" PRIu32 " semaphores do not fit: %" PRIu64 " of %" PRIu64
                      " are in use: see 'weir list' and 'weir gc', or raise the 2nd number with "
                      "sysctl -w kernel.sem='%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "'",
                      count, limits.sem_used, limits.semmns, limits.semmsl, limits.semmns + count,
                      limits.semopm, limits.semmni);
}

int weir__semset_get(uint32_t key, uint32_t count, uint32_t mode, int *id)
{
    int got = semget((key_t)key, (int)count, (int)(IPC_CREAT | IPC_EXCL | mode));
    if (got >= 0) {
        *id = got;
        return 0;
    }
    switch (errno) {
    case EEXIST:
        return weir__fail(EEXIST, "a semaphore set with key 0x%08" PRIx32 " exists already", key);
    case ENOSPC:
        return fail_no_space(count);
    case ENOMEM:
        return weir__fail(ENOMEM, "semget: the kernel has no memory for %" PRIu32 " semaphores",
                          count);
    default:
        return weir__fail(errno, "semget: key 0x%08" PRIx32 ", %" PRIu32 " semaphores: %s", key,
                          count, strerror(errno));
    }
}

static int set_all(int id, uint32_t count, const uint16_t *values)
{
    /* The kernel reads as many as the set has, and the set has exactly count. */
    unsigned short *array = calloc(count, sizeof *array);
    if (!array)
        return weir__fail(ENOMEM, "no memory for the first values of %" PRIu32 " semaphores",
                          count);
    for (uint32_t i = 0; i < count; i++)
        array[i] = values[i];
    int result = semctl(id, 0, SETALL, (union weir__semun){ .array = array });
    int error = errno;
    free(array);
    if (result == 0)
        return 0;
    if (error == EINVAL)
        error = EIDRM;
    return weir__fail(error, "semctl SETALL: set %d: %s", id, strerror(error));
}

int weir__semset_make(uint32_t key, uint32_t count, const uint16_t *values, uint32_t mode, int *id)
{
    int made = -1;
    int result = weir__semset_check(count, 0, values, mode);
    if (result == 0)
        result = weir__semset_get(key, count, mode, &made);
    if (result != 0)
        return result;
    /* CRASH: a set of zeros, which nobody can find but who wrote its key down before. */
    if (values)
        result = set_all(made, count, values);
    if (result != 0) {
        semctl(made, 0, IPC_RMID);
        return result;
    }
    *id = made;
    return 0;
}

int weir__semset_wrap(struct weir_semset **set, int id, uint32_t count)
{
    struct weir_semset *made = malloc(sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a handle");
    made->id = id;
    made->count = count;
    *set = made;
    return 0;
}

int weir__semset_stat(int id, struct semid_ds *status)
{
    /*
     * Not IPC_STAT, which wants read permission. SEM_STAT_ANY looks at the low
     * bits of its argument alone and answers with the full id of what is there.
     */
    int found = semctl(id, 0, SEM_STAT_ANY, (union weir__semun){ .buf = status });
    /* A filter forbids the newer call; or nobody knows it (an old kernel, an emulator), and then
     * EINVAL says nothing of the set. */
    if (found < 0 && errno != EIDRM)
        found = semctl(id, 0, IPC_STAT, (union weir__semun){ .buf = status }) == 0 ? id : -1;
    if (found >= 0)
        return found == id ? 0 : -EIDRM;
    if (errno == EINVAL || errno == EIDRM)
        return -EIDRM;
    int error = errno;
    return weir__fail(error, "semctl(%d, SEM_STAT_ANY), and IPC_STAT: %s", id, strerror(error));
}

int weir__semset_same(int id, uint32_t key, uint32_t cuid)
{
    struct semid_ds status;
    int result = weir__semset_stat(id, &status);
    if (result == -EIDRM)
        return 0;
    if (result != 0)
        return result;
    return (uint32_t)status.sem_perm.__key == key && status.sem_perm.cuid == cuid;
}

int weir__semset_destroy(int id, uint32_t key, uint32_t cuid)
{
    int same = weir__semset_same(id, key, cuid);
    if (same <= 0)
        return same;
    if (semctl(id, 0, IPC_RMID) == 0 || errno == EINVAL || errno == EIDRM)
        return 0;
    return weir__fail(errno, "semctl IPC_RMID: set %d (key 0x%08" PRIx32 "): %s", id, key,
                      strerror(errno));
}

int weir__semset_give(int id, uint32_t gid)
{
    struct semid_ds status;
    int result = weir__semset_stat(id, &status);
    status.sem_perm.gid = (gid_t)gid;
    if (result == 0 && semctl(id, 0, IPC_SET, (union weir__semun){ .buf = &status }) != 0)
        result = -errno;
    return result == 0 ? 0
                       : weir__fail(-result, "cannot give semaphore set %d to group %u: %s", id,
                                    gid, strerror(-result));
}
