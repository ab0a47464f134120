/* SPDX-License-Identifier: MIT */
/*
 * kill_making - for LD_PRELOAD: SIGKILL between an object's making and the next instruction.
 *
 * The WEIR_KILL_AT-th shmget(2) or semget(2) that makes an object, counted over all processes by
 * the bytes of the file WEIR_KILL_COUNT, returns nowhere: its whole process group is killed. With
 * WEIR_KILL_HALTS the process is stopped instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void count_one(void)
{
    const char *path = getenv("WEIR_KILL_COUNT"), *at = getenv("WEIR_KILL_AT");
    struct stat info;
    int fd = path && at ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (write(fd, ".", 1) == 1 && fstat(fd, &info) == 0 && info.st_size == atol(at)) {
        if (getenv("WEIR_KILL_HALTS"))
            raise(SIGSTOP);
        else
            kill(0, SIGKILL);
    }
    close(fd);
}

static int finish(long id, key_t key, int flags)
{
    int error = errno;
    if (id >= 0 && (key == IPC_PRIVATE || (flags & IPC_CREAT)))
        count_one();
    errno = error;
    return (int)id;
}

int shmget(key_t key, size_t size_bytes, int flags)
{
    return finish(syscall(SYS_shmget, key, size_bytes, flags), key, flags);
}

int semget(key_t key, int count, int flags)
{
    return finish(syscall(SYS_semget, key, count, flags), key, flags);
}
