/* SPDX-License-Identifier: MIT */
/*
 * weir demo, with no argument: the textbook's parent and child, made right.
 *
 * The segment is made before the fork and is ephemeral: the kernel frees it with
 * its last user, also when both are killed in the same instant. The semaphore
 * lies in it and ends with it. Both lines go out by write(2): there is no buffer
 * that the fork could double, and the parent's line is out before the child is
 * told to read.
 */
#include "hello.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/segment.h>

#include "../command.h"

/* How soon the child notices that its parent is gone. */
#define SLICE_NS 50000000

/* The parent writes message before sem_post(); the child reads it after sem_wait(). */
struct hello {
    sem_t written;
    char message[64]; /* empty: the parent failed and has said why */
};

static int write_line(const char *line)
{
    size_t length = strlen(line), done = 0;
    while (done < length) {
        ssize_t n = write(STDOUT_FILENO, line + done, length - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return command_fail("cannot write the output: %s", strerror(n == 0 ? EIO : errno));
    }
    return STATUS_OK;
}

/* A killed parent posts nothing, so the child looks for it between short waits. */
static bool wait_for_message(struct hello *hello, pid_t parent)
{
    for (;;) {
        bool has_parent = getppid() == parent; /* first: what it posted before it went counts */
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += SLICE_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (sem_timedwait(&hello->written, &until) == 0)
            return true;
        if (!has_parent)
            return false;
    }
}

static int be_child(struct hello *hello, pid_t parent)
{
    if (!wait_for_message(hello, parent))
        return command_fail("the parent is gone, and has written nothing");
    if (hello->message[0] == '\0')
        return STATUS_FAILURE;
    char line[sizeof hello->message + 16];
    snprintf(line, sizeof line, "Child reads: %s\n", hello->message);
    return write_line(line);
}

static int wait_for_child(pid_t child)
{
    int wait_status = 0;
    while (waitpid(child, &wait_status, 0) < 0)
        if (errno != EINTR)
            return command_fail("cannot wait for the child: %s", strerror(errno));
    if (WIFSIGNALED(wait_status))
        return command_fail("the child was killed by signal %d (%s)", WTERMSIG(wait_status),
                            strsignal(WTERMSIG(wait_status)));
    return WEXITSTATUS(wait_status); /* not 0: the child has said why */
}

static int be_parent(struct hello *hello, pid_t child)
{
    snprintf(hello->message, sizeof hello->message, "Hello from parent via shared memory");
    int status = write_line("Parent writes message\n");
    if (status != STATUS_OK)
        hello->message[0] = '\0';
    sem_post(&hello->written);
    int child_status = wait_for_child(child);
    return status != STATUS_OK ? status : child_status;
}

static int talk(struct weir_segment *segment)
{
    struct hello *hello = weir_segment_data(segment);
    if (sem_init(&hello->written, 1, 0) != 0)
        return command_fail("cannot make a semaphore: %s", strerror(errno));
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        return command_fail("cannot start a child: %s", strerror(errno));
    if (child == 0)
        _exit(be_child(hello, parent));
    return be_parent(hello, child);
}

int hello_run(void)
{
    struct weir_segment *segment;
    if (weir_segment_create(&segment, weir_private(), sizeof(struct hello), NULL) != 0)
        return command_fail_weir();
    int status = talk(segment);
    weir_segment_close(segment);
    return status;
}
