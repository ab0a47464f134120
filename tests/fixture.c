/* SPDX-License-Identifier: MIT */
/* What the tests of the segment floor share. */
#include "fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];
static bool own_namespace;
static struct weir_limits before; /* in a namespace that is not ours: what was there already */

bool fixture_is_alone(void)
{
    return unshare(CLONE_NEWIPC) == 0;
}

const char *fixture_directory(void)
{
    return directory;
}

const char *fixture_path(const char *name)
{
    static char turns[8][4400];
    static unsigned turn;
    char *path = turns[turn++ % ARRAY_SIZE(turns)];
    snprintf(path, sizeof turns[0], "%s/%s", directory, name);
    return path;
}

const char *run_directory(void)
{
    static char path[4096];
    if (weir_run_directory(path, sizeof path) != 0)
        path[0] = 0;
    return path;
}

int fixture_start(void **state)
{
    (void)state;
    own_namespace = unshare(CLONE_NEWIPC) == 0;
    before.size = sizeof before;
    if (weir_limits(&before) != 0)
        return -1;
    strcpy(directory, "/dev/shm/weir-test-XXXXXX");
    if (!mkdtemp(directory) || chmod(directory, 0755) != 0)
        return -1;
    return setenv("WEIR_DIR", fixture_path("run"), 1);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    return walk->level > 0 ? remove(path) : 0;
}

int fixture_end(void **state)
{
    (void)state;
    clear_everything();
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return rmdir(directory);
}

int fixture_check(void **state)
{
    (void)state;
    uint64_t segments = segments_now();
    uint64_t sets = sets_now();
    unsigned names = names_now();
    clear_everything();
    if (!own_namespace) /* others come and go here */
        segments = sets = 0;
    if (segments || sets || names)
        print_error("left behind: %" PRIu64 " segments, %" PRIu64 " sets, %u names\n", segments,
                    sets, names);
    return segments || sets || names ? -1 : 0;
}

static uint64_t segments_alive;

int fixture_start_alive(void **state)
{
    uint64_t identity;
    int result = fixture_start(state);
    if (result == 0)
        result = weir_identity(&identity);
    segments_alive = segments_now();
    return result;
}

int fixture_check_alive(void **state)
{
    (void)state;
    uint64_t segments = segments_now(), sets = sets_now();
    unsigned names = names_now();
    if (segments == segments_alive && sets == 0 && names == 0)
        return 0;
    print_error("left behind: %" PRId64 " segments, %" PRIu64 " sets, %u names\n",
                (int64_t)(segments - segments_alive), sets, names);
    return -1;
}

uint64_t fixture_segments(void)
{
    return segments_alive;
}

static struct weir_limits limits_now(void)
{
    struct weir_limits limits = { .size = sizeof limits };
    if (weir_limits(&limits) != 0)
        limits.shm_used = limits.semset_used = UINT64_MAX;
    return limits;
}

uint64_t segments_now(void)
{
    return limits_now().shm_used - before.shm_used;
}

uint64_t sets_now(void)
{
    return limits_now().semset_used - before.semset_used;
}

static unsigned count_names(char letter)
{
    DIR *stream = opendir(run_directory());
    if (!stream)
        return 0;
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && (!letter || name[0] == letter))
            count++;
    }
    closedir(stream);
    return count;
}

unsigned names_now(void)
{
    return count_names(0);
}

unsigned names_starting(char letter)
{
    return count_names(letter);
}

/* A test that failed half-way left mappings; the next one counts from nothing. */
static void detach_everything(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    uintptr_t start;
    while (maps && fgets(line, sizeof line, maps)) {
        if (strstr(line, " /SYSV") && sscanf(line, "%" SCNxPTR "-", &start) == 1)
            shmdt((void *)start);
    }
    if (maps)
        fclose(maps);
}

