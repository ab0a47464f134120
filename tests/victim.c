/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "given.h"
#include "guard.h"
#include "liar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char victim_place[160];
struct weir_publisher *victim_publisher;
struct weir_subscriber *victim_subscriber;

struct weir_channel_options victim_options = { .size = sizeof victim_options,
                                               .ring_bytes = CAPACITY };

bool victim_bursts_first;

static pid_t test_pid;
static unsigned seen[EHWPOISON + 1];

unsigned victim_seen(int result)
{
    return seen[-result];
}

void victim_forget(void)
{
    memset(seen, 0, sizeof seen);
}

/* In the test itself, or in a child, which cmocka knows nothing of. */
void victim_complain(const char *text)
{
    if (test_pid == 0 || getpid() == test_pid)
        fail_msg("%s: %s", victim_place, text);
    dprintf(STDERR_FILENO, "%s: %s\n", victim_place, text);
    _exit(1);
}

/* Beyond its deadline no call may be later. */
#define LATE_NS ((SANITIZED ? 5 : 1) * SECOND_NS)

/* What the machine did not give to us, before the calls that follow. */
static int64_t stood_before_ns;

static bool is_late(int64_t took_ns, int64_t wait_ns)
{
    int64_t most_ns = LATE_NS + wait_ns;
    return took_ns >= most_ns && took_ns - (given_stood_ns() - stood_before_ns) >= most_ns;
}

void victim_expect(const char *call, int result, int64_t before_ns, int64_t wait_ns)
{
    static const int allowed[] = { EAGAIN,   ETIMEDOUT, EUCLEAN, EPROTO, EPIPE,
                                   EMSGSIZE, ENODATA,   EPERM,   EACCES, EOVERFLOW };
    char text[700];
    bool is_allowed = result == 0;
    int64_t took_ns = weir_now_ns() - before_ns;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        is_allowed |= result == -allowed[i];
    if (is_allowed)
        seen[-result]++;
    if (is_allowed && !is_late(took_ns, wait_ns))
        return;
    snprintf(text, sizeof text, "%s gives %d (%s) after %lld ms", call, result, weir_last_error(),
             (long long)(took_ns / MS_NS));
    victim_complain(text);
}

/* Every byte is read: the last one may stand before a guard page. */
void victim_expect_inside(const struct weir_message *message)
{
    static volatile unsigned sum;
    char text[160];
    const unsigned char *bytes = message->data;
    bool is_sound = message->size_bytes <= CAPACITY / 4 - 8 &&
                    guard_holds(bytes, message->size_bytes) && ((uintptr_t)bytes & 7) == 0;
    for (size_t i = 0; is_sound && i < message->size_bytes; i++)
        sum = sum + bytes[i];
    if (is_sound)
        return;
    snprintf(text, sizeof text, "a message of %zu bytes leaves its ring", message->size_bytes);
    victim_complain(text);
}

/* The calls for many: in place, then into room that ends before a guard page. */
static void use_bursts(int64_t wait_ns)
{
    enum { MANY = 5 };
    static unsigned char *bytes;
    struct weir_message messages[MANY];
    const size_t room = (CAPACITY / 4 - 8) / 2;
    if (!bytes)
        bytes = (unsigned char *)guard_new(CAPACITY / 4 - 8) + CAPACITY / 4 - 8 - room;
    int64_t before_ns = weir_now_ns();
    int count = weir_subscriber_take_many_until(victim_subscriber, messages, MANY, NOW);
    victim_expect("take_many", count < 0 ? count : 0, before_ns, wait_ns);
    for (int i = 0; i < count; i++)
        victim_expect_inside(&messages[i]);
    if (count > MANY || (count > 0 && weir_subscriber_release_many(victim_subscriber, messages,
                                                                   (size_t)count) != 0))
        victim_complain("messages that are held cannot be released");
    before_ns = weir_now_ns();
    count = weir_subscriber_receive_many_until(victim_subscriber, bytes, room, messages, MANY,
                                               weir_deadline_ns(wait_ns));
    victim_expect("receive_many", count < 0 ? count : 0, before_ns, wait_ns);
    for (int i = 0; i < count; i++)
        if ((const unsigned char *)messages[i].data < bytes || messages[i].size_bytes > room ||
            (const unsigned char *)messages[i].data + messages[i].size_bytes > bytes + room)
            victim_complain("a message is larger than the room for it");
}

void victim_use_subscriber(int64_t wait_ns)
{
    static unsigned char *bytes;
    struct weir_message held[3], message;
    int results[3];
    if (!bytes)
        bytes = guard_new(CAPACITY / 4 - 8);
    stood_before_ns = given_stood_ns();
    if (victim_bursts_first)
        use_bursts(wait_ns);
    for (int i = 0; i < 3; i++) {
        int64_t before_ns = weir_now_ns();
        results[i] = weir_subscriber_take_until(victim_subscriber, &held[i],
                                                i == 2 ? weir_deadline_ns(wait_ns) : NOW);
        victim_expect("take", results[i], before_ns, wait_ns);
        if (results[i] == 0)
            victim_expect_inside(&held[i]);
    }
    if (!victim_bursts_first)
        use_bursts(wait_ns);
    for (int i = 0; i < 2; i++) { /* into much room, and into little */
        size_t room = i == 0 ? CAPACITY / 4 - 8 : 8;
        int64_t before_ns = weir_now_ns();
        int result =
            weir_subscriber_receive_until(victim_subscriber, bytes + CAPACITY / 4 - 8 - room, room,
                                          &message, weir_deadline_ns(wait_ns));
        victim_expect("receive", result, before_ns, wait_ns);
        if (result == 0 && message.size_bytes > room)
            victim_complain("a message is larger than the room for it");
    }
    for (int i = 2; i >= 0; i--) {
        if (results[i] != 0)
            continue;
        victim_expect_inside(&held[i]); /* also when its lane was left since */
        if (weir_subscriber_release(victim_subscriber, &held[i]) != 0)
            victim_complain("a message that is held cannot be released");
    }
}

