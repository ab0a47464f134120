/* SPDX-License-Identifier: MIT */
/*
 * System V segments and semaphore sets of the calling thread's IPC namespace.
 *
 * The kernel is asked index by index with SHM_STAT_ANY and SEM_STAT_ANY, which
 * need no permission on the object; and with SHM_STAT and SEM_STAT where these are
 * forbidden. All take an identifier too (its low bits
 * are the index) and return the identifier that is there now, so one call also
 * tells whether a known identifier still stands for the same object.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "base/error.h"
#include "inspect/walk.h"

union semun_argument {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

/* EPERM means that the process is there. A pid of another namespace comes as 0. */
static bool is_dead(pid_t pid)
{
    return pid > 0 && kill(pid, 0) != 0 && errno == ESRCH;
}

/* How often an index is looked at again, where something seems to come just then. */
#define TRIES 10

static int ask_shm(int index, int command, void *status)
{
    return shmctl(index, command, status);
}

static int ask_sem(int index, int command, void *status)
{
    return semctl(index, 0, command, (union semun_argument){ .buf = status });
}

/* What ask() says of an object that is there, and of which the kernel tells this caller nothing. */
#define WITHHELD (-ESTALE)

/*
 * Whether the newer call is answered, if only that there can be no such identifier. Then who was
 * refused was so for one object, as by a security module (SELinux), and not by a filter.
 */
static bool is_answered(int (*ask_one)(int, int, void *), int any, void *status)
{
    return ask_one(-1, any, status) < 0 && errno == EINVAL;
}

/*
 * What is at an index or identifier now: its identifier, -ENOENT, WITHHELD, or what the kernel, or a
 * filter, says instead of an answer. The newer call needs no right to the object; where it is forbidden, or
 * not known, which EINVAL says, too, the older one answers for what may be read.
 */
static int ask(int (*ask_one)(int, int, void *), int any, int readable, int index, void *status)
{
    for (int i = 0; i < TRIES; i++) {
        int id = ask_one(index, any, status);
        int error = errno;
        if (id < 0 && error != EIDRM)
            id = ask_one(index, readable, status);
        if (id >= 0)
            return id;
        if (errno == EINVAL || errno == EIDRM)
            return -ENOENT;
        if (error != EINVAL)
            return is_answered(ask_one, any, status) ? WITHHELD : -error;
        /* Nothing was there, and then what may not be read: it came in between. */
    }
    return -ENOSYS;
}

static int refuse(int error, const char *call, const char *noun)
{
    return weir__fail(error,
                      "%s: %s: a filter (seccomp) forbids it, or the kernel does not know it, and "
                      "there are %ss that you may not read",
                      call, strerror(error), noun);
}

/* The object that is at an index or identifier now; its identifier, or as ask(). */
static int stat_segment(int index, struct weir__seen *seen)
{
    struct shmid_ds kernel = { 0 }; /* for valgrind, which does not know this call */
    int id = ask(ask_shm, SHM_STAT_ANY, SHM_STAT, index, &kernel);
    if (id < 0)
        return id == -ENOENT || id == WITHHELD ? id : refuse(-id, "shmctl SHM_STAT_ANY", "segment");
    memset(seen, 0, sizeof *seen);
    seen->object = (struct weir_object){
        .size = sizeof seen->object,
        .type = WEIR_OBJECT_SEGMENT,
        .lifetime = kernel.shm_perm.mode & SHM_DEST ? WEIR_EPHEMERAL : WEIR_PERSISTENT,
        .key = (uint32_t)kernel.shm_perm.__key,
        .id = id,
        .uid = kernel.shm_perm.uid,
        .gid = kernel.shm_perm.gid,
        .cuid = kernel.shm_perm.cuid,
        .cgid = kernel.shm_perm.cgid,
        .mode = kernel.shm_perm.mode & 0777,
        .size_bytes = kernel.shm_segsz,
        .attached = (int64_t)kernel.shm_nattch,
        .cpid = kernel.shm_cpid,
        .lpid = kernel.shm_lpid,
        .atime = kernel.shm_atime,
        .dtime = kernel.shm_dtime,
        .ctime = kernel.shm_ctime,
        .removed = (kernel.shm_perm.mode & SHM_DEST) != 0,
        .kind = "segment",
    };
    seen->creator_dead = is_dead(kernel.shm_cpid);
    return id;
}

/*
 * Who waits in a set and who used it last. Both need the right to read it:
 * without, the number of waiters is -1 and the pid 0. The kernel keeps a pid for
 * each semaphore and no times, so the last user is known only when all agree.
 */
static void ask_semset(int id, struct weir_object *object)
{
    int64_t waiting = 0;
    int lpid = 0;
    bool agree = true;
    for (uint32_t i = 0; i < object->count; i++) {
        int more = semctl(id, (int)i, GETNCNT);
        int zero = semctl(id, (int)i, GETZCNT);
        int pid = semctl(id, (int)i, GETPID);
        if (more < 0 || zero < 0 || pid < 0) {
            waiting = -1;
            agree = false;
            break;
        }
        waiting += more + zero;
        if (pid != 0 && lpid != 0 && pid != lpid)
            agree = false;
        if (pid != 0)
            lpid = pid;
    }
    object->attached = waiting;
    object->lpid = agree ? lpid : 0;
}

