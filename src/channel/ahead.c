/* SPDX-License-Identifier: MIT */
#include "channel/ahead.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "segment/pages.h"

/* Of more than this of others' memory, all together, only what is there already is touched ahead. */
#define LARGE_BYTES (UINT64_C(64) << 20)

/*
 * Whether all of a large segment is present already, so that to touch it all takes no
 * memory: a liar's may be of terabytes, and empty. What cannot be known is "no".
 */
static bool is_present(int id)
{
    char line[256];
    int found = -1;
    unsigned long size = 1, present = 0, swapped = 0;
    FILE *table = fopen("/proc/sysvipc/shm", "re");
    if (!table)
        return false;
    while (found != id && fgets(line, sizeof line, table)) {
        if (sscanf(line, "%*d %d %*o %lu %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu %lu", &found,
                   &size, &present, &swapped) != 4)
            found = -1;
    }
    fclose(table);
    return found == id && present + swapped >= size;
}

/*
 * The same by the mapping, without a line for each segment of the host: of thousands of members each would
 * read those of all. Only of this user's own: of what may not be written the kernel says that all is there
 * (mincore(2), since Linux 5.2). false, too, where some of it is swapped out.
 */
static bool is_mapped_in(const void *memory, uint64_t size_bytes)
{
    unsigned char pages[1024];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), piece = sizeof pages * page;
    uintptr_t at = (uintptr_t)memory & ~(uintptr_t)(page - 1), end = (uintptr_t)memory + size_bytes;
    for (; at < end; at += piece) {
        size_t bytes = end - at < piece ? end - at : piece;
        if (mincore((void *)at, bytes, pages) != 0)
            return false;
        for (size_t i = 0; i < (bytes + page - 1) / page; i++)
            if (!(pages[i] & 1))
                return false;
    }
    return true;
}

struct weir__ahead weir__ahead_of(int id, const struct shmid_ds *found, uint64_t *touched_bytes)
{
    uid_t maker = found->shm_perm.cuid;
    struct weir__ahead ahead = { .id = id,
                                 .is_own = maker == geteuid() && weir__uid_is_told(maker) };
    if (!touched_bytes)
        return ahead;
    ahead.is_wanted = true;
    ahead.is_affordable = *touched_bytes + found->shm_segsz <= LARGE_BYTES;
    if (ahead.is_affordable)
        *touched_bytes += found->shm_segsz;
    return ahead;
}

int weir__ahead_bring(const struct weir__ahead *ahead, struct weir_segment *memory)
{
    uint32_t pages;
    void *data = weir_segment_data(memory);
    uint64_t size_bytes = weir_segment_size(memory);
    if (!ahead->is_wanted)
        return 0;
    if (!ahead->is_affordable && !(ahead->is_own && is_mapped_in(data, size_bytes)) &&
        !is_present(ahead->id))
        return 0;
    return weir__pages_apply(data, size_bytes, WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_PREFAULT,
                             &pages);
}
