/* SPDX-License-Identifier: MIT */
/*
 * Goal: a wait set under load, and with none: no wake is lost while eight processes publish, by a
 *       wait, in poll and in epoll; of 140 channels each message is told; and a hundred that are
 *       idle cost nothing.
 * Method: as test_wait_set_peers.c. A wake that was lost is seen by what came late, and by a slice.
 */
#include "readable.h"
#include "ringers.h"
#include "usage.h"
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "waitset/set.h"

/* The last sleep ended although nobody had rung: by a slice (waiting_is_rung()). */
static bool is_by_slice;

static void note_sleep(void)
{
    is_by_slice = !is_readable(waiting_set->news, 0);
}

/* What the linker puts in place of it: a wait sleeps there. */
int __wrap_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *time,
                 const sigset_t *signals);
int __real_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *time,
                 const sigset_t *signals);

int __wrap_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *time,
                 const sigset_t *signals)
{
    int result = __real_ppoll(entries, count, time, signals), saved_errno = errno;
    note_sleep();
    errno = saved_errno;
    return result;
}

/*
 * Takes what the events say. How many messages that was. The moments at which some came late are counted, by
 * slices and else: a machine that had no time for us has one of them, for all that waited then; and by a slice
 * comes only what nobody has rung for.
 */
static unsigned serve(int count, unsigned late[2])
{
    static int64_t late_at_ns[2];
    unsigned taken = 0;
    for (int i = 0; i < count; i++) {
        assert_int_equal(ringers_events[i].kind, WEIR_WAIT_SUBSCRIBER);
        int64_t late_ns = ringers_take((unsigned)ringers_events[i].token);
        if (late_ns >= 0)
            taken++;
        if (late_ns < RINGERS_LATE_NS)
            continue;
        int64_t now_ns = weir_now_ns();
        late[is_by_slice] += now_ns - late_at_ns[is_by_slice] > 20 * MS_NS;
        late_at_ns[is_by_slice] = now_ns;
    }
    if (count > 0)
        is_by_slice = false; /* what is found next without a sleep is none's */
    return taken;
}

enum how { BY_WAIT, BY_POLL, BY_EPOLL };

static int wait_how(enum how how, int outer)
{
    struct epoll_event event;
    struct pollfd entry = { weir_wait_set_fd(waiting_set), POLLIN, 0 };
    if (how == BY_WAIT)
        return weir_wait_set_wait_until(waiting_set, ringers_events, RINGERS_MAX,
                                        weir_deadline_ns(1000 * MS_NS));
    int result = weir_wait_set_wait_until(waiting_set, ringers_events, RINGERS_MAX, NOW);
    if (result != -EAGAIN)
        return result;
    int found = how == BY_POLL ? poll(&entry, 1, 1000) : epoll_wait(outer, &event, 1, 1000);
    assert_true(found >= 0 || errno == EINTR); /* see weir_wait_set_close() */
    note_sleep();
    return 0;
}

/* Two seconds of it. How many messages. */
static unsigned stress_once(enum how how, int outer, unsigned late[2], unsigned *nothing)
{
    unsigned messages = 0;
    int64_t until_ns = weir_deadline_ns(2000 * MS_NS);
    while (weir_now_ns() < until_ns) {
        int result = wait_how(how, outer);
        *nothing += result == -ETIMEDOUT;
        if (result < 0 && result != -ETIMEDOUT)
            assert_result(result, -EAGAIN);
        messages += serve(result, late);
    }
    return messages;
}

enum { LATE_MAX = 3 }; /* a busy machine's */

/* What is wrong by the machine is not wrong three times. By a slice comes what nobody has rung for. */
static bool is_well(unsigned messages, const unsigned late[2], unsigned nothing)
{
    return messages >= 500 && late[0] + late[1] <= LATE_MAX && nothing == 0;
}

/* No wake is lost: see ringers_start(). */
static void stress(enum how how, const char *what)
{
    struct epoll_event event = { .events = EPOLLIN };
    unsigned messages = 0, late[2] = { 0 }, nothing = 0;
    bool is_sound = false;
    int outer = epoll_create1(EPOLL_CLOEXEC);
    if (how == BY_EPOLL)
        assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, weir_wait_set_fd(waiting_set), &event), 0);
    ringers_subscribe(RINGERS);
    ringers_start();
    /* What nobody has rung for is not the machine's doing: not once. */
    for (int tries = 0; tries < 3 && !is_sound && late[1] <= LATE_MAX; tries++) {
        late[0] = late[1] = nothing = 0;
        messages = stress_once(how, outer, late, &nothing);
        is_sound = is_well(messages, late, nothing);
        print_message("%s: %u messages, late %u times by a slice and %u else\n", what, messages,
                      late[1], late[0]);
    }
    ringers_stop();
    for (unsigned i = 0; i < RINGERS; i++)
        crowd_end(ringers[i].pid);
    ringers_unsubscribe(RINGERS);
    close(outer);
    assert_true(is_sound);
}

