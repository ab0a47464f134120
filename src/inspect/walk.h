/* SPDX-License-Identifier: MIT */
#ifndef WEIR_INSPECT_WALK_H
#define WEIR_INSPECT_WALK_H

/*
 * The parts of floor 4. What the kernel has is gathered first, and who is dead is
 * asked in the same moment; weir's names are read after that. So a segment whose
 * creator was dead when it was gathered, and that has no name afterwards, never
 * gets one: a creator publishes the name before it ends.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/inspect.h>

/* One object as it was gathered. */
struct weir__seen {
    struct weir_object object; /* name points to heap memory that weir__seen_free() gives back */
    bool creator_dead;         /* the creator's pid is known, and no process has it */
};

struct weir__seen_list {
    struct weir__seen *items;
    size_t count;
    size_t capacity;
};

/* Room for one more, all zero; NULL when there is no memory (with the sentence left). */
struct weir__seen *weir__seen_add(struct weir__seen_list *list);
void weir__seen_free(struct weir__seen_list *list);

/* Each adds its objects in the order that weir_inspect() promises. 0 or -errno. */
int weir__walk_segments(struct weir__seen_list *list);
int weir__walk_semsets(struct weir__seen_list *list);
int weir__walk_posix(struct weir__seen_list *list);

/* One of them: 0, or -ENOENT when nothing has this id. */
int weir__look_segment(int id, struct weir__seen *seen);
int weir__look_semset(int id, struct weir__seen *seen);
/* By POSIX name, with the sentence of a failure. Its name is the reference's own text. */
int weir__look_posix(struct weir_ref ref, struct weir__seen *seen);

#endif
