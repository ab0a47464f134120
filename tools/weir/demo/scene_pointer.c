/* SPDX-License-Identifier: MIT */
/*
 * The scene 'pointer': a raw pointer in shared memory is right for its writer alone.
 *
 * The reader is a program of its own, started by exec: this command again, called
 * as 'weir demo :pointer-reader ID ADDRESS FD FD'. It has no stage and tells
 * nothing; what it found stands in the segment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "scenes.h"

#define main pointer_main
static int pointer_main(int argc, char **argv) __attribute__((unused));
#include "../../../examples/textbook/pointer.c"
#undef main

/* What the reader found; each word is written by it alone, before it says that it is done. */
struct found {
    struct shared heart; /* must be first: the heart's own segment */
    void *address;       /* where the reader has the segment */
    int wait_status;     /* of its child that followed the pointer */
    char by_pointer[64]; /* what the child read there, if it lived */
    char by_offset[64];
};

/* -- The reader's program --------------------------------------------------------------------- */

/*
 * What lies there may be anything: each byte that is no plain character is written
 * as an octal number, the zero at the end too if it is all there is.
 */
static void copy_printable(char *to, size_t room, const volatile char *from)
{
    size_t length = 0;
    for (size_t i = 0; length + sizeof "\\000" <= room; i++) {
        unsigned char byte = (unsigned char)from[i];
        if (byte == 0 && i > 0)
            break;
        bool is_plain = byte >= ' ' && byte <= '~';
        length += (size_t)snprintf(to + length, room - length, is_plain ? "%c" : "\\%03o", byte);
        if (byte == 0)
            break;
    }
}

static void follow_pointer(struct found *found)
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        copy_printable(found->by_pointer, sizeof found->by_pointer, found->heart.pointer);
        _exit(0);
    }
    if (child == -1 || waitpid(child, &found->wait_status, 0) == -1)
        found->wait_status = 0x7f00;
}

bool scene_pointer_reader(int argc, char **argv, int *status)
{
    void *writers;
    if (argc != 6 || strcmp(argv[1], ":pointer-reader") != 0)
        return false;
    *status = STATUS_FAILURE;
    if (sscanf(argv[3], "%p", &writers) != 1)
        return true;
    int done = atoi(argv[4]), leave = atoi(argv[5]);
    struct found *found = (struct found *)attach_elsewhere(atoi(argv[2]), writers);
    found->address = found;
    follow_pointer(found);
    const char *text = (const char *)found + found->heart.offset;
    snprintf(found->by_offset, sizeof found->by_offset, "%.60s", text);
    char byte = 0;
    if (write(done, &byte, 1) == 1 && read(leave, &byte, 1) >= 0)
        *status = STATUS_OK;
    return true;
}

/* -- The scene -------------------------------------------------------------------------------- */

static _Noreturn void become_reader(int shm, void *writers, int done, int leave)
{
    char id[16], address[32], fds[2][16];
    snprintf(id, sizeof id, "%d", shm);
    snprintf(address, sizeof address, "%p", writers);
    snprintf(fds[0], sizeof fds[0], "%d", done);
    snprintf(fds[1], sizeof fds[1], "%d", leave);
    scene_told("execl(\"/proc/self/exe\"): nothing is attached any more", NULL);
    fcntl(done, F_SETFD, 0);
    fcntl(leave, F_SETFD, 0);
    execl("/proc/self/exe", "weir", "demo", ":pointer-reader", id, address, fds[0], fds[1],
          (char *)NULL);
    _exit(127);
}

/* What the reader's child came to, by the pointer. */
static const char *fate(const struct found *found)
{
    static char text[128];
    if (WIFSIGNALED(found->wait_status))
        snprintf(text, sizeof text, "killed by signal %d (%s)", WTERMSIG(found->wait_status),
                 strsignal(WTERMSIG(found->wait_status)));
    else
        snprintf(text, sizeof text, "it reads something else: \"%s\"", found->by_pointer);
    return text;
}

static void tell_found(const struct found *found, pid_t reader)
{
    char text[320];
    ptrdiff_t at = offsetof(struct shared, text);
    scene_say("The second program, process %d, has attached it. What is where:", (int)reader);
    snprintf(text, sizeof text,
             "in the writer   the segment at %p, \"Hello\" at %p\n"
             "in the reader   the segment at %p, \"Hello\" at %p\n"
             "stored          the pointer    %p, the offset  %zu",
             (const void *)found, (const void *)((const char *)found + at), found->address,
             (void *)((char *)found->address + at), (void *)found->heart.pointer,
             found->heart.offset);
    scene_quote(text);
    scene_say("The pointer is the writer's address. A child of the reader follows it: %s. At "
              "that address the reader has nothing, or, worse, something else.",
              fate(found));
    scene_say("The offset counts from the beginning of the segment, wherever that is. At so many "
              "bytes from its own address the reader finds \"%s\".",
              found->by_offset);
}

