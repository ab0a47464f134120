/* SPDX-License-Identifier: MIT */
/*
 * Goal: a wait set among processes that come, go and die: eight channels beside a timer, a pipe and
 *       an eventfd, and one of the eight is killed; deaths, another program, members; a wake that is
 *       lost is made good.
 * Method: children that publish (ringers.h), the test that waits. As test_wait_set.c also without
 *         io_uring, and without FUTEX_WAITV.
 */
#include "asleep.h"
#include "ringers.h"
#include "silence.h"
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "waitset/set.h"

enum { TURNS_OF_MEMBERS = 10 };

/* All kinds at once; then one of the eight is killed. */
enum { TIMER = 100, PIPE, EVENT, DEATH, MEMBERS, TOKENS };

static struct all {
    unsigned told[TOKENS];
    int ends[2], counter;
    unsigned publishers;
    bool is_killed, has_ended;
    int64_t killed_ns, death_ns;
} all;

static void serve_one(const struct weir_wait_event *event)
{
    unsigned token = (unsigned)event->token;
    int64_t sent_ns;
    eventfd_t value;
    char byte;
    all.told[token]++;
    if (token == TIMER && all.told[TIMER] % 5 == 0) {
        assert_int_equal(write(all.ends[1], "x", 1), 1);
        assert_int_equal(eventfd_write(all.counter, 1), 0);
    } else if (token == PIPE) {
        assert_int_equal(read(all.ends[0], &byte, 1), 1);
    } else if (token == EVENT) {
        assert_int_equal(eventfd_read(all.counter, &value), 0);
    } else if (token == DEATH) {
        all.death_ns = weir_now_ns();
    } else if (token == MEMBERS) {
        all.publishers = event->publishers;
    } else if (token == 3 && all.is_killed) {
        all.has_ended |= weir_subscriber_receive_until(ringers[3].subscriber, &sent_ns,
                                                       sizeof sent_ns, NULL, NOW) == -EPIPE;
    } else if (token < RINGERS) {
        ringers_take(token);
    }
}

static void add_all(void)
{
    assert_int_equal(pipe(all.ends), 0);
    all.counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ringers_subscribe(RINGERS);
    ringers_start();
    for (unsigned i = 0; i < RINGERS; i++)
        ringers_await(ringer_identity(i), 1);
    const int items[] = {
        weir_wait_set_add_timer(waiting_set, weir_deadline_ns(MS_NS), 10 * MS_NS, TIMER),
        weir_wait_set_add_fd(waiting_set, all.ends[0], POLLIN, PIPE),
        weir_wait_set_add_fd(waiting_set, all.counter, POLLIN, EVENT),
        weir_wait_set_add_death(waiting_set, atomic_load(ringer_identity(3)), WEIR_UID_ANY, DEATH),
        weir_wait_set_add_members(waiting_set, ringer_name(3), NULL, WEIR_WAIT_PUBLISHERS, MEMBERS),
    };
    for (int i = 0; i < (int)ARRAY_SIZE(items); i++)
        assert_result(items[i], RINGERS + i);
}

static void kill_the_fourth(void)
{
    all.is_killed = true;
    kill(ringers[3].pid, SIGKILL);
    waitpid(ringers[3].pid, NULL, 0);
    all.killed_ns = weir_now_ns();
}

static bool is_each_told(void)
{
    bool is_told = true;
    for (unsigned i = 0; i < RINGERS; i++)
        is_told &= all.told[i] > 0;
    return is_told;
}

static void test_all(void **state)
{
    (void)state;
    all = (struct all){ .is_killed = false };
    add_all();
    int64_t until_ns = weir_deadline_ns(20000 * MS_NS);
    while ((!all.has_ended || all.told[DEATH] == 0 || all.publishers != 0 || !is_each_told()) &&
           weir_now_ns() < until_ns) {
        int count = weir_wait_set_wait_until(waiting_set, ringers_events, RINGERS_MAX, until_ns);
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            serve_one(&ringers_events[i]);
        if (!all.is_killed && all.told[TIMER] > 30 && all.told[3] > 0)
            kill_the_fourth();
    }
    assert_true(all.has_ended);
    assert_int_equal(all.told[DEATH], 1);
    assert_true(all.told[MEMBERS] >= 1);
    assert_int_equal(all.publishers, 0);
    if (!SANITIZED)
        assert_true(all.death_ns - all.killed_ns < 1000 * MS_NS);
    assert_true(is_each_told());
    assert_true(all.told[PIPE] > 0 && all.told[EVENT] > 0);
    ringers_stop();
    for (unsigned i = 0; i < RINGERS; i++)
        if (i != 3)
            crowd_end(ringers[i].pid);
    ringers_unsubscribe(RINGERS);
    assert_result(weir_wait_set_remove(waiting_set, RINGERS + 3), -ENOENT); /* the death, told */
    close(all.ends[0]);
    close(all.ends[1]);
    close(all.counter);
}

