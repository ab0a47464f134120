/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_NAMED_H
#define WEIR_TOOL_NAMED_H

/* Objects that the shell shares with programs: persistent segments of one kind. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/segment.h>

#include "object.h"

/* What 'weir lock' makes; 'weir rm' looks whether it is held. */
#define MUTEX_KIND "mutex"

/* Who else may have it, and whose it may be. */
struct named_access {
    uint32_t mode; /* of a new one; 0: 0600 */
    uint32_t gid;  /* of a new one, if has_gid */
    bool has_gid;
    bool any_owner; /* what another user made is taken, too */
};

#define NAMED_ANY_OWNER 0x3000
#define NAMED_GID 0x3001
#define NAMED_LONG_OPTIONS                                                                         \
    { "any-owner", no_argument, NULL, NAMED_ANY_OWNER },                                           \
        { "gid", required_argument, NULL, NAMED_GID },                                             \
    {                                                                                              \
        "mode", required_argument, NULL, 'm'                                                       \
    }

/* For the help: behind "Options:". */
#define NAMED_HELP                                                                                 \
    "  -m, --mode=MODE     of a new one: permission bits in octal; 0600 unless said\n"             \
    "      --gid=GROUP     of a new one: give it to a group, a name or a number\n"                 \
    "      --any-owner     also one of other users\n"

/* One of these, or command_option(). True to go on; else *status is what the command returns. */
bool named_option(struct named_access *access, int option, const char *argument, int *status);

/* Of a segment that is opened, or made, so: persistent, if it is made. */
struct weir_segment_options named_options(const char *kind, const struct named_access *access);

struct named {
    struct object object;
    struct weir_segment *segment;
    void *data;
    bool is_new;
};

/* What a command keeps in such segments. */
struct named_kind {
    const char *name;
    uint64_t size_bytes;
    /* Why this cannot be one, what is there being anything; NULL: it may be. Reads, and writes nothing. */
    const char *(*contradiction)(const void *data);
};

enum named_how {
    NAMED_LOOK, /* what exists, mapped for reading only */
    NAMED_MAKE, /* or a new one, all 0 */
};

/*
 * Opens what text names. What cannot be of the kind is told and not written to. STATUS_OK, or the
 * status of what it has told. To be given to named_close().
 */
int named_open(struct named *named, const char *text, const struct named_kind *kind,
               const struct named_access *access, enum named_how how);
void named_close(struct named *named);

/* "12", "0.5": true, or the usage error is told. */
bool seconds_option(const char *option, const char *text, double *seconds);
int64_t seconds_deadline(double seconds); /* so many from now */
bool deadline_option(const char *option, const char *text, int64_t *deadline_ns);

/* What to say of an identity: "process 42", or "a process that cannot be seen from here". New memory. */
char *identity_format(uint64_t identity);

#endif
