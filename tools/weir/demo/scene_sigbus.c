/* SPDX-License-Identifier: MIT */
/* The scene 'sigbus': in a full /dev/shm the size is granted, and the write kills. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "scenes.h"

enum {
    SIZE = 4 << 20, /* of each segment */
    ROOM = 1 << 20, /* of /dev/shm */
};

static void told_room(void)
{
    struct statvfs info;
    char text[96];
    if (statvfs("/dev/shm", &info) == -1)
        return;
    snprintf(text, sizeof text, "%lu of %lu bytes are free", info.f_bfree * info.f_bsize,
             info.f_blocks * info.f_bsize);
    scene_told("statvfs(\"/dev/shm\")", text);
}

/* The result of a call that gives 0 or sets errno. */
static int told(const char *call, int result)
{
    int saved = errno;
    char text[96];
    snprintf(text, sizeof text, "%d%s%s", result, result == -1 ? " " : "",
             result == -1 ? strerror(saved) : "");
    scene_told(call, text);
    errno = saved;
    return result;
}

/* -- Who writes --------------------------------------------------------------------------------*/

/* In memory of its own that is there already: counting must not kill. */
static volatile long *written;

static void fill(char *memory, long page_size)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }); /* it is not worth a core dump */
    for (long at = 0; at < SIZE; at += page_size) {
        memset(memory + at, 1, (size_t)page_size);
        *written = at + page_size;
    }
}

