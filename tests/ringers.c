/* SPDX-License-Identifier: MIT */
/* Processes that publish for a wait set, and the words that they and the test wait for. */
#include "ringers.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"

struct ringer ringers[RINGERS_MAX];
struct weir_wait_event ringers_events[RINGERS_MAX];

/* So high: whoever waits for whatever number need not any more. */
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

void ringers_tell(weir__atomic_u64 *word, uint64_t value)
{
    atomic_store(word, value);
    wake(word);
}

void ringers_await(weir__atomic_u64 *word, uint64_t least)
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

void ringers_stop(void)
{
    atomic_store(&board->is_over, 1);
    ringers_tell(&board->words[0], NO_MORE);
    for (unsigned i = 0; i < RINGERS; i++)
        ringers_tell(ringer_taken(i), NO_MORE);
}

void ringer_tell_identity(unsigned number)
{
    uint64_t identity;
    CHECK_RESULT(weir_identity(&identity), 0);
    ringers_tell(ringer_identity(number), identity);
}

const char *ringer_name(unsigned number)
{
    static char name[16];
    snprintf(name, sizeof name, "peer%u", number);
    return name;
}

void ringers_subscribe(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_result(weir_subscriber_open(&ringers[i].subscriber, ringer_name(i), NULL), 0);
        assert_result(weir_wait_set_add_subscriber(waiting_set, ringers[i].subscriber, i), (int)i);
    }
}

void ringers_unsubscribe(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        weir_subscriber_close(ringers[i].subscriber);
}

struct weir_publisher *ringer_publisher(unsigned number)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher = NULL;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    CHECK_RESULT(weir_publisher_open(&publisher, ringer_name(number), &options), 0);
    return publisher;
}

void ringer_send(struct weir_publisher *publisher)
{
    int64_t now_ns = weir_now_ns();
    CHECK_RESULT(weir_publisher_send(publisher, &now_ns, sizeof now_ns), 0);
}

int64_t ringers_take(unsigned number)
{
    int64_t sent_ns;
    int result = weir_subscriber_receive_until(ringers[number].subscriber, &sent_ns, sizeof sent_ns,
                                               NULL, NOW);
    if (result == -EAGAIN)
        return -1;
    assert_result(result, 0);
    int64_t late_ns = weir_now_ns() - sent_ns;
    atomic_fetch_add(ringer_taken(number), 1);
    wake(ringer_taken(number));
    return late_ns;
}

/* One after the other, each once the former is taken, about when the test goes to sleep again. */
static void send_on_and_on(unsigned number)
{
    struct weir_publisher *publisher = ringer_publisher(number);
    uint64_t count = 0, seed = number + 1;
    ringer_tell_identity(number);
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
        ringer_send(publisher);
        ringers_await(ringer_taken(number), ++count);
    }
    weir_publisher_close(publisher);
}

/* What a child is to do. */
struct part {
    void (*function)(unsigned);
    unsigned number;
};

static void play(void *argument)
{
    const struct part *part = argument;
    part->function(part->number);
}

pid_t ringer_fork(void (*function)(unsigned), unsigned number)
{
    struct part part = { function, number };
    return crowd_fork(play, &part);
}

void ringers_start(void)
{
    for (unsigned i = 0; i < RINGERS; i++)
        ringers[i].pid = ringer_fork(send_on_and_on, i);
}
