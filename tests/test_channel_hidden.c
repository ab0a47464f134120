/* SPDX-License-Identifier: MIT */
/*
 * Goal: members from whom /proc is hidden after their open know their user namespace as long as the
 *       kernel tells it in any way, and meet, or refuse, as others do; where it does not, a
 *       subscriber refuses, a publisher does not go on, and the sentence is true.
 * Method: members are processes of several uids, which lock themselves up in an empty directory, or
 *         go behind filters of system calls, when they have opened, and before another comes.
 */
#include "crowd.h"
#include "fixture.h"
#include "members.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GROUP_GID = 55555 };

struct hiding {
    const char *what;
    enum order order;
    uint32_t argument;
    bool needs_ioctl; /* nothing else tells the namespace then */
};

static const struct hiding hidings[] = {
    { "a filter without stat", FORBID, STAT, false },
    { "a filter without stat and pidfd_open", FORBID, STAT | PIDFD, false },
    { "an empty directory", LOCK_UP, 0, true },
};

/* A filter that leaves no way to ask. */
static const struct hiding nothing_told = { "a filter without any of them", FORBID,
                                            STAT | READLINK | PIDFD, false };

/* Since Linux 6.11 (PIDFD_GET_USER_NAMESPACE). */
static bool kernel_tells_by_pidfd(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int user = self >= 0 ? ioctl(self, _IO(0xff, 9), 0) : -1;
    if (user >= 0)
        close(user);
    if (self >= 0)
        close(self);
    return user >= 0;
}

static bool is_playable(const struct hiding *hiding)
{
    print_message("           %s\n", hiding->what);
    return !hiding->needs_ioctl || kernel_tells_by_pidfd();
}

/* A subscriber, of a group's members, that is hidden from before its publisher comes. */
static int play_subscriber(const struct hiding *hiding, int told)
{
    struct member maker, late, reader;
    make_run_directory(GROUP_GID, 02770);
    common_group = GROUP_GID;
    member_open(&maker, true, OTHER_UID, 0660, WEIR_TRUST_DIRECTORY);
    member_open(&reader, false, THIRD_UID, 0660, WEIR_TRUST_DIRECTORY);
    int result = ask(&reader, hiding->order, hiding->argument);
    if (result == 0) {
        member_open(&late, true, OTHER_UID, 0660, WEIR_TRUST_DIRECTORY);
        if (told != 0) {
            assert_int_equal(ask(&reader, TAKE, 0), told);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
            assert_int_equal(ask_and_count(&late, SEND, 9, RINGS, 0), RINGS);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        } else {
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
            expect_good(&late, &reader);
        }
        member_end(&late);
    }
    common_group = 0;
    member_end(&reader);
    member_end(&maker);
    clear_run_directory();
    return result;
}

static void test_a_subscriber(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(hidings); i++)
        if (is_playable(&hidings[i]) && play_subscriber(&hidings[i], 0) != 0)
            skip();
}

static void test_a_subscriber_untold(void **state)
{
    (void)state;
    if (!has_other_users() || play_subscriber(&nothing_told, -EPERM) != 0)
        skip();
}

/* A publisher that is hidden from before a stranger comes, which has refused it. */
static int play_publisher(const struct hiding *hiding, bool is_told)
{
    struct member hidden, reader;
    stage_begin();
    member_open(&hidden, true, THIRD_UID, 0666, WEIR_TRUST_ANYONE);
    int result = ask(&hidden, hiding->order, hiding->argument);
    if (result == 0) {
        member_open(&reader, false, OTHER_UID, 0600, WEIR_TRUST_ANYONE);
        assert_int_equal(ask(&reader, TAKE, 0), -EACCES);
        assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        assert_int_equal(ask_and_count(&hidden, SEND, 9, RINGS, -EACCES), is_told ? 1 : RINGS);
        member_end(&reader);
        assert_int_equal(ask(&hidden, SEND, 9), 0);
    }
    member_end(&hidden);
    stage_end();
    return result;
}