/* Has a child write all of it; returns the signal it died of, or 0; -1 when it was not started. */
static int write_all(char *memory, const char *what)
{
    int status;
    *written = 0;
    pid_t writer = scene_fork("writer");
    if (writer == 0) {
        scene_told(what, NULL);
        fill(memory, sysconf(_SC_PAGESIZE));
        scene_exit(0);
    }
    if (writer == -1 || scene_waitpid(writer, &status, 0) == -1)
        return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static const char *fate(int signal)
{
    static char text[64];
    snprintf(text, sizeof text, "killed by signal %d (%s)", signal, strsignal(signal));
    return signal ? text : "all written";
}

/* -- The scene -------------------------------------------------------------------------------- */

/* What became of each attempt to write. */
static struct {
    int posix, allocate, system_v, weir;
    long reached; /* bytes that the POSIX writer wrote */
} outcome;

static int posix_segment(void)
{
    char call[96], result[32];
    scene_head("POSIX: shm_open, ftruncate, mmap, and a write");
    int fd = shm_open("/segment", O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd == -1)
        return command_fail("shm_open: %s", strerror(errno));
    told("shm_open(\"/segment\", O_CREAT | O_EXCL | O_RDWR, 0600)", fd);
    snprintf(call, sizeof call, "ftruncate(%d, %d)", fd, SIZE);
    told(call, ftruncate(fd, SIZE));
    char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return command_fail("mmap: %s", strerror(errno));
    snprintf(call, sizeof call, "mmap(NULL, %d, PROT_WRITE, MAP_SHARED, %d, 0)", SIZE, fd);
    snprintf(result, sizeof result, "%p", (void *)memory);
    scene_told(call, result);
    scene_say("Four times what there is room for, and no call failed: a page is looked for when "
              "it is first written. A process of its own does that:");
    outcome.posix = write_all(memory, "memset(memory, 1, 4194304)");
    outcome.reached = *written;
    told_room();
    scene_say("It got to byte %ld. A store has no result that could report an error, so the "
              "kernel reports it by a signal: SIGBUS. The shell says \"Bus error\", the program "
              "says nothing.",
              outcome.reached);
    munmap(memory, SIZE);

    scene_head("The cure for POSIX: posix_fallocate");
    snprintf(call, sizeof call, "ftruncate(%d, 0)", fd);
    told(call, ftruncate(fd, 0));
    outcome.allocate = posix_fallocate(fd, 0, SIZE);
    snprintf(call, sizeof call, "posix_fallocate(%d, 0, %d)", fd, SIZE);
    scene_told(call, outcome.allocate ? weir_strerror_name(outcome.allocate) : "0");
    scene_say("It takes the pages at once: that there are none is an error of this call, before "
              "anybody writes. (Its result is the error; errno is left alone.)");
    shm_unlink("/segment");
    close(fd);
    return STATUS_OK;
}

static int system_v_segment(void)
{
    scene_head("System V, in the same place");
    int id = scene_shmget(IPC_PRIVATE, SIZE, 0600);
    char *memory = id == -1 ? (void *)-1 : scene_shmat(id, NULL, 0);
    if (memory == (void *)-1)
        return command_fail("shmget or shmat: %s", strerror(errno));
    outcome.system_v = write_all(memory, "memset(memory, 1, 4194304)");
    told_room();
    scene_say("Written, and /dev/shm has as much room as before: System V memory is on a mount of "
              "the kernel's own. Its limits are kernel.shmmax and kernel.shmall, which shmget() "
              "reports, and nobody can truncate it under a reader. (That the machine has no memory "
              "left at all is another matter: then the kernel kills.)");
    scene_mute(true);
    scene_shmdt(memory);
    scene_shmctl(id, IPC_RMID, NULL);
    scene_mute(false);
    return STATUS_OK;
}

static int with_weir(void)
{
    struct weir_segment *segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_PREFAULT;
    if (weir_segment_create(&segment, weir_private(), SIZE, &options) != 0)
        return command_fail_weir();
    scene_head("weir, in the same place");
    outcome.weir =
        write_all(weir_segment_data(segment), "memset(weir_segment_data(segment), 1, 4194304)");
    weir_segment_close(segment);
    return STATUS_OK;
}

static int report(void)
{
    scene_head("The result");
    scene_result("POSIX, ftruncate        granted; the writer: %s", fate(outcome.posix));
    scene_result("POSIX, posix_fallocate  %s",
                 outcome.allocate ? strerror(outcome.allocate) : "granted");
    scene_result("System V                the writer: %s", fate(outcome.system_v));
    scene_result("weir                    the writer: %s", fate(outcome.weir));
    scene_fact_int("room_bytes", ROOM);
    scene_fact_int("size_bytes", SIZE);
    scene_fact_int("signal", outcome.posix);
    scene_fact_int("written_bytes", outcome.reached);
    scene_fact_text("posix_fallocate", weir_strerror_name(outcome.allocate));
    scene_fact_int("system_v_signal", outcome.system_v);
    scene_fact_int("weir_signal", outcome.weir);
    scene_instead("options.flags = WEIR_SEGMENT_PREFAULT;\n"
                  "weir_segment_create(&segment, weir_by_name(\"camera/frame\"),\n"
                  "                    4 << 20, &options);\n",
                  "weir's segments are System V: what /dev/shm has room for does not matter to "
                  "them. With WEIR_SEGMENT_PREFAULT every page is in memory before the call "
                  "returns.");
    if (outcome.posix != SIGBUS || outcome.allocate != ENOSPC)
        return command_fail("this system did not behave as the scene describes");
    if (outcome.system_v || outcome.weir)
        return command_fail("System V memory was not spared");
    return STATUS_OK;
}

static int play(void)
{
    scene_told("mount(\"tmpfs\", \"/dev/shm\", \"tmpfs\", 0, \"size=1m\")", "0");
    told_room();
    int status = posix_segment();
    if (status == STATUS_OK)
        status = system_v_segment();
    if (status == STATUS_OK)
        status = with_weir();
    return status == STATUS_OK ? report() : status;
}

static int run_sigbus(void)
{
    if (!scene_private())
        return scene_skip("a mount namespace of one's own is not permitted here, and this scene "
                          "does not fill the /dev/shm of others");
    written =
        mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (written == MAP_FAILED)
        return command_fail("mmap: %s", strerror(errno));
    scene_name_process("scene");
    scene_head("A /dev/shm of 1 MiB");
    scene_say("Containers often have a small one: Docker gives 64 MiB. Here it is 1 MiB, and only "
              "this scene sees it.");
    if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") == -1)
        return scene_skip("mount: %s", strerror(errno));
    int status = play();
    umount2("/dev/shm", MNT_DETACH);
    return status;
}

const struct scene scene_sigbus = {
    .name = "sigbus",
    .summary = "a full /dev/shm: the size is granted, and the write kills",
    .heart = "examples/textbook/sigbus.c",
    .run = run_sigbus,
};
