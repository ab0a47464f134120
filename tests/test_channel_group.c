/* SPDX-License-Identifier: MIT */
/*
 * Goal: users who share a group share a channel.
 * Method: members are processes of several uids, with a group in common and without.
 */
#include "crowd.h"
#include "fixture.h"
#include "members.h"

#include <errno.h>
#include <unistd.h>

enum { GROUP_GID = 55555 };

/*
 * Publishers of one user and subscribers of another, who have a group in common and a setgid
 * directory of it; a third user, who is not of the group, has no way in.
 */
static void test_group(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member one, two, outsider;
    make_run_directory(GROUP_GID, 02770);
    common_group = GROUP_GID;
    member_start(&one, true, OTHER_UID, 0660, WEIR_TRUST_DIRECTORY);
    member_start(&two, false, THIRD_UID, 0660, WEIR_TRUST_DIRECTORY);
    common_group = 0;
    assert_int_equal(ask(&one, OPEN, 0), 0);
    assert_int_equal(ask(&two, OPEN, 0), 0);
    for (int i = 0; i < RINGS; i++) {
        assert_int_equal(ask(&one, SEND, 7), 0);
        assert_int_equal(ask(&two, TAKE, 0), 7);
    }
    assert_int_equal(ask(&one, TAKEN, 0), 0);
    member_start(&outsider, false, OTHER_UID + 7, 0666, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&outsider, OPEN, 0), -EACCES);
    member_end(&outsider);
    /* One is killed: the other learns it, and who comes later takes its place. */
    crowd_kill(one.pid);
    close(one.orders);
    close(one.replies);
    int result;
    do
        result = ask(&two, TAKE, 0);
    while (result == -EAGAIN);
    assert_int_equal(result, -EPIPE);
    member_end(&two);
    clear_run_directory();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_group),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
