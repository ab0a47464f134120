/* SPDX-License-Identifier: MIT */
/*
 * The scene of the textbook's program: examples/textbook/seed.c, told call by
 * call, then taken apart fault by fault, then made right.
 */
#include <string.h>
#include <sys/stat.h>

#include "../command.h"
#include "scenes.h"
#include "seed.h"

#define main seed_told_main
static int seed_told_main(void);
#include "heart.h"

#include "../../../examples/textbook/seed.c"

#include "heart_end.h"

extern const unsigned char seed_source[], seed_right_source[];
extern const size_t seed_source_bytes, seed_right_source_bytes;

/* Shows a program from the line that begins with start on. */
static void show_program(const unsigned char *source, size_t length, const char *start)
{
    char text[4096];
    if (length >= sizeof text)
        length = sizeof text - 1;
    memcpy(text, source, length);
    text[length] = '\0';
    const char *from = strstr(text, start);
    scene_quote(from ? from : text);
}

static bool make_shmfile(void)
{
    int fd = open("shmfile", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd >= 0 && close(fd) == 0;
}

static bool tell_program(void)
{
    scene_head("1. The program, on a good day");
    scene_say("So a textbook shows shared memory (examples/textbook/seed.c):");
    show_program(seed_source, seed_source_bytes, "int main(void)");
    scene_say("Here it runs, call by call, with its file in place and nobody in its way. All is "
              "well: it prints what it should, and its segment is gone at the end.");
    if (scene_mode() != SCENE_EXPLAIN)
        return true;
    if (scene_steps())
        scene_say("With --step the machine is as slow as you are: wait longer than a second at a "
                  "call of the parent, and the child will read nothing. That is a fault as well.");
    return make_shmfile() && scene_play("parent", seed_told_main) == 0;
}

static void tell_right_program(int64_t right_us, const struct seed_run *run)
{
    scene_head("9. The same program made right");
    scene_say("No key, 0600, every result checked, a semaphore that lies in the segment itself, "
              "IPC_RMID as soon as it is attached, stdout written out before the other one is "
              "told to speak, and an exit status that means something "
              "(examples/textbook/seed_right.c):");
    show_program(seed_right_source, seed_right_source_bytes, "struct shared");
    scene_say("Run through a pipe just now, it took %lld microseconds and gave:",
              (long long)right_us);
    scene_quote(run->text);
    scene_say("One gap is left that plain calls cannot close: killed between shmget() and "
              "IPC_RMID, it leaves a segment that nobody knows to be its own.");
    if (scene_mode() == SCENE_BRIEF)
        scene_result("made right, it took %lld microseconds instead of a second",
                     (long long)right_us);
    scene_fact_int("right_us", right_us);
    scene_fact_bool("right_lines_in_order",
                    strcmp(run->text, "Parent writes message\n"
                                      "Child reads: Hello from parent via shared memory\n") == 0);
}

static int run(void)
{
    if (!tell_program())
        return command_fail("the textbook's program failed on its good day");
    if (scene_mode() == SCENE_BRIEF)
        scene_result("the textbook's program has seven faults:");
    if (!seed_fault_ftok() || !seed_fault_unchecked() || !seed_fault_mode() ||
        !seed_fault_sleep_and_buffers() || !seed_fault_left_behind() || !seed_fault_status())
        return command_fail("a run of the textbook's program did not go as it should");

    struct seed_run right;
    int64_t right_us = seed_run_right(&right);
    if (right_us < 0)
        return command_fail("the program made right failed");
    tell_right_program(right_us, &right);
    scene_instead("struct weir_segment *segment;\n"
                  "if (weir_segment_create(&segment, weir_private(), 1024, NULL) != 0)\n"
                  "    errx(1, \"%s\", weir_last_error());\n"
                  "char *memory = weir_segment_data(segment);\n"
                  "/* fork(), write, post, read: as above */\n"
                  "weir_segment_close(segment);\n",
                  "One call creates, attaches and removes: mode 0600, no key, a sentence for each "
                  "error, and what a kill leaves in the gap above is collected by the next weir "
                  "process. 'weir demo' with no argument is this program.");
    return STATUS_OK;
}

const struct scene scene_seed = {
    .name = "seed",
    .summary = "the textbook's program, run and taken apart fault by fault",
    .heart = "examples/textbook/seed.c",
    .run = run,
};
