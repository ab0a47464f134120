/* SPDX-License-Identifier: MIT */
/*
 * Goal: members that cannot meet, for whatever reason, are told so once, and then neither waits
 *       for the other; all others go on as if there were none of it. Users who share a group share
 *       a channel.
 * Method: members are processes of several uids, which do one call after the other as they are told;
 *       how often a call was refused is counted, and every message is.
 */
#include "crowd.h"
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/inspect.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "segment/handle.h"

enum { GROUP_GID = 55555 };

/* --- members ----------------------------------------------------------------------------- */

struct member {
    pid_t pid;
    int orders, replies;
    uid_t uid;
    gid_t group; /* a further one; 0: none */
    bool is_publisher;
    struct weir_channel_options options;
};

enum order {
    OPEN,
    SEND,         /* without waiting */
    SEND_WAITING, /* ten seconds at most */
    TAKE,         /* one, without waiting */
    SUBSCRIBERS,  /* wait for so many, without waiting */
    TAKEN,        /* without waiting */
    REVEAL,       /* everybody may read its memory from now on */
    CHANGE_UID,
    ENTER_NAMESPACE, /* of users, in which its own is shown as the argument; negative: not allowed */
    FORBID,          /* calls from now on: enum forbidden */
    CLOSE,
};

enum forbidden { SHMCTL = 1, SHMAT = 2 };

struct told {
    enum order order;
    uint32_t argument;
};

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

static int take(void)
{
    struct weir_message message;
    uint32_t who;
    uint64_t number;
    int result = weir_subscriber_take_until(subscriber, &message, NOW);
    if (result != 0)
        return result;
    crowd_read(&message, &who, &number);
    CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
    return (int)who;
}

static int reveal(void)
{
    struct shmid_ds found;
    int id = (publisher ? &publisher->side : &subscriber->side)->memory->id;
    CHECK(shmctl(id, IPC_STAT, &found) == 0);
    found.shm_perm.mode |= 0444;
    return shmctl(id, IPC_SET, &found);
}

static int forbid(uint32_t which)
{
    return (!(which & SHMCTL) || forbid_call(SYS_shmctl, EPERM)) &&
                   (!(which & SHMAT) || forbid_call(SYS_shmat, EPERM))
               ? 0
               : -EAGAIN;
}

static int carry_out(const struct member *member, const struct told *told)
{
    switch (told->order) {
    case OPEN:
        return member->is_publisher ? weir_publisher_open(&publisher, CHANNEL, &member->options)
                                    : weir_subscriber_open(&subscriber, CHANNEL, &member->options);
    case SEND:
        return crowd_send(publisher, told->argument, 500, NOW);
    case SEND_WAITING:
        return crowd_send(publisher, told->argument, 500, weir_deadline_ns(10 * SECOND_NS));
    case TAKE:
        return take();
    case SUBSCRIBERS:
        return weir_publisher_wait_subscribers(publisher, told->argument, NOW);
    case TAKEN:
        return weir_publisher_wait_taken(publisher, NOW);
    case REVEAL:
        return reveal();
    case CHANGE_UID:
        return setresuid(told->argument, told->argument, told->argument);
    case ENTER_NAMESPACE:
        return enter_user_namespace(told->argument, told->argument, 0);
    case FORBID:
        return forbid(told->argument);
    default:
        weir_publisher_close(publisher);
        weir_subscriber_close(subscriber);
        _exit(0);
    }
}

static void live(const struct member *member, int orders, int replies)
{
    struct told told;
    if (member->uid != 0) {
        CHECK(setgroups(member->group != 0, &member->group) == 0);
        CHECK(setresgid(member->uid, member->uid, member->uid) == 0);
        CHECK(setresuid(member->uid, member->uid, member->uid) == 0);
    }
    while (read(orders, &told, sizeof told) == sizeof told) {
        int result = carry_out(member, &told);
        CHECK(write(replies, &result, sizeof result) == sizeof result);
    }
}

static void tell(const struct member *member, enum order order, uint32_t argument)
{
    const struct told told = { order, argument };
    assert_int_equal(write(member->orders, &told, sizeof told), sizeof told);
}

static int answer(const struct member *member)
{
    int result = -ECHILD;
    assert_int_equal(read(member->replies, &result, sizeof result), sizeof result);
    return result;
}

static int ask(const struct member *member, enum order order, uint32_t argument)
{
    tell(member, order, argument);
    return answer(member);
}

