/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_OBJECTS_H
#define WEIR_PROOF_OBJECTS_H

#include <stdbool.h>
#include <stdio.h>

/* What there is in this IPC namespace, and of names. */
struct objects {
    unsigned segments, sets, names;
};

/* directory: WEIR_DIR. False: they cannot be counted. */
bool objects_count(struct objects *objects, const char *directory);

/* As a table: before, meanwhile, which is called so, and after. */
void objects_print(FILE *table, struct objects before, const char *meanwhile, struct objects most,
                   struct objects after);

#endif
