/* SPDX-License-Identifier: MIT */
/* Members of one channel that are processes of several users, and the directory where they meet. */
#include "members.h"

#include "crowd.h"
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "segment/handle.h"

struct told {
    enum order order;
    uint32_t argument;
};

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

static int take(void)
{
    struct weir_message message;
    uint32_t who;
    uint64_t number;
    int result = weir_subscriber_take_until(subscriber, &message, NOW);
    if (result != 0)
        return result;
    crowd_read(&message, &who, &number);
    CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
    return (int)who;
}

static int reveal(void)
{
    struct shmid_ds found;
    int id = (publisher ? &publisher->side : &subscriber->side)->memory->id;
    CHECK(shmctl(id, IPC_STAT, &found) == 0);
    found.shm_perm.mode |= 0444;
    return shmctl(id, IPC_SET, &found);
}

/* By whatever name the C library asks. */
static bool forbid_stat(void)
{
#ifdef SYS_stat
    if (!forbid_call(SYS_stat, EPERM))
        return false;
#endif
    return forbid_call(SYS_newfstatat, EPERM) && forbid_call(SYS_statx, EPERM);
}

static bool forbid_readlink(void)
{
#ifdef SYS_readlink
    if (!forbid_call(SYS_readlink, EPERM))
        return false;
#endif
    return forbid_call(SYS_readlinkat, EPERM);
}

static int forbid(uint32_t which)
{
    return (!(which & SHMCTL) || forbid_call(SYS_shmctl, EPERM)) &&
                   (!(which & SHMAT) || forbid_call(SYS_shmat, EPERM)) &&
                   (!(which & STAT) || forbid_stat()) &&
                   (!(which & READLINK) || forbid_readlink()) &&
                   (!(which & PIDFD) || forbid_call(SYS_pidfd_open, EPERM))
               ? 0
               : -EAGAIN;
}

/* As a daemon that locks itself up when it has all that it needs; who has the right needs no root. */
static int lock_up(void)
{
    uid_t self = geteuid();
    bool is_root = seteuid(0) == 0;
    CHECK(chroot(fixture_path("empty")) == 0 && chdir("/") == 0);
    return is_root ? seteuid(self) : 0;
}

static void map_all(pid_t pid, int told)
{
    static const char *const maps[] = { "uid_map", "gid_map" };
    char path[64], byte;
    CHECK(read(told, &byte, 1) == 1);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, maps[i]);
        if (!write_text(path, "0 0 4294967295"))
            _exit(1);
    }
    _exit(0);
}

/* The map is written from outside, by who has all those uids. */
static int enter_whole_namespace(void)
{
    int told[2], status;
    pid_t self = getpid();
    CHECK(pipe(told) == 0);
    pid_t helper = fork();
    CHECK(helper >= 0);
    if (helper == 0)
        map_all(self, told[0]);
    bool is_inside = unshare(CLONE_NEWUSER) == 0;
    CHECK(write(told[1], "", 1) == 1 && waitpid(helper, &status, 0) == helper);
    close(told[0]);
    close(told[1]);
    return !is_inside ? -EAGAIN : status == 0 ? 0 : -EPERM;
}