static int stat_semset(int index, struct weir__seen *seen)
{
    struct semid_ds kernel;
    int id = ask(ask_sem, SEM_STAT_ANY, SEM_STAT, index, &kernel);
    if (id < 0)
        return id == -ENOENT || id == WITHHELD
                   ? id
                   : refuse(-id, "semctl SEM_STAT_ANY", "semaphore set");
    memset(seen, 0, sizeof *seen);
    seen->object = (struct weir_object){
        .size = sizeof seen->object,
        .type = WEIR_OBJECT_SEMSET,
        .lifetime = WEIR_PERSISTENT,
        .key = (uint32_t)kernel.sem_perm.__key,
        .id = id,
        .uid = kernel.sem_perm.uid,
        .gid = kernel.sem_perm.gid,
        .cuid = kernel.sem_perm.cuid,
        .cgid = kernel.sem_perm.cgid,
        .mode = kernel.sem_perm.mode & 0777,
        .count = (uint32_t)kernel.sem_nsems,
        .atime = kernel.sem_otime,
        .ctime = kernel.sem_ctime,
        .kind = "semset",
    };
    ask_semset(id, &seen->object);
    return id;
}

static int by_id(const void *left, const void *right)
{
    const struct weir__seen *a = left, *b = right;
    return (a->object.id > b->object.id) - (a->object.id < b->object.id);
}

static int walk(struct weir__seen_list *list, int highest,
                int (*stat_one)(int, struct weir__seen *))
{
    size_t first = list->count;
    for (int index = 0; index <= highest; index++) {
        struct weir__seen one;
        int id = stat_one(index, &one);
        if (id == -ENOENT || id == WITHHELD)
            continue;
        if (id < 0)
            return id;
        struct weir__seen *place = weir__seen_add(list);
        if (!place)
            return -ENOMEM;
        *place = one;
    }
    if (list->count > first)
        qsort(list->items + first, list->count - first, sizeof *list->items, by_id);
    return 0;
}

/* What is in memory stands in /proc/sysvipc/shm alone; without /proc it stays 0. */
static void read_resident(struct weir__seen *segments, size_t count)
{
    FILE *file = fopen("/proc/sysvipc/shm", "re");
    if (!file)
        return;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        struct weir__seen wanted = { .object = { .id = -1 } };
        uint64_t resident;
        /* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap */
        if (sscanf(line, "%*d %d %*o %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64,
                   &wanted.object.id, &resident) != 2)
            continue;
        struct weir__seen *found = bsearch(&wanted, segments, count, sizeof *segments, by_id);
        if (found)
            found->object.resident_bytes = resident;
    }
    fclose(file);
}

int weir__walk_segments(struct weir__seen_list *list)
{
    struct shm_info info;
    size_t first = list->count;
    int highest = shmctl(0, SHM_INFO, (struct shmid_ds *)&info);
    if (highest < 0)
        return weir__fail(errno,
                          "shmctl SHM_INFO: %s: the kernel or a filter forbids System V "
                          "shared memory here",
                          strerror(errno));
    int result = walk(list, highest, stat_segment);
    if (result == 0 && list->count > first)
        read_resident(list->items + first, list->count - first);
    return result;
}

int weir__walk_semsets(struct weir__seen_list *list)
{
    struct seminfo info;
    int highest = semctl(0, 0, SEM_INFO, (union semun_argument){ .info = &info });
    if (highest < 0)
        return weir__fail(errno,
                          "semctl SEM_INFO: %s: the kernel or a filter forbids System V "
                          "semaphores here",
                          strerror(errno));
    return walk(list, highest, stat_semset);
}

static int withheld(int id, const char *noun)
{
    return weir__fail(EACCES,
                      "%s %d is there, and a security module keeps the kernel from telling of it",
                      noun, id);
}

int weir__look_segment(int id, struct weir__seen *seen)
{
    int found = id < 0 ? -ENOENT : stat_segment(id, seen);
    if (found == WITHHELD)
        return withheld(id, "segment");
    if (found < 0 && found != -ENOENT)
        return found;
    if (found != id)
        return weir__fail(ENOENT, "there is no segment with id %d in this IPC namespace", id);
    read_resident(seen, 1);
    return 0;
}

int weir__look_semset(int id, struct weir__seen *seen)
{
    int found = id < 0 ? -ENOENT : stat_semset(id, seen);
    if (found == WITHHELD)
        return withheld(id, "semaphore set");
    if (found < 0 && found != -ENOENT)
        return found;
    if (found != id)
        return weir__fail(ENOENT, "there is no semaphore set with id %d in this IPC namespace", id);
    return 0;
}