/* What the record of an entry names: in a namespace of others nothing else is known to be ours. */
static int remove_named(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    char text[300] = "";
    int segment = -1;
    int set = -1;
    (void)walk;
    int fd = type == FTW_F && S_ISREG(status->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) > 0 &&
        sscanf(text, "weir1 %*s %*s %*s %*s shm=%*x,%d,%*u sem=%*x,%d", &segment, &set) == 2) {
        if (segment >= 0)
            shmctl(segment, IPC_RMID, NULL);
        if (set >= 0)
            semctl(set, 0, IPC_RMID);
    }
    close(fd);
    return 0;
}

/* Only in a namespace of our own may everything be removed; else weir's names must do. */
void clear_everything(void)
{
    detach_everything();
    if (own_namespace) {
        struct shmid_ds segment;
        struct semid_ds set;
        struct shm_info shm_info;
        struct seminfo sem_info;
        /* shmctl(2): the address is of the type that the command says. */
        int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&shm_info);
        for (int index = 0; index <= last; index++) {
            int id = shmctl(index, SHM_STAT, &segment);
            if (id >= 0)
                shmctl(id, IPC_RMID, NULL);
        }
        last = semctl(0, 0, SEM_INFO, &sem_info);
        for (int index = 0; index <= last; index++) {
            int id = semctl(index, 0, SEM_STAT, &set);
            if (id >= 0)
                semctl(id, 0, IPC_RMID);
        }
    }
    char run[4400];
    snprintf(run, sizeof run, "%s", fixture_path("run"));
    struct stat status;
    if (!own_namespace)
        nftw(run, remove_named, 8, FTW_PHYS);
    if (lstat(run, &status) == 0 && S_ISDIR(status.st_mode))
        nftw(run, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    remove(run);
}

void child_check(bool condition, const char *text, const char *file, int line)
{
    if (condition)
        return;
    dprintf(STDERR_FILENO, "%s:%d: child: %s (errno %d; last sentence: %s)\n", file, line, text,
            errno, weir_last_error());
    _exit(1);
}

void child_check_result(int result, int expected, const char *text, const char *file, int line)
{
    if (result == expected)
        return;
    dprintf(STDERR_FILENO, "%s:%d: child: %s is %s%d, expected %d: %s\n", file, line, text,
            weir_strerror_name(result), result, expected, weir_last_error());
    _exit(1);
}

void assert_result_at(int result, int expected, const char *text, const char *file, int line)
{
    if (result != expected) {
        print_error("%s is %s (%d), expected %s (%d): %s\n", text, weir_strerror_name(result),
                    result, weir_strerror_name(expected), expected, weir_last_error());
        _fail(file, line);
    }
    if (result < 0 && weir_last_error()[0] == 0) {
        print_error("%s is %d and leaves no sentence\n", text, result);
        _fail(file, line);
    }
}

int status_in_child(void (*function)(void *), void *argument)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        function(argument);
        _exit(0);
    }
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

void in_child(void (*function)(void *), void *argument)
{
    int status = status_in_child(function, argument);
    if (WIFSIGNALED(status))
        print_error("child died of signal %d\n", WTERMSIG(status));
    assert_int_equal(status, 0);
}

