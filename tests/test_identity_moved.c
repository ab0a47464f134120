/* SPDX-License-Identifier: MIT */
/*
 * Goal: a process that gives up its rights while another thread of it uses weir for the first time, opens a channel or
 *       makes an object: it is who the kernel says that it is, or it is refused; nobody takes it for dead
 *       while it lives, nor its name for a leftover.
 * Method: children that change their uid before a certain shmget(2) or semget(2) of the library's, which are replaced
 *         by ones before which that happens; one in a user namespace, where another user has the number.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "segment/identity.h"

#define RING WEIR_RING_BYTES_MIN

int __real_shmget(key_t key, size_t size, int flags);
int __wrap_shmget(key_t key, size_t size, int flags);
int __real_semget(key_t key, int count, int flags);
int __wrap_semget(key_t key, int count, int flags);

/* From what size on, and in what call; 0: never. */
static size_t before_shmget;
static bool before_semget;

static void give_up(void)
{
    before_shmget = 0;
    before_semget = false;
    become(OTHER_UID);
}

int __wrap_shmget(key_t key, size_t size, int flags)
{
    if (before_shmget != 0 && size >= before_shmget && flags & IPC_CREAT)
        give_up();
    return __real_shmget(key, size, flags);
}

int __wrap_semget(key_t key, int count, int flags)
{
    if (before_semget && flags & IPC_CREAT)
        give_up();
    return __real_semget(key, count, flags);
}

/* A run directory that everybody may use. */
static int start(void **state)
{
    (void)state;
    if (!has_other_users())
        return 0;
    assert_true(mkdir(fixture_path("run"), 0777) == 0 || errno == EEXIST);
    assert_int_equal(chmod(fixture_path("run"), 0777), 0);
    return 0;
}

static void has_an_identity(struct companion *companion, void *argument)
{
    uint64_t *told = argument, again;
    before_shmget = 1;
    CHECK_RESULT(weir_identity(told), 0);
    CHECK(geteuid() == OTHER_UID && weir__identity_uid() == OTHER_UID);
    CHECK_RESULT(weir_identity(&again), 0);
    CHECK(again == *told);
    CHECK(weir__life(*told, weir__identity_uid()) == WEIR_LIFE_ALIVE);
    companion_arrive(companion);
}

static void test_an_identity(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    uint64_t *identity =
        mmap(NULL, sizeof *identity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(identity, MAP_FAILED);
    struct companion companion;
    companion_start(&companion, has_an_identity, identity);
    companion_meet(&companion);
    assert_int_equal(weir_life(*identity, OTHER_UID), WEIR_LIFE_ALIVE);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    assert_int_equal(weir_life(*identity, OTHER_UID), WEIR_LIFE_DEAD);
    munmap(identity, sizeof *identity);
}

static struct weir_channel_options options_for_all(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.mode = 0666;
    options.trust = WEIR_TRUST_ANYONE;
    options.ring_bytes = RING;
    options.publishers_max = 1;
    return options;
}

static void publish(void *argument)
{
    struct weir_channel_options options = options_for_all();
    struct weir_publisher *publisher = NULL;
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    before_shmget = RING;
    CHECK_RESULT(weir_publisher_open(&publisher, "moved", &options), -EPERM);
    CHECK(geteuid() == OTHER_UID && !publisher);
    CHECK(has_word(weir_last_error(), "54321"));
}

/* Of the member alone; and of all that makes the channel. */
static void test_a_publisher(void **state)
{
    (void)state;
    struct weir_channel_options options = options_for_all();
    struct weir_subscriber *subscriber;
    struct weir_publisher *publisher;
    if (!has_other_users())
        skip();
    assert_result(weir_subscriber_open(&subscriber, "moved", &options), 0);
    assert_int_equal(status_in_child(publish, NULL), 0);
    assert_result(weir_publisher_open(&publisher, "moved", &options), 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    assert_int_equal(status_in_child(publish, NULL), 0);
}

static void make(void *argument)
{
    const bool *is_set_too = argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.mode = 0666;
    options.semaphores = *is_set_too ? 1 : 0;
    before_shmget = *is_set_too ? 0 : 1;
    before_semget = *is_set_too;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("moved"), 100, &options), -EPERM);
    CHECK(geteuid() == OTHER_UID && !segment);
    CHECK(has_word(weir_last_error(), "54321"));
}

static void make_set(void *argument)
{
    struct weir_semset *set = NULL;
    const uint16_t value = 1;
    (void)argument;
    before_semget = true;
    CHECK_RESULT(weir_semset_create(&set, weir_by_name("moved"), 1, &value, NULL), -EPERM);
    CHECK(geteuid() == OTHER_UID && !set);
}

/* The fixture sees to it that nothing is left. */
static void test_objects(void **state)
{
    (void)state;
    struct weir_segment *segment;
    bool is_set_too = false;
    if (!has_other_users())
        skip();
    assert_int_equal(status_in_child(make, &is_set_too), 0);
    is_set_too = true;
    assert_int_equal(status_in_child(make, &is_set_too), 0);
    assert_int_equal(status_in_child(make_set, NULL), 0);
    assert_result(weir_segment_open(&segment, weir_by_name("moved"), 0, NULL), -ENOENT);
}

static void write_map(pid_t pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* Root again, by the number; who is that, outside, is another. */
static void become_another_root(void)
{
    int status, ready[2];
    char byte;
    CHECK(pipe(ready) == 0);
    pid_t parent = getpid(), mapper = fork();
    if (mapper == 0) {
        close(ready[1]);
        CHECK(read(ready[0], &byte, 1) == 0);
        write_map(parent, "uid_map", "0 100000 1\n1000 1000 1\n");
        _exit(0);
    }
    CHECK(mapper > 0 && unshare(CLONE_NEWUSER) == 0);
    close(ready[1]);
    close(ready[0]);
    CHECK(waitpid(mapper, &status, 0) == mapper && status == 0);
    CHECK(setresuid(0, 0, 0) == 0 && geteuid() == 0);
}

static void make_elsewhere(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    int id = shmget(IPC_PRIVATE, 1, 0600);
    CHECK(id >= 0);
    CHECK_RESULT(weir__identity_check_maker(id), 0);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    become_another_root();
    id = shmget(IPC_PRIVATE, 1, 0600);
    CHECK(id >= 0);
    CHECK(geteuid() == weir__identity_uid());
    CHECK_RESULT(weir__identity_check_maker(id), -EPERM);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
}

static void test_another_with_the_same_number(void **state)
{
    (void)state;
    if (!has_other_users() || THREAD_SANITIZED)
        skip();
    assert_int_equal(status_in_child(make_elsewhere, NULL), 0);
}

#define MOVED_TEST(function) cmocka_unit_test_setup_teardown(function, start, fixture_check_alive)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOVED_TEST(test_an_identity),
        MOVED_TEST(test_a_publisher),
        MOVED_TEST(test_objects),
        MOVED_TEST(test_another_with_the_same_number),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
