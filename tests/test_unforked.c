/* SPDX-License-Identifier: MIT */
/*
 * Goal: a child of fork() that stays has nothing attached of what its parent's other threads attach and keep from
 *       children, at whatever moment it was made: when all who use a channel are gone, nothing is left of it. And
 *       who attaches and who forks never wait for each other for ever, whatever locks the program's handlers take.
 * Method: shmat(2) and mmap(2) are replaced by ones behind which another thread forks, or begins to and falls asleep;
 *         then many forks beside many opens, as they come.
 */
#include "asleep.h"
#include "pair.h"
#include "records.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/tap.h>

/* Less than who waits in vain would. */
#define PROMPT_NS (900 * WEIR_MILLISECOND_NS)

static int pipe_ends[2] = { -1, -1 }; /* children stay until nobody can write any more */
static _Thread_local unsigned
    calls_until; /* that what happens then happens, from this thread's next call on */
static void (*happens)(void);

void *__real_shmat(int id, const void *address, int flags);
void *__wrap_shmat(int id, const void *address, int flags);
void *__real_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);

static void come_by(void)
{
    if (calls_until > 0 && --calls_until == 0)
        happens();
}

void *__wrap_shmat(int id, const void *address, int flags)
{
    void *memory = __real_shmat(id, address, flags);
    come_by();
    return memory;
}

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    void *memory = __real_mmap(address, length, protection, flags, fd, offset);
    if (fd >= 0 && (flags & MAP_SHARED))
        come_by();
    return memory;
}

/* --- children that stay --------------------------------------------------------------------- */

/* A fork waits no longer than that for a section: one that took so long may have gone ahead, as it should. */
#define FORK_WAITS_NS WEIR_SECOND_NS

static atomic_llong longest_fork_ns; /* since begin_children() */

static void begin_children(void)
{
    assert_int_equal(pipe(pipe_ends), 0);
    longest_fork_ns = 0;
}

