/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher that has become another since its open, and cannot ask any more who its
 *       subscribers are, takes none of them for one that has refused it: it overwrites nothing,
 *       and each send says why.
 * Method: members are processes that change their uid, their user namespace or what they may call,
 *       when they have opened, and before another comes.
 */
#include "crowd.h"
#include "fixture.h"
#include "members.h"

#include <errno.h>

/*
 * A publisher that has become another user since cannot read a page that its subscriber takes for
 * readable: that one may be reading, so nothing is overwritten; each send says why.
 */
static void test_another_uid_since(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member changed, reader;
    stage_begin();
    member_open(&changed, true, 0, 0644, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&changed, CHANGE_UID, THIRD_UID), 0);
    member_open(&reader, false, OTHER_UID, 0600, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    assert_int_equal(ask_and_count(&changed, SEND, 9, 5, -EACCES), 5);
    member_end(&reader);
    assert_int_equal(ask(&changed, SEND, 9), 0);
    member_end(&changed);
    stage_end();
}

/*
 * A publisher that has gone behind a filter of system calls since may not ask who a subscriber is:
 * "not told" is no "refused". So nothing is overwritten; each send says who is in the way.
 */
static void test_a_filter_since(void **state)
{
    (void)state;
    static const uint32_t forbidden[] = { SHMCTL, SHMAT, SHMCTL | SHMAT };
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
        struct member filtered, reader;
        make_run_directory(0, 0700);
        member_open(&filtered, true, 0, 0600, WEIR_TRUST_SELF);
        int result = ask(&filtered, FORBID, forbidden[i]);
        member_open(&reader, false, 0, 0600, WEIR_TRUST_SELF);
        assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        if (result == 0) {
            assert_int_equal(ask_and_count(&filtered, SEND, 9, 5, -EPERM), 5);
            assert_int_equal(ask(&filtered, SUBSCRIBERS, 1), -EPERM);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        }
        member_end(&reader);
        assert_int_equal(ask_and_count(&filtered, SEND, 9, RINGS, 0), RINGS);
        member_end(&filtered);
        clear_run_directory();
        if (result != 0)
            skip();
    }
}

/*
 * One that has come to see other uids since than its lane says has no answer, and does not go on.
 */
static void test_a_namespace_since(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member changed, reader;
    make_run_directory(0, 0777);
    member_open(&changed, true, OTHER_UID, 0666, WEIR_TRUST_SELF);
    int result = ask(&changed, ENTER_NAMESPACE, OTHER_UID);
    member_open(&reader, false, 0, 0666, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    if (result == 0)
        assert_int_equal(ask_and_count(&changed, SEND, 9, 5, -EPERM), 5);
    member_end(&reader);
    if (result == 0)
        assert_int_equal(ask(&changed, SEND, 9), 0);
    member_end(&changed);
    clear_run_directory();
    if (result != 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_another_uid_since),
        CROWD_TEST(test_a_filter_since),
        CROWD_TEST(test_a_namespace_since),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
