/* SPDX-License-Identifier: MIT */
/*
 * Goal: members that cannot meet, for their rights or whom they trust, are told so once, and then
 *       neither waits for the other; all others go on as if there were none of it.
 * Method: members are processes of several uids, which do one call after the other as they are
 *       told; how often a call was refused is counted, and every message is.
 */
#include "crowd.h"
#include "fixture.h"
#include "members.h"

#include <errno.h>
#include <string.h>

#include <weir/inspect.h>

#include "channel/consent.h"

struct refusal {
    const char *what;
    uid_t publisher_uid;
    uint32_t publisher_mode, publisher_trust;
    uid_t subscriber_uid;
    uint32_t subscriber_mode, subscriber_trust;
    int told_subscriber; /* by one take */
    int told_publisher;  /* by one send; 0: it is not told, and does not wait */
};

static const struct refusal refusals[] = {
    { "the lane may not be read", THIRD_UID, 0600, WEIR_TRUST_ANYONE, OTHER_UID, 0666,
      WEIR_TRUST_ANYONE, -EACCES, 0 },
    { "the publisher is not trusted", THIRD_UID, 0666, WEIR_TRUST_ANYONE, OTHER_UID, 0666,
      WEIR_TRUST_SELF, -EPERM, 0 },
    { "the page may not be read", THIRD_UID, 0666, WEIR_TRUST_ANYONE, OTHER_UID, 0600,
      WEIR_TRUST_ANYONE, -EACCES, -EACCES },
    { "the subscriber is not trusted", THIRD_UID, 0666, WEIR_TRUST_SELF, OTHER_UID, 0666,
      WEIR_TRUST_ANYONE, -EPERM, -EPERM },
    { "neither trusts the other", THIRD_UID, 0666, WEIR_TRUST_SELF, OTHER_UID, 0666,
      WEIR_TRUST_SELF, -EPERM, -EPERM },
    { "neither may read the other", THIRD_UID, 0600, WEIR_TRUST_ANYONE, OTHER_UID, 0600,
      WEIR_TRUST_ANYONE, -EACCES, -EACCES },
    { "root's lane may not be read", 0, 0600, WEIR_TRUST_ANYONE, OTHER_UID, 0666, WEIR_TRUST_ANYONE,
      -EACCES, 0 },
    { "root trusts itself alone", 0, 0666, WEIR_TRUST_SELF, OTHER_UID, 0666, WEIR_TRUST_SELF,
      -EPERM, -EPERM },
};

/* Whoever of the two comes first. */
static void play_refusal(const struct refusal *row, bool is_publisher_first)
{
    struct member stranger, reader, good;
    stage_begin();
    member_open(&good, true, 0, 0644, WEIR_TRUST_ANYONE);
    if (is_publisher_first)
        member_open(&stranger, true, row->publisher_uid, row->publisher_mode, row->publisher_trust);
    member_open(&reader, false, row->subscriber_uid, row->subscriber_mode, row->subscriber_trust);
    if (!is_publisher_first)
        member_open(&stranger, true, row->publisher_uid, row->publisher_mode, row->publisher_trust);
    /* Told once, by a take; it comes although there is no message, and costs none. */
    assert_int_equal(ask(&reader, TAKE, 0), row->told_subscriber);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    /* Told once, by a send; then it goes on, ring after ring. */
    assert_int_equal(ask_and_count(&stranger, SEND, 9, RINGS, row->told_publisher),
                     row->told_publisher != 0 ? 1 : RINGS);
    assert_int_equal(ask(&stranger, SUBSCRIBERS, 1), -EAGAIN);
    assert_int_equal(ask(&stranger, TAKEN, 0), -EPIPE);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    if (row->subscriber_mode == 0666) { /* the good ones can wait for it */
        expect_good(&good, &reader);
        assert_int_equal(ask(&good, TAKEN, 0), 0);
    }
    member_end(&stranger);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    member_end(&reader);
    member_end(&good);
    stage_end();
}

static void test_refusals(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
        for (int first = 0; first < 2; first++) {
            print_message("           %s, %s first\n", refusals[i].what,
                          first ? "the publisher" : "the subscriber");
            play_refusal(&refusals[i], first);
        }
}

/* Those who can meet are waited for beside those who cannot. */
static void test_a_stranger_beside_a_reader(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member good, reader, stranger, late;
    stage_begin();
    member_open(&good, true, THIRD_UID, 0644, WEIR_TRUST_ANYONE);
    member_open(&reader, false, OTHER_UID, 0644, WEIR_TRUST_ANYONE);
    member_open(&stranger, false, OTHER_UID, 0600, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&stranger, TAKE, 0), -EACCES);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    assert_int_equal(ask_and_count(&good, SEND, 7, 10, -EACCES), 1);
    assert_int_equal(ask(&good, SUBSCRIBERS, 1), 0);
    assert_int_equal(ask(&good, SUBSCRIBERS, 2), -EAGAIN);
    assert_int_equal(ask(&good, TAKEN, 0), -EAGAIN);
    assert_int_equal(ask_and_count(&reader, TAKE, 0, 9, -EAGAIN), 0);
    assert_int_equal(ask(&good, TAKEN, 0), 0);
    expect_good(&good, &reader);
    /* The ring of one who reads slowly is full as ever. */
    unsigned sent = 0;
    int result;
    while ((result = ask(&good, SEND, 7)) == 0)
        sent++;
    assert_int_equal(result, -EAGAIN);
    assert_true(sent > 100 && sent < 200);
    assert_int_equal(ask_and_count(&reader, TAKE, 0, sent, -EAGAIN), 0);
    /* Nor is one waited for that has come since, and refused. */
    member_open(&late, false, OTHER_UID, 0644, WEIR_TRUST_SELF);
    assert_int_equal(ask(&good, TAKEN, 0), 0);
    member_end(&late);
    member_end(&stranger);
    expect_good(&good, &reader);
    member_end(&reader);
    member_end(&good);
    stage_end();
}

