/* SPDX-License-Identifier: MIT */
/* The calls on semaphore sets, told with the values before and after. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include <weir/clock.h>

#include "calls.h"
#include "told.h"

/* The textbook has its caller define this union; under another name it is the same. */
union argument {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

int scene_semget(key_t key, int count, int flags)
{
    int place = stage_making_object(STAGE_SEMSET, &key, &flags, (uint64_t)count);
    int id = semget(key, count, flags);
    int error = errno;
    stage_making_object_end(place, id);
    if (told_is_on()) {
        char call[128], result[96], key_text[24], flag_text[64];
        told_key(key_text, sizeof key_text, key);
        told_flags(flag_text, sizeof flag_text, flags);
        snprintf(call, sizeof call, "semget(%s, %d, %s)", key_text, count, flag_text);
        told_result(result, sizeof result, id, error);
        scene_told(call, result);
    }
    errno = error;
    return id;
}

static void put_operations(char *out, size_t room, const struct sembuf *operations, size_t count)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && length < room; i++) {
        const struct sembuf *op = &operations[i];
        int n = snprintf(out + length, room - length, "%s{%u, %+d, %s%s%s}", i ? ", " : "",
                         op->sem_num, op->sem_op, op->sem_flg & IPC_NOWAIT ? "IPC_NOWAIT" : "",
                         (op->sem_flg & IPC_NOWAIT) && (op->sem_flg & SEM_UNDO) ? " | " : "",
                         op->sem_flg & SEM_UNDO     ? "SEM_UNDO"
                         : op->sem_flg & IPC_NOWAIT ? ""
                                                    : "0");
        length += n > 0 ? (size_t)n : 0;
    }
}

/* Told before the call when it will have to wait, so that the page shows who waits for what. */
static void tell_wait(int id, const char *call, const struct sembuf *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int value = semctl(id, operations[i].sem_num, GETVAL);
        bool waits = operations[i].sem_op == 0 ? value > 0 : value + operations[i].sem_op < 0;
        if (value < 0 || !waits || (operations[i].sem_flg & IPC_NOWAIT))
            continue;
        struct text text;
        told_begin(&text, call, NULL);
        text_add(&text, "      semaphore %u is %d: it has to wait\n", operations[i].sem_num, value);
        told_end(&text);
        return;
    }
}

static void show_values(struct text *text, int id, const struct sembuf *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned index = operations[i].sem_num;
        int value = semctl(id, (int)index, GETVAL);
        if (value < 0)
            continue;
        text_add(text, "      semaphore %u: %s%d%s (semncnt %d wait for more, sempid %d)\n", index,
                 text_bold(), value, text_plain(), semctl(id, (int)index, GETNCNT),
                 semctl(id, (int)index, GETPID));
    }
}

int scene_semop(int id, struct sembuf *operations, size_t count)
{
    if (!told_is_on())
        return semop(id, operations, count);
    char call[256], list[192], result[160];
    put_operations(list, sizeof list, operations, count);
    snprintf(call, sizeof call, "semop(%d, %s, %zu)", id, list, count);
    tell_wait(id, call, operations, count);
    int64_t start_ns = weir_now_ns();
    int status = semop(id, operations, count);
    int error = errno;
    int64_t waited_ms = (weir_now_ns() - start_ns) / 1000000;
    told_result(result, sizeof result, status, error);
    if (waited_ms > 0)
        snprintf(result + strlen(result), sizeof result - strlen(result), " after %lld ms",
                 (long long)waited_ms);
    struct text text;
    told_begin(&text, call, result);
    show_values(&text, id, operations, count);
    told_end(&text);
    errno = error;
    return status;
}

static bool has_argument(int command)
{
    return command == SETVAL || command == SETALL || command == GETALL || command == IPC_STAT ||
           command == IPC_SET;
}

int scene_semctl(int id, int index, int command, ...)
{
    union argument argument = { 0 };
    if (has_argument(command)) {
        va_list arguments;
        va_start(arguments, command);
        argument = va_arg(arguments, union argument);
        va_end(arguments);
    }
    int status = semctl(id, index, command, argument);
    int error = errno;
    if (status == 0 && command == IPC_RMID) {
        stage_lock();
        stage_object_drop(STAGE_SEMSET, id);
        stage_unlock();
    }
    if (told_is_on()) {
        char call[128], result[96], value[16] = "";
        if (command == SETVAL)
            snprintf(value, sizeof value, ", %d", argument.val);
        snprintf(call, sizeof call, "semctl(%d, %d, %s%s)", id, index, told_command_name(command),
                 value);
        told_result(result, sizeof result, status, error);
        scene_told(call, result);
    }
    errno = error;
    return status;
}
