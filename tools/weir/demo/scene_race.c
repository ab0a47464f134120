/* SPDX-License-Identifier: MIT */
/* The scene 'race': additions that get lost, once in slow motion, then by the thousand. */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "locked.h"
#include "puppet.h"
#include "scenes.h"

#define main race_main
static int race_main(void) __attribute__((unused));
#include "heart.h"

#include "../../../examples/textbook/race.c"

#include "heart_end.h"

/* Two processes that both do ROUNDS additions. */
struct tally {
    long expected, got, lost;
};

static struct tally tally(long got)
{
    return (struct tally){ 2 * ROUNDS, got, 2 * ROUNDS - got };
}

/* -- Slow motion: one addition each ----------------------------------------------------------- */

enum { LOAD = 1, STORE };

struct adder {
    volatile long *counter;
    long value; /* each process has its own: as a register is */
};

static long add_step(int order, void *argument)
{
    struct adder *adder = argument;
    char text[96];
    if (order == LOAD) {
        adder->value = *adder->counter;
        snprintf(text, sizeof text, "loads the counter: %ld", adder->value);
    } else {
        *adder->counter = adder->value + 1;
        snprintf(text, sizeof text, "stores %ld + 1: the counter is %ld", adder->value,
                 adder->value + 1);
    }
    scene_told(text, NULL);
    return adder->value;
}

static bool slow_motion(volatile long *counter)
{
    struct puppet a, b;
    struct adder adder = { counter, 0 };
    *counter = 0;
    if (!puppet_start(&a, "A", add_step, &adder))
        return false;
    if (!puppet_start(&b, "B", add_step, &adder)) {
        puppet_kill(&a);
        return false;
    }
    puppet_do(&a, LOAD);
    puppet_do(&b, LOAD);
    puppet_do(&a, STORE);
    puppet_do(&b, STORE);
    puppet_end(&a);
    puppet_end(&b);
    return true;
}

/* -- The same with weir ----------------------------------------------------------------------- */

static void add_with_weir(struct weir_segment *segment)
{
    volatile long *counter = weir_segment_data(segment);
    struct weir_semset *lock = weir_segment_semset(segment);
    for (int i = 0; i < ROUNDS; i++) {
        if (locked_take(lock))
            scene_exit(1);
        long value = *counter;
        sched_yield();
        *counter = value + 1;
        if (weir_semset_post(lock, 0, WEIR_SEM_UNDO))
            scene_exit(1);
    }
}

