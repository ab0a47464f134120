/* SPDX-License-Identifier: MIT */
#include "onlooker.h"

#include "fixture.h"
#include "given.h"
#include "guard.h"
#include "liar.h"

#include <errno.h>
#include <signal.h>
#include <weir/inspect.h>

void onlooker_begin(void)
{
    assert_result(victim_open(true), 0);
    assert_result(victim_open(false), 0);
    for (int i = 0; i < 3; i++)
        assert_result(weir_publisher_send_until(victim_publisher, "abcdefgh", 8, 0, NOW), 0);
    assert_true(liar_attach());
}

void onlooker_end(void)
{
    victim_close();
    liar_restore_directory();
    liar_detach();
}

#define LATE_NS ((SANITIZED ? 5 : 1) * SECOND_NS)

static int64_t stood_before_ns; /* at the begin of a look: what the machine did not give to us */

static void look_once(onlooker_look *look, const char *what)
{
    stood_before_ns = given_stood_ns();
    look(what);
}

void onlooker_expect_soon(int64_t before_ns)
{
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_true(took_ns < LATE_NS || took_ns - (given_stood_ns() - stood_before_ns) < LATE_NS);
}

void onlooker_meet_each_lie(unsigned which, onlooker_look *look)
{
    struct liar_word words[LIAR_WORDS_MAX];
    size_t count = liar_words(words, which), attached = guard_count();
    assert_true(count > 54);
    for (size_t i = 0; i < count; i++) {
        uint64_t truth = liar_load(&words[i]), value;
        for (unsigned lie = 0; liar_value(lie, truth, &value); lie++) {
            liar_store(&words[i], value);
            look_once(look, words[i].what);
            liar_store(&words[i], truth);
        }
    }
    assert_int_equal(guard_count(), attached);
}

/* Until it is killed: lies, and the truth again, at full speed. */
static void lie_on(struct companion *companion, void *argument)
{
    struct liar_word words[LIAR_WORDS_MAX];
    uint64_t random = 88172645463325252;
    CHECK(liar_attach());
    size_t count = liar_words(words, *(const unsigned *)argument & ~(unsigned)LIAR_HEADER);
    companion_arrive(companion);
    for (;;) {
        struct liar_word *word = &words[liar_random(&random) % count];
        uint64_t truth = liar_load(word), value = liar_random(&random);
        liar_value((unsigned)(value >> 8) % liar_value_count(), truth, &value);
        liar_store(word, value);
        liar_store(word, truth);
    }
}

void onlooker_meet_a_liar(unsigned which, onlooker_look *look)
{
    struct companion companion;
    companion_start(&companion, lie_on, &which);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t until_ns = weir_deadline_ns(SECOND_NS);
    while (weir_now_ns() < until_ns)
        look_once(look, "while it lies");
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_int_equal(companion_end(&companion), SIGKILL);
}

static int tolerate(const struct weir_channel_member *member, void *argument)
{
    ++*(unsigned *)argument;
    CHECK(member->reading_count <= WEIR_CHANNEL_MEMBERS_DEFAULT);
    CHECK(member->state >= WEIR_MEMBER_JOINING && member->state <= WEIR_MEMBER_FALSE);
    CHECK(member->activity <= WEIR_ACTIVITY_POLLING && member->need <= WEIR_NEED_ATTACH);
    CHECK(member->used_bytes <= member->ring_bytes);
    CHECK(member->slowest == WEIR_SLOT_NONE || member->slowest < WEIR_CHANNEL_MEMBERS_DEFAULT);
    for (size_t i = 0; i < member->reading_count; i++) {
        const struct weir_channel_reading *reading = &member->readings[i];
        CHECK(reading->publisher < WEIR_CHANNEL_MEMBERS_DEFAULT);
        CHECK(reading->lag_bytes <= CAPACITY && reading->lag_messages <= CAPACITY / 8);
        CHECK(reading->has_lag || reading->lag_bytes == 0);
        CHECK(reading->held_messages <= WEIR__HOLDS_ANNOUNCED && reading->has_holds <= 1);
        CHECK(reading->held_bytes >= 8 * reading->held_messages);
        CHECK(reading->held_bytes <= CAPACITY);
        CHECK(reading->has_holds || reading->held_messages + reading->held_bytes == 0);
    }
    return 0;
}

void onlooker_look_at_lies(const char *what)
{
    unsigned visits = 0;
    int64_t before_ns = weir_now_ns();
    int result = weir_inspect_channel("lane", tolerate, &visits);
    if (result != 0 && result != -EPROTO && result != -EPROTONOSUPPORT && result != -EUCLEAN)
        fail_msg("%s: %d, %s", what, result, weir_last_error());
    onlooker_expect_soon(before_ns);
}
