/* SPDX-License-Identifier: MIT */
/*
 * The seven faults of examples/textbook/seed.c. Each is shown by running the
 * program as it is, and looking from outside at what becomes of it.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "scene.h"
#include "seed.h"

/* The evidence of a fault: one sentence, put together from what was measured. */
struct evidence {
    char text[768];
};

static void say(struct evidence *evidence, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct evidence *evidence, const char *format, ...)
{
    size_t used = strlen(evidence->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(evidence->text + used, sizeof evidence->text - used, format, arguments);
    va_end(arguments);
}

/* A stranger's program: another file, another project, and it is missing as well. */
static bool meet_under_minus_one(struct evidence *evidence)
{
    struct seed_run run = { 0 };
    if (!seed_start(&run, SEED_NO_FILE | SEED_STOP_AFTER) || !seed_wait_stopped(&run))
        return false;
    scene_say("The program is stopped right after its strcpy(). It has noticed nothing. Now a "
              "second program, which has nothing to do with it, starts with a missing file of its "
              "own:");
    scene_name_process("stranger");
    key_t key = scene_ftok("/var/lib/other/settings", 'B');
    int id = scene_shmget(key, 64, 0666 | IPC_CREAT);
    const char *memory = id >= 0 ? scene_shmat(id, NULL, SHM_RDONLY) : (void *)-1;
    bool same = memory != (void *)-1 && id == run.notes->id;
    if (same)
        say(evidence,
            "ftok() gave -1, the program used it as a key, and worked. A stranger whose file "
            "\"/var/lib/other/settings\" is missing too got the same segment, identifier %d, and "
            "reads in it: \"%.40s\".",
            id, memory);
    scene_fact_bool("ftok_stranger_met", same);
    scene_name_process("scene");
    scene_mute(true);
    if (memory != (void *)-1)
        scene_shmdt(memory);
    scene_mute(false);
    seed_clear(&run);
    return same;
}

bool seed_fault_ftok(void)
{
    struct evidence evidence = { 0 };
    scene_head("2. Fault: ftok() of a missing file is -1, a key that everybody shares");
    key_t key = scene_ftok("shmfile-is-not-here", 65);
    scene_fact_int("ftok_missing_file", key);
    if (scene_private()) {
        if (!meet_under_minus_one(&evidence))
            return false;
    } else {
        say(&evidence, "ftok() gave -1 for a missing file. What happens with that key is not shown "
                       "here: outside of a private IPC namespace it may be somebody's.");
    }
    scene_fault(&(struct scene_fault){
        .title = "ftok() of a missing file is -1, a key that everybody shares",
        .does = "key = ftok(\"shmfile\", 65), and nobody has made \"shmfile\".",
        .happened = evidence.text,
        .why = "ftok() looks at the file's inode; without a file it returns -1 and sets errno. "
               "But -1 (0xffffffff) is a valid key for shmget(), and the same one for each program "
               "that makes this mistake.",
        .cure = "Check for -1. Better, no key at all: IPC_PRIVATE is enough for parent and child. "
                "'weir demo ftok' shows that files which are there can share a key too.",
    });
    return true;
}

bool seed_fault_unchecked(void)
{
    struct evidence evidence = { 0 };
    struct seed_run run = { 0 };
    scene_head("3. Fault: no result is checked");
    if (!seed_prepare(&run, 0) || chdir(run.directory) != 0)
        return false;
    scene_say("An older version of the program has left a segment of 16 bytes under the same key. "
              "Then the program asks for 1024:");
    scene_name_process("older");
    key_t key = scene_ftok("shmfile", 65);
    int old = scene_shmget(key, 16, 0600 | IPC_CREAT | IPC_EXCL);
    scene_name_process("program");
    int id = scene_shmget(key, 1024, 0666 | IPC_CREAT);
    int error = errno;
    scene_shmat(id, NULL, 0);
    scene_name_process("scene");
    if (chdir("..") != 0 || old < 0 || id >= 0 || !seed_start(&run, 0))
        return false;
    int wait_status = seed_reap_parent(&run);
    bool has_output = seed_has_output(&run);
    say(&evidence,
        "shmget() failed (%s), shmat(-1) returned (void *)-1, strcpy() wrote there: the parent "
        "%s. It printed %s.",
        strerror(error), scene_wait_text(wait_status),
        has_output ? "something all the same" : "no message, and no reason");
    scene_fact_bool("unchecked_said_why", has_output);
    scene_fact_int("unchecked_signal", WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0);
    seed_clear(&run);
    scene_mute(true);
    scene_shmctl(old, IPC_RMID, NULL);
    scene_mute(false);
    scene_fault(&(struct scene_fault){
        .title = "no result is checked",
        .does = "It uses what ftok(), shmget(), fork() and shmat() return without a look at it.",
        .happened = evidence.text,
        .why = "Each of them can fail: another size, another owner, a limit reached, no memory. -1 "
               "is then used as a key, an identifier, an address; and a fork() that failed makes "
               "the parent play the child.",
        .cure = "Compare each with -1 (shmat() with (void *)-1), say what failed with perror(), "
                "and stop.",
    });
    return true;
}

static int target; /* the segment of the program that runs */

/* Another user, where we may become one: attaches and overwrites one letter. */
static int overwrite_as_nobody(void)
{
    enum { NOBODY = 65534 };
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return 1;
    char *memory = scene_shmat(target, NULL, 0);
    if (memory == (void *)-1)
        return 2;
    memory[0] = 'J';
    return 0;
}

bool seed_fault_mode(void)
{
    struct evidence evidence = { 0 };
    struct seed_run run = { 0 };
    struct shmid_ds ds;
    scene_head("4. Fault: mode 0666, everybody may read and write");
    if (!seed_start(&run, SEED_UMASK | SEED_STOP_AFTER) || !seed_wait_stopped(&run))
        return false;
    target = run.notes->id;
    if (shmctl(target, IPC_STAT, &ds) != 0)
        return false;
    say(&evidence,
        "With umask 077 in force the segment has mode %04o: the umask has no part in it.",
        ds.shm_perm.mode & 0777u);
    char mode[8];
    snprintf(mode, sizeof mode, "%04o", ds.shm_perm.mode & 0777u);
    scene_fact_text("mode_with_umask_077", mode);
    scene_say("The program is stopped after its strcpy(). Another user comes:");
    bool overwritten = scene_play("nobody", overwrite_as_nobody) == 0;
    const char *memory = shmat(target, NULL, SHM_RDONLY);
    if (memory == (void *)-1)
        return false;
    if (overwritten)
        say(&evidence,
            " The user nobody attached it and wrote one letter; the child would now "
            "read \"%.40s\".",
            memory);
    else
        say(&evidence, " To become another user and write into it is not permitted here.");
    scene_fact_bool("other_user_wrote", overwritten && memory[0] == 'J');
    shmdt(memory);
    seed_clear(&run);
    scene_fault(&(struct scene_fault){
        .title = "mode 0666: everybody may read and write it",
        .does = "shmget(key, 1024, 0666 | IPC_CREAT).",
        .happened = evidence.text,
        .why = "For files the umask takes the rights of others away. A segment gets exactly the "
               "mode that shmget() was given.",
        .cure = "0600. Wider only for whom you know: 0640 and a group.",
    });
    return true;
}

static void tell_sleep(struct seed_run *late, const struct seed_run *good)
{
    struct evidence evidence = { 0 };
    long long waited_ms = (good->notes->read_ns - good->notes->written_ns) / 1000000;
    const char *read = strstr(late->text, "Child reads: ");
    bool is_empty = read && strcmp(read, "Child reads: \n") == 0;
    scene_head("5. Fault: sleep(1) where a semaphore belongs");
    scene_say("Twice at the same time: once left alone, and once with the parent stopped before "
              "its strcpy() for longer than a second, as a debugger, a full disk or a busy machine "
              "may do it. The second one's output:");
    scene_quote(late->text);
    say(&evidence,
        "On the good day the message lay ready for %lld ms before the child looked. "
        "With a late parent the child read %s, and both processes ended as if all were "
        "well.",
        waited_ms, is_empty ? "an empty string" : "what was there");
    scene_fact_int("sleep_waited_ms", waited_ms);
    scene_fact_bool("late_parent_child_read_nothing", is_empty);
    scene_fault(&(struct scene_fault){
        .title = "sleep(1) where a semaphore belongs",
        .does = "The child sleeps a second and hopes that the parent has written by then.",
        .happened = evidence.text,
        .why = "A duration is not an event. Whatever number stands there is too long on most days "
               "and too short on one.",
        .cure = "A semaphore in the segment, or a set: the child waits for the post, and with a "
                "deadline if the parent can die.",
    });
}

static int count_lines(const char *text, const char *line)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
        count++;
    return count;
}

