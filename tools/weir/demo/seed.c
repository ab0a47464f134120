/* SPDX-License-Identifier: MIT */
/* Runs examples/textbook/seed.c and seed_right.c as they are. */
#include "seed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>

#include "calls.h"
#include "stage.h"

#define WAIT_LIMIT_MS 10000

/* In the program's processes. */
static struct seed_notes *notes;
static unsigned stops;

/* The child lives on when its parent dies, as it would outside: that is one of the faults. */
static pid_t noted_fork(void)
{
    pid_t pid = scene_fork_free("child");
    if (pid > 0)
        notes->child = pid;
    return pid;
}

static int noted_shmget(key_t key, size_t size_bytes, int flags)
{
    int place = stage_making_object(STAGE_SEGMENT, &key, &flags, size_bytes);
    int id = shmget(key, size_bytes, flags);
    notes->id = id;
    stage_making_object_end(place, id);
    return id;
}

/* Whoever attaches last is the reader. */
static void *noted_shmat(int id, const void *address, int flags)
{
    notes->read_ns = weir_now_ns();
    return shmat(id, address, flags);
}

/*
 * As strcpy(3), in a build with sanitizers too: where the program writes to an
 * address that is none, the kernel shall stop it, as it does outside.
 */
__attribute__((no_sanitize("address", "undefined"))) static void copy_text(volatile char *to,
                                                                           const char *from)
{
    while ((*to++ = *from++) != '\0')
        ;
}

static char *noted_strcpy(char *to, const char *from)
{
    if (stops & SEED_STOP_BEFORE)
        raise(SIGSTOP);
    copy_text(to, from);
    notes->written_ns = weir_now_ns();
    if (stops & SEED_STOP_AFTER)
        raise(SIGSTOP);
    return to;
}

#define fork() noted_fork()
#define shmget(key, size, flags) noted_shmget(key, size, flags)
#define shmat(id, address, flags) noted_shmat(id, address, flags)
#undef strcpy
#define strcpy(to, from) noted_strcpy(to, from)
#define main seed_main
static int seed_main(void);
#include "../../../examples/textbook/seed.c"
#undef main
#define main seed_right_main
static int seed_right_main(void);
#include "../../../examples/textbook/seed_right.c"
#undef main
#undef fork
#undef shmget
#undef shmat
#undef strcpy

static _Noreturn void be_program(const struct seed_run *run, unsigned flags, int output)
{
    notes = run->notes;
    stops = flags;
    if (chdir(run->directory) != 0)
        _exit(127);
    dup2(output, STDOUT_FILENO);
    if (flags & SEED_UMASK)
        umask(077);
    if (flags & SEED_HEADING)
        printf("A program about shared memory\n");
    /* Both of its processes come back here, with their own copy of stdout's buffer. */
    scene_exit(flags & SEED_RIGHT ? seed_right_main() : seed_main());
}

bool seed_prepare(struct seed_run *run, unsigned flags)
{
    static int number;
    memset(run, 0, sizeof *run);
    run->output = -1;
    snprintf(run->directory, sizeof run->directory, "run%d", ++number % 1000);
    if (mkdir(run->directory, 0755) != 0)
        return false;
    char path[32];
    snprintf(path, sizeof path, "%s/shmfile", run->directory);
    int fd = flags & SEED_NO_FILE ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    run->notes =
        mmap(NULL, sizeof *run->notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->notes == MAP_FAILED)
        return false;
    run->notes->id = -1;
    return true;
}

bool seed_start(struct seed_run *run, unsigned flags)
{
    int ends[2];
    if ((!run->notes && !seed_prepare(run, flags)) || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    run->start_ns = weir_now_ns();
    run->parent = scene_fork("parent");
    if (run->parent == 0) {
        close(ends[0]);
        be_program(run, flags, ends[1]);
    }
    close(ends[1]);
    run->output = ends[0];
    return run->parent > 0;
}

bool seed_wait_stopped(const struct seed_run *run)
{
    int wait_status = 0;
    while (waitpid(run->parent, &wait_status, WUNTRACED) < 0)
        if (errno != EINTR)
            return false;
    return WIFSTOPPED(wait_status);
}

/* One more piece of output; false at its end. */
static bool read_some(struct seed_run *run)
{
    size_t used = strlen(run->text);
    struct pollfd pollfd = { .fd = run->output, .events = POLLIN };
    if (run->output < 0 || used + 1 >= sizeof run->text || poll(&pollfd, 1, WAIT_LIMIT_MS) != 1)
        return false;
    ssize_t n = read(run->output, run->text + used, sizeof run->text - used - 1);
    if (n <= 0)
        return false;
    run->text[used + (size_t)n] = '\0';
    return true;
}

static bool has_line(const char *output, const char *text)
{
    size_t length = strlen(text);
    while (output && strncmp(output, text, length) != 0) {
        output = strchr(output, '\n');
        if (output)
            output++;
    }
    return output != NULL;
}

bool seed_read_until(struct seed_run *run, const char *text)
{
    while (!has_line(run->text, text))
        if (!read_some(run))
            return false;
    return true;
}

bool seed_has_output(const struct seed_run *run)
{
    struct pollfd pollfd = { .fd = run->output, .events = POLLIN };
    return run->text[0] != '\0' || (poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLIN));
}

static void drop(pid_t pid)
{
    stage_lock();
    stage_actor_drop(pid);
    stage_unlock();
}

int seed_reap_parent(struct seed_run *run)
{
    int wait_status = 0;
    if (run->parent <= 0)
        return 0;
    while (waitpid(run->parent, &wait_status, 0) < 0 && errno == EINTR)
        ;
    drop(run->parent);
    run->parent = 0;
    return wait_status;
}

int seed_finish(struct seed_run *run)
{
    while (read_some(run))
        ;
    run->end_ns = weir_now_ns();
    return seed_reap_parent(run);
}

void seed_clear(struct seed_run *run)
{
    if (run->parent > 0) {
        kill(run->parent, SIGKILL);
        seed_reap_parent(run);
    }
    /* The scene is its subreaper: without a parent it has become our child, and is not reused. */
    pid_t child = run->notes->child;
    if (child > 0 && waitpid(child, NULL, WNOHANG) == 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    drop(child);
    if (run->output >= 0)
        close(run->output);
    run->output = -1;
    scene_mute(true);
    if (run->notes->id >= 0)
        scene_shmctl(run->notes->id, IPC_RMID, NULL);
    scene_mute(false);
    munmap(run->notes, sizeof *run->notes);
    run->notes = NULL;
}
