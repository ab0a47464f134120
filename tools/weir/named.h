/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_NAMED_H
#define WEIR_TOOL_NAMED_H

/* Objects that the shell shares with programs: persistent segments of one kind. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/segment.h>

#include "object.h"

struct named {
    struct object object;
    struct weir_segment *segment;
    void *data;
    bool is_new;
};

/*
 * Opens what text names, or makes it: size_bytes, all 0, with mode (0: 0600). is_made false: only
 * what exists. STATUS_OK, or the status of what it has told. To be given to named_close().
 */
int named_open(struct named *named, const char *text, const char *kind, uint64_t size_bytes,
               uint32_t mode, bool is_made);
void named_close(struct named *named);

/* "12", "0.5": true, or the usage error is told. */
bool seconds_option(const char *option, const char *text, double *seconds);
int64_t seconds_deadline(double seconds); /* so many from now */
bool deadline_option(const char *option, const char *text, int64_t *deadline_ns);

/* What to say of an identity: "process 42", or "a process that cannot be seen from here". New memory. */
char *identity_format(uint64_t identity);

#endif
