/* SPDX-License-Identifier: MIT */
/* note.h - what put.c and take.c agree upon */
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