/* A publisher that waits for a newcomer to attach is woken when that refuses. */
static void test_who_waits_is_woken(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member hidden, reader;
    stage_begin();
    member_open(&reader, false, OTHER_UID, 0666, WEIR_TRUST_ANYONE);
    member_open(&hidden, true, THIRD_UID, 0600, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&hidden, SEND, 9), -EAGAIN); /* the reader has not looked */
    tell(&hidden, SEND_WAITING, 9);
    int64_t before_ns = weir_now_ns();
    assert_int_equal(ask(&reader, TAKE, 0), -EACCES);
    assert_int_equal(answer(&hidden), 0);
    assert_true(weir_now_ns() - before_ns < 5 * SECOND_NS);
    member_end(&hidden);
    member_end(&reader);
    stage_end();
}

/*
 * Refused at the open, and fit by the first take: then it is attached after all, and gets every
 * message from then on, and the publisher waits for it again.
 */
static void test_refused_and_then_not(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member hidden, reader;
    stage_begin();
    member_open(&hidden, true, THIRD_UID, 0600, WEIR_TRUST_ANYONE);
    member_open(&reader, false, OTHER_UID, 0666, WEIR_TRUST_ANYONE);
    assert_int_equal(ask_and_count(&hidden, SEND, 9, RINGS, 0), RINGS);
    assert_int_equal(ask(&hidden, REVEAL, 0), 0);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    expect_good(&hidden, &reader);
    unsigned sent = 0;
    while (ask(&hidden, SEND, 9) == 0)
        sent++;
    assert_true(sent > 100 && sent < 200);
    assert_int_equal(ask_and_count(&reader, TAKE, 0, sent, -EAGAIN), 0);
    member_end(&hidden);
    member_end(&reader);
    stage_end();
}

struct refused {
    unsigned readings;
    uint64_t told; /* of the subscribers */
};

static int find_refused(const struct weir_channel_member *member, void *argument)
{
    struct refused *found = argument;
    found->told += member->role == WEIR_MEMBER_SUBSCRIBER ? member->refusals : 0;
    for (size_t i = 0; i < member->reading_count; i++)
        found->readings += member->readings[i].state == WEIR_READING_REFUSED;
    return 0;
}

static void expect_refused(unsigned readings, uint64_t told)
{
    struct refused found = { 0, 0 };
    assert_result(weir_inspect_channel(CHANNEL, find_refused, &found), 0);
    assert_int_equal(found.readings, readings);
    assert_int_equal(found.told, told);
}

/* From outside: who reads from whom, and who has refused whom. */
static void test_refusals_are_seen(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member hidden, reader;
    stage_begin();
    member_open(&hidden, true, THIRD_UID, 0600, WEIR_TRUST_ANYONE);
    member_open(&reader, false, OTHER_UID, 0666, WEIR_TRUST_ANYONE);
    expect_refused(1, 0);
    for (int i = 0; i < 2; i++) { /* told once, and counted once */
        assert_int_equal(ask(&reader, TAKE, 0), i == 0 ? -EACCES : -EAGAIN);
        expect_refused(1, 1);
    }
    member_end(&hidden);
    member_end(&reader);
    stage_end();
}

/* Which of the two is whose, by their uids. */
static void test_the_sentence_names_both(void **state)
{
    (void)state;
    struct weir__consent consent = { .trust = WEIR_TRUST_SELF };
    consent.lane.shm_perm = (struct ipc_perm){ .uid = 1001, .cuid = 1001 };
    consent.page.shm_perm = (struct ipc_perm){ .uid = 1002, .cuid = 1002, .mode = 0666 };
    assert_result(weir__consent(&consent), -EPERM);
    assert_non_null(strstr(weir_last_error(),
                           "a publisher (uid 1001) does not trust this subscriber's uid 1002"));
    consent.trust = WEIR_TRUST_ANYONE;
    consent.lane.shm_perm.gid = consent.lane.shm_perm.cgid = 71;
    consent.page.shm_perm.gid = consent.page.shm_perm.cgid = 72;
    consent.page.shm_perm.mode = 0640;
    assert_result(weir__consent(&consent), -EACCES);
    assert_non_null(strstr(weir_last_error(),
                           "a publisher (uid 1001, gid 71) may not read this subscriber's page "
                           "(uid 1002, gid 72, mode 0640)"));
    consent.page.shm_perm.mode = 0644;
    assert_result(weir__consent(&consent), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_refusals),           CROWD_TEST(test_a_stranger_beside_a_reader),
        CROWD_TEST(test_who_waits_is_woken), CROWD_TEST(test_refused_and_then_not),
        CROWD_TEST(test_refusals_are_seen),  CROWD_TEST(test_the_sentence_names_both),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