static int compare(const struct found *found)
{
    char here[32], there[32];
    snprintf(here, sizeof here, "%p", (const void *)found);
    snprintf(there, sizeof there, "%p", found->address);
    scene_head("The result");
    scene_result("the segment is  at %s (writer) and at %s (reader)", here, there);
    scene_result("by the pointer  %s", fate(found));
    scene_result("by the offset   \"%s\"", found->by_offset);
    scene_fact_text("writer_address", here);
    scene_fact_text("reader_address", there);
    scene_fact_int("signal", WIFSIGNALED(found->wait_status) ? WTERMSIG(found->wait_status) : 0);
    scene_fact_text("read_by_pointer", found->by_pointer);
    scene_fact_text("read_by_offset", found->by_offset);
    bool pointer_right =
        WIFEXITED(found->wait_status) && strcmp(found->by_pointer, found->heart.text) == 0;
    if (found->address == found || pointer_right || strcmp(found->by_offset, found->heart.text))
        return command_fail("this system did not behave as the scene describes");
    return STATUS_OK;
}

static int read_elsewhere(int shm, struct found *found)
{
    int done[2], leave[2];
    char byte;
    if (pipe2(done, O_CLOEXEC) == -1 || pipe2(leave, O_CLOEXEC) == -1)
        return command_fail("pipe: %s", strerror(errno));
    scene_head("A second program");
    scene_say("fork() gives a child the same addresses, so that the mistake goes unseen. A "
              "program that was started by itself attaches wherever the kernel finds room.");
    pid_t reader = scene_fork("reader");
    if (reader == 0)
        become_reader(shm, found, done[1], leave[0]);
    close(done[1]);
    close(leave[0]);
    bool came = reader != -1 && read(done[0], &byte, 1) == 1;
    if (came) {
        scene_show_segment(shm);
        tell_found(found, reader);
    }
    close(leave[1]);
    close(done[0]);
    scene_mute(true);
    if (reader != -1)
        scene_waitpid(reader, NULL, 0);
    return came ? compare(found) : command_fail("the second program could not be started");
}

/* One process, one segment, two addresses. */
static void attach_twice(int shm, struct found *found)
{
    scene_head("One memory, two addresses");
    struct found *again = scene_shmat(shm, NULL, 0);
    if (again == (void *)-1)
        return;
    scene_strcpy(found->heart.text, "Hello");
    char text[96];
    snprintf(text, sizeof text, "reads at %p: \"%s\"", (void *)again->heart.text,
             again->heart.text);
    scene_told(text, NULL);
    scene_say("The same bytes, at %p and at %p. An address is where this process sees the "
              "memory; it is no name of the memory.",
              (void *)found, (void *)again);
    scene_fact_bool("two_addresses_one_memory",
                    again != found && strcmp(again->heart.text, "Hello") == 0);
    scene_mute(true);
    scene_shmdt(again);
    scene_mute(false);
}

static void store(struct found *found)
{
    char text[96];
    scene_head("A pointer, and an offset, in the segment");
    found->heart.pointer = found->heart.text;
    found->heart.offset = offsetof(struct shared, text);
    snprintf(text, sizeof text, "stores the pointer %p", (void *)found->heart.pointer);
    scene_told(text, NULL);
    snprintf(text, sizeof text, "stores the offset %zu", found->heart.offset);
    scene_told(text, NULL);
}

static int run_pointer(void)
{
    scene_name_process("writer");
    scene_head("A segment");
    int shm = scene_shmget(IPC_PRIVATE, sizeof(struct found), 0600);
    struct found *found = shm == -1 ? (void *)-1 : scene_shmat(shm, NULL, 0);
    if (found == (void *)-1)
        return command_fail("the system refuses a segment: %s", strerror(errno));
    scene_say("It is removed at once: on Linux it stays for those who are attached, may still be "
              "attached by its identifier, and goes with the last of them, however that one ends.");
    scene_shmctl(shm, IPC_RMID, NULL);
    attach_twice(shm, found);
    store(found);
    int status = read_elsewhere(shm, found);
    scene_mute(true);
    scene_shmdt(found);
    scene_instead("struct list { uint64_t first; /* offset, 0: none */ };\n"
                  "char *base = weir_segment_data(segment);\n"
                  "struct node *node = (struct node *)(base + list->first);\n",
                  "weir stores no pointer in shared memory and promises no address: "
                  "weir_segment_data() gives each process its own. Store offsets, and check "
                  "that an offset lies within weir_segment_size() before you follow it. (An "
                  "address for all can be asked for, options.address, and is refused when it is "
                  "taken.)");
    return status;
}

const struct scene scene_pointer = {
    .name = "pointer",
    .summary = "a raw pointer at another address, then offsets",
    .heart = "examples/textbook/pointer.c",
    .run = run_pointer,
};
