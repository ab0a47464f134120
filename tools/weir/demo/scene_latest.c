/* SPDX-License-Identifier: MIT */
/* The scene 'latest': the writer of a value is killed in the middle of it. */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "puppet.h"
#include "scenes.h"

#define main latest_main
static int latest_main(void) __attribute__((unused));
#include "heart.h"

#include "../../../examples/textbook/latest.c"

#include "heart_end.h"

/* What each part came to; the facts of the JSON document have the same names. */
static struct {
    struct count living, dead;
    bool dead_read;
    unsigned dead_sequence;
    struct count weir;
    uint64_t killed_version, last_version, next_version;
    long killed_value;
    int64_t killed_read_us;
    bool killed_whole, last_whole, next_whole;
    int next_open;
} found;

static bool is_whole(const long copy[WORDS])
{
    for (int i = 1; i < WORDS; i++)
        if (copy[i] != copy[0])
            return false;
    return true;
}

/* Word by word as long as that fits on a line. */
static void show_copy(const char *what, const long copy[WORDS])
{
    char text[WORDS * 24 + 64];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", what);
    if (is_whole(copy) && copy[0] > 9)
        snprintf(text + length, sizeof text - length, " %d times %ld", WORDS, copy[0]);
    else
        for (int i = 0; i < WORDS; i++)
            length += (size_t)snprintf(text + length, sizeof text - length, " %ld", copy[i]);
    scene_told(text, NULL);
}

/* -- The sequence lock ------------------------------------------------------------------------ */

enum { BEGIN = 1, END };

static long sequence_step(int order, void *argument)
{
    static long number; /* of the value; the writer alone counts */
    struct shared *shared = argument;
    char text[96];
    if (order == BEGIN) {
        begin_value(shared, ++number);
        snprintf(text, sizeof text, "makes the sequence %u, and stores the first half of value %ld",
                 atomic_load(&shared->sequence), number);
    } else {
        end_value(shared, number);
        snprintf(text, sizeof text, "stores the second half, and makes the sequence %u",
                 atomic_load(&shared->sequence));
    }
    scene_told(text, NULL);
    return 0;
}

static void show_try(struct shared *shared)
{
    long copy[WORDS];
    char text[64];
    unsigned sequence = atomic_load(&shared->sequence);
    if (try_to_read(shared, copy))
        show_copy("copies:", copy);
    else {
        snprintf(text, sizeof text, "finds the sequence odd (%u): has to try again", sequence);
        scene_told(text, NULL);
    }
}

static bool slow_motion(struct shared *shared, struct puppet *writer)
{
    scene_head("1. A sequence lock, in slow motion");
    scene_say(
        "A value of %d words, written by one process and read by others; its rule is that "
        "all words are equal. A lock would make the writer wait for slow readers. A sequence "
        "lock is a number: the writer makes it odd, writes, and makes it even. A reader takes "
        "its copy only if the number was even before, and the same after.",
        WORDS);
    if (!puppet_start(writer, "writer", sequence_step, shared))
        return false;
    puppet_do(writer, BEGIN);
    puppet_do(writer, END);
    show_try(shared);
    puppet_do(writer, BEGIN);
    show_try(shared);
    puppet_do(writer, END);
    show_try(shared);
    return true;
}

static void kill_in_the_middle(struct shared *shared, struct puppet *writer)
{
    char text[96];
    long copy[WORDS];
    scene_head("2. The writer is killed in the middle");
    puppet_do(writer, BEGIN);
    puppet_kill(writer);
    found.dead_read = read_value(shared, copy, &found.dead);
    found.dead_sequence = atomic_load(&shared->sequence);
    snprintf(text, sizeof text, "tries for %d ms, %ld times: the sequence is %u", PATIENCE_MS,
             found.dead.tries, found.dead_sequence);
    scene_told(text, NULL);
    for (int i = 0; i < WORDS; i++)
        copy[i] = atomic_load(&shared->word[i]);
    show_copy("looks at the words:", copy);
    scene_say("The number stays odd, and the readers try for ever: a dead writer looks like a slow "
              "one. Nobody may make it even, either: the old value is half gone, and the new one "
              "half there.");
}

static void full_speed(struct shared *shared)
{
    scene_head("3. At full speed");
    scene_say("%d reads, while another writer writes as fast as it can. What is counted is the "
              "copies that break the rule.",
              READS);
    fill(shared, 0, WORDS, 0); /* from a whole value again */
    atomic_store(&shared->sequence, 0);
    scene_mute(true);
    found.living = run(shared);
    scene_mute(false);
    scene_say("%ld of %ld copies are torn; it took %ld tries. As long as the writer "
              "lives, and pauses now and then, it is a good and fast lock.",
              found.living.torn, found.living.reads, found.living.tries);
}

static bool plain_parts(void)
{
    struct puppet writer;
    scene_mute(true);
    int id = scene_shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    struct shared *shared = id == -1 ? (void *)-1 : scene_shmat(id, NULL, 0);
    scene_shmctl(id, IPC_RMID, NULL);
    scene_mute(false);
    if (shared == (void *)-1 || !slow_motion(shared, &writer))
        return false;
    kill_in_the_middle(shared, &writer);
    full_speed(shared);
    scene_mute(true);
    scene_shmdt(shared);
    scene_mute(false);
    return !found.dead_read && found.living.torn == 0 && found.living.reads > 0;
}