static pid_t child_that_stays(void)
{
    char byte;
    int64_t before_ns = weir_now_ns();
    pid_t pid = fork();
    if (pid == 0) {
        close(pipe_ends[1]);
        _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    int64_t took_ns = weir_now_ns() - before_ns;
    if (took_ns > longest_fork_ns)
        longest_fork_ns = took_ns;
    return pid;
}

static void end_children(void)
{
    int status, sum = 0;
    close(pipe_ends[1]);
    while (waitpid(-1, &status, 0) > 0)
        sum |= status;
    close(pipe_ends[0]);
    pipe_ends[0] = pipe_ends[1] = -1;
    assert_int_equal(sum, 0);
}

/* Also those of a test that has failed. */
static int check(void **state)
{
    if (pipe_ends[1] >= 0)
        end_children();
    return fixture_check_alive(state);
}

static bool has_memory_of_weir(pid_t pid)
{
    char line[512];
    bool is_found = false;
    snprintf(line, sizeof line, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(line, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        is_found |= strstr(line, "/SYSV") || strstr(line, "memfd:weir") ||
                    strstr(line, "/dev/shm/weir-test-unforked");
    fclose(maps);
    return is_found;
}

/* Not so where an emulator takes MADV_DONTFORK, and does nothing. */
static bool kernel_hides(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int status;
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(madvise(memory, page, MADV_DONTFORK), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(msync(memory, page, MS_ASYNC) != 0 && errno == ENOMEM ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    munmap(memory, page);
    return status == 0;
}

/* --- a thread that forks while another one attaches ------------------------------------------- */

static atomic_int forker; /* its thread's number */
static atomic_bool may_fork, has_forked;
static pid_t forked;

static void *fork_when_told(void *unused)
{
    (void)unused;
    atomic_store(&forker, (int)syscall(SYS_gettid));
    while (!atomic_load(&may_fork))
        sched_yield();
    forked = child_that_stays();
    atomic_store(&has_forked, true);
    return NULL;
}

static bool is_asleep(pid_t thread)
{
    char path[64];
    long number = -1;
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)thread);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    if (fscanf(file, "%ld", &number) != 1)
        number = -1; /* it runs */
    fclose(file);
    return number == asleep_number();
}

/* Either has a child by now, or waits until the section is over. */
static void let_it_fork(void)
{
    atomic_store(&may_fork, true);
    while (!atomic_load(&has_forked) && !is_asleep(atomic_load(&forker)))
        sched_yield();
}

static const struct weir_segment_options hidden = { .size = sizeof hidden,
                                                    .mode = 0600,
                                                    .lifetime = WEIR_EPHEMERAL,
                                                    .flags = WEIR_SEGMENT_NO_FORK,
                                                    .kind = "segment" };

static void use_channel(void)
{
    struct pair pair;
    struct weir_tap *tap;
    pair_open(&pair);
    assert_result(weir_tap_open(&tap, "lane", NULL), 0);
    weir_tap_close(tap);
    pair_close(&pair);
}

static void use_segment(struct weir_ref ref, struct weir_ref again)
{
    struct weir_segment_options options = hidden;
    struct weir_segment *first, *second;
    void *third;
    if (ref.by == WEIR_BY_POSIX)
        options.lifetime = WEIR_PERSISTENT;
    assert_result(weir_segment_create(&first, ref, 8192, &options), 0);
    if (again.by == WEIR_BY_FD)
        again = weir_by_fd(weir_segment_fd(first));
    assert_result(weir_segment_open(&second, again, 0, &hidden), 0);
    assert_result(weir_segment_attach(second, NULL, WEIR_SEGMENT_NO_FORK, &third), 0);
    weir_segment_close(first);
    weir_segment_close(second);
}

static void use_named(void)
{
    use_segment(weir_by_name("segment"), weir_by_name("segment"));
}

static void use_posix(void)
{
    struct weir_ref ref = weir_by_posix("/weir-test-unforked");
    use_segment(ref, ref);
    assert_result(weir_segment_remove(ref), 0);
}

static void use_memfd(void)
{
    use_segment(weir_memfd(), weir_by_fd(0));
}

/* One whose making does not count. */
static struct weir_segment *make_before(void)
{
    struct weir_segment *segment;
    unsigned calls = calls_until;
    calls_until = 0;
    assert_result(weir_segment_create(&segment, weir_by_name("segment"), 8192, &hidden), 0);
    calls_until = calls;
    return segment;
}

static void look_up(void)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment = make_before();
    assert_result(weir_segment_lookup(weir_by_name("segment"), &stat), 0);
    weir_segment_close(segment);
}

/* The draft of a dead one, who has left a segment that may be its own. */
static void collect(void)
{
    const char *const draft = "#000000000000004d";
    struct record record = { .nonce = 0x4d,
                             .lifetime = WEIR_PERSISTENT,
                             .creator = geteuid(),
                             .pid = 1,
                             .shm_key = 0x7765,
                             .shm_id = -1,
                             .shm_segsz = 8192,
                             .sem_id = -1,
                             .kind = "segment" };
    struct weir_segment *segment = make_before(); /* so there is a run directory */
    int id = shmget((key_t)record.shm_key, record.shm_segsz, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0 && record_forge(draft, &record));
    weir_collect(0, NULL, NULL);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    /* By hand: the child may have the lock of the draft that the collector looked at. */
    assert_int_equal(unlink(entry_file(draft)), 0);
    assert_int_equal(rmdir(entry_path(draft)), 0);
    weir_segment_close(segment);
}

static const struct {
    const char *name;
    void (*act)(void);
    unsigned points; /* at least, behind each of which a fork comes once */
} acts[] = {
    { "channel", use_channel, 6 }, { "named", use_named, 3 }, { "posix", use_posix, 3 },
    { "memfd", use_memfd, 3 },     { "look up", look_up, 1 }, { "collect", collect, 1 },
};

/* Whether the child keeps something. false: the act was over before. */
static bool fork_once_behind(size_t which, unsigned point, bool *is_kept)
{
    pthread_t thread;
    bool was_reached = true;
    atomic_store(&forker, 0);
    atomic_store(&may_fork, false);
    atomic_store(&has_forked, false);
    begin_children();
    assert_int_equal(pthread_create(&thread, NULL, fork_when_told, NULL), 0);
    while (atomic_load(&forker) == 0)
        sched_yield();
    happens = let_it_fork;
    calls_until = point;
    acts[which].act();
    calls_until = 0;
    was_reached = atomic_load(&may_fork);
    atomic_store(&may_fork, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(forked > 0);
    /* The child lives. */
    *is_kept =
        has_memory_of_weir(forked) || segments_now() != fixture_segments() || names_now() != 0;
    end_children();
    return was_reached;
}

/* false: the act was over before. */
static bool fork_behind(size_t which, unsigned point)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        bool is_kept, was_reached = fork_once_behind(which, point, &is_kept);
        if (!is_kept)
            return was_reached;
        if (longest_fork_ns < FORK_WAITS_NS)
            break;
    }
    fail_msg("%s: forked behind attach %u, the child keeps it", acts[which].name, point);
    return false;
}

static void test_a_fork_behind_each(void **state)
{
    (void)state;
    if (!kernel_hides())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        unsigned point = 1;
        while (fork_behind(i, point))
            point++;
        assert_true(point > acts[i].points);
    }
}

/* --- as they come -------------------------------------------------------------------------------- */

static atomic_bool is_over;

static void *fork_many(void *count)
{
    for (int i = 0; i < *(int *)count; i++)
        assert_true(child_that_stays() > 0);
    atomic_store(&is_over, true);
    return NULL;
}