static gid_t common_group; /* that a member is started in, and gives what it makes to; 0: none */

/* A process of that user, which has opened nothing yet. */
static void member_start(struct member *member, bool is_publisher, uid_t uid, uint32_t mode,
                         uint32_t trust)
{
    static const struct weir_channel_options defaults = WEIR_CHANNEL_OPTIONS;
    int orders[2], replies[2];
    *member = (struct member){ .uid = uid, .is_publisher = is_publisher, .options = defaults };
    member->options.mode = mode;
    member->options.trust = trust;
    member->group = common_group;
    member->options.gid = common_group;
    member->options.flags = common_group != 0 ? WEIR_CHANNEL_SET_GID : 0;
    member->options.ring_bytes = WEIR_RING_BYTES_MIN;
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(replies), 0);
    fflush(NULL);
    member->pid = fork();
    assert_true(member->pid >= 0);
    if (member->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(orders[1]);
        close(replies[0]);
        live(member, orders[0], replies[1]);
        _exit(0);
    }
    close(orders[0]);
    close(replies[1]);
    member->orders = orders[1];
    member->replies = replies[0];
}

static void member_end(const struct member *member)
{
    tell(member, CLOSE, 0);
    crowd_end(member->pid);
    close(member->orders);
    close(member->replies);
}

static void member_open(struct member *member, bool is_publisher, uid_t uid, uint32_t mode,
                        uint32_t trust)
{
    member_start(member, is_publisher, uid, mode, trust);
    assert_int_equal(ask(member, OPEN, 0), 0);
}

/* How often the member's call gives this result, of so many; all others must be 0 or more. */
static unsigned count(const struct member *member, enum order order, uint32_t argument,
                      unsigned calls, int result)
{
    unsigned found = 0;
    for (unsigned i = 0; i < calls; i++) {
        int got = ask(member, order, argument);
        if (got != result && got < 0)
            print_error("order %d gave %d (%s)\n", order, got, weir_strerror_name(got));
        assert_true(got == result || got >= 0);
        found += got == result;
    }
    return found;
}

/* --- the stage --------------------------------------------------------------------------- */

/* Rings of 64 KiB, messages of 500 bytes: so many are several rings. */
enum { RINGS = 700 };

/* The channel, of root's making and open to all: it stays while it is played in. */
static struct member maker;

static void clear_run_directory(void)
{
    char command[4600];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture_path("run"));
    assert_int_equal(system(command), 0);
}

/* A run directory of this group and mode, in place of the former. */
static void make_run_directory(gid_t group, mode_t mode)
{
    clear_run_directory();
    assert_int_equal(mkdir(fixture_path("run"), 0700), 0);
    assert_int_equal(chown(fixture_path("run"), 0, group), 0);
    assert_int_equal(chmod(fixture_path("run"), mode), 0);
}

static void stage_begin(void)
{
    make_run_directory(0, 0777);
    member_open(&maker, true, 0, 0666, WEIR_TRUST_ANYONE);
}

static void stage_end(void)
{
    member_end(&maker);
    clear_run_directory();
}

/* Sends of the good one are what the subscriber takes, each once, whoever else is there. */
static void expect_good(const struct member *good, const struct member *reader)
{
    for (uint32_t i = 0; i < RINGS; i++) {
        assert_int_equal(ask(good, SEND, 7), 0);
        assert_int_equal(ask(reader, TAKE, 0), 7);
    }
    assert_int_equal(ask(reader, TAKE, 0), -EAGAIN);
}

/* --- who cannot meet --------------------------------------------------------------------- */

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
    assert_int_equal(count(&stranger, SEND, 9, RINGS, row->told_publisher),
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
    assert_int_equal(count(&good, SEND, 7, 10, -EACCES), 1);
    assert_int_equal(ask(&good, SUBSCRIBERS, 1), 0);
    assert_int_equal(ask(&good, SUBSCRIBERS, 2), -EAGAIN);
    assert_int_equal(ask(&good, TAKEN, 0), -EAGAIN);
    assert_int_equal(count(&reader, TAKE, 0, 9, -EAGAIN), 0);
    assert_int_equal(ask(&good, TAKEN, 0), 0);
    expect_good(&good, &reader);
    /* The ring of one who reads slowly is full as ever. */
    unsigned sent = 0;
    int result;
    while ((result = ask(&good, SEND, 7)) == 0)
        sent++;
    assert_int_equal(result, -EAGAIN);
    assert_true(sent > 100 && sent < 200);
    assert_int_equal(count(&reader, TAKE, 0, sent, -EAGAIN), 0);
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
    assert_int_equal(count(&hidden, SEND, 9, RINGS, 0), RINGS);
    assert_int_equal(ask(&hidden, REVEAL, 0), 0);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    expect_good(&hidden, &reader);
    unsigned sent = 0;
    while (ask(&hidden, SEND, 9) == 0)
        sent++;
    assert_true(sent > 100 && sent < 200);
    assert_int_equal(count(&reader, TAKE, 0, sent, -EAGAIN), 0);
    member_end(&hidden);
    member_end(&reader);
    stage_end();
}