static void tell_buffers(const struct seed_run *good, const struct seed_run *heading)
{
    struct evidence evidence = { 0 };
    const char *written = strstr(good->text, "Parent writes");
    const char *read = strstr(good->text, "Child reads");
    bool swapped = written && read && read < written;
    int headings = count_lines(heading->text, "A program about shared memory");
    scene_head("6. Fault: stdout's buffer and fork()");
    scene_say("The same program, its output through a pipe as in 'seed | cat':");
    scene_quote(good->text);
    scene_say("And with one printf(\"A program about shared memory\\n\") at the top of main():");
    scene_quote(heading->text);
    say(&evidence, "Through a pipe the two lines came %s. A line printed before fork() came %s.",
        swapped ? "in the wrong order: the answer before the question" : "in order",
        headings == 2 ? "twice" : "once");
    scene_fact_bool("pipe_lines_swapped", swapped);
    scene_fact_int("heading_printed", headings);
    scene_fault(&(struct scene_fault){
        .title = "stdout's buffer and fork(): lines swapped and doubled",
        .does = "It calls printf() on both sides of a fork() and never writes the buffer out.",
        .happened = evidence.text,
        .why = "On a terminal each line goes out at once. Into a pipe or a file stdio keeps it "
               "until the process ends: the parent's until after its wait(), when the child's has "
               "gone out long ago. And what is in the buffer at fork() is in both processes.",
        .cure = "fflush(stdout) before fork() and before the other side is told to go on; or "
                "write(2), which has no buffer.",
    });
}

