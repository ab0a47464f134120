/* SPDX-License-Identifier: MIT */
/*
 * Goal: a wait set among processes: eight channels, a peer that is killed, a timer, a pipe and an
 *       eventfd, by a wait, in poll and in epoll; no wake is lost, a lost one is made good, and a
 *       set that waits costs nothing, with a hundred channels, too.
 * Method: children that publish, the test that waits. Wakes that came by a slice alone are seen by
 *         how late they are. What test and children tell each other outside weir is told by words on
 *         the board, each a futex of the kernel's. As test_wait_set.c also without io_uring, and without FUTEX_WAITV.
 */
#include "crowd.h"
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"

#define LATE_NS (150 * MS_NS) /* of a wake-up: it came by a slice */

enum { CHANNELS = 8, MANY = 140, TURNS_OF_MEMBERS = 10 };

/* On the board: by channel. */
#define identity_of(number) (&board->notes[number])
#define taken_of(number)                                                                           \
    (&board->notes[CROWD_WHO_MAX / 2 + (number)]) /* more than subscribers can be */

static bool is_looking; /* once a millisecond, for want of all else */

static struct weir_wait_set *set;
static struct weir_wait_event events[MANY];
static struct weir_subscriber *subscribers[MANY];
static pid_t pids[CHANNELS];

/* --- words on the board ------------------------------------------------------------------------ */

/* They only rise. So high: whoever waits for whatever number need not any more. */
#define NO_MORE UINT64_MAX

/* The half that changes with each step. */
static uint32_t *low_half(weir__atomic_u64 *word)
{
    return (uint32_t *)(uintptr_t)word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static void wake(weir__atomic_u64 *word)
{
    syscall(SYS_futex, low_half(word), FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void tell(weir__atomic_u64 *word, uint64_t value)
{
    atomic_store(word, value);
    wake(word);
}

/* Until the word is at least so much; the test, or child, fails after 20 seconds. */
static void await(weir__atomic_u64 *word, uint64_t least)
{
    int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
    uint64_t value;
    while ((value = atomic_load(word)) < least) {
        int64_t left_ns = until_ns - weir_now_ns();
        CHECK(left_ns > 0);
        struct timespec left = { left_ns / SECOND_NS, left_ns % SECOND_NS };
        syscall(SYS_futex, low_half(word), FUTEX_WAIT, (uint32_t)value, &left, NULL, 0);
    }
}

/* After it is said that all is over: those who wait for the words see it. */
static void say_it_is_over(void)
{
    atomic_store(&board->is_over, 1);
    tell(&board->words[0], NO_MORE);
    for (unsigned i = 0; i < CHANNELS; i++)
        tell(taken_of(i), NO_MORE);
}

static void tell_identity(unsigned number)
{
    uint64_t identity;
    CHECK_RESULT(weir_identity(&identity), 0);
    tell(identity_of(number), identity);
}

/* Until the test sleeps: after what it was told last it does so in its wait set alone. */
static void await_sleep_of_the_test(void)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    while (state != 'S') {
        FILE *file = fopen(path, "re");
        CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
        sched_yield();
    }
}

/* --- the test and its children ------------------------------------------------------------------ */

static int set_up(void **state)
{
    return crowd_clear(state) == 0 ? weir_wait_set_open(&set, NULL) : -1;
}

static int tear_down(void **state)
{
    weir_wait_set_close(set);
    return crowd_check(state);
}

static const char *name_of(unsigned number)
{
    static char name[16];
    snprintf(name, sizeof name, "peer%u", number);
    return name;
}

static void subscribe(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_result(weir_subscriber_open(&subscribers[i], name_of(i), NULL), 0);
        assert_result(weir_wait_set_add_subscriber(set, subscribers[i], i), (int)i);
    }
}

static void unsubscribe(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        weir_subscriber_close(subscribers[i]);
}

static struct weir_publisher *publisher_of(unsigned number)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher = NULL;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    CHECK_RESULT(weir_publisher_open(&publisher, name_of(number), &options), 0);
    return publisher;
}

static pid_t begin(void (*function)(unsigned), unsigned number)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    function(number);
    _exit(0);
}

static void end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* What a peer sends: when. */
static void send_time(struct weir_publisher *publisher)
{
    int64_t now_ns = weir_now_ns();
    CHECK_RESULT(weir_publisher_send(publisher, &now_ns, sizeof now_ns), 0);
}