static void live(unsigned number)
{
    ringer_tell_identity(number);
    for (;;)
        pause();
}

static void add_life(unsigned number)
{
    atomic_store(ringer_identity(number), 0);
    ringers[number].pid = ringer_fork(live, number);
    ringers_await(ringer_identity(number), 1);
    assert_result(weir_wait_set_add_death(waiting_set, atomic_load(ringer_identity(number)),
                                          geteuid(), number),
                  (int)number);
}

/* So often each of the first items was asked for. */
static unsigned asks[4];

/* What the linker puts in place of it. */
void __wrap_weir__item_ask(struct weir__item *item);
void __real_weir__item_ask(struct weir__item *item);

void __wrap_weir__item_ask(struct weir__item *item)
{
    if (item->number < ARRAY_SIZE(asks))
        asks[item->number]++;
    __real_weir__item_ask(item);
}

/* The end of a slice: so there is time until the next one. */
static void see_slice(void)
{
    for (asks[1] = 0; asks[1] == 0;)
        assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, RINGERS_MAX,
                                               weir_deadline_ns(20 * MS_NS)),
                      -ETIMEDOUT);
    memset(asks, 0, sizeof asks);
}

/* The first one is killed and told. The pidfd is a reason to ask for him alone, a slice for all. */
static bool is_told_by_pidfd(void)
{
    kill(ringers[0].pid, SIGKILL);
    assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, RINGERS_MAX,
                                           weir_deadline_ns(5000 * MS_NS)),
                  1);
    assert_int_equal(ringers_events[0].token, 0);
    return asks[0] > 0 && asks[1] == 0;
}

/* Deaths: at once, by the pidfd; of one who is dead already; two at once; one that is removed. */
static void test_deaths(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        add_life(i);
    see_slice(); /* of which nobody is told */
    assert_result(weir_wait_set_remove(waiting_set, 2), 0);
    /* The next slice comes first where the machine has no time for one who is to die; but not three times. */
    for (int tries = 1; !is_told_by_pidfd(); tries++) {
        assert_true(tries < 3);
        waitpid(ringers[0].pid, NULL, 0);
        add_life(0);
        see_slice();
    }
    for (unsigned i = 1; i < 4; i++)
        kill(ringers[i].pid, SIGKILL);
    for (unsigned i = 0; i < 4; i++)
        waitpid(ringers[i].pid, NULL, 0);
    /* Dead when it is added; and with room for one alone, one after the other. */
    assert_result(
        weir_wait_set_add_death(waiting_set, atomic_load(ringer_identity(0)), geteuid(), 10), 0);
    unsigned told[11] = { 0 };
    for (int i = 0; i < 3; i++) {
        assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, 1,
                                               weir_deadline_ns(5000 * MS_NS)),
                      1);
        assert_int_equal(ringers_events[0].kind, WEIR_WAIT_DEATH);
        told[ringers_events[0].token]++;
    }
    assert_true(told[1] == 1 && told[3] == 1 && told[10] == 1);
    assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, 1, NOW), -EAGAIN);
    /* Of whom the add found dead no slice has to be waited for. */
    assert_result(
        weir_wait_set_add_death(waiting_set, atomic_load(ringer_identity(1)), geteuid(), 11), 0);
    assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, 1, NOW), 1);
    assert_int_equal(ringers_events[0].token, 11);
}

static void execute(unsigned number)
{
    ringer_tell_identity(number);
    ringers_await(ringer_taken(number), 1);
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

/* Who executes another program keeps its pid, and is another one. */
static void test_another_program(void **state)
{
    (void)state;
    ringers[0].pid = ringer_fork(execute, 0);
    ringers_await(ringer_identity(0), 1);
    assert_result(
        weir_wait_set_add_death(waiting_set, atomic_load(ringer_identity(0)), geteuid(), 7), 0);
    assert_result(
        weir_wait_set_wait_until(waiting_set, ringers_events, 1, weir_deadline_ns(30 * MS_NS)),
        -ETIMEDOUT);
    ringers_tell(ringer_taken(0), 1);
    assert_result(
        weir_wait_set_wait_until(waiting_set, ringers_events, 1, weir_deadline_ns(5000 * MS_NS)),
        1);
    assert_int_equal(ringers_events[0].token, 7);
    kill(ringers[0].pid, SIGKILL);
    waitpid(ringers[0].pid, NULL, 0);
}

static void send_silently(unsigned number)
{
    struct weir_publisher *publisher = ringer_publisher(number);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER), 0);
    ringer_tell_identity(number);
    ringers_await(ringer_taken(number), 1);
    if (!silence())
        _exit(77);
    ringer_send(publisher);
    for (;;)
        pause();
}

