/* SPDX-License-Identifier: MIT */
/* The scene of a semaphore's holder that is killed: examples/textbook/crash.c. */
#include "../command.h"
#include "scenes.h"

#define main crash_main
static int crash_main(void) __attribute__((unused));
#include "heart.h"

#include "../../../examples/textbook/crash.c"

#include "heart_end.h"

static void add_facts(const char *how, struct outcome outcome)
{
    char name[64];
    snprintf(name, sizeof name, "%s_value", how);
    scene_fact_int(name, outcome.value);
    snprintf(name, sizeof name, "%s_next_gets_it", how);
    scene_fact_bool(name, outcome.got_it);
    snprintf(name, sizeof name, "%s_data_half_written", how);
    scene_fact_bool(name, outcome.is_torn);
}

static int run(void)
{
    scene_name_process("parent");
    scene_head("1. The textbook's lock: semop() without SEM_UNDO");
    scene_say("A child takes the semaphore (1 becomes 0), writes one half of an account, and is "
              "killed. The kernel does not know whose unit that was.");
    struct outcome plain = kill_the_holder(0);
    report("without SEM_UNDO", plain);

    scene_head("2. The same with SEM_UNDO");
    scene_say("For each process the kernel adds up what it did with SEM_UNDO, and takes it back "
              "when the process ends: here +1. Watch sempid, the last who changed the value: it "
              "is the dead child.");
    struct outcome undone = kill_the_holder(SEM_UNDO);
    report("with SEM_UNDO", undone);

    scene_say("The lock is free again, but the account is half written, and nothing tells the "
              "next process so: SEM_UNDO repairs the semaphore, not the data. Three more traps: "
              "SETVAL forgets the undo of everybody; a child of fork() starts without it; and "
              "what one process posts and another takes must not be undone, else messages "
              "appear twice or never.");
    add_facts("without_undo", plain);
    add_facts("with_undo", undone);
    scene_instead("weir_semset_wait(set, 0, WEIR_SEM_UNDO);  /* a lock is held: undone */\n"
                  "weir_semset_wait_until(set, 1, 0, deadline_ns);  /* handed over: not */\n",
                  "The choice is an argument of each call, its traps stand in <weir/semset.h>, "
                  "and every wait has a form with a deadline, so that a dead peer is an error and "
                  "not a silence. A set that belongs to a segment is removed with it.");
    return STATUS_OK;
}

const struct scene scene_crash = {
    .name = "crash",
    .summary = "the holder of a semaphore is killed, with and without SEM_UNDO",
    .heart = "examples/textbook/crash.c",
    .run = run,
};
