/* SPDX-License-Identifier: MIT */
/* Which backend a reference means, and the table of System V. */
#include "segment/backend.h"

#include "base/unforked.h"
#include "segment/pages.h"
#include "segment/sysv.h"

static int attach_and_hide(const struct weir_segment *segment, void *address, uint32_t flags,
                           void **memory)
{
    struct shmid_ds found;
    int result = weir__shm_attach(segment->id, weir__segment_base(segment, address),
                                  flags & WEIR_SEGMENT_READ_ONLY, memory);
    if (result != 0)
        return result;
    result = weir__sysv_look(segment, &found);
    if (result == 0)
        result = weir__pages_hide(*memory, segment->segsz, flags);
    if (result != 0)
        shmdt(*memory);
    return result;
}

static int map_sysv(const struct weir_segment *segment, void *address, uint32_t flags,
                    void **memory)
{
    int entered = weir__unforked_enter(flags & WEIR_SEGMENT_NO_FORK);
    int result = attach_and_hide(segment, address, flags, memory);
    weir__unforked_leave(entered);
    return result;
}

static void unmap_sysv(const struct weir_segment *segment, void *memory)
{
    (void)segment;
    shmdt(memory);
}

const struct weir__backend weir__backend_sysv = {
    .number = WEIR_BACKEND_SYSV,
    .check = weir__sysv_check,
    .create = weir__sysv_create,
    .open = weir__sysv_open,
    .map = map_sysv,
    .unmap = unmap_sysv,
    .stat = weir__sysv_stat,
    .lookup = weir__sysv_lookup,
    .remove = weir__sysv_remove,
};

const struct weir__backend *weir__backend_of(struct weir_ref ref)
{
    switch (ref.by) {
    case WEIR_BY_POSIX:
        return &weir__backend_posix;
    case WEIR_BY_MEMFD:
    case WEIR_BY_FD:
        return &weir__backend_memfd;
    default:
        return &weir__backend_sysv;
    }
}
