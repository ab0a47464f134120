/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_OBJECT_H
#define WEIR_TOOL_OBJECT_H

/*
 * Objects as they are written on the command line:
 *
 *   NAME            a name of weir's
 *   key:0x1234      a System V key: of a segment, of a set, or of both
 *   id:42           the identifier of a segment
 *   sem:42          the identifier of a semaphore set: the kernel numbers the two apart
 *   ftok:PATH:PROJ  the key ftok(3) makes; the last colon separates, PROJ is 1 to 255 or one
 *                   character that is not a digit
 *   posix:/NAME     what shm_open(3) calls /NAME
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/inspect.h>
#include <weir/ref.h>

struct object {
    struct weir_ref ref;
    uint32_t type;  /* enum weir_object_type, or 0: it may be a segment or a set */
    char *argument; /* as it was given, escaped for messages; owned */
    char *path;     /* ftok's path, owned */
};

/* true, or the usage error is told. The text must outlive the object. */
bool object_parse(struct object *object, const char *text);
void object_free(struct object *object);

/*
 * The one object that is left on the command line once the options are read;
 * none, several or a wrong one is told as a usage error: false. To be given to
 * object_free().
 */
bool object_take_one(struct object *object, int argc, char **argv);

/* What inspection knows of an object, with memory for its texts. */
struct object_facts {
    struct weir_object object;
    char names[512];
};

/*
 * Finds the object of one type (enum weir_object_type); 0, -ENOENT, or another
 * -errno, with the sentence in weir_last_error().
 */
int object_find(const struct object *object, uint32_t type, struct object_facts *facts);

/* weir_last_error() of a call with this object; of a missing "42", that id:42 is another. */
int object_fail(const struct object *object, int result);

/*
 * Finds the one object that is meant and tells the error if there is none, or if
 * a key has both a segment and a set. STATUS_OK or STATUS_FAILURE.
 */
int object_find_one(const struct object *object, struct object_facts *facts);

/* The argument that means this object: "NAME", "id:42", "sem:42", "posix:/NAME". New memory. */
char *object_argument(const struct weir_object *object);

/*
 * Removes what killed processes left, without a word: so that the user sees, and
 * finds room in, the world as it is. Every command that touches objects starts
 * with it; 'gc' itself, and those that only explain or diagnose, do not. False
 * when the run directory cannot be used: weir_last_error() says why.
 */
bool object_collect_leftovers(void);

#endif
