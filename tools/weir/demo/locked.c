/* SPDX-License-Identifier: MIT */
#include "locked.h"

#include <errno.h>

#include <weir/segment.h>
#include <weir/semset.h>

#include "calls.h"

int locked_create(struct weir_segment **segment, uint64_t size_bytes)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    const uint16_t one = 1;
    options.semaphores = 1;
    options.semaphore_values = &one;
    int place = scene_making_semset(IPC_PRIVATE);
    int error = weir_segment_create(segment, weir_private(), size_bytes, &options);
    int id = -1;
    if (error == 0 && weir_segment_stat(*segment, &stat) == 0)
        id = stat.semset_id;
    scene_making_end(place, id);
    return error;
}

int locked_take(struct weir_semset *lock)
{
    int result;
    do
        result = weir_semset_wait(lock, 0, WEIR_SEM_UNDO);
    while (result == -EINTR);
    return result;
}
