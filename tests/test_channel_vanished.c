/* SPDX-License-Identifier: MIT */
/*
 * Goal: a stranger that leaves, or dies, while a publisher asks who it is, is nobody: the publisher is
 *       not told that somebody may be reading from it.
 * Method: the publisher's question for the facts is held up (a wrapped function) until the stranger,
 *         another process of another user, has gone.
 */
#include "crowd.h"
#include "fixture.h"
#include "members.h"

#include <unistd.h>

#include "channel/peer.h"

static struct member stranger; /* pid 0 in its own process */
static enum order ending;
static bool is_gone;

int __real_weir__peer_facts(struct weir__consent *consent, int lane_id, int page_id);
int __wrap_weir__peer_facts(struct weir__consent *consent, int lane_id, int page_id);

int __wrap_weir__peer_facts(struct weir__consent *consent, int lane_id, int page_id)
{
    char byte;
    if (stranger.pid != 0 && !is_gone) {
        tell(&stranger, ending, 0);
        CHECK(read(stranger.replies, &byte, 1) == 0); /* the end of it */
        is_gone = true;
    }
    return __real_weir__peer_facts(consent, lane_id, page_id);
}

static void play(enum order end)
{
    struct member publisher;
    ending = end;
    stage_begin();
    member_start(&stranger, false, OTHER_UID, 0600, WEIR_TRUST_ANYONE);
    member_open(&publisher, true, THIRD_UID, 0666, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&stranger, OPEN, 0), 0);
    assert_int_equal(ask(&publisher, SUBSCRIBERS, 0), 0);
    crowd_end(stranger.pid);
    close(stranger.orders);
    close(stranger.replies);
    assert_int_equal(ask_and_count(&publisher, SEND, 9, RINGS, 0), RINGS);
    member_end(&publisher);
    stage_end();
}

static void test_one_that_leaves(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    play(CLOSE);
}

static void test_one_that_dies(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    play(VANISH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_one_that_leaves),
        CROWD_TEST(test_one_that_dies),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
