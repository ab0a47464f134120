/* SPDX-License-Identifier: MIT */
/*
 * What a scene makes is put down before it is made, in the stage and in the
 * journal: neither a signal nor a SIGKILL at any instant leaves what nobody knows.
 */
#include <errno.h>
#include <sys/ipc.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>

#include "calls.h"
#include "journal.h"
#include "stage.h"

static bool is_there(enum stage_kind kind, key_t key)
{
    if (key == IPC_PRIVATE)
        return false;
    return (kind == STAGE_SEGMENT ? shmget(key, 0, 0) : semget(key, 0, 0)) >= 0;
}

key_t scene_fresh_key(void)
{
    uint32_t key;
    do {
        if (getrandom(&key, sizeof key, GRND_NONBLOCK) != (ssize_t)sizeof key)
            key = ((uint32_t)weir_now_ns() * 2654435761u) ^ (uint32_t)getpid();
    } while ((key_t)key == IPC_PRIVATE || (key_t)key == -1 || is_there(STAGE_SEGMENT, (key_t)key) ||
             is_there(STAGE_SEMSET, (key_t)key));
    return (key_t)key;
}

static struct stage_object describe(enum stage_kind kind, key_t key, uint64_t size)
{
    return (struct stage_object){
        .kind = kind,
        .id = -1,
        .key = key,
        .size = size,
        .maker = getpid(),
        .creator = geteuid(),
        .changed_at = (int64_t)time(NULL) - 1,
    };
}

int stage_making_object(enum stage_kind kind, key_t *key, int *flags, uint64_t size)
{
    stage_making_begin();
    if (*key == IPC_PRIVATE && !stage->private) {
        *key = scene_fresh_key();
        *flags |= IPC_CREAT | IPC_EXCL;
    }
    if (is_there(kind, *key))
        return -1; /* the call will find it, or be refused */
    struct stage_object object = describe(kind, *key, size);
    stage_lock();
    int place = stage_object_add(&object);
    journal_add(&object);
    stage_unlock();
    return place;
}

void stage_making_object_end(int place, int id)
{
    int error = errno;
    stage_lock();
    if (place >= 0 && id >= 0)
        stage->objects[place].id = id;
    else if (place >= 0)
        stage->objects[place].kind = STAGE_NOTHING;
    stage_unlock();
    stage_making_end();
    errno = error;
}

int scene_making_segment(key_t key)
{
    int flags = 0;
    return stage_making_object(STAGE_SEGMENT, &key, &flags, 0);
}

int scene_making_semset(key_t key)
{
    int flags = 0;
    return stage_making_object(STAGE_SEMSET, &key, &flags, 0);
}

void scene_making_end(int place, int id)
{
    stage_making_object_end(place, id);
}

uint32_t scene_named_set_begin(void)
{
    struct stage_object object = describe(STAGE_NAMED_SET, scene_fresh_key(), 0);
    stage_lock();
    stage->named_set = (uint32_t)object.key;
    journal_add(&object);
    stage_unlock();
    return stage->named_set;
}

void scene_named_set_end(void)
{
    stage_lock();
    stage->named_set = 0;
    stage_unlock();
}
