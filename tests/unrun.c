/* SPDX-License-Identifier: MIT */
/* The test's by how late its naps end, others' by what the kernel's scheduler notes. */
#include "unrun.h"

#include "fixture.h"
#include "given.h"

#include <stdio.h>
#include <time.h>

/* So late a nap ends where others run too: that is not counted. */
#define USUAL_NS INT64_C(20000000)

/* So long it has stood in the queue for a processor; what it stands there now is added once it runs. */
static int64_t queued_ns(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    return given_stood_at(path);
}

void unrun_begin(struct unrun *unrun, const pid_t *pids, unsigned count)
{
    CHECK(count <= UNRUN_MAX);
    *unrun = (struct unrun){ .naps_ns = 0 };
    for (unsigned i = 0; i < count; i++) {
        unrun->pids[i] = pids[i];
        unrun->before_ns[i] = queued_ns(pids[i]);
    }
}

void unrun_nap(struct unrun *unrun)
{
    const struct timespec time = { 0, 100000 };
    int64_t before_ns = weir_now_ns();
    nanosleep(&time, NULL);
    int64_t late_ns = weir_now_ns() - before_ns - time.tv_nsec;
    if (late_ns > USUAL_NS)
        unrun->naps_ns += late_ns;
}

int64_t unrun_ns(const struct unrun *unrun)
{
    int64_t most_ns = unrun->naps_ns;
    for (unsigned i = 0; i < UNRUN_MAX && unrun->pids[i] > 0; i++) {
        int64_t ns = queued_ns(unrun->pids[i]) - unrun->before_ns[i];
        most_ns = ns > most_ns ? ns : most_ns;
    }
    return most_ns;
}
