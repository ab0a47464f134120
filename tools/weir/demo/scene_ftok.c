/* SPDX-License-Identifier: MIT */
/* The scene 'ftok': two files with one key, and the key of all missing files. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "puppet.h"
#include "scenes.h"

enum {
    PROJECT = 'p',
    INODE_BITS = 0xffff,
    WALK_FILES = 5000, /* bounds are counts: on a slow machine the scene shows the same */
    HUNT_FILES = 4 * 65536,
};

/* A file that may have no name: then it is reached by /proc/self/fd. */
struct file {
    int fd;
    ino_t inode;
    dev_t device;
    char path[64];
};

/* -- The files of this machine ---------------------------------------------------------------- */

static struct {
    char *path[INODE_BITS + 1]; /* the first file with these 16 bits */
    ino_t inode[INODE_BITS + 1];
    int files, pairs;
    char first[2][512]; /* of the first pair */
} walk;

static int visit(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F)
        return 0;
    size_t bits = info->st_ino & INODE_BITS;
    walk.files++;
    if (!walk.path[bits]) {
        walk.path[bits] = strdup(path);
        walk.inode[bits] = info->st_ino;
    } else if (walk.inode[bits] != info->st_ino && /* else it is one file with two names */
               ftok(walk.path[bits], PROJECT) == ftok(path, PROJECT)) {
        if (walk.pairs++ == 0) {
            snprintf(walk.first[0], sizeof walk.first[0], "%s", walk.path[bits]);
            snprintf(walk.first[1], sizeof walk.first[1], "%s", path);
        }
    }
    return walk.files >= WALK_FILES;
}

static void walk_files(void)
{
    static const char *const roots[] = { "/etc", "/usr" };
    for (size_t i = 0; i < sizeof roots / sizeof roots[0] && walk.files < WALK_FILES; i++)
        nftw(roots[i], visit, 8, FTW_PHYS | FTW_MOUNT);
    for (size_t i = 0; i <= INODE_BITS; i++)
        free(walk.path[i]);
}

/* The chance that among so many files with random inode numbers two share 16 bits, in percent. */
static double chance_percent(int files)
{
    double none = 1;
    for (int i = 1; i < files && i <= INODE_BITS; i++)
        none *= 1 - i / 65536.0;
    return 100 * (1 - none);
}

static int files_for_even_chance(void)
{
    int files = 2;
    while (chance_percent(files) < 50)
        files++;
    return files;
}

static void show_walk(void)
{
    char text[512] = "";
    int length = 0;
    walk_files();
    scene_head("16 bits of the inode number");
    scene_say("ftok(path, project) keeps the low 8 bits of the project, the low 8 of the device "
              "and the low 16 of the inode number: 65,536 keys for all files of a file system. "
              "If inode numbers were random, %d files would give an even chance that two of them "
              "share a key; 1,000 files one of %.2f %%. They are not random, file systems "
              "count them up: a few new files rarely collide, many old ones do.",
              files_for_even_chance(), chance_percent(1000));
    scene_say("This machine: of %d files looked at in /etc and /usr, %d have a key that another "
              "one had before.%s",
              walk.files, walk.pairs, walk.pairs ? " The first:" : "");
    for (int i = 0; walk.pairs && i < 2; i++) {
        struct stat info = { 0 };
        (void)!stat(walk.first[i], &info);
        length += snprintf(
            text + length, sizeof text - (size_t)length, "key 0x%08x  inode 0x%06lx  %.100s\n",
            (unsigned)ftok(walk.first[i], PROJECT), (unsigned long)info.st_ino, walk.first[i]);
    }
    scene_quote(text);
    scene_fact_int("even_chance_files", files_for_even_chance());
    scene_fact_int("files_looked_at", walk.files);
    scene_fact_int("files_sharing_a_key", walk.pairs);
}

/* -- A pair of our own ------------------------------------------------------------------------ */

static bool is_tmpfs(const char *directory)
{
    struct statfs info;
    return statfs(directory, &info) == 0 && info.f_type == TMPFS_MAGIC;
}

static bool make_file(struct file *file, const char *directory)
{
    struct stat info;
    file->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->fd == -1)
        return false;
    if (fstat(file->fd, &info) == -1) {
        close(file->fd);
        return false;
    }
    file->inode = info.st_ino;
    file->device = info.st_dev;
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
    return true;
}

