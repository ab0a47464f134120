/* SPDX-License-Identifier: MIT */
/* The scene of a segment's life: examples/textbook/lifecycle.c, told call by call. */
#include "../command.h"
#include "scenes.h"

#define main lifecycle_main
static int lifecycle_main(void);
#include "heart.h"

#include "../../../examples/textbook/lifecycle.c"

#include "heart_end.h"

static int run(void)
{
    scene_say("A segment belongs to no process. The kernel counts who is attached in shm_nattch, "
              "exactly: shmat() adds one, fork() one for each inherited mapping, shmdt(), exit() "
              "and SIGKILL take away. Watch it, and watch that 0 does not free the memory.");
    int wait_status = scene_play("parent", lifecycle_main);
    scene_fact_bool("ran_to_its_end", wait_status == 0);
    if (wait_status != 0)
        return command_fail("examples/textbook/lifecycle.c %s", scene_wait_text(wait_status));
    scene_instead("struct weir_segment *segment;\n"
                  "/* shmget, shmat and IPC_RMID in one */\n"
                  "weir_segment_create(&segment, weir_private(), 5000, NULL);\n"
                  "char *memory = weir_segment_data(segment);\n"
                  "/* shmdt; the last one frees the memory */\n"
                  "weir_segment_close(segment);\n",
                  "An ephemeral segment is removed as soon as it is attached: its key is gone, "
                  "shm_nattch alone keeps it, and the kernel frees it with its last user, however "
                  "that one ends.");
    return STATUS_OK;
}

const struct scene scene_lifecycle = {
    .name = "lifecycle",
    .summary = "create, attach twice, fork, detach, remove: shm_nattch counts",
    .heart = "examples/textbook/lifecycle.c",
    .run = run,
};