/*
 * A publisher that has become another user since cannot read a page that its subscriber takes for
 * readable: that one may be reading, so nothing is overwritten; each send says why.
 */
static void test_another_uid_since(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member changed, reader;
    stage_begin();
    member_open(&changed, true, 0, 0644, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&changed, CHANGE_UID, THIRD_UID), 0);
    member_open(&reader, false, OTHER_UID, 0600, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    assert_int_equal(count(&changed, SEND, 9, 5, -EACCES), 5);
    member_end(&reader);
    assert_int_equal(ask(&changed, SEND, 9), 0);
    member_end(&changed);
    stage_end();
}

/*
 * A publisher that has gone behind a filter of system calls since may not ask who a subscriber is:
 * "not told" is no "refused". So nothing is overwritten; each send says who is in the way.
 */
static void test_a_filter_since(void **state)
{
    (void)state;
    static const uint32_t forbidden[] = { SHMCTL, SHMAT, SHMCTL | SHMAT };
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
        struct member filtered, reader;
        make_run_directory(0, 0700);
        member_open(&filtered, true, 0, 0600, WEIR_TRUST_SELF);
        int result = ask(&filtered, FORBID, forbidden[i]);
        member_open(&reader, false, 0, 0600, WEIR_TRUST_SELF);
        assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        if (result == 0) {
            assert_int_equal(count(&filtered, SEND, 9, 5, -EPERM), 5);
            assert_int_equal(ask(&filtered, SUBSCRIBERS, 1), -EPERM);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        }
        member_end(&reader);
        assert_int_equal(count(&filtered, SEND, 9, RINGS, 0), RINGS);
        member_end(&filtered);
        clear_run_directory();
        if (result != 0)
            skip();
    }
}

/* --- user namespaces --------------------------------------------------------------------- */

enum { OUTSIDE = -1 };

struct party {
    uid_t uid;
    int inside; /* a namespace of its own, in which its uid is shown as this one; or OUTSIDE */
    uint32_t mode, trust;
};

struct across {
    const char *what;
    struct party publisher, subscriber;
    int told; /* both, once; 0: they meet */
};

static const struct across across[] = {
    { "root is not root to a publisher inside",
      { OTHER_UID, OTHER_UID, 0666, WEIR_TRUST_SELF },
      { 0, OUTSIDE, 0666, WEIR_TRUST_ANYONE },
      -EPERM },
    { "a publisher inside that trusts anyone",
      { OTHER_UID, OTHER_UID, 0666, WEIR_TRUST_ANYONE },
      { THIRD_UID, OUTSIDE, 0666, WEIR_TRUST_ANYONE },
      0 },
    { "a publisher inside, of the same user",
      { OTHER_UID, OTHER_UID, 0600, WEIR_TRUST_SELF },
      { OTHER_UID, OUTSIDE, 0600, WEIR_TRUST_SELF },
      0 },
    { "each inside of one, both of one user",
      { OTHER_UID, 0, 0600, WEIR_TRUST_SELF },
      { OTHER_UID, 0, 0600, WEIR_TRUST_SELF },
      0 },
};

/* false: there are no user namespaces here. */
static bool party_open(struct member *member, bool is_publisher, const struct party *party)
{
    member_start(member, is_publisher, party->uid, party->mode, party->trust);
    if (party->inside != OUTSIDE && ask(member, ENTER_NAMESPACE, (uint32_t)party->inside) != 0)
        return false;
    assert_int_equal(ask(member, OPEN, 0), 0);
    return true;
}

