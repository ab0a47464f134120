/* SPDX-License-Identifier: MIT */
#include "objects.h"

#include <dirent.h>

#include <weir/weir.h>

bool objects_count(struct objects *objects, const char *directory)
{
    struct weir_limits limits = { .size = sizeof limits };
    const struct dirent *entry;
    DIR *stream = opendir(directory);
    if (!stream)
        return false;
    objects->names = 0;
    while ((entry = readdir(stream)))
        objects->names += entry->d_name[0] != '.';
    closedir(stream);
    if (weir_limits(&limits) != 0)
        return false;
    objects->segments = (unsigned)limits.shm_used;
    objects->sets = (unsigned)limits.semset_used;
    return true;
}

void objects_print(FILE *table, struct objects before, const char *meanwhile, struct objects most,
                   struct objects after)
{
    fprintf(table,
            "\n| | segments | semaphore sets | names |\n|---|---|---|---|\n"
            "| before | %u | %u | %u |\n| %s | %u | %u | %u |\n| after | %u | %u | %u |\n",
            before.segments, before.sets, before.names, meanwhile, most.segments, most.sets,
            most.names, after.segments, after.sets, after.names);
}
