/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

enum { WRITTEN, SEMAPHORES };

static void check(int result)
{
    if (result < 0) {
        fprintf(stderr, "%s\n", weir_last_error());
        exit(EXIT_FAILURE);
    }
}

/* A wait at a semaphore ends with -EINTR when a signal handler has run, and also when the process
 * was stopped and goes on (Ctrl-Z, then fg). Nothing is taken then: wait again. */
static void wait_for(struct weir_semset *semaphores, uint32_t index)
{
    int64_t deadline_ns = weir_deadline_ns(5000000000); /* five seconds from now */
    int result;

    do
        result = weir_semset_wait_until(semaphores, index, 0, deadline_ns);
    while (result == -EINTR);
    check(result);
}

int main(int argc, char **argv)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;

    options.semaphores = SEMAPHORES;
    check(weir_segment_create(&segment, weir_private(), 1024, &options));
    char *message = weir_segment_data(segment);
    struct weir_semset *semaphores = weir_segment_semset(segment);

    pid_t pid = fork();
    if (pid == -1) {
        perror("fork");
        return EXIT_FAILURE;
    }
    if (pid > 0) {
        if (argc > 1 && strcmp(argv[1], "dies") == 0)
            raise(SIGKILL); /* as kill -9 from outside, before it has written */
        snprintf(message, weir_segment_size(segment), "Hello from parent via shared memory");
        printf("Parent writes message\n");
        fflush(stdout);
        check(weir_semset_post(semaphores, WRITTEN, 0));
        wait(NULL);
    } else {
        wait_for(semaphores, WRITTEN);
        printf("Child reads: %s\n", message);
    }
    weir_segment_close(segment);
    return EXIT_SUCCESS;
}
