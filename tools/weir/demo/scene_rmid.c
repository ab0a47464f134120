/* SPDX-License-Identifier: MIT */
/* The scene of removal while attached: examples/textbook/rmid.c, told call by call. */
#include "../command.h"
#include "scenes.h"

#define main rmid_main
static int rmid_main(void);
#include "heart.h"

#include "../../../examples/textbook/rmid.c"

#include "heart_end.h"

static int run(void)
{
    scene_say("IPC_RMID takes the key, not the memory. Watch shm_perm.key become 0 and "
              "shm_perm.mode get DEST while shm_nattch stays: the segment has no name any more, "
              "and its users notice nothing. It goes with the last detach.");
    int wait_status = scene_play("parent", rmid_main);
    scene_fact_bool("usable_after_removal", wait_status == 0);
    scene_fact_bool("found_by_key_after_removal", wait_status != 0);
    scene_fact_bool("freed_at_last_detach", wait_status == 0);
    if (wait_status != 0)
        return command_fail("examples/textbook/rmid.c %s", scene_wait_text(wait_status));
    scene_say("So a segment that is removed as soon as it is attached cannot be left behind: that "
              "is the cure for every ipcrm. Its price on other systems: only Linux lets others "
              "attach by the identifier afterwards. And a program that is given the key, not the "
              "identifier, makes a second segment and talks to itself.");
    scene_instead("/* one process */\n"
                  "weir_segment_create(&segment, weir_by_name(\"camera\"), 4096, NULL);\n"
                  "/* another, unrelated one */\n"
                  "weir_segment_open(&segment, weir_by_name(\"camera\"), 0, NULL);\n",
                  "It removes every ephemeral segment at once, so that the kernel alone decides "
                  "when it ends, and keeps a name of its own for it: others find the identifier "
                  "by that name, check that it is the same segment still, and attach.");
    return STATUS_OK;
}

const struct scene scene_rmid = {
    .name = "rmid",
    .summary = "removed while attached: the key is gone, the memory stays to the last detach",
    .heart = "examples/textbook/rmid.c",
    .run = run,
};
