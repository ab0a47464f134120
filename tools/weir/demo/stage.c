/* SPDX-License-Identifier: MIT */
/*
 * The stage: what the processes of a scene know of each other, and what has to
 * be removed when it is over.
 */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

struct stage *stage;
struct scene_settings stage_settings;

static int lock_fd = -1;
static int lock_depth;

int stage_open(const struct scene_settings *settings)
{
    stage_settings = *settings;
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stage == MAP_FAILED)
        return -errno;
    stage->step = settings->step;
    stage->blank = true;
    lock_fd = memfd_create("weir-demo", MFD_CLOEXEC);
    return lock_fd < 0 ? -errno : 0;
}

/* Two locks in one file: a byte each. */
enum {
    LOCK_STAGE = 0,
    LOCK_MAKING = 1,
};

static void lock_operate(short type, off_t which)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = which, .l_len = 1 };
    while (fcntl(lock_fd, F_SETLKW, &lock) != 0 && errno == EINTR)
        ;
}

/* A record lock belongs to its process: no child inherits it, and it ends with the process. */
void stage_lock(void)
{
    if (lock_depth++ == 0)
        lock_operate(F_WRLCK, LOCK_STAGE);
}

void stage_unlock(void)
{
    if (--lock_depth == 0)
        lock_operate(F_UNLCK, LOCK_STAGE);
}

void stage_lock_forget(void)
{
    lock_depth = 0;
}

static sigset_t mask_before;
static int making_depth;

void stage_making_begin(void)
{
    if (making_depth++ > 0)
        return;
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, &mask_before);
    lock_operate(F_WRLCK, LOCK_MAKING);
}

void stage_making_end(void)
{
    if (--making_depth > 0)
        return;
    int error = errno;
    lock_operate(F_UNLCK, LOCK_MAKING);
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    errno = error;
}

void stage_making_forget(void)
{
    making_depth = 0;
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

/* A maker may wait for the stage's lock, which this process holds or one that waits for its reader. */
void stage_wait_for_makers(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
    lock.l_start = LOCK_MAKING;
    lock_operate(F_UNLCK, LOCK_STAGE);
    for (int ms = 0; ms < 2000 && fcntl(lock_fd, F_SETLK, &lock) != 0; ms++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void stage_actor_add(pid_t pid, const char *name)
{
    struct stage_actor *place = NULL;
    for (size_t i = 0; i < STAGE_ACTORS; i++) {
        struct stage_actor *actor = &stage->actors[i];
        if (actor->pid == pid) {
            place = actor;
            break;
        }
        if (actor->pid == 0 && !place)
            place = actor;
    }
    if (!place)
        return; /* it goes without a name, and dies with its parent all the same */
    snprintf(place->name, sizeof place->name, "%s", name);
    place->pid = pid;
}

void stage_actor_drop(pid_t pid)
{
    for (size_t i = 0; i < STAGE_ACTORS; i++)
        if (stage->actors[i].pid == pid)
            stage->actors[i].pid = 0;
}

const char *stage_actor_name(pid_t pid)
{
    for (size_t i = 0; i < STAGE_ACTORS; i++)
        if (stage->actors[i].pid == pid)
            return stage->actors[i].name;
    return "";
}

int stage_object_add(const struct stage_object *object)
{
    for (int i = 0; i < STAGE_OBJECTS; i++) {
        if (stage->objects[i].kind != STAGE_NOTHING)
            continue;
        stage->objects[i] = *object;
        return i;
    }
    return -1;
}

void stage_object_drop(enum stage_kind kind, int id)
{
    for (size_t i = 0; i < STAGE_OBJECTS; i++)
        if (stage->objects[i].kind == kind && stage->objects[i].id == id)
            stage->objects[i].kind = STAGE_NOTHING;
}

/* Without an id the key leads to it, and shm_cpid must tell that its maker has made it. */
static bool find_segment(struct stage_object *object)
{
    struct shmid_ds ds;
    int id = object->id >= 0 ? object->id : shmget(object->key, 0, 0);
    bool is_ours = id >= 0 && shmctl(id, IPC_STAT, &ds) == 0 &&
                   ds.shm_perm.cuid == object->creator && ds.shm_ctime >= object->changed_at &&
                   (object->size == 0 || ds.shm_segsz == object->size) &&
                   (object->id >= 0 || ds.shm_cpid == object->maker);
    object->id = id;
    return is_ours;
}

static bool find_semset(struct stage_object *object)
{
    struct semid_ds ds;
    union {
        struct semid_ds *buf;
    } argument = { &ds };
    int id = object->id >= 0 ? object->id : semget(object->key, 0, 0);
    bool is_ours = id >= 0 && semctl(id, 0, IPC_STAT, argument) == 0 &&
                   ds.sem_perm.cuid == object->creator && ds.sem_ctime >= object->changed_at &&
                   (object->size == 0 || ds.sem_nsems == object->size);
    object->id = id;
    return is_ours;
}

bool stage_object_find(struct stage_object *object)
{
    if (object->id < 0 && object->key == IPC_PRIVATE)
        return false;
    return object->kind == STAGE_SEGMENT  ? find_segment(object)
           : object->kind == STAGE_SEMSET ? find_semset(object)
                                          : false;
}

void stage_object_remove(const struct stage_object *object)
{
    if (object->kind == STAGE_SEGMENT)
        shmctl(object->id, IPC_RMID, NULL);
    else if (object->kind == STAGE_SEMSET)
        semctl(object->id, 0, IPC_RMID);
}

void stage_remove_objects(void)
{
    for (size_t i = 0; i < STAGE_OBJECTS; i++) {
        struct stage_object *object = &stage->objects[i];
        if (stage_object_find(object))
            stage_object_remove(object);
        object->kind = STAGE_NOTHING;
    }
}