/* Whether a child keeps something. */
static bool fork_many_beside_many_opens(void)
{
    pthread_t thread;
    int count = SANITIZED ? 50 : 300;
    begin_children();
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, fork_many, &count), 0);
    while (!atomic_load(&is_over))
        use_channel();
    assert_int_equal(pthread_join(thread, NULL), 0);
    bool is_kept = segments_now() != fixture_segments() || names_now() != 0;
    end_children();
    return is_kept;
}

static void test_many_forks_beside_many_opens(void **state)
{
    (void)state;
    if (!kernel_hides())
        skip();
    for (int attempt = 0; fork_many_beside_many_opens(); attempt++)
        assert_true(attempt < 2 && longest_fork_ns >= FORK_WAITS_NS);
}

/* --- who waits for whom ---------------------------------------------------------------------------- */

static pthread_mutex_t programs = PTHREAD_MUTEX_INITIALIZER;
static bool has_handlers;

static void lock_programs(void)
{
    if (has_handlers)
        pthread_mutex_lock(&programs);
}

static void unlock_programs(void)
{
    if (has_handlers)
        pthread_mutex_unlock(&programs);
}

/* How long it takes to open a channel under the lock that a thread in the midst of fork() waits for. */
static int64_t open_under_the_lock(void)
{
    pthread_t thread;
    atomic_store(&forker, 0);
    atomic_store(&may_fork, true);
    begin_children();
    pthread_mutex_lock(&programs);
    assert_int_equal(pthread_create(&thread, NULL, fork_when_told, NULL), 0);
    while (atomic_load(&forker) == 0 || !is_asleep(atomic_load(&forker)))
        sched_yield();
    int64_t begun_ns = weir_now_ns();
    use_named();
    int64_t taken_ns = weir_now_ns() - begun_ns;
    pthread_mutex_unlock(&programs);
    assert_int_equal(pthread_join(thread, NULL), 0);
    end_children();
    return taken_ns;
}

static void test_a_lock_of_the_programs(void **state)
{
    int64_t taken_ns = INT64_MAX;
    (void)state;
    has_handlers = true;
    for (int i = 0; i < 3 && taken_ns >= PROMPT_NS; i++) /* the machine may be busy */
        taken_ns = open_under_the_lock();
    has_handlers = false;
    assert_true(taken_ns < PROMPT_NS);
}

static volatile sig_atomic_t is_child;

static void fork_in_handler(int signal)
{
    (void)signal;
    pid_t pid = fork();
    is_child = pid == 0;
}

static void interrupt_self(void)
{
    raise(SIGUSR1);
}

/* Both go on, and what they have attached is theirs: the parent's, and the child's. */
static int64_t open_with_a_fork_inside(struct weir_segment *made)
{
    struct weir_segment *segment;
    int status;
    is_child = 0;
    happens = interrupt_self;
    calls_until = 1;
    int64_t begun_ns = weir_now_ns();
    assert_result(weir_segment_open(&segment, weir_by_name("segment"), 0, &hidden), 0);
    int64_t taken_ns = weir_now_ns() - begun_ns;
    if (is_child) {
        CHECK(strcmp(weir_segment_data(segment), "text") == 0);
        weir_segment_close(segment);
        CHECK_RESULT(weir_segment_open(&segment, weir_by_name("segment"), 0, &hidden), 0);
        weir_segment_close(segment);
        weir_segment_close(made); /* a copy of the parent's handle */
        _exit(weir_now_ns() - begun_ns < PROMPT_NS ? 0 : 2);
    }
    assert_string_equal(weir_segment_data(segment), "text");
    weir_segment_close(segment);
    assert_true(waitpid(-1, &status, 0) > 0 && WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 2);
    assert_int_not_equal(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == 0 ? taken_ns : INT64_MAX;
}

static void test_a_fork_in_a_handler(void **state)
{
    struct sigaction action = { .sa_handler = fork_in_handler }, before;
    struct weir_segment *segment;
    int64_t taken_ns = INT64_MAX;
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_result(weir_segment_create(&segment, weir_by_name("segment"), 8192, &hidden), 0);
    strcpy(weir_segment_data(segment), "text");
    for (int i = 0; i < 3 && taken_ns >= PROMPT_NS; i++)
        taken_ns = open_with_a_fork_inside(segment);
    assert_true(taken_ns < PROMPT_NS);
    weir_segment_close(segment);
    sigaction(SIGUSR1, &before, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, NULL, check)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_fork_behind_each),
        TEST(test_many_forks_beside_many_opens),
        TEST(test_a_lock_of_the_programs),
        TEST(test_a_fork_in_a_handler),
    };
    pthread_atfork(lock_programs, unlock_programs, unlock_programs);
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