static void use_loan(size_t size_bytes, int64_t wait_ns)
{
    void *data;
    int64_t before_ns = weir_now_ns();
    int result =
        weir_publisher_loan_until(victim_publisher, size_bytes, &data, weir_deadline_ns(wait_ns));
    victim_expect("loan", result, before_ns, wait_ns);
    if (result != 0)
        return;
    if (!guard_holds(data, size_bytes))
        victim_complain("a loan leaves its ring");
    memset(data, 1, size_bytes);
    if (weir_publisher_commit(victim_publisher, size_bytes - 8, 1) != 0)
        victim_complain("a loan cannot be committed");
}

static void use_loans(size_t size_bytes, int64_t wait_ns)
{
    enum { MANY = 7 };
    void *places[MANY];
    int64_t before_ns = weir_now_ns();
    int count = weir_publisher_loan_many_until(victim_publisher, size_bytes, places, MANY,
                                               weir_deadline_ns(wait_ns));
    victim_expect("loan_many", count < 0 ? count : 0, before_ns, wait_ns);
    if (count <= 0)
        return;
    for (int i = 0; i < count; i++) {
        if (!guard_holds(places[i], size_bytes))
            victim_complain("a loan leaves its ring");
        memset(places[i], 1, size_bytes);
    }
    if (weir_publisher_commit_many(victim_publisher, NULL, NULL, (size_t)count) != 0)
        victim_complain("a loan of many cannot be committed");
}

static void use_sends(int64_t wait_ns)
{
    enum { MANY = 6 };
    static const unsigned char bytes[300];
    struct weir_outgoing messages[MANY];
    for (unsigned i = 0; i < MANY; i++)
        messages[i] = (struct weir_outgoing){ bytes, i * 60, i };
    int64_t before_ns = weir_now_ns();
    int count =
        weir_publisher_send_many_until(victim_publisher, messages, MANY, weir_deadline_ns(wait_ns));
    victim_expect("send_many", count < 0 ? count : 0, before_ns, wait_ns * MANY);
    if (count > MANY)
        victim_complain("more was sent than there was");
}

static void use_batch(void)
{
    int64_t before_ns = weir_now_ns();
    if (weir_publisher_batch_begin(victim_publisher) != 0)
        victim_complain("a batch cannot be opened");
    for (int i = 0; i < 4; i++)
        victim_expect("send in a batch",
                      weir_publisher_send_until(victim_publisher, "batch", 5, 2, NOW), before_ns,
                      0);
    if (weir_publisher_batch_end(victim_publisher) != 0)
        victim_complain("a batch cannot be ended");
}

void victim_use_publisher(int64_t wait_ns)
{
    static unsigned char *bytes;
    const size_t most = CAPACITY / 4 - 8;
    if (!bytes)
        bytes = guard_new(most);
    stood_before_ns = given_stood_ns();
    int64_t before_ns = weir_now_ns();
    victim_expect("send", weir_publisher_send_until(victim_publisher, bytes + most - 8, 8, 0, NOW),
                  before_ns, 0);
    before_ns = weir_now_ns();
    victim_expect("wait_subscriber",
                  weir_publisher_wait_subscribers(victim_publisher, 1, weir_deadline_ns(wait_ns)),
                  before_ns, wait_ns);
    use_loan(1000, 0);
    use_batch();
    use_sends(wait_ns / 4);
    use_loans(500, wait_ns / 4);
    use_loan(most, wait_ns / 4);
    for (int i = 0; i < 5; i++) { /* more than the ring takes */
        before_ns = weir_now_ns();
        victim_expect("send of much",
                      weir_publisher_send_until(victim_publisher, bytes, most, 0,
                                                weir_deadline_ns(wait_ns / 4)),
                      before_ns, wait_ns);
    }
    before_ns = weir_now_ns();
    victim_expect("wait_taken",
                  weir_publisher_wait_taken(victim_publisher, weir_deadline_ns(wait_ns)), before_ns,
                  wait_ns);
}

int victim_open(bool is_publisher)
{
    stood_before_ns = given_stood_ns();
    int64_t before_ns = weir_now_ns();
    int result = is_publisher ? weir_publisher_open(&victim_publisher, "lane", &victim_options)
                              : weir_subscriber_open(&victim_subscriber, "lane", &victim_options);
    bool is_refused = result == -EBUSY || result == -EPROTONOSUPPORT;
    victim_expect("open", is_refused ? -EPROTO : result, before_ns, 0);
    return result;
}

void victim_close(void)
{
    stood_before_ns = given_stood_ns();
    int64_t before_ns = weir_now_ns();
    weir_publisher_close(victim_publisher);
    weir_subscriber_close(victim_subscriber);
    victim_publisher = NULL;
    victim_subscriber = NULL;
    victim_expect("close", 0, before_ns, 0);
}

static __attribute__((constructor)) void note_pid(void)
{
    test_pid = getpid();
}

void victim_expect_sound(void)
{
    struct weir_message message;
    assert_result(victim_open(true), 0);
    assert_result(victim_open(false), 0);
    assert_result(weir_publisher_send_until(victim_publisher, "sound", 5, 0, 0), 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, 0), 0);
    assert_memory_equal(message.data, "sound", 5);
}