void companion_start(struct companion *companion, void (*function)(struct companion *, void *),
                     void *argument)
{
    int down[2], up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    fflush(NULL);
    companion->pid = fork();
    assert_true(companion->pid >= 0);
    if (companion->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(down[1]);
        close(up[0]);
        companion->to_child = down[0];
        companion->from_child = up[1];
        function(companion, argument);
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    companion->to_child = down[1];
    companion->from_child = up[0];
}

void companion_arrive(struct companion *companion)
{
    char byte = 0;
    CHECK(write(companion->from_child, &byte, 1) == 1);
    CHECK(read(companion->to_child, &byte, 1) == 1);
}

void companion_meet(struct companion *companion)
{
    char byte;
    assert_int_equal(read(companion->from_child, &byte, 1), 1);
}

void companion_release(struct companion *companion)
{
    char byte = 0;
    assert_int_equal(write(companion->to_child, &byte, 1), 1);
}

int companion_end(struct companion *companion)
{
    int status = -1;
    assert_int_equal(waitpid(companion->pid, &status, 0), companion->pid);
    close(companion->to_child);
    close(companion->from_child);
    return status;
}

bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

void become(uid_t uid)
{
    CHECK(setgroups(0, NULL) == 0);
    CHECK(setresgid(uid, uid, uid) == 0);
    CHECK(setresuid(uid, uid, uid) == 0);
}

bool has_other_users(void)
{
    unsigned first, below, count;
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (!map)
        return false;
    bool all = fscanf(map, "%u %u %u", &first, &below, &count) == 3 && first + count > THIRD_UID;
    fclose(map);
    return all && geteuid() == 0;
}

void new_ipc_namespace(void)
{
    CHECK(unshare(CLONE_NEWIPC) == 0);
}

int enter_user_namespace(uid_t uid, gid_t gid, int more)
{
    char users[40], groups[40];
    snprintf(users, sizeof users, "%u %u 1", uid, geteuid());
    snprintf(groups, sizeof groups, "%u %u 1", gid, getegid());
    if (unshare(CLONE_NEWUSER | more) != 0)
        return -EAGAIN;
    if (uid == UNMAPPED)
        return 0;
    /* Who has changed his uid may not write there, unless he may be looked into. */
    bool is_mapped = prctl(PR_SET_DUMPABLE, 1) == 0 && write_text("/proc/self/uid_map", users) &&
                     write_text("/proc/self/setgroups", "deny") &&
                     write_text("/proc/self/gid_map", groups);
    return is_mapped && geteuid() == uid && getegid() == gid ? 0 : -EPERM;
}

void set_sysctl(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/*
 * They are the machine's: who looks at them, or asks for more, is alone with them until his process ends, also
 * beside the tests of another build folder. All of a machine's tests see the same sysfs.
 */
static void lock_huge_pages(void)
{
    static int locked = -1;
    if (locked >= 0)
        return;
    locked = open("/sys/kernel/mm/hugepages", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (locked >= 0 && flock(locked, LOCK_EX) != 0 && errno == EINTR)
        ;
}

long reserved_huge_pages(long wanted)
{
    lock_huge_pages();
    long value = -1;
    char text[32];
    int fd = open("/proc/sys/vm/nr_hugepages", (wanted < 0 ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (wanted >= 0)
        dprintf(fd, "%ld", wanted);
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    if (length > 0) {
        text[length] = 0;
        value = strtol(text, NULL, 10);
    }
    return value;
}

/* Finds the lines of the mapping that holds the address; calls back with each until it answers. */
static bool smaps_find(const void *address, const char *label, char *line, size_t capacity_bytes)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    if (!file)
        return false;
    bool inside = false;
    bool found = false;
    while (!found && fgets(line, (int)capacity_bytes, file)) {
        uintptr_t start, end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
            inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        else if (inside && strncmp(line, label, strlen(label)) == 0 && line[strlen(label)] == ':')
            found = true;
    }
    fclose(file);
    return found;
}

long smaps_field(const void *address, const char *field)
{
    char line[512];
    if (!smaps_find(address, field, line, sizeof line))
        return -1;
    return strtol(line + strlen(field) + 1, NULL, 10);
}

bool smaps_flag(const void *address, const char *flag)
{
    char line[512];
    return smaps_find(address, "VmFlags", line, sizeof line) && has_word(line, flag);
}

bool all_bytes(const void *data, size_t size_bytes, unsigned char value)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size_bytes; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at++) {
        bool starts = at == text || !isalnum((unsigned char)at[-1]);
        if (starts && !isalnum((unsigned char)at[length]))
            return true;
    }
    return false;
}