/* -- weir's latest value ---------------------------------------------------------------------- */

enum { OPEN = 1, LOAN, COMMIT };

struct place {
    struct weir_latest_memory memory;
    long number; /* of the writer's next value; each process has its own */
};

static long weir_step(int order, void *argument)
{
    static struct weir_latest_writer *writer;
    static long *value;
    struct place *place = argument;
    char text[64];
    int result;
    if (order == OPEN) {
        result = weir_latest_writer_open(&writer, &place->memory);
        scene_told_weir("weir_latest_writer_open(&writer, &memory)", result);
    } else if (order == LOAN) {
        result = weir_latest_loan(writer, (void **)&value);
        scene_told_weir("weir_latest_loan(writer, &value)", result);
        for (int i = 0; result == 0 && i < WORDS / 2; i++)
            value[i] = place->number;
        snprintf(text, sizeof text, "stores the first half of value %ld", place->number);
        scene_told(text, NULL);
    } else {
        for (int i = WORDS / 2; i < WORDS; i++)
            value[i] = place->number;
        scene_told("stores the second half", NULL);
        result = weir_latest_commit(writer, WORDS * sizeof(long));
        scene_told_weir("weir_latest_commit(writer, sizeof *value)", result);
        place->number++;
    }
    return result;
}

/* Whether a whole value is there; told. */
static bool read_told(struct weir_latest_reader *reader, long copy[WORDS], uint64_t *version)
{
    struct weir_latest_value value = { .version = 0 };
    char text[64];
    int result = weir_latest_read(reader, copy, WORDS * sizeof(long), &value);
    scene_told_weir("weir_latest_read(reader, copy, sizeof copy, &value)", result);
    if (result != 0)
        return false;
    *version = value.version;
    snprintf(text, sizeof text, "has version %" PRIu64 ":", value.version);
    show_copy(text, copy);
    return is_whole(copy);
}

static bool kill_weirs_writer(struct place *place, struct weir_latest_reader *reader)
{
    struct puppet writer;
    long copy[WORDS];
    scene_head("4. The same kill, with weir's latest value");
    scene_say("There is room for several values. The writer writes the next one where no reader "
              "looks, and when it is whole, one store makes it the latest.");
    place->number = 1;
    if (!puppet_start(&writer, "writer", weir_step, place))
        return false;
    puppet_do(&writer, OPEN);
    puppet_do(&writer, LOAN);
    puppet_do(&writer, COMMIT);
    puppet_do(&writer, LOAN);
    puppet_kill(&writer);
    int64_t begun_ns = weir_now_ns();
    found.killed_whole = weir_latest_read(reader, copy, sizeof copy, NULL) == 0 && is_whole(copy);
    found.killed_read_us = (weir_now_ns() - begun_ns) / 1000;
    found.killed_whole = read_told(reader, copy, &found.killed_version) && found.killed_whole;
    found.killed_value = copy[0];
    scene_say(
        "The last complete value is there, as long as the memory is; what the dead writer had "
        "begun, nobody sees.");
    return found.killed_whole && found.killed_version == 1 && found.killed_value == 1;
}

static void write_for_ever(const struct place *place)
{
    struct weir_latest_writer *writer;
    void *value;
    if (weir_latest_writer_open(&writer, &place->memory) < 0)
        return;
    for (long number = place->number; weir_latest_loan(writer, &value) == 0; number++) {
        for (int i = 0; i < WORDS; i++) {
            ((long *)value)[i] = number;
            if (i == WORDS / 2 && number % 16 == 0)
                sched_yield();
        }
        if (weir_latest_commit(writer, WORDS * sizeof(long)) != 0)
            return;
        sched_yield();
    }
}

/* READS reads while it lives, and one after it was killed, wherever it was just then. */
static bool weir_at_full_speed(struct place *place, struct weir_latest_reader *reader)
{
    long copy[WORDS];
    scene_head("5. At full speed, and killed anywhere");
    scene_say("A writer writes as fast as it can, while the reader reads %d times; then it is "
              "killed, wherever it is just then.",
              READS);
    place->number = (long)found.killed_version + 1;
    pid_t writer = scene_fork("writer");
    if (writer == 0) {
        write_for_ever(place);
        scene_exit(1);
    }
    if (writer == -1 || weir_latest_wait_until(reader, found.killed_version + 10,
                                               weir_deadline_ns(60 * WEIR_SECOND_NS)) != 0)
        return false;
    for (int i = 0; i < READS; i++) {
        found.weir.tries++;
        if (weir_latest_read(reader, copy, sizeof copy, NULL) != 0)
            continue;
        found.weir.reads++;
        found.weir.torn += !is_whole(copy);
        if (i % 16 == 0)
            sched_yield();
    }
    scene_kill(writer, SIGKILL);
    scene_waitpid(writer, NULL, 0);
    found.last_whole = read_told(reader, copy, &found.last_version);
    scene_say("%ld reads, %ld torn, before the kill; and the last value is whole.",
              found.weir.reads, found.weir.torn);
    return found.weir.reads > 0 && found.weir.torn == 0 && found.last_whole;
}

