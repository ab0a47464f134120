/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SNAPSHOT_H
#define WEIR_TOOL_SNAPSHOT_H

/* What the kernel knows of a segment at one moment, and how it is shown. */

#include <stdbool.h>
#include <sys/shm.h>

#include "stage.h"

struct snapshot {
    bool exists;
    int id;
    struct shmid_ds ds;
};

void snapshot_take(struct snapshot *snapshot, int id);

/* struct shmid_ds by its fields; what differs is marked. */
void snapshot_show(struct text *text, const struct snapshot *before, const struct snapshot *after);

/* The line of /proc/PID/maps of each process of the scene. */
void snapshot_show_maps(struct text *text, int id);

/* The line that ipcs -m would print. */
void snapshot_show_ipcs(struct text *text, const struct snapshot *snapshot);

/* The identifier of the segment that the calling process has at address, or -1. */
int snapshot_id_at(const void *address);

#endif