static int join_namespace(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd >= 0 && setns(fd, CLONE_NEWUSER) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

/* So many descriptors are free from now on. */
static int leave_files(uint32_t count)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int lowest = dup(STDIN_FILENO);
    CHECK(lowest >= 0 && close(lowest) == 0);
    limit.rlim_cur = (rlim_t)lowest + count;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int carry_out(const struct member *member, const struct told *told)
{
    switch (told->order) {
    case OPEN:
        return member->is_publisher ? weir_publisher_open(&publisher, CHANNEL, &member->options)
                                    : weir_subscriber_open(&subscriber, CHANNEL, &member->options);
    case SEND:
        return crowd_send(publisher, told->argument, 500, NOW);
    case SEND_WAITING:
        return crowd_send(publisher, told->argument, 500, weir_deadline_ns(10 * SECOND_NS));
    case TAKE:
        return take();
    case SUBSCRIBERS:
        return weir_publisher_wait_subscribers(publisher, told->argument, NOW);
    case TAKEN:
        return weir_publisher_wait_taken(publisher, NOW);
    case REVEAL:
        return reveal();
    case CHANGE_UID:
        return setresuid(told->argument, told->argument, told->argument);
    case ENTER_NAMESPACE:
        return enter_user_namespace(told->argument, told->argument, 0);
    case FORBID:
        return forbid(told->argument);
    case LOCK_UP:
        return lock_up();
    case ENTER_WHOLE_NAMESPACE:
        return enter_whole_namespace();
    case JOIN_NAMESPACE:
        return join_namespace((pid_t)told->argument);
    case LEAVE_FILES:
        return leave_files(told->argument);
    case VANISH:
        _exit(0);
    default:
        weir_publisher_close(publisher);
        weir_subscriber_close(subscriber);
        _exit(0);
    }
}

static void live(const struct member *member, int orders, int replies)
{
    struct told told;
    if (member->uid != 0) {
        CHECK(setgroups(member->group != 0, &member->group) == 0);
        CHECK(setresgid(member->uid, member->uid, member->uid) == 0);
        CHECK(setresuid(member->uid, member->uid, 0) == 0); /* that it may lock itself up */
    }
    while (read(orders, &told, sizeof told) == sizeof told) {
        int result = carry_out(member, &told);
        CHECK(write(replies, &result, sizeof result) == sizeof result);
    }
}

void tell(const struct member *member, enum order order, uint32_t argument)
{
    const struct told told = { order, argument };
    assert_int_equal(write(member->orders, &told, sizeof told), sizeof told);
}

int answer(const struct member *member)
{
    int result = -ECHILD;
    assert_int_equal(read(member->replies, &result, sizeof result), sizeof result);
    return result;
}

int ask(const struct member *member, enum order order, uint32_t argument)
{
    tell(member, order, argument);
    return answer(member);
}

gid_t common_group;

void member_start(struct member *member, bool is_publisher, uid_t uid, uint32_t mode,
                  uint32_t trust)
{
    static const struct weir_channel_options defaults = WEIR_CHANNEL_OPTIONS;
    int orders[2], replies[2];
    *member = (struct member){ .uid = uid, .is_publisher = is_publisher, .options = defaults };
    member->options.mode = mode;
    member->options.trust = trust;
    member->group = common_group;
    member->options.gid = common_group;
    member->options.flags = common_group != 0 ? WEIR_CHANNEL_SET_GID : 0;
    member->options.ring_bytes = WEIR_RING_BYTES_MIN;
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(replies), 0);
    fflush(NULL);
    member->pid = fork();
    assert_true(member->pid >= 0);
    if (member->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(orders[1]);
        close(replies[0]);
        live(member, orders[0], replies[1]);
        _exit(0);
    }
    close(orders[0]);
    close(replies[1]);
    member->orders = orders[1];
    member->replies = replies[0];
}

void member_end(const struct member *member)
{
    tell(member, CLOSE, 0);
    crowd_end(member->pid);
    close(member->orders);
    close(member->replies);
}

void member_open(struct member *member, bool is_publisher, uid_t uid, uint32_t mode, uint32_t trust)
{
    member_start(member, is_publisher, uid, mode, trust);
    assert_int_equal(ask(member, OPEN, 0), 0);
}

unsigned ask_and_count(const struct member *member, enum order order, uint32_t argument,
                       unsigned calls, int result)
{
    unsigned found = 0;
    for (unsigned i = 0; i < calls; i++) {
        int got = ask(member, order, argument);
        if (got != result && got < 0)
            print_error("order %d gave %d (%s)\n", order, got, weir_strerror_name(got));
        assert_true(got == result || got >= 0);
        found += got == result;
    }
    return found;
}

/* --- the stage --------------------------------------------------------------------------- */

static struct member maker; /* of the channel; it stays while others come and go */

void clear_run_directory(void)
{
    char command[4600];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture_path("run"));
    assert_int_equal(system(command), 0);
}

void make_run_directory(gid_t group, mode_t mode)
{
    clear_run_directory();
    assert_int_equal(mkdir(fixture_path("run"), 0700), 0);
    assert_int_equal(chown(fixture_path("run"), 0, group), 0);
    assert_int_equal(chmod(fixture_path("run"), mode), 0);
    assert_true(mkdir(fixture_path("empty"), 0755) == 0 || errno == EEXIST);
}

void stage_begin(void)
{
    make_run_directory(0, 0777);
    member_open(&maker, true, 0, 0666, WEIR_TRUST_ANYONE);
}

void stage_end(void)
{
    member_end(&maker);
    clear_run_directory();
}

void expect_good(const struct member *good, const struct member *reader)
{
    for (uint32_t i = 0; i < RINGS; i++) {
        assert_int_equal(ask(good, SEND, 7), 0);
        assert_int_equal(ask(reader, TAKE, 0), 7);
    }
    assert_int_equal(ask(reader, TAKE, 0), -EAGAIN);
}