/* How late it is; -1: there is none. */
static int64_t take_time(unsigned number)
{
    int64_t sent_ns;
    int result =
        weir_subscriber_receive_until(subscribers[number], &sent_ns, sizeof sent_ns, NULL, NOW);
    if (result == -EAGAIN)
        return -1;
    assert_result(result, 0);
    int64_t late_ns = weir_now_ns() - sent_ns;
    atomic_fetch_add(taken_of(number), 1);
    wake(taken_of(number));
    return late_ns;
}

/* One after the other, each once the former is taken, about when the test goes to sleep again. */
static void send_on_and_on(unsigned number)
{
    struct weir_publisher *publisher = publisher_of(number);
    uint64_t count = 0, seed = number + 1;
    tell_identity(number);
    while (!atomic_load(&board->is_over)) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        /*
         * It is the moment that is drawn, nothing is waited for: by a timer, since one that the test has
         * just woken would run on its processor, and so not before the test sleeps.
         */
        nanosleep(&(struct timespec){ 0, (long)(seed >> 40) % 20000 }, NULL);
        int64_t until_ns = weir_now_ns() + (int64_t)(seed >> 48) % 60000;
        while (weir_now_ns() < until_ns)
            weir__cpu_relax();
        send_time(publisher);
        await(taken_of(number), ++count);
    }
    weir_publisher_close(publisher);
}

/*
 * Takes what the events say. How many messages that was. The moments at which some came late are
 * counted: a machine that had no time for us has one of them, for all that waited then.
 */
static unsigned serve(int count, unsigned *late)
{
    static int64_t late_at_ns;
    unsigned taken = 0;
    for (int i = 0; i < count; i++) {
        assert_int_equal(events[i].kind, WEIR_WAIT_SUBSCRIBER);
        int64_t late_ns = take_time((unsigned)events[i].token);
        if (late_ns >= 0)
            taken++;
        if (late_ns < LATE_NS)
            continue;
        int64_t now_ns = weir_now_ns();
        *late += now_ns - late_at_ns > 20 * MS_NS;
        late_at_ns = now_ns;
    }
    return taken;
}

enum how { BY_WAIT, BY_POLL, BY_EPOLL };

static int wait_how(enum how how, int outer)
{
    struct epoll_event event;
    struct pollfd entry = { weir_wait_set_fd(set), POLLIN, 0 };
    if (how == BY_WAIT)
        return weir_wait_set_wait_until(set, events, MANY, weir_deadline_ns(1000 * MS_NS));
    int result = weir_wait_set_wait_until(set, events, MANY, NOW);
    if (result != -EAGAIN)
        return result;
    int found = how == BY_POLL ? poll(&entry, 1, 1000) : epoll_wait(outer, &event, 1, 1000);
    assert_true(found >= 0 || errno == EINTR); /* see weir_wait_set_close() */
    return 0;
}

/* No wake is lost: see send_on_and_on(). */
static void stress(enum how how, const char *what)
{
    struct epoll_event event = { .events = EPOLLIN };
    unsigned messages = 0, late = 0;
    int outer = epoll_create1(EPOLL_CLOEXEC);
    if (how == BY_EPOLL)
        assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, weir_wait_set_fd(set), &event), 0);
    subscribe(CHANNELS);
    for (unsigned i = 0; i < CHANNELS; i++)
        pids[i] = begin(send_on_and_on, i);
    int64_t until_ns = weir_deadline_ns(2000 * MS_NS);
    while (weir_now_ns() < until_ns) {
        int result = wait_how(how, outer);
        assert_true(result != -ETIMEDOUT);
        if (result < 0)
            assert_result(result, -EAGAIN);
        messages += serve(result, &late);
    }
    say_it_is_over();
    for (unsigned i = 0; i < CHANNELS; i++)
        end(pids[i]);
    unsubscribe(CHANNELS);
    close(outer);
    print_message("%s: %u messages, late %u times\n", what, messages, late);
    assert_true(messages >= 500);
    assert_true(late <= 3); /* a busy machine's */
}