/* The program sleeps a second, whatever one does: so all three at once. */
bool seed_fault_sleep_and_buffers(void)
{
    struct seed_run good = { 0 }, heading = { 0 }, late = { 0 };
    if (!seed_start(&good, 0) || !seed_start(&heading, SEED_HEADING) ||
        !seed_start(&late, SEED_STOP_BEFORE) || !seed_wait_stopped(&late))
        return false;
    bool has_read = seed_read_until(&late, "Child reads: ");
    kill(late.parent, SIGCONT);
    seed_finish(&late);
    bool ended = seed_finish(&good) == 0 && seed_finish(&heading) == 0;
    /* The child's line alone: the parent's came after it had been let go on. */
    char *parents = strstr(late.text, "Parent writes");
    if (parents)
        *parents = '\0';
    if (has_read && ended) {
        tell_sleep(&late, &good);
        tell_buffers(&good, &heading);
    }
    seed_clear(&good);
    seed_clear(&heading);
    seed_clear(&late);
    return has_read && ended;
}

bool seed_fault_left_behind(void)
{
    struct evidence evidence = { 0 };
    struct seed_run run = { 0 };
    struct shmid_ds ds;
    scene_head("7. Fault: left behind when it is killed");
    if (!seed_start(&run, SEED_STOP_AFTER) || !seed_wait_stopped(&run))
        return false;
    scene_say("After the strcpy() parent and child are killed, as Ctrl-C or a crash would do. "
              "Nobody is left, and still:");
    int id = run.notes->id;
    run.notes->id = -1; /* so that it is not taken away yet */
    seed_clear(&run);
    scene_show_segment(id);
    bool stays = shmctl(id, IPC_STAT, &ds) == 0;
    const char *memory = stays ? shmat(id, NULL, SHM_RDONLY) : (void *)-1;
    if (stays && memory != (void *)-1) {
        say(&evidence,
            "The segment stands there with shm_nattch %lu, and would until the next "
            "restart of the machine. The next run gets it under the same key, with "
            "\"%.40s\" in it before its parent has written anything.",
            (unsigned long)ds.shm_nattch, memory);
        shmdt(memory);
    }
    scene_fact_bool("left_behind", stays);
    scene_mute(true);
    scene_shmctl(id, IPC_RMID, NULL);
    scene_mute(false);
    scene_fault(&(struct scene_fault){
        .title = "left behind when it is killed",
        .does = "Its last line is shmctl(shmid, IPC_RMID, NULL).",
        .happened = evidence.text,
        .why = "The kernel detaches a dead process, and removes nothing: a segment is nobody's. "
               "Whoever dies before the last line leaves it, and old data looks like new.",
        .cure = "IPC_RMID right after shmat(): the key is gone, who is attached keeps the memory, "
                "and the last detach frees it, SIGKILL included ('weir demo rmid').",
    });
    return stays;
}

bool seed_fault_status(void)
{
    struct evidence evidence = { 0 };
    struct seed_run run = { 0 };
    scene_head("8. Fault: the parent does not want to know how its child ended");
    if (!seed_start(&run, SEED_STOP_AFTER) || !seed_wait_stopped(&run))
        return false;
    scene_say("While it sleeps the child is killed; then the parent goes on:");
    scene_kill(run.notes->child, SIGKILL);
    scene_kill(run.parent, SIGCONT);
    int wait_status = seed_finish(&run);
    scene_quote(run.text);
    say(&evidence,
        "The message was read by nobody. The parent printed its line and %s, which "
        "tells the shell that all went well.",
        scene_wait_text(wait_status));
    scene_fact_int("status_when_child_died",
                   WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1);
    seed_clear(&run);
    scene_fault(&(struct scene_fault){
        .title = "the parent does not want to know how its child ended",
        .does = "wait(NULL), and return 0 in any case.",
        .happened = evidence.text,
        .why = "wait() gives the child's exit status or the signal that killed it only to those "
               "who hand it an int to put it in.",
        .cure = "waitpid(child, &status, 0), and an exit status that passes it on.",
    });
    return true;
}

int64_t seed_run_right(struct seed_run *run)
{
    memset(run, 0, sizeof *run);
    if (!seed_start(run, SEED_RIGHT))
        return -1;
    bool went_well = seed_finish(run) == 0;
    int64_t took_us = (run->end_ns - run->start_ns) / 1000;
    seed_clear(run);
    return went_well ? took_us : -1;
}
