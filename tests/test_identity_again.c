/* SPDX-License-Identifier: MIT */
/*
 * Goal: who is dead stays dead when the kernel gives the id of its beacon again, to whomever and for
 *       whatever; what it held and where it stood goes to others. And a stranger can neither prolong nor
 *       end the identity of one that lives.
 * Method: kernel.shm_next_id has the kernel give that very id to the next segment, which takes
 *       some millions of creations otherwise. Actors (actor.h) die, take the id, and ask.
 */
#include "actor.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/mutex.h>

#include "segment/identity.h"

#define NOW INT64_C(0)
#define SOON weir_deadline_ns(20 * WEIR_SECOND_NS)
#define CHANNEL "again"
#define NEXT_ID "/proc/sys/kernel/shm_next_id"

/* Ids that stand in one place of the kernel's table differ by a multiple of this, or of more. */
enum { PLACES = 1 << 15 };

/*
 * How a dead one's id is given again. Dressed: as a beacon, attached, removed and of mode 0, and given away to
 * the dead one's user.
 */
struct giving {
    const char *what;
    int more_bytes; /* than the dead one's beacon has */
    int more_id;
    unsigned mode;
    bool is_anew;      /* the true beacon of a new process */
    bool is_strangers; /* another user's */
    bool is_dressed;
    bool is_alike; /* in all but who made it */
};

static const struct giving givings[] = {
    { .what = "one byte more", .more_bytes = 1, .mode = 0600 },
    { .what = "as many in the word", .more_bytes = WEIR__BEACON_SIZE_MAX, .mode = 0600 },
    { .what = "another id in its place", .more_id = PLACES, .mode = 0600 },
    { .what = "a new process", .is_anew = true },
    { .what = "a stranger's, one byte more", .more_bytes = 1, .mode = 0600, .is_strangers = true },
    { .what = "a stranger's of mode 0", .more_bytes = 1, .is_strangers = true },
    { .what = "a stranger's own beacon", .is_anew = true, .is_strangers = true },
    { .what = "a stranger's, alike", .mode = 0600, .is_strangers = true, .is_alike = true },
    { .what = "a stranger's, dressed",
      .mode = 0600,
      .is_strangers = true,
      .is_alike = true,
      .is_dressed = true },
};

/* Shared by the test and its actors. */
static struct board {
    struct weir_mutex mutex;
    uint64_t identity;          /* of who has made one last */
    uint64_t dead;              /* of whom is asked */
    struct weir__beacon wanted; /* what is taken */
    uid_t uid;                  /* the dead one's */
} * board;

static int set_up(void **state)
{
    (void)state;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    munmap(board, sizeof *board);
    return fixture_check_alive(state);
}

/* --- acts --------------------------------------------------------------------------------- */

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

static struct weir_channel_options options_for(uint32_t publishers_max)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.publishers_max = publishers_max;
    options.subscribers_max = 1;
    return options;
}

static int identity(void *unused)
{
    (void)unused;
    return weir_identity(&board->identity);
}

static int lock(void *unused)
{
    (void)unused;
    return weir_mutex_lock(&board->mutex);
}

static int open_publisher(void *unused)
{
    (void)unused;
    return weir_publisher_open(&publisher, CHANNEL,
                               &(struct weir_channel_options)WEIR_CHANNEL_OPTIONS);
}

static int open_subscriber(void *unused)
{
    (void)unused;
    return weir_subscriber_open(&subscriber, CHANNEL, NULL);
}

static int send_text(void *text)
{
    return weir_publisher_send_until(publisher, text, strlen(text) + 1, 0, SOON);
}

/* 0: it was this text. */
static int take_text(void *text)
{
    char bytes[16];
    int result = weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, SOON);
    return result != 0 ? result : strcmp(bytes, text);
}

/* With a run directory of its own, which is there. */
static int become_stranger(void *unused)
{
    (void)unused;
    setenv("WEIR_DIR", fixture_path("strangers"), 1);
    become(OTHER_UID);
    return 0;
}

static int become_witness(void *unused)
{
    (void)unused;
    setenv("WEIR_DIR", fixture_path("witnesses"), 1);
    become(THIRD_UID);
    return 0;
}

