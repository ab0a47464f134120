/* SPDX-License-Identifier: MIT */
/* The scenes, in the order in which a learner would watch them. */
#include "scenes.h"

#include <stddef.h>

/* One a line, so that a new scene is one new line. */
/* clang-format off */
const struct scene *const scene_table[] = {
    &scene_seed,
    &scene_lifecycle,
    &scene_race,
    &scene_torn,
    &scene_init_race,
    &scene_crash,
    &scene_mutex_death,
    &scene_condition,
    &scene_latest,
    &scene_rmid,
    &scene_of_ftok,
    &scene_pointer,
    &scene_sigbus,
    NULL,
};
/* clang-format on */