/* Who publishes dies, or stops, before it rings: a slice makes up for it. */
static void test_lost_ring(void **state)
{
    (void)state;
    ringers_subscribe(1);
    ringers[0].pid = ringer_fork(send_silently, 0);
    int result;
    do /* until it is attached, and quiet */
        result =
            weir_wait_set_wait_until(waiting_set, ringers_events, 1, weir_deadline_ns(500 * MS_NS));
    while ((result == 1 && ringers_take(0) == -1) ||
           (result == -ETIMEDOUT && atomic_load(ringer_identity(0)) == 0));
    assert_result(result, -ETIMEDOUT);
    ringers_tell(ringer_taken(0), 1);
    assert_result(
        weir_wait_set_wait_until(waiting_set, ringers_events, 1, weir_deadline_ns(2000 * MS_NS)),
        1);
    assert_true(ringers_take(0) >= 0);
    kill(ringers[0].pid, SIGKILL);
    waitpid(ringers[0].pid, NULL, 0);
    ringers_unsubscribe(1);
}

/*
 * Comes, once the test has seen it go and sleeps again, and says when. After what the test was told
 * last it sleeps in its wait set alone.
 */
static void come_and_go(unsigned number)
{
    for (uint64_t turn = 1; turn <= TURNS_OF_MEMBERS; turn++) {
        see_asleep(getppid());
        atomic_store(&board->words[1], (uint64_t)weir_now_ns());
        struct weir_publisher *publisher = ringer_publisher(number);
        ringers_await(&board->words[0], 2 * turn - 1);
        see_asleep(getppid());
        atomic_store(&board->words[1], (uint64_t)weir_now_ns());
        weir_publisher_close(publisher);
        ringers_await(&board->words[0], 2 * turn);
    }
}

/* Who comes and goes while the set sleeps wakes it: most of them, on a busy machine. */
static void test_members_asleep(void **state)
{
    (void)state;
    unsigned late = 0;
    assert_result(
        weir_wait_set_add_members(waiting_set, ringer_name(0), NULL, WEIR_WAIT_PUBLISHERS, 1), 0);
    assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, 1, NOW), 1); /* none yet */
    ringers[0].pid = ringer_fork(come_and_go, 0);
    for (unsigned i = 1; i <= 2 * TURNS_OF_MEMBERS; i++) {
        assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, 1,
                                               weir_deadline_ns(5000 * MS_NS)),
                      1);
        late += weir_now_ns() - (int64_t)atomic_load(&board->words[1]) > 50 * MS_NS;
        assert_int_equal(ringers_events[0].publishers, i % 2);
        ringers_tell(&board->words[0], i);
    }
    crowd_end(ringers[0].pid);
    if (!SANITIZED)
        assert_in_range(late, 0, TURNS_OF_MEMBERS / 2);
}

static void publish_and_subscribe(unsigned number)
{
    struct weir_publisher *publisher = ringer_publisher(number);
    struct weir_subscriber *subscriber = NULL;
    CHECK_RESULT(weir_subscriber_open(&subscriber, ringer_name(number), NULL), 0);
    CHECK(publisher != NULL);
    for (;;)
        pause();
}

/* Until so many of both roles are told of. */
static void expect_members(unsigned count)
{
    int64_t until_ns = weir_deadline_ns(5000 * MS_NS);
    const struct weir_wait_event *event = &ringers_events[0];
    do
        assert_result(weir_wait_set_wait_until(waiting_set, ringers_events, 1, until_ns), 1);
    while (event->publishers != count || event->subscribers != count);
}

/* Nobody is left in the channel who would notice: whoever waits asks for itself. */
static void test_members_killed(void **state)
{
    (void)state;
    assert_result(weir_wait_set_add_members(waiting_set, ringer_name(0), NULL,
                                            WEIR_WAIT_PUBLISHERS | WEIR_WAIT_SUBSCRIBERS, 1),
                  0);
    expect_members(0);
    for (int i = 0; i < 2; i++) {
        ringers[0].pid = ringer_fork(publish_and_subscribe, 0);
        expect_members(1);
        crowd_kill(ringers[0].pid);
        expect_members(0);
    }
}

int main(int argument_count, char **arguments)
{
    if (!waiting_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_all),
        WAITING_TEST(test_deaths),
        WAITING_TEST(test_another_program),
        WAITING_TEST(test_lost_ring),
        WAITING_TEST(test_members_asleep),
        WAITING_TEST(test_members_killed),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
