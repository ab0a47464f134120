/* SPDX-License-Identifier: MIT */
/* The calls on shared memory, told with what they change in struct shmid_ds. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "calls.h"
#include "snapshot.h"
#include "told.h"

static void show_all(struct text *text, const struct snapshot *before, const struct snapshot *after)
{
    if (!before->exists && !after->exists)
        return;
    snapshot_show(text, before, after);
    if (after->exists)
        snapshot_show_maps(text, after->id);
    snapshot_show_ipcs(text, after);
}

static void tell(const char *call, const char *result, const struct snapshot *before,
                 const struct snapshot *after)
{
    struct text text;
    told_begin(&text, call, result);
    show_all(&text, before, after);
    told_end(&text);
}

void scene_show_segment(int id)
{
    if (!told_is_on())
        return;
    struct snapshot now;
    struct text text = { 0 };
    stage_lock();
    snapshot_take(&now, id);
    show_all(&text, &now, &now);
    if (!now.exists)
        text_add(&text, "      no segment has the identifier %d\n", id);
    text_add(&text, "\n");
    text_write(&text);
    stage_unlock();
}

key_t scene_ftok(const char *path, int project)
{
    key_t key = ftok(path, project);
    int error = errno;
    char call[192], result[96];
    snprintf(call, sizeof call, "ftok(\"%.100s\", %d)", path, project);
    if (key == -1)
        told_result(result, sizeof result, -1, error);
    else
        told_key(result, sizeof result, key);
    scene_told(call, result);
    errno = error;
    return key;
}

/* What stood under the key before; a private key stands for nothing. */
static void take_by_key(struct snapshot *snapshot, key_t key)
{
    snapshot_take(snapshot, key == IPC_PRIVATE ? -1 : shmget(key, 0, 0));
}

int scene_shmget(key_t key, size_t size_bytes, int flags)
{
    struct snapshot before, after;
    take_by_key(&before, key);
    int place = stage_making_object(STAGE_SEGMENT, &key, &flags, size_bytes);
    int id = shmget(key, size_bytes, flags);
    int error = errno;
    stage_making_object_end(place, id);
    if (told_is_on()) {
        char call[128], result[96], key_text[24], flag_text[64];
        told_key(key_text, sizeof key_text, key);
        told_flags(flag_text, sizeof flag_text, flags);
        snprintf(call, sizeof call, "shmget(%s, %zu, %s)", key_text, size_bytes, flag_text);
        told_result(result, sizeof result, id, error);
        snapshot_take(&after, id >= 0 ? id : before.id); /* refused: what is there stays */
        tell(call, result, &before, &after);
    }
    errno = error;
    return id;
}

void *scene_shmat(int id, const void *address, int flags)
{
    struct snapshot before, after;
    snapshot_take(&before, id);
    void *data = shmat(id, address, flags);
    int error = errno;
    if (told_is_on()) {
        char call[128], result[96], address_text[32] = "NULL";
        if (address)
            snprintf(address_text, sizeof address_text, "%p", address);
        snprintf(call, sizeof call, "shmat(%d, %s, %s%s)", id, address_text,
                 flags & SHM_RDONLY ? "SHM_RDONLY" : "0", flags & SHM_RND ? " | SHM_RND" : "");
        told_result(result, sizeof result, (long)data, error);
        if ((long)data != -1)
            snprintf(result, sizeof result, "%p", data);
        snapshot_take(&after, id);
        tell(call, result, &before, &after);
    }
    errno = error;
    return data;
}

int scene_shmdt(const void *address)
{
    struct snapshot before, after;
    int id = snapshot_id_at(address);
    snapshot_take(&before, id);
    int status = shmdt(address);
    int error = errno;
    if (told_is_on()) {
        char call[64], result[96];
        snprintf(call, sizeof call, "shmdt(%p)", address);
        told_result(result, sizeof result, status, error);
        snapshot_take(&after, id);
        tell(call, result, &before, &after);
    }
    errno = error;
    return status;
}

int scene_shmctl(int id, int command, struct shmid_ds *ds)
{
    struct snapshot before, after;
    snapshot_take(&before, id);
    int status = shmctl(id, command, ds);
    int error = errno;
    snapshot_take(&after, id);
    if (status == 0 && command == IPC_RMID && !after.exists) {
        stage_lock();
        stage_object_drop(STAGE_SEGMENT, id);
        stage_unlock();
    }
    /* A look that succeeds is not told: the block of each call shows it anyway. */
    if (told_is_on() && !(command == IPC_STAT && status == 0)) {
        char call[96], result[96];
        snprintf(call, sizeof call, "shmctl(%d, %s, %s)", id, told_command_name(command),
                 ds ? "&ds" : "NULL");
        told_result(result, sizeof result, status, error);
        tell(call, result, &before, &after);
    }
    errno = error;
    return status;
}
