/* SPDX-License-Identifier: MIT */
/*
 * Goal: a signal that ends a wait ends the call, also where the same look finds that a member has died:
 *       the ordinary case of a child that ends, and Ctrl-C for all of a group. A close ends in time.
 * Method: the member that dies is our child; the handler of SIGCHLD does nothing but run. The call
 *         sleeps, as the kernel says, before the child is killed.
 */
#include "actor.h"
#include "asleep.h"
#include "fixture.h"
#include "pair.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled = 1;
}

static void *kill_once_asleep(void *argument)
{
    see_asleep(getpid()); /* the first thread */
    kill(*(pid_t *)argument, SIGKILL);
    return NULL;
}

/* Its child's end comes to the thread that waits, and to no other. */
static pthread_t start_killer(pid_t *victim)
{
    const struct sigaction action = { .sa_handler = handle };
    pthread_t thread;
    sigset_t child, before;
    sigaction(SIGCHLD, &action, NULL);
    handled = 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &child, &before);
    assert_int_equal(pthread_create(&thread, NULL, kill_once_asleep, victim), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread;
}

/* Whether the signal came before this. He who is killed may take his time: then it comes later. */
static bool end_killer(pthread_t thread, struct actor *actor)
{
    bool is_handled = handled;
    int64_t until_ns = weir_deadline_ns(20 * WEIR_SECOND_NS);
    pthread_join(thread, NULL);
    while (!handled) {
        assert_true(weir_now_ns() < until_ns);
        sched_yield();
    }
    signal(SIGCHLD, SIG_DFL);
    actor_kill(actor);
    return is_handled;
}

static int publish(void *unused)
{
    static struct weir_publisher *publisher;
    (void)unused;
    return weir_publisher_open(&publisher, "lane", &small_ring);
}

static int subscribe(void *unused)
{
    static struct weir_subscriber *subscriber;
    (void)unused;
    return weir_subscriber_open(&subscriber, "lane", NULL);
}

/* Long ago: the kernel is asked for lives at once. */
static void forget_asking(struct weir__side *side)
{
    side->waiter.asked_ns = 0;
}

static void test_a_take(void **state)
{
    struct actor actor;
    struct pair pair;
    struct weir_message message;
    (void)state;
    actor_start(&actor);
    pair_open(&pair); /* one that stays */
    assert_int_equal(actor_ask(&actor, publish, NULL), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_int_equal(weir_subscriber_publishers(pair.subscriber), 2);
    pthread_t killer = start_killer(&actor.pid);
    forget_asking(&pair.subscriber->side);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, SOON), -EINTR);
    assert_true(end_killer(killer, &actor));
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    pair_close(&pair);
}

static void test_a_send(void **state)
{
    struct actor actor;
    struct pair pair;
    char bytes[512] = "";
    (void)state;
    actor_start(&actor);
    pair_open(&pair); /* whose subscriber takes nothing */
    assert_int_equal(actor_ask(&actor, subscribe, NULL), 0);
    while (weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW) == 0)
        ;
    pthread_t killer = start_killer(&actor.pid);
    forget_asking(&pair.publisher->side);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, SOON), -EINTR);
    assert_true(end_killer(killer, &actor));
    pair_close(&pair);
}

static struct weir_subscriber *lossy; /* an actor's own */

static int subscribe_lossy(void *unused)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    (void)unused;
    options.delivery = WEIR_DELIVERY_LOSSY;
    return weir_subscriber_open(&lossy, "lane", &options);
}

static int unsubscribe(void *unused)
{
    (void)unused;
    weir_subscriber_close(lossy);
    return 0;
}

/* Whether the signal came while it closed. */
static bool play_a_close(void)
{
    struct actor victim, idle;
    struct weir_publisher *publisher;
    actor_start(&victim);
    actor_start(&idle);
    assert_int_equal(actor_ask(&victim, subscribe_lossy, NULL), 0);
    assert_int_equal(actor_ask(&idle, subscribe_lossy, NULL), 0);
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    assert_result(weir_publisher_send(publisher, "x", 1), 0);
    pthread_t killer = start_killer(&victim.pid);
    forget_asking(&publisher->side);
    alarm(20); /* it would never return: then the test ends so */
    weir_publisher_close(publisher);
    alarm(0);
    bool is_handled = end_killer(killer, &victim);
    assert_int_equal(actor_ask(&idle, unsubscribe, NULL), 0);
    actor_end(&idle);
    return is_handled;
}

/* A close goes on after a signal: it tells nothing, and is over after a slice all the same. */
static void test_a_close(void **state)
{
    (void)state;
    for (int tries = 1; !play_a_close(); tries++)
        assert_true(tries < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_take),
        PAIR_TEST(test_a_send),
        PAIR_TEST(test_a_close),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