/* What anybody may change of what he made, and nothing more. */
static int dress(int id)
{
    struct shmid_ds found;
    if (shmat(id, NULL, 0) == (void *)-1 || shmctl(id, IPC_STAT, &found) != 0)
        return -errno;
    found.shm_perm.mode = 0;
    found.shm_perm.uid = board->uid;
    return shmctl(id, IPC_SET, &found) == 0 && shmctl(id, IPC_RMID, NULL) == 0 ? 0 : -errno;
}

static int take_id(void *argument)
{
    const struct giving *giving = argument;
    if (giving->is_anew)
        return weir_identity(&board->identity);
    int id = shmget(IPC_PRIVATE, board->wanted.size_bytes, IPC_CREAT | (int)giving->mode);
    if (id != board->wanted.id)
        return id < 0 ? -errno : -EBUSY;
    return giving->is_dressed ? dress(id) : 0;
}

static int life(void *unused)
{
    (void)unused;
    return weir_life(board->dead, board->uid);
}

static int life_of_anybody(void *unused)
{
    (void)unused;
    return weir_life(board->dead, WEIR_UID_ANY);
}

/* --- the dead, and who has their ids ------------------------------------------------------- */

/* Somebody does this and is killed: whom the board names. */
static void die(actor_act act, void (*meet)(void))
{
    struct actor actor;
    actor_start(&actor);
    assert_int_equal(actor_ask(&actor, identity, NULL), 0);
    board->dead = board->identity;
    board->uid = geteuid();
    if (act)
        assert_int_equal(actor_ask(&actor, act, NULL), 0);
    if (meet)
        meet();
    assert_int_equal(life(NULL), WEIR_LIFE_ALIVE);
    actor_kill(&actor);
    assert_int_equal(life(NULL), WEIR_LIFE_DEAD);
}

static bool name_next_id(int id)
{
    char text[16];
    snprintf(text, sizeof text, "%d", id);
    return write_text(NEXT_ID, text);
}

static struct shmid_ds found_at(int id)
{
    struct shmid_ds found;
    memset(&found, 0, sizeof found); /* it is compared as bytes */
    assert_int_equal(shmctl(id, SHM_STAT_ANY, &found), id);
    return found;
}

/* False: a new process has drawn the size of the dead one, as one of a million does. */
static bool give_again(struct actor *taker, const struct giving *giving)
{
    struct weir__beacon dead = weir__identity_unpack(board->dead);
    actor_start(taker);
    if (giving->is_strangers)
        assert_int_equal(actor_ask(taker, become_stranger, NULL), 0);
    board->wanted.id = dead.id + giving->more_id;
    board->wanted.size_bytes = dead.size_bytes + (size_t)giving->more_bytes;
    assert_true(name_next_id(board->wanted.id));
    assert_int_equal(actor_ask(taker, take_id, (void *)(uintptr_t)giving), 0);
    struct shmid_ds found = found_at(board->wanted.id);
    assert_int_equal(found.shm_perm.cuid, giving->is_strangers ? OTHER_UID : board->uid);
    if (giving->is_dressed || giving->is_anew) {
        assert_int_equal(found.shm_perm.mode & (SHM_DEST | 0777), SHM_DEST);
        assert_int_equal(found.shm_nattch, 1);
    }
    if (giving->is_dressed)
        assert_int_equal(found.shm_perm.uid, board->uid);
    if (giving->is_anew)
        return found.shm_segsz != dead.size_bytes;
    assert_true(found.shm_segsz == board->wanted.size_bytes);
    return true;
}

static void take_back(struct actor *taker, const struct giving *giving)
{
    actor_end(taker);
    if (!giving->is_anew && !giving->is_dressed)
        assert_int_equal(shmctl(board->wanted.id, IPC_RMID, NULL), 0);
}

static void need_next_id(void)
{
    int fd = open(NEXT_ID, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return;
    }
    print_message(NEXT_ID " is not there, or not ours to write: no id can be given again\n");
    skip();
}

static void make_directory(const char *name, uid_t uid)
{
    assert_true(mkdir(fixture_path(name), 0700) == 0 || errno == EEXIST);
    assert_int_equal(chown(fixture_path(name), uid, uid), 0);
}