static bool next_writer(struct place *place, struct weir_latest_reader *reader)
{
    struct puppet writer;
    long copy[WORDS];
    scene_head("6. The next writer");
    place->number = (long)found.last_version + 1;
    if (!puppet_start(&writer, "next writer", weir_step, place))
        return false;
    found.next_open = (int)puppet_do(&writer, OPEN);
    puppet_do(&writer, LOAN);
    puppet_do(&writer, COMMIT);
    found.next_whole = read_told(reader, copy, &found.next_version) && copy[0] == place->number;
    puppet_end(&writer);
    scene_say("It is told that the former writer died, and the versions go on. As long as a writer "
              "lives, stopped or not, nobody else gets its place (-EBUSY).");
    return found.next_open == WEIR_OWNER_DIED && found.next_whole &&
           found.next_version == found.last_version + 1;
}

static bool weir_parts(void)
{
    struct weir_segment *segment;
    struct weir_latest_reader *reader;
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct place place = { .number = 1 };
    options.value_bytes_max = WORDS * sizeof(long);
    if (weir_latest_bytes(&options, &place.memory) != 0 ||
        weir_segment_create(&segment, weir_private(),
                            place.memory.values_bytes + place.memory.readers_bytes, NULL) != 0)
        return false;
    place.memory.values = weir_segment_data(segment);
    place.memory.readers = (char *)weir_segment_data(segment) + place.memory.values_bytes;
    if (weir_latest_init(&place.memory, &options) != 0 ||
        weir_latest_reader_open(&reader, &place.memory) != 0)
        return false;
    bool shown = kill_weirs_writer(&place, reader) && weir_at_full_speed(&place, reader) &&
                 next_writer(&place, reader);
    weir_latest_reader_close(reader);
    weir_segment_close(segment);
    return shown;
}

/* -- The scene -------------------------------------------------------------------------------- */

static void report_all(void)
{
    scene_head("The result");
    scene_result("sequence lock         %ld reads, %ld torn", found.living.reads,
                 found.living.torn);
    scene_result("... writer killed     no value after %d ms and %ld tries", PATIENCE_MS,
                 found.dead.tries);
    scene_result("weir's latest value   %ld reads, %ld torn", found.weir.reads, found.weir.torn);
    scene_result("... writer killed     the last complete value after %" PRId64 " us",
                 found.killed_read_us);
    scene_result("... the next writer   WEIR_OWNER_DIED; version %" PRIu64 " follows %" PRIu64,
                 found.next_version, found.last_version);
    scene_fact_int("sequence_reads", found.living.reads);
    scene_fact_int("sequence_tries", found.living.tries);
    scene_fact_int("sequence_torn", found.living.torn);
    scene_fact_bool("sequence_killed_read", found.dead_read);
    scene_fact_int("sequence_killed_tries", found.dead.tries);
    scene_fact_int("sequence_killed_number", found.dead_sequence);
    scene_fact_int("weir_reads", found.weir.reads);
    scene_fact_int("weir_torn", found.weir.torn);
    scene_fact_bool("weir_killed_whole", found.killed_whole);
    scene_fact_int("weir_killed_value", found.killed_value);
    scene_fact_int("weir_killed_version", (int64_t)found.killed_version);
    scene_fact_int("weir_killed_read_us", found.killed_read_us);
    scene_fact_bool("weir_last_whole", found.last_whole);
    scene_fact_int("weir_last_version", (int64_t)found.last_version);
    scene_fact_bool("weir_next_owner_died", found.next_open == WEIR_OWNER_DIED);
    scene_fact_int("weir_next_version", (int64_t)found.next_version);
}

static int run_latest(void)
{
    scene_name_process("reader");
    if (!plain_parts())
        return command_fail("this system did not behave as the scene describes");
    if (!weir_parts())
        return command_fail("weir did not keep its promise: %s", weir_last_error());
    report_all();
    scene_instead(
        "weir_latest_create(&writer, weir_by_name(\"robot/pose\"), &options);\n"
        "weir_latest_write(writer, &pose, sizeof pose);\n"
        "/* another program */\n"
        "weir_latest_open(&reader, weir_by_name(\"robot/pose\"), NULL);\n"
        "weir_latest_read(reader, &pose, sizeof pose, NULL);\n",
        "One writer, any readers, and nobody waits for anybody. A reader may hold a value "
        "in place (weir_latest_hold()), or wait for a newer one "
        "(weir_latest_wait_until()). For a stream, in which each value counts, there are "
        "channels: <weir/channel.h>.");
    return STATUS_OK;
}

const struct scene scene_latest = {
    .name = "latest",
    .summary = "a value that is read at full speed, and its writer is killed",
    .heart = "examples/textbook/latest.c",
    .run = run_latest,
};
