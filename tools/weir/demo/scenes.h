/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SCENES_H
#define WEIR_TOOL_SCENES_H

/* Every scene, by the file that has it: scene_NAME.c. */

#include "scene.h"

extern const struct scene scene_condition;
extern const struct scene scene_crash;
extern const struct scene scene_init_race;
extern const struct scene scene_latest;
extern const struct scene scene_lifecycle;
extern const struct scene scene_mutex_death;
extern const struct scene scene_of_ftok; /* scene_ftok() is the told call */
extern const struct scene scene_pointer;
extern const struct scene scene_race;
extern const struct scene scene_rmid;
extern const struct scene scene_seed;
extern const struct scene scene_sigbus;
extern const struct scene scene_torn;

/*
 * The second program of the scene 'pointer': true when the command was called as
 * that, and then *status is its exit status.
 */
bool scene_pointer_reader(int argc, char **argv, int *status);

#endif
