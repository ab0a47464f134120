/* SPDX-License-Identifier: MIT */
/*
 * Goal: members of several user namespaces meet where each knows who the other is; where one does
 *       not, both are told so once, and neither waits for the other.
 * Method: members are processes of several uids, some in a user namespace of their own, as root
 *       there or under the number that they have outside.
 */
#include "crowd.h"
#include "fixture.h"
#include "members.h"

#include <errno.h>

enum { OUTSIDE = -1 };

struct party {
    uid_t uid;
    int inside; /* a namespace of its own, in which its uid is shown as this one; or OUTSIDE */
    uint32_t mode, trust;
};

struct across {
    const char *what;
    struct party publisher, subscriber;
    int told; /* both, once; 0: they meet */
};

static const struct across across[] = {
    { "root is not root to a publisher inside",
      { OTHER_UID, OTHER_UID, 0666, WEIR_TRUST_SELF },
      { 0, OUTSIDE, 0666, WEIR_TRUST_ANYONE },
      -EPERM },
    { "a publisher inside that trusts anyone",
      { OTHER_UID, OTHER_UID, 0666, WEIR_TRUST_ANYONE },
      { THIRD_UID, OUTSIDE, 0666, WEIR_TRUST_ANYONE },
      0 },
    { "a publisher inside, of the same user",
      { OTHER_UID, OTHER_UID, 0600, WEIR_TRUST_SELF },
      { OTHER_UID, OUTSIDE, 0600, WEIR_TRUST_SELF },
      0 },
    { "each inside of one, both of one user",
      { OTHER_UID, 0, 0600, WEIR_TRUST_SELF },
      { OTHER_UID, 0, 0600, WEIR_TRUST_SELF },
      0 },
};

/* false: there are no user namespaces here. */
static bool party_open(struct member *member, bool is_publisher, const struct party *party)
{
    member_start(member, is_publisher, party->uid, party->mode, party->trust);
    if (party->inside != OUTSIDE && ask(member, ENTER_NAMESPACE, (uint32_t)party->inside) != 0)
        return false;
    assert_int_equal(ask(member, OPEN, 0), 0);
    return true;
}

static bool play_across(const struct across *row)
{
    struct member sender, reader;
    make_run_directory(0, 0777);
    bool is_played = party_open(&sender, true, &row->publisher);
    if (is_played) {
        is_played = party_open(&reader, false, &row->subscriber);
        if (is_played && row->told != 0) {
            assert_int_equal(ask(&reader, TAKE, 0), row->told);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
            assert_int_equal(ask_and_count(&sender, SEND, 9, RINGS, row->told), 1);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        } else if (is_played) {
            expect_good(&sender, &reader);
        }
        member_end(&reader);
    }
    member_end(&sender);
    clear_run_directory();
    return is_played;
}

/* Who sees other uids than the publisher knows that, and refuses what it cannot be sure of. */
static void test_across_namespaces(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(across); i++) {
        print_message("           %s\n", across[i].what);
        if (!play_across(&across[i]))
            skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_across_namespaces),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