static void test_stress_wait(void **state)
{
    (void)state;
    struct weir_wait_set_options options = WEIR_WAIT_SET_OPTIONS;
    weir_wait_set_close(set);
    options.flags = WEIR_WAIT_SET_SLEEP_ONLY;
    assert_result(weir_wait_set_open(&set, &options), 0);
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
        all.has_ended |= weir_subscriber_receive_until(subscribers[3], &sent_ns, sizeof sent_ns,
                                                       NULL, NOW) == -EPIPE;
    } else if (token < CHANNELS) {
        take_time(token);
    }
}

static void add_all(void)
{
    assert_int_equal(pipe(all.ends), 0);
    all.counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    subscribe(CHANNELS);
    for (unsigned i = 0; i < CHANNELS; i++)
        pids[i] = begin(send_on_and_on, i);
    await(identity_of(3), 1);
    const int items[] = {
        weir_wait_set_add_timer(set, weir_deadline_ns(MS_NS), 10 * MS_NS, TIMER),
        weir_wait_set_add_fd(set, all.ends[0], POLLIN, PIPE),
        weir_wait_set_add_fd(set, all.counter, POLLIN, EVENT),
        weir_wait_set_add_death(set, atomic_load(identity_of(3)), WEIR_UID_ANY, DEATH),
        weir_wait_set_add_members(set, name_of(3), NULL, WEIR_WAIT_PUBLISHERS, MEMBERS),
    };
    for (int i = 0; i < (int)ARRAY_SIZE(items); i++)
        assert_result(items[i], CHANNELS + i);
}

static void kill_the_fourth(void)
{
    all.is_killed = true;
    kill(pids[3], SIGKILL);
    waitpid(pids[3], NULL, 0);
    all.killed_ns = weir_now_ns();
}

static void test_all(void **state)
{
    (void)state;
    int64_t until_ns = weir_deadline_ns(20000 * MS_NS);
    all = (struct all){ .is_killed = false };
    add_all();
    while ((!all.has_ended || all.told[DEATH] == 0 || all.publishers != 0) &&
           weir_now_ns() < until_ns) {
        int count = weir_wait_set_wait_until(set, events, MANY, until_ns);
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            serve_one(&events[i]);
        if (!all.is_killed && all.told[TIMER] > 30)
            kill_the_fourth();
    }
    assert_true(all.has_ended);
    assert_int_equal(all.told[DEATH], 1);
    assert_true(all.told[MEMBERS] >= 1);
    assert_int_equal(all.publishers, 0);
    if (!SANITIZED)
        assert_true(all.death_ns - all.killed_ns < 1000 * MS_NS);
    for (unsigned i = 0; i < CHANNELS; i++)
        assert_true(all.told[i] > 0);
    assert_true(all.told[PIPE] > 0 && all.told[EVENT] > 0);
    say_it_is_over();
    for (unsigned i = 0; i < CHANNELS; i++)
        if (i != 3)
            end(pids[i]);
    unsubscribe(CHANNELS);
    assert_result(weir_wait_set_remove(set, CHANNELS + 3), -ENOENT); /* the death, told */
    close(all.ends[0]);
    close(all.ends[1]);
    close(all.counter);
}

static void live(unsigned number)
{
    tell_identity(number);
    for (;;)
        pause();
}

/* Deaths: at once, by the pidfd; of one who is dead already; two at once; one that is removed. */
static void test_deaths(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        pids[i] = begin(live, i);
        await(identity_of(i), 1);
        assert_result(weir_wait_set_add_death(set, atomic_load(identity_of(i)), geteuid(), i),
                      (int)i);
    }
    assert_result(weir_wait_set_wait_until(set, events, MANY, weir_deadline_ns(300 * MS_NS)),
                  -ETIMEDOUT);
    assert_result(weir_wait_set_remove(set, 2), 0);
    int64_t start_ns = weir_now_ns();
    kill(pids[0], SIGKILL);
    assert_result(weir_wait_set_wait_until(set, events, MANY, weir_deadline_ns(5000 * MS_NS)), 1);
    if (!SANITIZED)
        assert_true(weir_now_ns() - start_ns < LATE_NS);
    assert_int_equal(events[0].token, 0);
    for (unsigned i = 1; i < 4; i++)
        kill(pids[i], SIGKILL);
    for (unsigned i = 0; i < 4; i++)
        waitpid(pids[i], NULL, 0);
    /* Dead when it is added; and with room for one alone, one after the other. */
    assert_result(weir_wait_set_add_death(set, atomic_load(identity_of(0)), geteuid(), 10), 0);
    unsigned told[11] = { 0 };
    for (int i = 0; i < 3; i++) {
        assert_result(weir_wait_set_wait_until(set, events, 1, weir_deadline_ns(5000 * MS_NS)), 1);
        assert_int_equal(events[0].kind, WEIR_WAIT_DEATH);
        told[events[0].token]++;
    }
    assert_true(told[1] == 1 && told[3] == 1 && told[10] == 1);
    assert_result(weir_wait_set_wait_until(set, events, 1, NOW), -EAGAIN);
}

