/* SPDX-License-Identifier: MIT */
/* The walk over everything that is shared: gathers, judges, shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/names.h"
#include "inspect/walk.h"

static int gather(struct weir__seen_list *list, uint32_t types)
{
    int result = 0;
    if (types & WEIR_OBJECT_SEGMENT)
        result = weir__walk_segments(list);
    if (result == 0 && types & WEIR_OBJECT_SEMSET)
        result = weir__walk_semsets(list);
    if (result == 0 && types & WEIR_OBJECT_POSIX)
        result = weir__walk_posix(list);
    return result;
}

int weir_inspect(uint32_t types, int (*visit)(const struct weir_object *object, void *argument),
                 void *argument)
{
    struct weir__seen_list list = { NULL, 0, 0 };
    struct weir__names names = { .items = NULL };
    int result = gather(&list, types);
    if (result == 0 && types & (WEIR_OBJECT_SEGMENT | WEIR_OBJECT_SEMSET))
        result = weir__names_read(&names);
    for (size_t i = 0; result == 0 && i < list.count; i++) {
        struct weir__seen *seen = &list.items[i];
        seen->object.state = WEIR_STATE_IDLE;
        if (seen->object.type != WEIR_OBJECT_POSIX)
            weir__names_join(&names, seen);
        result = visit(&seen->object, argument);
    }
    weir__names_free(&names);
    weir__seen_free(&list);
    return result;
}

const char *weir_state_name(uint32_t state)
{
    switch (state) {
    case WEIR_STATE_LIVE:
        return "live";
    case WEIR_STATE_ORPHAN:
        return "orphan";
    default:
        return "idle";
    }
}