struct scene {
    void (*begin)(void);
    actor_act act; /* of who dies, once it has its identity */
    void (*meet)(void);
    void (*play)(struct actor *taker, const struct giving *giving);
    void (*end)(void);
};

static void play_with(const struct scene *scene, const struct giving *giving)
{
    struct actor taker;
    print_message("           %s\n", giving->what);
    if (scene->begin)
        scene->begin();
    die(scene->act, scene->meet);
    while (!give_again(&taker, giving))
        take_back(&taker, giving);
    scene->play(&taker, giving);
    take_back(&taker, giving);
    if (scene->end)
        scene->end();
}

static void play_all(const struct scene *scene)
{
    bool has_others = has_other_users();
    need_next_id();
    if (has_others) {
        make_directory("strangers", OTHER_UID);
        make_directory("witnesses", THIRD_UID);
    }
    for (size_t i = 0; i < ARRAY_SIZE(givings); i++) {
        if (has_others || !givings[i].is_strangers)
            play_with(scene, &givings[i]);
    }
}

/* --- the verdict --------------------------------------------------------------------------- */

static struct actor witness; /* a third user, where there is one */

/* Of a uid that is not said, nothing is known but id and size: <weir/identity.h> says so. */
static void ask_for_life(struct actor *taker, const struct giving *giving)
{
    int anybodys = giving->is_alike ? WEIR_LIFE_ALIVE : WEIR_LIFE_DEAD;
    assert_int_equal(life(NULL), WEIR_LIFE_DEAD);
    assert_int_equal(life_of_anybody(NULL), anybodys);
    board->dead |= 5; /* a session */
    assert_int_equal(life(NULL), WEIR_LIFE_DEAD);
    if (!has_other_users())
        return;
    assert_int_equal(actor_ask(&witness, life, NULL), WEIR_LIFE_DEAD);
    assert_int_equal(actor_ask(&witness, life_of_anybody, NULL), anybodys);
    if (giving->is_strangers)
        assert_int_equal(actor_ask(taker, life, NULL), WEIR_LIFE_DEAD);
}

static void test_never_alive_again(void **state)
{
    const struct scene scene = { .play = ask_for_life };
    (void)state;
    actor_start(&witness);
    if (has_other_users())
        assert_int_equal(actor_ask(&witness, become_witness, NULL), 0);
    play_all(&scene);
    actor_end(&witness);
}

/* The boundary, and that the method gives an id again: by size and maker alone they differ. */
static void test_but_by_its_own_user(void **state)
{
    static const struct giving alike = { .mode = 0600 };
    struct actor taker;
    (void)state;
    need_next_id();
    die(NULL, NULL);
    assert_true(give_again(&taker, &alike));
    assert_int_equal(life(NULL), WEIR_LIFE_ALIVE);
    take_back(&taker, &alike);
    assert_int_equal(life(NULL), WEIR_LIFE_DEAD);
}

/* --- what the dead one held, and where it stood ---------------------------------------------- */