static bool play_across(const struct across *row)
{
    struct member sender, reader;
    make_run_directory(0, 0777);
    bool is_played = party_open(&sender, true, &row->publisher);
    if (is_played) {
        is_played = party_open(&reader, false, &row->subscriber);
        if (is_played && row->told != 0) {
            assert_int_equal(ask(&reader, TAKE, 0), row->told);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
            assert_int_equal(count(&sender, SEND, 9, RINGS, row->told), 1);
            assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
        } else if (is_played) {
            expect_good(&sender, &reader);
        }
        member_end(&reader);
    }
    member_end(&sender);
    clear_run_directory();
    return is_played;
}

/* Who sees other uids than the publisher knows that, and refuses what it cannot be sure of. */
static void test_across_namespaces(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(across); i++) {
        print_message("           %s\n", across[i].what);
        if (!play_across(&across[i]))
            skip();
    }
}

/* One that has come to see other uids since than its lane says has no answer, and does not go on. */
static void test_a_namespace_since(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member changed, reader;
    make_run_directory(0, 0777);
    member_open(&changed, true, OTHER_UID, 0666, WEIR_TRUST_SELF);
    int result = ask(&changed, ENTER_NAMESPACE, OTHER_UID);
    member_open(&reader, false, 0, 0666, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&reader, TAKE, 0), -EAGAIN);
    if (result == 0)
        assert_int_equal(count(&changed, SEND, 9, 5, -EPERM), 5);
    member_end(&reader);
    if (result == 0)
        assert_int_equal(ask(&changed, SEND, 9), 0);
    member_end(&changed);
    clear_run_directory();
    if (result != 0)
        skip();
}

/*
 * A publisher that goes on without a subscriber, which knows nothing of it, for whatever reason: that one
 * is told so before it takes anything that is not what was promised.
 */
static void test_lapped(void **state)
{
    (void)state;
    struct weir_subscriber *left_out = crowd_subscriber();
    struct weir_publisher *handle = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_message message;
    assert_result(weir_subscriber_take_until(left_out, &message, NOW), -EAGAIN);
    const struct weir__lane *lane = left_out->lanes[0];
    /* As if it had refused. */
    atomic_store(&weir__subscriber_aside(left_out, lane->peer.number)->refused, lane->peer.shown);
    atomic_store(&lane->entry->lane, 0);
    for (int i = 0; i < RINGS; i++)
        assert_int_equal(crowd_send(handle, 1, 500, NOW), 0);
    assert_result(weir_subscriber_take_until(left_out, &message, NOW), -EUCLEAN);
    assert_non_null(strstr(weir_last_error(), "has not waited for this subscriber"));
    assert_result(weir_subscriber_take_until(left_out, &message, NOW), -EAGAIN);
    weir_publisher_close(handle);
    weir_subscriber_close(left_out);
}

/* What a subscriber shows is no page: told once, and nobody waits for it. */
static void test_no_page(void **state)
{
    (void)state;
    struct weir_subscriber *good = crowd_subscriber(), *liar = crowd_subscriber();
    struct weir_publisher *handle = crowd_publisher(WEIR_RING_BYTES_MIN);
    liar->page->member.magic++;
    assert_result(crowd_take(good, 0, NOW), -EAGAIN);
    assert_int_equal(crowd_send(handle, 1, 500, NOW), -EPROTO);
    for (int i = 0; i < RINGS; i++) {
        assert_int_equal(crowd_send(handle, 1, 500, NOW), 0);
        assert_result(crowd_take(good, 0, NOW), 0);
    }
    assert_result(weir_publisher_wait_taken(handle, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(handle, 2, NOW), -EAGAIN);
    weir_subscriber_close(liar);
    /* In its slot: one as it should be. */
    liar = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(handle, 2, NOW), 0);
    assert_int_equal(crowd_send(handle, 1, 500, NOW), 0);
    assert_result(crowd_take(good, 0, NOW), 0);
    assert_result(crowd_take(liar, 1, NOW), 0);
    weir_subscriber_close(liar);
    weir_subscriber_close(good);
    weir_publisher_close(handle);
}

/*
 * One that writes nonsense does not keep an open from the others, and is told by a take; and it
 * is not waited for by it, once nothing of it is held.
 */
