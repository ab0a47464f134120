/* SPDX-License-Identifier: MIT */
/* note.h - what put.c and take.c agree upon */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#define NOTE_NAME "tutorial/note"

struct note {
    char message[1000];
};

enum { WRITTEN, TAKEN, SEMAPHORES };

static inline void check(int result)
{
    if (result < 0) {
        fprintf(stderr, "%s\n", weir_last_error());
        exit(EXIT_FAILURE);
    }
}

/* A wait at a semaphore ends with -EINTR when a signal handler has run, and also when the process
 * was stopped and goes on (Ctrl-Z, then fg). Nothing is taken then: wait again. */
static inline void wait_for(struct weir_semset *semaphores, uint32_t index)
{
    int result;

    do
        result = weir_semset_wait(semaphores, index, 0);
    while (result == -EINTR);
    check(result);
}