static void name_file(struct file *file, const char *name)
{
    if (linkat(AT_FDCWD, file->path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0)
        snprintf(file->path, sizeof file->path, "%s", name);
}

/*
 * Makes nameless files until one has the 16 bits of the first; returns how many
 * it took, or 0. Nameless ones, so that nothing is left if this is killed.
 */
static int hunt(struct file *a, struct file *b, const char *directory)
{
    if (!make_file(a, directory))
        return 0;
    for (int files = 2; files <= HUNT_FILES; files++) {
        if (!make_file(b, directory))
            break;
        if ((b->inode & INODE_BITS) == (a->inode & INODE_BITS))
            return files;
        close(b->fd);
    }
    close(a->fd);
    return 0;
}

/* -- Two programs that do not know of one another --------------------------------------------- */

enum { OPEN = 1, WRITE, READ };

struct program {
    const char *path;
    const char *message;
    char *memory;
    int id;
};

/* What every program does that follows the textbook. */
static long program_step(int order, void *argument)
{
    struct program *program = argument;
    char text[96];
    switch (order) {
    case OPEN: {
        key_t key = scene_ftok(program->path, PROJECT);
        program->id = key == -1 ? -1 : scene_shmget(key, 64, IPC_CREAT | 0600);
        program->memory = program->id == -1 ? (void *)-1 : scene_shmat(program->id, NULL, 0);
        return program->memory == (void *)-1 ? -1 : program->id;
    }
    case WRITE:
        scene_strcpy(program->memory, program->message);
        return 0;
    default:
        snprintf(text, sizeof text, "finds in its segment: \"%.60s\"", program->memory);
        scene_told(text, NULL);
        return 0;
    }
}

/* Each opens, then writes; the first one reads. Returns the first one's segment, or -1. */
static int use(struct puppet *spooler, struct puppet *camera)
{
    int id = (int)puppet_do(spooler, OPEN);
    puppet_do(spooler, WRITE);
    if (id == -1 || puppet_do(camera, OPEN) != id)
        return -1;
    puppet_do(camera, WRITE);
    puppet_do(spooler, READ);
    return id;
}

/* What stands in the segment in the end, seen from here; then it is removed. */
static void take_away(int id, char *text, size_t room)
{
    const char *memory = shmat(id, NULL, SHM_RDONLY);
    snprintf(text, room, "%.60s", memory == (void *)-1 ? "" : memory);
    if (memory != (void *)-1)
        shmdt(memory);
    scene_mute(true);
    scene_shmctl(id, IPC_RMID, NULL);
    scene_mute(false);
}

static int meet(const struct file *a, const struct file *b, char *text, size_t room)
{
    struct program one = { .path = a->path, .message = "3 jobs" };
    struct program other = { .path = b->path, .message = "picture 1" };
    struct puppet spooler, camera;
    scene_head("Two unrelated programs");
    scene_say("A spooler and a camera, which never heard of one another. Each takes its own "
              "configuration file for ftok, as the textbook advises.");
    if (!puppet_start(&spooler, "spooler", program_step, &one))
        return command_fail("cannot start the spooler");
    if (!puppet_start(&camera, "camera", program_step, &other)) {
        puppet_kill(&spooler);
        return command_fail("cannot start the camera");
    }
    int id = use(&spooler, &camera);
    puppet_end(&spooler);
    puppet_end(&camera);
    if (id == -1)
        return command_fail("the two programs did not get one segment");
    take_away(id, text, room);
    scene_say("The spooler wrote \"%s\" and finds \"%s\". No call reported an error.", one.message,
              text);
    scene_fact_text("written", one.message);
    scene_fact_text("read", text);
    return STATUS_OK;
}

/* -- Missing files ---------------------------------------------------------------------------- */

static void missing(void)
{
    scene_head("A file that is missing");
    key_t one = scene_ftok("no-such-file", PROJECT);
    key_t other = scene_ftok("nor-this-one", 'q');
    scene_say("-1 means \"failed\", and is a key like any other: 0xffffffff. Programs that do not "
              "look at the result all share that one.");
    scene_fact_int("missing_key", one);
    if (!scene_private())
        return; /* in the machine's own namespace somebody may have that very segment */
    int id = scene_shmget(one, 64, IPC_CREAT | 0600);
    int same = scene_shmget(other, 64, 0600);
    scene_say("The second program got %s.", id == same ? "the segment of the first" : "another");
    scene_fact_bool("missing_share_a_segment", id != -1 && id == same);
    scene_mute(true);
    scene_shmctl(id, IPC_RMID, NULL);
    scene_mute(false);
}

/* -- weir ------------------------------------------------------------------------------------- */

struct answers {
    int first, second; /* of weir_segment_create() for the two files */
    int missing;       /* of weir_ftok() */
};

static struct answers with_weir(const struct file *a, const struct file *b)
{
    struct weir_segment *spooler = NULL, *other = NULL;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct answers answers;
    uint32_t key;
    options.lifetime = WEIR_PERSISTENT;
    scene_head("The same with weir");
    int place = scene_making_segment(ftok(a->path, PROJECT));
    answers.first = weir_segment_create(&spooler, weir_by_ftok(a->path, PROJECT), 64, &options);
    scene_making_end(place, answers.first == 0 ? shmget(ftok(a->path, PROJECT), 0, 0) : -1);
    answers.second = weir_segment_create(&other, weir_by_ftok(b->path, PROJECT), 64, &options);
    if (answers.second != 0)
        scene_say("weir_segment_create() never takes what is there already. The camera's call "
                  "fails, with %s: \"%s\"",
                  weir_strerror_name(answers.second), weir_last_error());
    else
        weir_segment_close(other);
    answers.missing = weir_ftok("no-such-file", PROJECT, &key);
    if (answers.missing != 0)
        scene_say("weir_ftok() of a missing file fails, with %s: \"%s\"",
                  weir_strerror_name(answers.missing), weir_last_error());
    if (answers.first == 0) {
        weir_segment_close(spooler);
        weir_segment_remove(weir_by_ftok(a->path, PROJECT));
    }
    scene_fact_text("weir_create_first", weir_strerror_name(answers.first));
    scene_fact_text("weir_create_second", weir_strerror_name(answers.second));
    scene_fact_text("weir_missing", weir_strerror_name(answers.missing));
    return answers;
}

/* -- The scene -------------------------------------------------------------------------------- */

static void show_pair(const struct file *a, const struct file *b, int files)
{
    scene_say("File number %d has them: after 65,536 files the 16 bits come round. The two paths, "
              "taken apart:",
              files);
    const struct file *pair[] = { a, b };
    for (int i = 0; i < 2; i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "%-14.40s inode 0x%06lx  -> 16 bits 0x%04lx\n"
                 "               device 0x%04lx   ->  8 bits   0x%02lx\n"
                 "               project 'p'     ->  8 bits   0x%02x\n"
                 "               key             0x%02x %02lx %04lx",
                 pair[i]->path, (unsigned long)pair[i]->inode,
                 (unsigned long)(pair[i]->inode & INODE_BITS), (unsigned long)pair[i]->device,
                 (unsigned long)(pair[i]->device & 0xff), PROJECT, PROJECT,
                 (unsigned long)(pair[i]->device & 0xff),
                 (unsigned long)(pair[i]->inode & INODE_BITS));
        scene_quote(line);
    }
}

