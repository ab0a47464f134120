/* SPDX-License-Identifier: MIT */
#include "locked.h"

#include <weir/segment.h>

#include "calls.h"

int locked_create(struct weir_segment **segment, uint64_t size_bytes)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    const uint16_t one = 1;
    options.semaphores = 1;
    options.semaphore_values = &one;
    scene_making_begin();
    int error = weir_segment_create(segment, weir_private(), size_bytes, &options);
    if (error == 0 && weir_segment_stat(*segment, &stat) == 0 && stat.semset_id >= 0)
        scene_watch_semset(stat.semset_id);
    scene_making_end();
    return error;
}
