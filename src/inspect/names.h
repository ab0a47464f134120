/* SPDX-License-Identifier: MIT */
#ifndef WEIR_INSPECT_NAMES_H
#define WEIR_INSPECT_NAMES_H

/*
 * What weir's run directories say of the kernel's objects.
 *
 * The caller's own run directory gives names. The default ones of other users,
 * and the caller's own default one while WEIR_DIR says another, give no names
 * (they would not be found here), but what stands there is weir's and no orphan.
 * Where such a directory may not be read, nothing of its user is called orphan.
 *
 * A record is believed only where the kernel agrees (id, key, size, creator), and
 * when its file belongs to the creator of the object, or to root.
 */

#include <stdbool.h>
#include <stddef.h>

#include "inspect/walk.h"
#include "segment/entry.h"

struct weir__names_entry {
    struct weir__entry entry;
    bool has_header; /* the entry is a name's: its segment begins with weir's header */
    bool is_named;   /* name is set: a name that opens the object here */
    bool is_foreign; /* of another run directory */
    char name[WEIR__ENTRY_NAME_BYTES];
};

struct weir__names {
    struct weir__names_entry *items;
    size_t count, capacity;
    uint32_t *hidden; /* users whose run directory may not be read */
    size_t hidden_count;
    bool is_unknown; /* the own directory could not be read: nothing is called orphan */
};

/* Reads all there is; what cannot be read is left out. -ENOMEM. */
int weir__names_read(struct weir__names *names);
void weir__names_free(struct weir__names *names);

/*
 * Adds to a segment or set what the names say: name, kind, lifetime, weirs, and
 * the state. object->name and kind then point into names.
 */
void weir__names_join(const struct weir__names *names, struct weir__seen *seen);

#endif
