/* SPDX-License-Identifier: MIT */
/*
 * Goal: publishers that live for one message are normal: whoever is there gets it, also when the
 *       publisher exits or is killed right after its commit; who joins in that moment gets it or
 *       not, and gets what was sent after its open had returned.
 * Method: a thousand of them, one after another, with three subscribers and one that comes and goes.
 *       WEIR_CROWD_SHORT says how many, if another number is wanted.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* The board's words of this test. */
enum { STARTED, DONE, JOINED, SESSIONS, PROMISED };

enum { SUBSCRIBERS = 3, COMING = SUBSCRIBERS };

static uint32_t how_many(void)
{
    const char *text = getenv("WEIR_CROWD_SHORT");
    uint32_t count = text ? (uint32_t)atoi(text) : SANITIZED ? 100 : 1000;
    return count < CROWD_WHO_MAX ? count : CROWD_WHO_MAX - 1;
}

/* Whatever comes: the ends of publishers, killed or not, are no end. */
static void follow_all(void *argument)
{
    unsigned number = *(const unsigned *)argument, count = how_many();
    struct weir_subscriber *subscriber = crowd_subscriber();
    atomic_fetch_add(&board->ready, 1);
    while (atomic_load(&board->received[number]) < count) {
        int result = crowd_take(subscriber, number, weir_deadline_ns(20 * SECOND_NS));
        CHECK(result == 0 || result == -ENODATA || result == -EPIPE);
    }
    CHECK(crowd_take(subscriber, number, NOW) != 0);
    weir_subscriber_close(subscriber);
}

/* It notes which session of the one who comes and goes was there before it sent. */
static void publish_one(void *argument)
{
    uint32_t who = *(const uint32_t *)argument;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    atomic_store(&board->notes[who], atomic_load(&board->words[JOINED]));
    CHECK_RESULT(crowd_send(publisher, who, 16 + who % 1000, weir_deadline_ns(20 * SECOND_NS)), 0);
    if (who % 3 == 0)
        raise(SIGKILL);
    if (who % 3 == 1)
        weir_publisher_close(publisher);
}

static bool has_had(uint32_t who)
{
    return atomic_load(&board->seen[COMING][who].first) != 0;
}

/* Hears some, and leaves: after those who may have seen that it was there. How many were started. */
static uint64_t stay(struct weir_subscriber *subscriber, uint64_t least)
{
    uint64_t had = 0, started = UINT64_MAX;
    for (;;) {
        bool is_last = atomic_load(&board->words[DONE]) >= started;
        int result = crowd_take(subscriber, COMING, is_last ? NOW : weir_deadline_ns(MS_NS));
        had += result == 0;
        if (result == 0)
            continue;
        CHECK(result == -ETIMEDOUT || result == -EAGAIN || result == -ENODATA || result == -EPIPE);
        if (is_last && result == -EAGAIN)
            return started;
        if (started == UINT64_MAX && (had >= least || crowd_is_over())) {
            atomic_store(&board->words[JOINED], 0);
            started = atomic_load(&board->words[STARTED]);
        }
    }
}

static void come_and_go(void *argument)
{
    uint64_t seed = 4711, promised = 0;
    (void)argument;
    for (uint64_t session = 1; !crowd_is_over(); session++) {
        uint64_t first = atomic_load(&board->words[DONE]);
        struct weir_subscriber *subscriber = crowd_subscriber();
        atomic_store(&board->words[JOINED], session);
        atomic_store(&board->words[SESSIONS], session);
        uint64_t started = stay(subscriber, crowd_draw(&seed, 5));
        weir_subscriber_close(subscriber);
        for (uint64_t who = first; who < started; who++) {
            if (atomic_load(&board->notes[who]) != session || atomic_load(&board->sure[who]) == 0)
                continue;
            CHECK(has_had((uint32_t)who));
            promised++;
        }
    }
    CHECK(promised > how_many() / 20);
    atomic_store(&board->words[PROMISED], promised);
}

static void test_short_lived(void **state)
{
    (void)state;
    uint32_t count = how_many();
    pid_t readers[SUBSCRIBERS], coming;
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        readers[i] = crowd_fork(follow_all, &i);
    crowd_await_ready(SUBSCRIBERS);
    coming = crowd_fork(come_and_go, NULL);
    for (uint32_t who = 0; who < count; who++) {
        int status;
        atomic_fetch_add(&board->words[STARTED], 1);
        pid_t pid = crowd_fork(publish_one, &who);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, who % 3 == 0 ? SIGKILL : 0);
        atomic_fetch_add(&board->words[DONE], 1);
    }
    atomic_store(&board->is_over, 1);
    crowd_end(coming);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        crowd_end(readers[i]);
        for (uint32_t who = 0; who < count; who++)
            assert_int_equal(atomic_load(&board->seen[i][who].next), 1);
        assert_int_equal(atomic_load(&board->received[i]), count);
    }
    print_message(
        "%u publishers of one message, a third of them killed: %u subscribers had all; one "
        "that came %llu times the %llu that it was there for\n",
        count, (unsigned)SUBSCRIBERS, (unsigned long long)atomic_load(&board->words[SESSIONS]),
        (unsigned long long)atomic_load(&board->words[PROMISED]));
}

int main(void)
{
    const struct CMUnitTest tests[] = { CROWD_TEST(test_short_lived) };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