static void inherit(struct actor *taker, const struct giving *giving)
{
    (void)taker;
    (void)giving;
    assert_result(weir_mutex_try_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_result(weir_mutex_consistent(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

static void test_its_lock(void **state)
{
    const struct scene scene = { .act = lock, .play = inherit };
    (void)state;
    play_all(&scene);
}

/* Who takes the place: the new process that has the dead one's id, or else another one. */
static struct actor *comer_start(struct actor *comer, struct actor *taker,
                                 const struct giving *giving)
{
    bool is_it = giving->is_anew && !giving->is_strangers;
    if (!is_it)
        actor_start(comer);
    return is_it ? taker : comer;
}

static void comer_end(struct actor *comer, const struct actor *taker)
{
    if (comer != taker)
        actor_end(comer);
}

static void subscribe_here(void)
{
    struct weir_channel_options options = options_for(1);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
}

static void unsubscribe_here(void)
{
    weir_subscriber_close(subscriber);
}

static void publish_here(void)
{
    struct weir_channel_options options = options_for(1);
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
}

static void publish_here_for_two(void)
{
    struct weir_channel_options options = options_for(2);
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
}

static void unpublish_here(void)
{
    weir_publisher_close(publisher);
}

static void meet_publisher(void)
{
    assert_result(weir_subscriber_wait_publisher(subscriber, SOON), 0);
}

/* Its first message, which waits until it is attached. */
static void take_from(struct actor *comer)
{
    actor_tell(comer, send_text, "anew");
    assert_result(take_text("anew"), 0);
    assert_int_equal(actor_answer(comer, 20000), 0);
}

/* Who reads is told of the death, and then of the next one. */
static void publish_after_the_death(struct actor *taker, const struct giving *giving)
{
    struct actor actor, *comer = comer_start(&actor, taker, giving);
    assert_result(take_text("last"), -EPIPE);
    assert_int_equal(actor_ask(comer, open_publisher, NULL), 0);
    take_from(comer);
    comer_end(comer, taker);
}

static void test_its_publishers_slot(void **state)
{
    const struct scene scene = { subscribe_here, open_publisher, meet_publisher,
                                 publish_after_the_death, unsubscribe_here };
    (void)state;
    play_all(&scene);
}

/* The next one is there first. */
static void publish_before_it_is_told(struct actor *taker, const struct giving *giving)
{
    struct actor actor, *comer = comer_start(&actor, taker, giving);
    assert_int_equal(actor_ask(comer, open_publisher, NULL), 0);
    assert_result(take_text("last"), -EPIPE);
    take_from(comer);
    comer_end(comer, taker);
}

static void test_its_publishers_slot_unasked(void **state)
{
    const struct scene scene = { subscribe_here, open_publisher, meet_publisher,
                                 publish_before_it_is_told, unsubscribe_here };
    (void)state;
    play_all(&scene);
}

static void fill_when_met(void)
{
    static const unsigned char bytes[4096];
    int result = weir_publisher_wait_subscribers(publisher, 1, SOON);
    while (result == 0)
        result = weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, NOW);
    assert_result(result, -EAGAIN);
}

/* The ring is full of what the dead one has not read. */
static void subscribe_after_the_death(struct actor *taker, const struct giving *giving)
{
    struct actor actor, *comer = comer_start(&actor, taker, giving);
    assert_result(send_text("nobody"), 0);
    assert_int_equal(actor_ask(comer, open_subscriber, NULL), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    assert_result(send_text("anew"), 0);
    assert_int_equal(actor_ask(comer, take_text, "anew"), 0);
    comer_end(comer, taker);
}

static void test_its_subscribers_slot(void **state)
{
    const struct scene scene = { publish_here, open_subscriber, fill_when_met,
                                 subscribe_after_the_death, unpublish_here };
    (void)state;
    play_all(&scene);
}

/* The next one is there first. */
static void subscribe_before_it_is_known(struct actor *taker, const struct giving *giving)
{
    struct actor actor, *comer = comer_start(&actor, taker, giving);
    assert_int_equal(actor_ask(comer, open_subscriber, NULL), 0);
    assert_result(send_text("anew"), 0);
    assert_int_equal(actor_ask(comer, take_text, "anew"), 0);
    comer_end(comer, taker);
}

static void test_its_subscribers_slot_unasked(void **state)
{
    const struct scene scene = { publish_here, open_subscriber, fill_when_met,
                                 subscribe_before_it_is_known, unpublish_here };
    (void)state;
    play_all(&scene);
}

/*
 * Nobody has met it, and its memory is gone: so nothing says any more whose it was, and a stranger who
 * has let both id and size come round keeps the slot, for as long as his segment is there.
 */
static void publish_in_its_place(struct actor *taker, const struct giving *giving)
{
    struct actor actor, *comer = comer_start(&actor, taker, giving);
    assert_int_equal(actor_ask(comer, open_publisher, NULL), giving->is_alike ? -EBUSY : 0);
    comer_end(comer, taker);
}

static void publish_once_that_is_gone(void)
{
    struct actor comer;
    actor_start(&comer);
    assert_int_equal(actor_ask(&comer, open_publisher, NULL), 0);
    actor_end(&comer);
    weir_publisher_close(publisher);
}

static void test_a_slot_that_nobody_has_met(void **state)
{
    const struct scene scene = { publish_here_for_two, open_publisher, NULL, publish_in_its_place,
                                 publish_once_that_is_gone };
    (void)state;
    play_all(&scene);
}

/* --- of one that lives ----------------------------------------------------------------------- */

struct attempt {
    const char *what;
    int command; /* of shmctl(2); -1: shmat(2) with the flags */
    int flags;
    int error;
};

static const struct attempt attempts[] = {
    { "attach to write", -1, 0, EACCES },
    { "attach to read", -1, SHM_RDONLY, EACCES },
    { "attach to execute", -1, SHM_EXEC, EACCES },
    { "attach to read and execute", -1, SHM_RDONLY | SHM_EXEC, EACCES },
    { "remove", IPC_RMID, 0, EPERM },
    { "change", IPC_SET, 0, EPERM },
    { "look", IPC_STAT, 0, EACCES },
    { "look by its place", SHM_STAT, 0, EACCES },
    { "lock", SHM_LOCK, 0, EPERM },
    { "unlock", SHM_UNLOCK, 0, EPERM },
};

/* By a stranger: what each gives, 0 if it is the error that is due. */
static int attempt(void *argument)
{
    const struct attempt *tried = argument;
    struct shmid_ds wanted = { .shm_perm = { .uid = OTHER_UID, .gid = OTHER_UID, .mode = 0666 } };
    int id = weir__identity_unpack(board->dead).id;
    bool is_done = tried->command < 0 ? shmat(id, NULL, tried->flags) != (void *)-1
                                      : shmctl(id, tried->command, &wanted) >= 0;
    return !is_done && errno == tried->error ? 0 : is_done ? -EEXIST : -errno;
}

static void test_a_strangers_attempts(void **state)
{
    struct actor actor, stranger;
    (void)state;
    if (!has_other_users())
        skip();
    make_directory("strangers", OTHER_UID);
    actor_start(&actor);
    actor_start(&stranger);
    assert_int_equal(actor_ask(&stranger, become_stranger, NULL), 0);
    assert_int_equal(actor_ask(&actor, identity, NULL), 0);
    board->dead = board->identity; /* by and by */
    board->uid = geteuid();
    struct weir__beacon beacon = weir__identity_unpack(board->dead);
    struct shmid_ds before = found_at(beacon.id);
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        int result = actor_ask(&stranger, attempt, (void *)(uintptr_t)&attempts[i]);
        if (result != 0)
            fail_msg("to %s: %d", attempts[i].what, result);
        struct shmid_ds now = found_at(beacon.id);
        assert_memory_equal(&now, &before, sizeof now);
        assert_int_equal(life(NULL), WEIR_LIFE_ALIVE);
        assert_int_equal(actor_ask(&stranger, life, NULL), WEIR_LIFE_ALIVE);
    }
    assert_int_equal(before.shm_perm.__key, IPC_PRIVATE); /* no key leads to it */
    actor_kill(&actor); /* what the stranger has tried does not keep it */
    assert_int_equal(life(NULL), WEIR_LIFE_DEAD);
    assert_int_equal(actor_ask(&stranger, life, NULL), WEIR_LIFE_DEAD);
    actor_end(&stranger);
}

/* While it lives its id is nobody else's, whatever is asked for. */
static void test_an_id_in_use(void **state)
{
    struct actor actor;
    (void)state;
    need_next_id();
    actor_start(&actor);
    assert_int_equal(actor_ask(&actor, identity, NULL), 0);
    board->dead = board->identity;
    board->uid = geteuid();
    struct weir__beacon beacon = weir__identity_unpack(board->dead);
    assert_true(name_next_id(beacon.id));
    int id = shmget(IPC_PRIVATE, beacon.size_bytes, IPC_CREAT | 0600);
    assert_true(id >= 0 && id != beacon.id);
    assert_int_equal(life(NULL), WEIR_LIFE_ALIVE);
    actor_kill(&actor);
    assert_int_equal(life(NULL), WEIR_LIFE_DEAD);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_never_alive_again),
        TEST(test_but_by_its_own_user),
        TEST(test_its_lock),
        TEST(test_its_publishers_slot),
        TEST(test_its_publishers_slot_unasked),
        TEST(test_its_subscribers_slot),
        TEST(test_its_subscribers_slot_unasked),
        TEST(test_a_slot_that_nobody_has_met),
        TEST(test_a_strangers_attempts),
        TEST(test_an_id_in_use),
    };
    return cmocka_run_group_tests_name("identity_again", tests, fixture_start_alive, fixture_end);
}