static void instead(void)
{
    scene_instead("weir_segment_create(&segment, weir_by_name(\"spooler/jobs\"), 64, NULL);\n",
                  "No key at all is best. Names of weir's are compared letter by letter: two names "
                  "are two segments, and what is found under a name is checked before it is used. "
                  "weir_by_ftok() is there to meet programs that use ftok().");
}

static int play(struct file *a, struct file *b, int files)
{
    char read[64];
    name_file(a, "spooler.conf");
    name_file(b, "camera.conf");
    show_pair(a, b, files);
    key_t one = ftok(a->path, PROJECT), other = ftok(b->path, PROJECT);
    scene_fact_int("files_made", files);
    scene_fact_int("inode_a", (int64_t)a->inode);
    scene_fact_int("inode_b", (int64_t)b->inode);
    scene_fact_int("key_a", (uint32_t)one);
    scene_fact_int("key_b", (uint32_t)other);
    if (one != other || one == -1)
        return command_fail("the two keys differ: this is not the ftok that is described here");
    if (!scene_private() && shmget(one, 0, 0) != -1)
        return scene_skip("somebody already uses the key 0x%08x", (unsigned)one);
    int status = meet(a, b, read, sizeof read);
    if (status != STATUS_OK)
        return status;
    missing();
    struct answers answers = with_weir(a, b);
    scene_head("The result");
    scene_result("files of this machine  %d of %d have a key that another one had before",
                 walk.pairs, walk.files);
    scene_result("two files made here    inodes %lu and %lu, key 0x%08x for both",
                 (unsigned long)a->inode, (unsigned long)b->inode, (unsigned)one);
    scene_result("two programs           one wrote \"3 jobs\" and finds \"%s\"", read);
    scene_result("missing files          ftok gives -1, which is a key");
    scene_result("weir                   %s for the second file, %s for a missing one",
                 weir_strerror_name(answers.second), weir_strerror_name(answers.missing));
    instead();
    if (answers.first != 0 || answers.second != -EEXIST || answers.missing != -ENOENT)
        return command_fail("weir did not refuse what it promises to refuse");
    return STATUS_OK;
}

static int run_ftok(void)
{
    struct file a, b;
    scene_name_process("scene");
    const char *directory = is_tmpfs(".") ? "." : "/dev/shm";
    show_walk();
    scene_head("A collision, made on purpose");
    scene_say("On a file system in memory (tmpfs) files are cheap, and their inode numbers count "
              "up. We make a file, and then more of them, until one has the same 16 bits.");
    int files = is_tmpfs(directory) ? hunt(&a, &b, directory) : 0;
    if (files == 0)
        return scene_skip("no two files with the same 16 bits could be made: /dev/shm is no tmpfs, "
                          "or not writable");
    int status = play(&a, &b, files);
    close(a.fd);
    close(b.fd);
    return status;
}

const struct scene scene_of_ftok = {
    .name = "ftok",
    .summary = "two files with one key, and the key that all missing files share",
    .heart = "examples/textbook/ftok.c",
    .run = run_ftok,
};
