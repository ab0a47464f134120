/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SCENES_H
#define WEIR_TOOL_SCENES_H

/* Every scene, by the file that has it: scene_NAME.c. */

#include "scene.h"

extern const struct scene scene_crash;
extern const struct scene scene_lifecycle;
extern const struct scene scene_rmid;

#endif
