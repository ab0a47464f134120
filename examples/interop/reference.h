/* SPDX-License-Identifier: MIT */
/* "posix:/NAME" or "key:NUMBER" from the command line, as the weir command takes them. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

static inline struct weir_ref reference(const char *text)
{
    if (text && strncmp(text, "posix:", 6) == 0)
        return weir_by_posix(text + 6);
    if (text && strncmp(text, "key:", 4) == 0)
        return weir_by_key((uint32_t)strtoul(text + 4, NULL, 0));
    fprintf(stderr, "the first argument is posix:/NAME or key:NUMBER\n");
    exit(2);
}

#endif