static void execute(unsigned number)
{
    tell_identity(number);
    await(taken_of(number), 1);
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

/* Who executes another program keeps its pid, and is another one. */
static void test_another_program(void **state)
{
    (void)state;
    pids[0] = begin(execute, 0);
    await(identity_of(0), 1);
    assert_result(weir_wait_set_add_death(set, atomic_load(identity_of(0)), geteuid(), 7), 0);
    assert_result(weir_wait_set_wait_until(set, events, 1, weir_deadline_ns(30 * MS_NS)),
                  -ETIMEDOUT);
    tell(taken_of(0), 1);
    assert_result(weir_wait_set_wait_until(set, events, 1, weir_deadline_ns(5000 * MS_NS)), 1);
    assert_int_equal(events[0].token, 7);
    kill(pids[0], SIGKILL);
    waitpid(pids[0], NULL, 0);
}

static void send_silently(unsigned number)
{
    struct weir_publisher *publisher = publisher_of(number);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER), 0);
    await(taken_of(number), 1);
    if (!silence())
        _exit(77);
    send_time(publisher);
    for (;;)
        pause();
}

/* Who publishes dies, or stops, before it rings: a slice makes up for it. */
static void test_lost_ring(void **state)
{
    (void)state;
    subscribe(1);
    pids[0] = begin(send_silently, 0);
    int result;
    do /* until it is attached, and quiet */
        result = weir_wait_set_wait_until(set, events, 1, weir_deadline_ns(500 * MS_NS));
    while (result == 1 && take_time(0) == -1);
    assert_result(result, -ETIMEDOUT);
    tell(taken_of(0), 1);
    assert_result(weir_wait_set_wait_until(set, events, 1, weir_deadline_ns(2000 * MS_NS)), 1);
    assert_true(take_time(0) >= 0);
    kill(pids[0], SIGKILL);
    waitpid(pids[0], NULL, 0);
    unsubscribe(1);
}

/* Comes, once the test has seen it go and sleeps again, and says when. */
static void come_and_go(unsigned number)
{
    for (uint64_t turn = 1; turn <= TURNS_OF_MEMBERS; turn++) {
        await_sleep_of_the_test();
        atomic_store(&board->words[1], (uint64_t)weir_now_ns());
        struct weir_publisher *publisher = publisher_of(number);
        await(&board->words[0], 2 * turn - 1);
        await_sleep_of_the_test();
        atomic_store(&board->words[1], (uint64_t)weir_now_ns());
        weir_publisher_close(publisher);
        await(&board->words[0], 2 * turn);
    }
}

/* Who comes and goes while the set sleeps wakes it: most of them, on a busy machine. */
static void test_members_asleep(void **state)
{
    (void)state;
    unsigned late = 0;
    assert_result(weir_wait_set_add_members(set, name_of(0), NULL, WEIR_WAIT_PUBLISHERS, 1), 0);
    assert_result(weir_wait_set_wait_until(set, events, 1, NOW), 1); /* none yet */
    pids[0] = begin(come_and_go, 0);
    for (unsigned i = 1; i <= 2 * TURNS_OF_MEMBERS; i++) {
        assert_result(weir_wait_set_wait_until(set, events, 1, weir_deadline_ns(5000 * MS_NS)), 1);
        late += weir_now_ns() - (int64_t)atomic_load(&board->words[1]) > 50 * MS_NS;
        assert_int_equal(events[0].publishers, i % 2);
        tell(&board->words[0], i);
    }
    end(pids[0]);
    if (!SANITIZED)
        assert_in_range(late, 0, TURNS_OF_MEMBERS / 2);
}

