/* SPDX-License-Identifier: MIT */
/* What all the programs of this folder have agreed upon: 64 bytes. */
#ifndef NOTE_H
#define NOTE_H

#include <stdint.h>

struct note {
    uint32_t count; /* how often it was written */
    char text[60];  /* ends with a NUL, unless it is full */
};

#endif
