/* SPDX-License-Identifier: MIT */
/* The scene 'torn': a reader gets half an old record and half a new one. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
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

#define main torn_main
static int torn_main(void) __attribute__((unused));
#include "heart.h"

#include "../../../examples/textbook/torn.c"

#include "heart_end.h"

/* -- Slow motion: one record, half by half ---------------------------------------------------- */

enum { FIRST_HALF = 1, SECOND_HALF };

static void fill(struct shared *shared, int from, int to, long number)
{
    for (int i = from; i < to; i++)
        shared->word[i] = number;
}

static long write_step(int order, void *argument)
{
    struct shared *shared = argument;
    if (order == FIRST_HALF) {
        fill(shared, 0, WORDS / 2, 2);
        scene_told("stores the first half, word 0 to 7", NULL);
    } else {
        fill(shared, WORDS / 2, WORDS, 2);
        scene_told("stores the second half, word 8 to 15", NULL);
    }
    return 0;
}

static void show_copy(const struct shared *shared)
{
    char text[WORDS * 4 + 32] = "copies: ";
    size_t length = strlen(text);
    for (int i = 0; i < WORDS; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, " %ld", shared->word[i] % 1000);
    scene_told(text, NULL);
}

static bool slow_motion(struct shared *shared)
{
    struct puppet writer;
    fill(shared, 0, WORDS, 1);
    if (!puppet_start(&writer, "writer", write_step, shared))
        return false;
    show_copy(shared);
    puppet_do(&writer, FIRST_HALF);
    show_copy(shared);
    puppet_do(&writer, SECOND_HALF);
    show_copy(shared);
    puppet_end(&writer);
    return true;
}

/* -- The same with weir ----------------------------------------------------------------------- */

static void write_with_weir(struct shared *shared, struct weir_semset *lock)
{
    for (long number = 1; !shared->stop; number++) {
        if (locked_take(lock))
            return;
        fill(shared, 0, WORDS / 2, number);
        sched_yield();
        fill(shared, WORDS / 2, WORDS, number);
        if (weir_semset_post(lock, 0, WEIR_SEM_UNDO))
            return;
        shared->records = number;
    }
}

/* 0, or what weir said. */
static int read_with_weir(struct shared *shared, struct weir_semset *lock, struct count *count)
{
    long changes = 0, before = 0;
    while ((count->reads < READS || changes < CHANGES) && count->reads < READS_MAX) {
        long now = shared->records;
        changes += now != before;
        before = now;
        int error = locked_take(lock);
        if (error)
            return error;
        count->torn += read_is_torn(shared, -1, false);
        error = weir_semset_post(lock, 0, WEIR_SEM_UNDO);
        if (error)
            return error;
        count->reads++;
        sched_yield();
    }
    return 0;
}

static int run_with_weir(struct count *count)
{
    struct weir_segment *segment;
    int error = locked_create(&segment, sizeof(struct shared));
    if (error)
        return error;
    struct shared *shared = weir_segment_data(segment);
    struct weir_semset *lock = weir_segment_semset(segment);
    pid_t writer = scene_fork("writer");
    if (writer == 0) {
        write_with_weir(shared, lock);
        scene_exit(0);
    }
    error = writer == -1 ? -EAGAIN : read_with_weir(shared, lock, count);
    shared->stop = 1;
    if (writer != -1)
        waitpid(writer, NULL, 0);
    weir_segment_close(segment);
    return error;
}

/* -- The scene -------------------------------------------------------------------------------- */

static void report(const char *how, struct count count)
{
    scene_result("%-22s %6d reads %7d torn", how, count.reads, count.torn);
}

static void instead(void)
{
    scene_instead("weir_semset_wait(lock, 0, WEIR_SEM_UNDO);\n"
                  "*record = new_record;          /* or: copy = *record; */\n"
                  "weir_semset_post(lock, 0, WEIR_SEM_UNDO);\n",
                  "One semaphore around the writing and around the reading: the lock belongs to "
                  "the segment (options.semaphores), so it is there and has its value as soon "
                  "as the memory is there. With WEIR_SEM_UNDO a killed writer does not keep the "
                  "lock; the record it was writing may then be half written, and has to be "
                  "written anew.");
}

/* READS reads or more in the heart's own function; its calls are not told one by one. */
static struct count run_muted(struct shared *shared, int sem, bool locked)
{
    scene_mute(true);
    struct count count = run(shared, sem, locked);
    scene_mute(false);
    return count;
}

static int play(struct shared *shared, int sem)
{
    scene_head("One record, in slow motion");
    scene_say("A record of 16 words; its rule is that all 16 are equal. A processor stores one "
              "word in one step, and a record word by word. The writer replaces record 1 by "
              "record 2; the reader copies it before, half-way, and after.");
    if (!slow_motion(shared))
        return command_fail("cannot start the writer");
    scene_say("The second copy is a record that nobody ever wrote.");

    scene_head("%d reads and more, at full speed", READS);
    scene_say("The writer writes record after record. Half-way it calls sched_yield(), which "
              "offers the processor to the reader: so it happens on a machine with one core as "
              "well. The reader counts the copies that break the rule.");
    struct count bare = run_muted(shared, sem, false);
    for (int again = 0; bare.torn == 0 && again < 5; again++)
        bare = run_muted(shared, sem, false);
    scene_say("%d of %d copies are torn.", bare.torn, bare.reads);

    scene_head("With a semaphore around writing and reading");
    scene_say("Writer and reader each take the semaphore, do their work, and give it back. The "
              "writer still offers the processor half-way; the reader then waits for the lock.");
    struct count locked = run_muted(shared, sem, true), weirs = { 0, 0 };
    scene_say("%d of %d copies are torn.", locked.torn, locked.reads);
    if (run_with_weir(&weirs) < 0)
        return command_fail_weir();
    scene_head("The result");
    report("without a semaphore", bare);
    report("with a semaphore", locked);
    report("with weir", weirs);
    scene_fact_int("words", WORDS);
    scene_fact_int("reads_without", bare.reads);
    scene_fact_int("torn_without", bare.torn);
    scene_fact_int("reads_with", locked.reads);
    scene_fact_int("torn_with", locked.torn);
    scene_fact_int("reads_weir", weirs.reads);
    scene_fact_int("torn_weir", weirs.torn);
    if (bare.torn == 0)
        return command_fail("no read was torn: this machine never switched between the two");
    if (locked.torn || weirs.torn)
        return command_fail("reads were torn in spite of the semaphore");
    return STATUS_OK;
}

static int run_torn(void)
{
    scene_name_process("reader");
    scene_head("A record in shared memory, and a semaphore");
    int shm = scene_shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    struct shared *shared = shm == -1 ? (void *)-1 : scene_shmat(shm, NULL, 0);
    scene_say("It is removed at once: on Linux it stays for those who are attached, may still be "
              "attached by its identifier, and goes with the last of them, however that one ends.");
    scene_shmctl(shm, IPC_RMID, NULL);
    int sem = scene_semget(IPC_PRIVATE, 1, 0600);
    if (shared == (void *)-1 || sem == -1 ||
        scene_semctl(sem, 0, SETVAL, (union semun){ .val = 1 }) == -1)
        return command_fail("the system refuses a segment or a semaphore set");
    int status = play(shared, sem);
    scene_mute(true);
    scene_semctl(sem, 0, IPC_RMID);
    scene_shmdt(shared);
    instead();
    return status;
}

const struct scene scene_torn = {
    .name = "torn",
    .summary = "a reader gets half an old record and half a new one, and the cure",
    .heart = "examples/textbook/torn.c",
    .run = run_torn,
};