static void test_stress_wait(void **state)
{
    (void)state;
    struct weir_wait_set_options options = WEIR_WAIT_SET_OPTIONS;
    weir_wait_set_close(waiting_set);
    options.flags = WEIR_WAIT_SET_SLEEP_ONLY;
    assert_result(weir_wait_set_open(&waiting_set, &options), 0);
    stress(BY_WAIT, "wait");
}

static void test_stress_poll(void **state)
{
    (void)state;
    stress(BY_POLL, "poll");
}

static void test_stress_epoll(void **state)
{
    (void)state;
    stress(BY_EPOLL, "epoll");
}

static void publish_to_many(unsigned number)
{
    static struct weir_publisher *publishers[RINGERS_MAX];
    for (unsigned i = 0; i < number; i++)
        publishers[i] = ringer_publisher(i);
    ringers_tell(ringer_identity(0), 1);
    for (unsigned turn = 1; !atomic_load(&board->is_over); turn++) {
        ringers_await(&board->words[0], turn);
        for (unsigned i = 0; i < number && !atomic_load(&board->is_over); i++)
            ringer_send(publishers[(i * 37 + turn) % number]);
    }
    for (unsigned i = 0; i < number; i++)
        weir_publisher_close(publishers[i]);
}

static void quiet_down(void)
{
    for (;;) {
        int count = weir_wait_set_wait_until(waiting_set, ringers_events, RINGERS_MAX,
                                             weir_deadline_ns(100 * MS_NS));
        if (count == -ETIMEDOUT)
            return;
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            assert_int_equal(ringers_take((unsigned)ringers_events[i].token), -1);
    }
}

/* Of each channel its message, asleep between the turns. */
static void test_many(void **state)
{
    (void)state;
    enum { TURNS = 30 };
    ringers_subscribe(RINGERS_MAX);
    ringers[0].pid = ringer_fork(publish_to_many, RINGERS_MAX);
    ringers_await(ringer_identity(0), 1);
    for (unsigned turn = 1; turn <= TURNS; turn++) {
        unsigned seen[RINGERS_MAX] = { 0 }, left = RINGERS_MAX;
        if (turn % 4 == 1)
            quiet_down();
        ringers_tell(&board->words[0], turn);
        while (left > 0) {
            int count =
                weir_wait_set_wait_until(waiting_set, ringers_events, turn % 2 ? 16 : RINGERS_MAX,
                                         weir_deadline_ns(5000 * MS_NS));
            assert_true(count > 0);
            for (int i = 0; i < count; i++)
                if (ringers_take((unsigned)ringers_events[i].token) >= 0) {
                    assert_int_equal(seen[ringers_events[i].token]++, 0);
                    left--;
                }
        }
    }
    ringers_stop();
    crowd_end(ringers[0].pid);
    ringers_unsubscribe(RINGERS_MAX);
}

/* A hundred channels, nothing happens: at most ten wake-ups a second. */
static void test_idle(void **state)
{
    (void)state;
    enum { IDLE = 100, IDLE_MS = 2000, CPU_US = 60000 };
    if (waiting_is_looking)
        skip(); /* that costs a thousand */
    ringers_subscribe(IDLE);
    ringers[0].pid = ringer_fork(publish_to_many, IDLE);
    ringers_await(ringer_identity(0), 1);
    quiet_down();
    for (int how = BY_WAIT; how <= BY_POLL; how++) {
        struct usage usage = usage_now();
        int64_t until_ns = weir_deadline_ns(IDLE_MS * MS_NS);
        while (weir_now_ns() < until_ns) {
            int result = how == BY_WAIT ? weir_wait_set_wait_until(waiting_set, ringers_events,
                                                                   RINGERS_MAX, until_ns)
                                        : wait_how(BY_POLL, -1);
            if (result != 0)
                assert_result(result, -ETIMEDOUT);
        }
        usage = usage_since(usage);
        print_message("%d channels by %s, for %d s: %ld wake-ups, %lld us\n", IDLE,
                      how == BY_WAIT ? "wait" : "poll", IDLE_MS / 1000, usage.sleeps, usage.cpu_us);
        if (!THREAD_SANITIZED) /* which has a thread of its own, that wakes up, too */
            assert_in_range(usage.sleeps, 1, IDLE_MS / 100);
        if (!SANITIZED)
            assert_in_range(usage.cpu_us, 0, CPU_US);
    }
    ringers_stop();
    crowd_end(ringers[0].pid);
    ringers_unsubscribe(IDLE);
}

int main(int argument_count, char **arguments)
{
    if (!waiting_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_many),         WAITING_TEST(test_idle),
        WAITING_TEST(test_stress_wait),  WAITING_TEST(test_stress_poll),
        WAITING_TEST(test_stress_epoll),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
