/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_RUNDIR_H
#define WEIR_TESTS_RUNDIR_H

/* In a child: another run directory, and what has its name there. */

#include <stdlib.h>

#include "fixture.h"

static inline void use_directory(const char *path)
{
    CHECK(setenv("WEIR_DIR", path, 1) == 0);
}

static inline int create_named(struct weir_segment **segment, uint32_t lifetime,
                               uint32_t semaphores)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = lifetime;
    options.semaphores = semaphores;
    options.mode = 0660;
    return weir_segment_create(segment, weir_by_name("dir/test"), 5000, &options);
}

#endif