static void test_nonsense(void **state)
{
    (void)state;
    struct weir_publisher *good = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_publisher *liar = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *early = crowd_subscriber(), *late;
    struct weir_message held;
    assert_int_equal(crowd_send(liar, 2, 500, NOW), 0);
    assert_result(weir_subscriber_take_until(early, &held, NOW), 0);
    atomic_store(weir__header_at(liar->ring, liar->capacity, liar->tail), UINT64_MAX);
    assert_result(weir_subscriber_open(&late, CHANNEL, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(crowd_send(good, 1, 500, NOW), 0);
    unsigned told = 0, heard = 0;
    for (int i = 0; i < 5; i++) {
        int result = crowd_take(late, 1, NOW);
        told += result == -EUCLEAN;
        heard += result == 0;
    }
    assert_int_equal(told, 1);
    assert_int_equal(heard, 3);
    told = heard = 0;
    for (int i = 0; i < 5; i++) {
        int result = crowd_take(early, 0, NOW);
        told += result == -EUCLEAN;
        heard += result == 0;
    }
    assert_int_equal(told, 1);
    assert_int_equal(heard, 3);
    /* It goes on as if it knew nothing: what is held is not written over. */
    assert_result(weir_publisher_wait_subscribers(liar, 0, NOW), 0);
    assert_int_equal(crowd_send(liar, 2, 500, NOW), -EAGAIN);
    crowd_note(0, &held);
    assert_result(weir_subscriber_release(early, &held), 0);
    for (int i = 0; i < RINGS; i++)
        assert_int_equal(crowd_send(liar, 2, 500, NOW), 0);
    assert_result(crowd_take(early, 0, NOW), -EAGAIN);
    assert_result(crowd_take(late, 1, NOW), -EAGAIN);
    weir_subscriber_close(early);
    weir_subscriber_close(late);
    weir_publisher_close(liar);
    weir_publisher_close(good);
}

static int find_refused(const struct weir_channel_member *member, void *argument)
{
    unsigned *found = argument;
    for (size_t i = 0; i < member->reading_count; i++)
        *found += member->readings[i].state == WEIR_READING_REFUSED;
    return 0;
}

/* From outside: who reads from whom, and who has refused whom. */
static void test_refusals_are_seen(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member hidden, reader;
    unsigned found = 0;
    stage_begin();
    member_open(&hidden, true, THIRD_UID, 0600, WEIR_TRUST_ANYONE);
    member_open(&reader, false, OTHER_UID, 0666, WEIR_TRUST_ANYONE);
    assert_result(weir_inspect_channel(CHANNEL, find_refused, &found), 0);
    assert_int_equal(found, 1);
    member_end(&hidden);
    member_end(&reader);
    stage_end();
}

/* --- a group ----------------------------------------------------------------------------- */

/*
 * Publishers of one user and subscribers of another, who have a group in common and a setgid
 * directory of it; a third user, who is not of the group, has no way in.
 */
static void test_group(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct member one, two, outsider;
    make_run_directory(GROUP_GID, 02770);
    common_group = GROUP_GID;
    member_start(&one, true, OTHER_UID, 0660, WEIR_TRUST_DIRECTORY);
    member_start(&two, false, THIRD_UID, 0660, WEIR_TRUST_DIRECTORY);
    common_group = 0;
    assert_int_equal(ask(&one, OPEN, 0), 0);
    assert_int_equal(ask(&two, OPEN, 0), 0);
    for (int i = 0; i < RINGS; i++) {
        assert_int_equal(ask(&one, SEND, 7), 0);
        assert_int_equal(ask(&two, TAKE, 0), 7);
    }
    assert_int_equal(ask(&one, TAKEN, 0), 0);
    member_start(&outsider, false, OTHER_UID + 7, 0666, WEIR_TRUST_ANYONE);
    assert_int_equal(ask(&outsider, OPEN, 0), -EACCES);
    member_end(&outsider);
    /* One is killed: the other learns it, and who comes later takes its place. */
    crowd_kill(one.pid);
    close(one.orders);
    close(one.replies);
    int result;
    do
        result = ask(&two, TAKE, 0);
    while (result == -EAGAIN);
    assert_int_equal(result, -EPIPE);
    member_end(&two);
    clear_run_directory();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_refusals),
        CROWD_TEST(test_a_stranger_beside_a_reader),
        CROWD_TEST(test_who_waits_is_woken),
        CROWD_TEST(test_refused_and_then_not),
        CROWD_TEST(test_another_uid_since),
        CROWD_TEST(test_a_filter_since),
        CROWD_TEST(test_across_namespaces),
        CROWD_TEST(test_a_namespace_since),
        CROWD_TEST(test_lapped),
        CROWD_TEST(test_no_page),
        CROWD_TEST(test_nonsense),
        CROWD_TEST(test_refusals_are_seen),
        CROWD_TEST(test_group),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