static void test_a_publisher(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(hidings); i++)
        if (is_playable(&hidings[i]) && play_publisher(&hidings[i], true) != 0)
            skip();
}

static void test_a_publisher_untold(void **state)
{
    (void)state;
    if (!has_other_users() || play_publisher(&nothing_told, false) != 0)
        skip();
}

/* Who has changed his namespace before he hid has none that is known from before. */
static void test_a_namespace_left_before(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member hidden, reader;
    make_run_directory(0, 0777);
    member_open(&hidden, true, OTHER_UID, 0666, WEIR_TRUST_SELF);
    int result = ask(&hidden, ENTER_NAMESPACE, OTHER_UID);
    if (result == 0) {
        assert_int_equal(ask(&hidden, LOCK_UP, 0), 0);
        member_open(&reader, false, 0, 0666, WEIR_TRUST_ANYONE);
        assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        assert_int_equal(ask_and_count(&hidden, SEND, 9, 5, -EPERM), 5);
        member_end(&reader);
        assert_int_equal(ask(&hidden, SEND, 9), 0);
    }
    member_end(&hidden);
    clear_run_directory();
    if (result != 0)
        skip();
}

enum { NOBODY = 65534, MANY_FILES = 100 };

/* In the first user namespace nobody needs a descriptor to know that 65534 is a user. */
static void test_nobody_without_a_descriptor(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member sender, reader;
    make_run_directory(0, 0777);
    member_open(&sender, true, NOBODY, 0600, WEIR_TRUST_SELF);
    assert_int_equal(ask(&sender, LEAVE_FILES, 0), 0);
    member_open(&reader, false, NOBODY, 0600, WEIR_TRUST_SELF);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    expect_good(&sender, &reader);
    member_end(&reader);
    assert_int_equal(ask(&sender, LEAVE_FILES, MANY_FILES), 0);
    member_end(&sender);
    clear_run_directory();
}

/* In another one it takes one, and while there is none that is said, and nothing is decided. */
static bool play_scarce(bool is_sender)
{
    struct member sender, reader;
    make_run_directory(0, 0777);
    member_start(&sender, true, 0, 0600, WEIR_TRUST_SELF);
    member_start(&reader, false, 0, 0600, WEIR_TRUST_SELF);
    bool is_played = ask(&sender, ENTER_WHOLE_NAMESPACE, 0) == 0;
    if (is_played) {
        assert_int_equal(ask(&reader, JOIN_NAMESPACE, (uint32_t)sender.pid), 0);
        assert_int_equal(ask(&sender, CHANGE_UID, NOBODY), 0);
        assert_int_equal(ask(&reader, CHANGE_UID, NOBODY), 0);
        const struct member *scarce = is_sender ? &sender : &reader;
        const struct member *other = is_sender ? &reader : &sender;
        assert_int_equal(ask(scarce, OPEN, 0), 0);
        assert_int_equal(ask(scarce, LEAVE_FILES, 0), 0);
        assert_int_equal(ask(other, OPEN, 0), 0);
        if (is_sender)
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        enum order order = is_sender ? SEND : TAKE;
        assert_int_equal(ask_and_count(scarce, order, 7, 5, -EMFILE), 5);
        assert_int_equal(ask(scarce, LEAVE_FILES, MANY_FILES), 0);
        if (!is_sender)
            while (ask(&reader, TAKE, 0) == -EMFILE)
                ; /* it is tried again once a slice */
        expect_good(&sender, &reader);
    }
    member_end(&reader);
    member_end(&sender);
    clear_run_directory();
    return is_played;
}

static void test_nobody_elsewhere_without_a_descriptor(void **state)
{
    (void)state;
    if (!has_other_users() || !play_scarce(true) || !play_scarce(false))
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_a_subscriber),
        CROWD_TEST(test_a_subscriber_untold),
        CROWD_TEST(test_a_publisher),
        CROWD_TEST(test_a_publisher_untold),
        CROWD_TEST(test_a_namespace_left_before),
        CROWD_TEST(test_nobody_without_a_descriptor),
        CROWD_TEST(test_nobody_elsewhere_without_a_descriptor),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
