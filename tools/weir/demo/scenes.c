/* SPDX-License-Identifier: MIT */
/* The scenes, in the order in which a learner would watch them. */
#include "scenes.h"

#include <stddef.h>

const struct scene *const scene_table[] = {
    &scene_lifecycle,
    &scene_crash,
    &scene_rmid,
    NULL,
};