static void publish_to_many(unsigned number)
{
    static struct weir_publisher *publishers[MANY];
    for (unsigned i = 0; i < number; i++)
        publishers[i] = publisher_of(i);
    tell(identity_of(0), 1);
    for (unsigned turn = 1; !atomic_load(&board->is_over); turn++) {
        await(&board->words[0], turn);
        for (unsigned i = 0; i < number && !atomic_load(&board->is_over); i++)
            send_time(publishers[(i * 37 + turn) % number]);
    }
    for (unsigned i = 0; i < number; i++)
        weir_publisher_close(publishers[i]);
}

static void quiet_down(void)
{
    for (;;) {
        int count = weir_wait_set_wait_until(set, events, MANY, weir_deadline_ns(100 * MS_NS));
        if (count == -ETIMEDOUT)
            return;
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            assert_int_equal(take_time((unsigned)events[i].token), -1);
    }
}

/* Of each channel its message, asleep between the turns. */
static void test_many(void **state)
{
    (void)state;
    enum { TURNS = 30 };
    subscribe(MANY);
    pids[0] = begin(publish_to_many, MANY);
    await(identity_of(0), 1);
    for (unsigned turn = 1; turn <= TURNS; turn++) {
        unsigned seen[MANY] = { 0 }, left = MANY;
        if (turn % 4 == 1)
            quiet_down();
        tell(&board->words[0], turn);
        while (left > 0) {
            int count = weir_wait_set_wait_until(set, events, turn % 2 ? 16 : MANY,
                                                 weir_deadline_ns(5000 * MS_NS));
            assert_true(count > 0);
            for (int i = 0; i < count; i++)
                if (take_time((unsigned)events[i].token) >= 0) {
                    assert_int_equal(seen[events[i].token]++, 0);
                    left--;
                }
        }
    }
    say_it_is_over();
    end(pids[0]);
    unsubscribe(MANY);
}

static unsigned long sleeps_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (unsigned long)usage.ru_nvcsw;
}

static int64_t cpu_now_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* A hundred channels, nothing happens: at most ten wake-ups a second. */
static void test_idle(void **state)
{
    (void)state;
    enum { IDLE = 100, IDLE_MS = 2000, CPU_US = 60000 };
    if (is_looking)
        skip(); /* that costs a thousand */
    subscribe(IDLE);
    pids[0] = begin(publish_to_many, IDLE);
    await(identity_of(0), 1);
    quiet_down();
    for (int how = BY_WAIT; how <= BY_POLL; how++) {
        unsigned long sleeps = sleeps_now();
        int64_t cpu_us = cpu_now_us(), until_ns = weir_deadline_ns(IDLE_MS * MS_NS);
        while (weir_now_ns() < until_ns) {
            int result = how == BY_WAIT ? weir_wait_set_wait_until(set, events, MANY, until_ns)
                                        : wait_how(BY_POLL, -1);
            if (result != 0)
                assert_result(result, -ETIMEDOUT);
        }
        sleeps = sleeps_now() - sleeps;
        cpu_us = cpu_now_us() - cpu_us;
        print_message("%d channels by %s, for %d s: %lu wake-ups, %lld us\n", IDLE,
                      how == BY_WAIT ? "wait" : "poll", IDLE_MS / 1000, sleeps, (long long)cpu_us);
        if (!THREAD_SANITIZED) /* which has a thread of its own, that wakes up, too */
            assert_in_range(sleeps, 1, IDLE_MS / 100);
        if (!SANITIZED)
            assert_in_range(cpu_us, 0, CPU_US);
    }
    say_it_is_over();
    end(pids[0]);
    unsubscribe(IDLE);
}

int main(int argument_count, char **arguments)
{
    is_looking = argument_count > 1 && strcmp(arguments[1], "--without-waitv") == 0;
    if (argument_count > 1 && !forbid_call(SYS_io_uring_setup, EPERM))
        return 77;
    if (is_looking && !forbid_call(449, ENOSYS))
        return 77;
#define PEERS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PEERS_TEST(test_all),
        PEERS_TEST(test_deaths),
        PEERS_TEST(test_another_program),
        PEERS_TEST(test_lost_ring),
        PEERS_TEST(test_members_asleep),
        PEERS_TEST(test_many),
        PEERS_TEST(test_idle),
        PEERS_TEST(test_stress_wait),
        PEERS_TEST(test_stress_poll),
        PEERS_TEST(test_stress_epoll),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