/* What the counter has in the end; negative when weir refused. */
static long run_with_weir(void)
{
    struct weir_segment *segment;
    int error = locked_create(&segment, sizeof(long));
    if (error)
        return error;
    for (int i = 0; i < 2; i++) {
        pid_t child = scene_fork(i ? "B" : "A");
        if (child == 0) {
            add_with_weir(segment);
            scene_exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    long got = *(long *)weir_segment_data(segment);
    weir_segment_close(segment);
    return got;
}

/* -- The scene -------------------------------------------------------------------------------- */

static void told_addition(volatile long *counter, int sem)
{
    struct adder adder = { counter, 0 };
    struct sembuf take = { LOCK, -1, 0 }, give = { LOCK, +1, 0 };
    scene_semop(sem, &take, 1);
    add_step(LOAD, &adder);
    add_step(STORE, &adder);
    scene_semop(sem, &give, 1);
}

static void report(const char *how, struct tally t)
{
    scene_result("%-22s %6ld expected %7ld there %7ld lost", how, t.expected, t.got, t.lost);
}

static void facts(struct tally bare, struct tally locked, struct tally weirs)
{
    scene_fact_int("processes", 2);
    scene_fact_int("rounds", ROUNDS);
    scene_fact_int("expected", bare.expected);
    scene_fact_int("got_without", bare.got);
    scene_fact_int("lost_without", bare.lost);
    scene_fact_int("got_with", locked.got);
    scene_fact_int("lost_with", locked.lost);
    scene_fact_int("got_weir", weirs.got);
    scene_fact_int("lost_weir", weirs.lost);
}

static void instead(void)
{
    scene_instead("options.semaphores = 1;\n"
                  "options.semaphore_values = &one;\n"
                  "weir_segment_create(&segment, weir_private(), sizeof(long), &options);\n"
                  "...\n"
                  "weir_semset_wait(lock, 0, WEIR_SEM_UNDO);\n"
                  "*counter = *counter + 1;\n"
                  "weir_semset_post(lock, 0, WEIR_SEM_UNDO);\n",
                  "The lock is made together with the memory, has its first value before anybody "
                  "can see it, and is removed with the memory. WEIR_SEM_UNDO: should the holder "
                  "be killed, the kernel gives the lock back. (See the scenes init-race and "
                  "crash.)");
}

/* ROUNDS additions by each process, in the heart's own function; its calls are not told one by one. */
static struct tally run_muted(volatile long *counter, int sem, bool locked)
{
    scene_mute(true);
    struct tally t = tally(run(counter, sem, locked));
    scene_mute(false);
    return t;
}

static struct tally without_semaphore(volatile long *counter, int sem)
{
    scene_head("%d additions each, at full speed", ROUNDS);
    scene_say("The same in a loop, by two processes at the same time. Between load and store each "
              "calls sched_yield(), which offers the processor to the other: so it happens on a "
              "machine with one core as well, and often enough to count.");
    struct tally t = run_muted(counter, sem, false);
    for (int again = 0; t.lost == 0 && again < 20; again++) /* one was through too early */
        t = run_muted(counter, sem, false);
    scene_say("%ld additions were made, and the counter is %ld: %ld are lost. How many it is "
              "depends on who runs when; when the two go in step, as above, it is every second "
              "one.",
              t.expected, t.got, t.lost);
    return t;
}

static struct tally with_semaphore(volatile long *counter, int sem)
{
    scene_head("With a semaphore");
    scene_say("A semaphore of value 1 is a lock: who takes the 1 is alone until he gives it back. "
              "Here it is semaphore 1 of the set. One addition, with both calls:");
    told_addition(counter, sem);
    struct tally t = run_muted(counter, sem, true);
    scene_say("And again %d of them by each process: the counter is %ld, and %ld are lost. "
              "sched_yield() still offers the processor to the other, who waits for the lock.",
              ROUNDS, t.got, t.lost);
    return t;
}

static int play(long *counter, int sem)
{
    scene_head("One addition each, in slow motion");
    scene_say("\"*counter = *counter + 1\" is a load, an addition and a store. Two processes, "
              "A and B, add 1 to a counter that is 0. We let the kernel switch between them at "
              "the one place that matters: after A's load.");
    if (!slow_motion(counter))
        return command_fail("cannot start the two processes");
    scene_say("Two additions, and the counter is %ld: B's store wiped out A's.", *counter);

    struct tally bare = without_semaphore(counter, sem);
    struct tally locked = with_semaphore(counter, sem);
    long got = run_with_weir();
    if (got < 0)
        return command_fail_weir();
    struct tally weirs = tally(got);
    scene_head("The result");
    report("without a semaphore", bare);
    report("with a semaphore", locked);
    report("with weir", weirs);
    facts(bare, locked, weirs);
    if (bare.lost <= 0)
        return command_fail("no addition was lost: this machine never switched between the two");
    if (locked.lost || weirs.lost)
        return command_fail("additions were lost in spite of the semaphore");
    return STATUS_OK;
}

static int run_race(void)
{
    scene_name_process("parent");
    scene_head("A counter in shared memory, and two semaphores");
    scene_say("Semaphore 0 is a gate, so that both processes start at the same time. Semaphore 1 "
              "is for later.");
    int shm = scene_shmget(IPC_PRIVATE, sizeof(long), 0600);
    long *counter = shm == -1 ? (void *)-1 : scene_shmat(shm, NULL, 0);
    scene_say("It is removed at once: on Linux it stays for those who are attached, may still be "
              "attached by its identifier, and goes with the last of them, however that one ends.");
    scene_shmctl(shm, IPC_RMID, NULL);
    int sem = scene_semget(IPC_PRIVATE, 2, 0600);
    unsigned short values[2] = { [GATE] = 0, [LOCK] = 1 };
    if (counter == (void *)-1 || sem == -1 ||
        scene_semctl(sem, 0, SETALL, (union semun){ .array = values }) == -1)
        return command_fail("the system refuses a segment or a semaphore set");
    int status = play(counter, sem);
    scene_mute(true);
    scene_semctl(sem, 0, IPC_RMID);
    scene_shmdt(counter);
    instead();
    return status;
}

const struct scene scene_race = {
    .name = "race",
    .summary = "lost updates of a counter, and none with a semaphore",
    .heart = "examples/textbook/race.c",
    .run = run_race,
};
