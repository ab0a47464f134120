/* SPDX-License-Identifier: MIT */
/* Processes that publish and subscribe, and the board on which they keep their books. */
#include "crowd.h"

#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/identity.h>

struct crowd_board *board;

struct head {
    uint32_t who, size_bytes;
    uint64_t number;
};

int crowd_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start_alive(state);
}

int crowd_check(void **state)
{
    return fixture_check_alive(state);
}

int crowd_clear(void **state)
{
    (void)state;
    return madvise(board, sizeof *board, MADV_REMOVE);
}

uint64_t crowd_draw(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % below;
}

static uint64_t first_word(const struct head *head)
{
    return ((uint64_t)head->who << 40 ^ head->number) * UINT64_C(0x9e3779b97f4a7c15);
}

int crowd_send(struct weir_publisher *publisher, uint32_t who, size_t size_bytes,
               int64_t deadline_ns)
{
    unsigned char bytes[CROWD_BYTES_MAX];
    struct head head = { who, (uint32_t)size_bytes, atomic_load(&board->sure[who]) };
    uint64_t word = first_word(&head);
    CHECK(size_bytes >= sizeof head && size_bytes <= sizeof bytes && who < CROWD_WHO_MAX);
    memcpy(bytes, &head, sizeof head);
    for (size_t at = sizeof head; at < size_bytes; at += sizeof word, word++)
        memcpy(bytes + at, &word, size_bytes - at < sizeof word ? size_bytes - at : sizeof word);
    atomic_store(&board->at_most[who], head.number + 1);
    int result = weir_publisher_send_until(publisher, bytes, size_bytes, who & 0xffff, deadline_ns);
    atomic_store(result == 0 ? &board->sure[who] : &board->at_most[who],
                 head.number + (result == 0));
    return result;
}

void crowd_read(const struct weir_message *message, uint32_t *who, uint64_t *number)
{
    struct head head;
    CHECK(message->size_bytes >= sizeof head);
    memcpy(&head, message->data, sizeof head);
    CHECK(head.size_bytes == message->size_bytes && head.who < CROWD_WHO_MAX);
    CHECK(message->type == (head.who & 0xffff));
    const unsigned char *bytes = message->data;
    uint64_t word = first_word(&head);
    for (size_t at = sizeof head; at < head.size_bytes; at += sizeof word, word++)
        CHECK(memcmp(bytes + at, &word,
                     head.size_bytes - at < sizeof word ? head.size_bytes - at : sizeof word) == 0);
    *who = head.who;
    *number = head.number;
}

void crowd_note(unsigned subscriber, const struct weir_message *message)
{
    uint32_t who;
    uint64_t number;
    crowd_read(message, &who, &number);
    struct crowd_seen *seen = &board->seen[subscriber][who];
    CHECK(number < atomic_load(&board->at_most[who]));
    if (atomic_load(&seen->first) == 0)
        atomic_store(&seen->first, number + 1);
    else if (atomic_load(&seen->next) != number)
        fprintf(stderr, "subscriber %u: of %u came %llu, not %llu\n", subscriber, who,
                (unsigned long long)number, (unsigned long long)atomic_load(&seen->next));
    CHECK(atomic_load(&seen->next) == number || atomic_load(&seen->first) == number + 1);
    atomic_store(&seen->next, number + 1);
    atomic_fetch_add(&board->received[subscriber], 1);
}

int crowd_take(struct weir_subscriber *handle, unsigned subscriber, int64_t deadline_ns)
{
    struct weir_message message;
    int result = weir_subscriber_take_until(handle, &message, deadline_ns);
    if (result != 0)
        return result;
    crowd_note(subscriber, &message);
    CHECK_RESULT(weir_subscriber_release(handle, &message), 0);
    return 0;
}

pid_t crowd_fork(void (*function)(void *), void *argument)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    function(argument);
    _exit(0);
}

void crowd_end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

void crowd_kill(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void nap(int64_t until_ns)
{
    const struct timespec time = { 0, 100000 };
    CHECK(weir_now_ns() < until_ns);
    nanosleep(&time, NULL);
}

void crowd_await(const weir__atomic_u64 *word, uint64_t least)
{
    int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
    while (atomic_load(word) < least)
        nap(until_ns);
}

void crowd_await_ready(uint32_t least)
{
    int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
    while (atomic_load(&board->ready) < least)
        nap(until_ns);
}

struct weir_publisher *crowd_publisher(uint64_t ring_bytes)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = ring_bytes;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    return publisher;
}

struct weir_subscriber *crowd_subscriber(void)
{
    struct weir_subscriber *subscriber;
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, NULL), 0);
    return subscriber;
}
