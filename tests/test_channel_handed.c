/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher that closes waits for a lossy subscriber that has not attached it yet, also where
 *       it has to be told of somebody who is no subscriber at all, or cannot know who somebody is.
 * Method: the publisher is a process of its own, which closes; once it sleeps, the subscriber takes.
 */
#include "actor.h"
#include "fixture.h"
#include "pair.h"
#include "silence.h"

#include <errno.h>
#include <sys/shm.h>

#include "channel/subscriber.h"

static struct weir_publisher *publisher; /* of the actor */

static int open_publisher(void *unused)
{
    (void)unused;
    return weir_publisher_open(&publisher, "lane", &small_ring);
}

static int send(void *unused)
{
    (void)unused;
    return weir_publisher_send_until(publisher, "last", 4, 0, NOW);
}

static int look(void *unused)
{
    (void)unused;
    return weir_publisher_wait_subscribers(publisher, 0, NOW);
}

static int close_publisher(void *unused)
{
    (void)unused;
    weir_publisher_close(publisher);
    return 0;
}

/* In the slot behind the subscriber's: alive, and what it shows is no page. */
static int show_no_page(const struct weir_subscriber *subscriber)
{
    const struct weir__slots *slots = weir__side_own(&subscriber->side);
    struct weir__slot_shm *slot = &slots->at[subscriber->side.number + 1];
    uint64_t identity;
    int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    assert_true(id >= 0);
    assert_result(weir_identity(&identity), 0);
    atomic_store(&slot->owner, identity | 6);
    atomic_store(&slot->page, weir__page_word(identity | 6, id));
    weir__slots_changed(slots);
    return id;
}

static void take_back(const struct weir_subscriber *subscriber, int id)
{
    const struct weir__slots *slots = weir__side_own(&subscriber->side);
    atomic_store(&slots->at[subscriber->side.number + 1].owner, 0);
    shmctl(id, IPC_RMID, NULL);
}

/* From now on the publisher can neither attach a page nor ask whose it is. */
static int go_behind_a_filter(void *unused)
{
    (void)unused;
    return forbid_call(SYS_shmat, EPERM) && forbid_call(SYS_shmctl, EPERM) ? 0 : -EAGAIN;
}

static int subscribe(void *unused)
{
    static struct weir_subscriber *subscriber;
    (void)unused;
    return weir_subscriber_open(&subscriber, "lane", NULL);
}

/*
 * The last message comes out of a close that waits for that. It does so for a slice: false, and to be played
 * again, if that has passed before the message was taken.
 */
static bool take_from_a_close(struct actor *actor, struct weir_subscriber *subscriber)
{
    char text[5] = "";
    int64_t begun_ns = weir_now_ns();
    actor_tell(actor, close_publisher, NULL);
    bool is_asleep = actor_is_seen_asleep(actor);
    int result = weir_subscriber_receive_until(subscriber, text, sizeof text, NULL,
                                               weir_deadline_ns(WEIR_SECOND_NS));
    bool is_in_time = is_asleep && weir_now_ns() - begun_ns < WEIR__SLICE_NS;
    if (is_in_time) {
        assert_result(result, 0);
        assert_string_equal(text, "last");
    }
    assert_int_equal(actor_answer(actor, 20000), 0);
    return is_in_time;
}

/* So often: who never waits is never in time. */
enum { TRIES = 10 };

static bool play(bool has_stranger)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    struct actor actor;
    int id = -1;
    options.delivery = WEIR_DELIVERY_LOSSY;
    actor_start(&actor);
    assert_result(weir_subscriber_open(&subscriber, "lane", &options), 0);
    assert_int_equal(actor_ask(&actor, open_publisher, NULL), 0);
    assert_int_equal(actor_ask(&actor, send, NULL), 0);
    if (has_stranger)
        id = show_no_page(subscriber);
    bool is_in_time = take_from_a_close(&actor, subscriber);
    actor_end(&actor);
    if (has_stranger)
        take_back(subscriber, id);
    weir_subscriber_close(subscriber);
    return is_in_time;
}

static void test_by_itself(void **state)
{
    (void)state;
    for (int tries = 1; !play(false); tries++)
        assert_true(tries < TRIES);
}

static void test_beside_a_stranger(void **state)
{
    (void)state;
    for (int tries = 1; !play(true); tries++)
        assert_true(tries < TRIES);
}

static bool play_behind_a_filter(bool *is_filtered)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    struct actor actor, unknown;
    options.delivery = WEIR_DELIVERY_LOSSY;
    actor_start(&actor);
    actor_start(&unknown);
    assert_result(weir_subscriber_open(&subscriber, "lane", &options), 0);
    assert_int_equal(actor_ask(&actor, open_publisher, NULL), 0);
    assert_int_equal(actor_ask(&actor, send, NULL), 0);
    *is_filtered = actor_ask(&actor, go_behind_a_filter, NULL) == 0;
    assert_int_equal(actor_ask(&unknown, subscribe, NULL), 0);
    if (*is_filtered) {
        assert_int_equal(actor_ask(&actor, look, NULL), -EPERM);
        assert_int_equal(actor_ask(&actor, look, NULL), -EPERM);
    }
    bool is_in_time = take_from_a_close(&actor, subscriber);
    actor_end(&actor);
    actor_kill(&unknown);
    weir_subscriber_close(subscriber);
    return is_in_time;
}

/* It overwrites nothing any more: so who may be reading is not in its way, nor in another's. */
static void test_beside_one_that_it_cannot_ask_about(void **state)
{
    bool is_filtered = false;
    (void)state;
    for (int tries = 1; !play_behind_a_filter(&is_filtered); tries++)
        assert_true(tries < TRIES);
    if (!is_filtered)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_by_itself),
        PAIR_TEST(test_beside_a_stranger),
        PAIR_TEST(test_beside_one_that_it_cannot_ask_about),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
