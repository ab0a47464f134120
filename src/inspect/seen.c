/* SPDX-License-Identifier: MIT */
/* The list that the walks gather into. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "inspect/walk.h"

struct weir__seen *weir__seen_add(struct weir__seen_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct weir__seen *items = realloc(list->items, capacity * sizeof *items);
        if (!items) {
            weir__fail(ENOMEM, "no memory for a list of %zu objects", capacity);
            return NULL;
        }
        list->items = items;
        list->capacity = capacity;
    }
    struct weir__seen *seen = &list->items[list->count++];
    memset(seen, 0, sizeof *seen);
    return seen;
}

void weir__seen_free(struct weir__seen_list *list)
{
    /* System V objects borrow their name from the names that were read. */
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].object.type == WEIR_OBJECT_POSIX)
            free((void *)(uintptr_t)list->items[i].object.name);
    free(list->items);
    *list = (struct weir__seen_list){ NULL, 0, 0 };
}
