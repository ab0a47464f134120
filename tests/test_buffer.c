/* SPDX-License-Identifier: MIT */
/*
 * Goal: the bounded buffer of examples/classic loses nothing and waits on nobody dead, whichever
 *       side is killed at whichever system call; and believes nothing that stands in shared memory.
 * Method: a traced side killed at its n-th system call stop, for every n, while the other side
 *       runs freely and tries until it has a whole transfer; and forged words, one at a time.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bounded_buffer_parts.h"

#define NAME "buffer"
#define MESSAGES 9 /* more than two rounds */

enum { SLOTS = 4, SLOT_BYTES = 64 };

#define SOON_NS 20000000
#define LONG_NS 10000000000

static int join(struct bounded_buffer **buffer, enum bounded_buffer_role role, int64_t timeout_ns)
{
    return bounded_buffer_join(buffer, NAME, role, SLOTS, SLOT_BYTES, weir_deadline_ns(timeout_ns));
}

/* One whole transfer, or the error that ended it. */
static int send_all(int64_t timeout_ns)
{
    struct bounded_buffer *buffer;
    void *slot;
    int result = join(&buffer, SENDER, timeout_ns);
    if (result != 0)
        return result;
    for (int i = 1; result == 0 && i <= MESSAGES; i++) {
        result = bounded_buffer_reserve(buffer, &slot);
        if (result == 0) {
            memset(slot, i, (size_t)i);
            result = bounded_buffer_commit(buffer, (uint32_t)i);
        }
    }
    if (result == 0)
        result = bounded_buffer_end(buffer);
    bounded_buffer_leave(buffer);
    return result;
}

static int receive_all(int64_t timeout_ns)
{
    struct bounded_buffer *buffer;
    const void *data;
    uint32_t bytes;
    int expected = 0;
    int result = join(&buffer, RECEIVER, timeout_ns);
    if (result != 0)
        return result;
    while ((result = bounded_buffer_next(buffer, &data, &bytes)) > 0) {
        expected++;
        CHECK(bytes == (uint32_t)expected && all_bytes(data, bytes, (unsigned char)expected));
        result = bounded_buffer_release(buffer);
        if (result != 0)
            break;
    }
    CHECK(result != 0 || expected == MESSAGES);
    if (result == 0)
        result = bounded_buffer_accept(buffer);
    bounded_buffer_leave(buffer);
    return result;
}

static int transfer(enum bounded_buffer_role role, int64_t timeout_ns)
{
    return role == SENDER ? send_all(timeout_ns) : receive_all(timeout_ns);
}

/* --- killed at every system call -------------------------------------------------------- */

struct scene {
    enum bounded_buffer_role victim, survivor;
    pid_t pid; /* of the survivor */
};

static void be_victim(void *argument)
{
    const struct scene *scene = argument;
    CHECK_RESULT(transfer(scene->victim, LONG_NS), 0);
}

/* Until it has a whole transfer: a partner that died is no reason to give up. */
static void start_survivor(void *argument)
{
    struct scene *scene = argument;
    fflush(NULL);
    scene->pid = fork();
    assert_true(scene->pid >= 0);
    if (scene->pid > 0)
        return;
    int result;
    do
        result = transfer(scene->survivor, LONG_NS);
    while (result == -EPIPE);
    CHECK_RESULT(result, 0);
    _exit(0);
}

static void be_successor(void *argument)
{
    const struct scene *scene = argument;
    int result = transfer(scene->victim, SOON_NS);
    CHECK(result == 0 || result == -ETIMEDOUT);
}

static void at_stop(pid_t child, void *argument)
{
    struct scene *scene = argument;
    int status = -1, rounds = 0;
    tracee_kill(child);
    /* All that the survivor needs is somebody who finishes; unless it has finished already. */
    while (waitpid(scene->pid, &status, WNOHANG) == 0 && rounds++ < 100)
        assert_int_equal(status_in_child(be_successor, scene), 0);
    if (status != 0)
        walk_print_place();
    assert_int_equal(status, 0);
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    if (segments_now() || sets_now() || names_now())
        walk_print_place();
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void walk_scene(struct scene *scene, const char *what)
{
    struct walk walk = { .what = what,
                         .stage = start_survivor,
                         .act = be_victim,
                         .at_stop = at_stop,
                         .argument = scene };
    int status = -1;
    assert_true(walk_stops(&walk) > 4 * MESSAGES);
    assert_int_equal(waitpid(scene->pid, &status, 0), scene->pid);
    assert_int_equal(status, 0);
}

static void killed_sender(void **state)
{
    struct scene scene = { SENDER, RECEIVER, -1 };
    (void)state;
    walk_scene(&scene, "sender");
}

static void killed_receiver(void **state)
{
    struct scene scene = { RECEIVER, SENDER, -1 };
    (void)state;
    walk_scene(&scene, "receiver");
}

/* --- forged words ----------------------------------------------------------------------- */

struct forgery {
    const char *what;
    uint64_t sequence, total;
    uint32_t length, flags;
    int expected; /* of bounded_buffer_next() */
};

static const struct forgery forgeries[] = {
    { "all is well", 1, 5, 5, 0, 1 },
    { "the end", 1, 0, 0, SLOT_END, 0 },
    { "posted without a slot", 0, 5, 5, 0, -EUCLEAN },
    { "another round's number", 1 + SLOTS, 5, 5, 0, -EUCLEAN },
    { "the largest number", UINT64_MAX, 5, 5, 0, -EUCLEAN },
    { "longer than a slot", 1, SLOT_BYTES + 1, SLOT_BYTES + 1, 0, -EUCLEAN },
    { "longest", 1, UINT32_MAX, UINT32_MAX, 0, -EUCLEAN },
    { "empty, and not the end", 1, 0, 0, 0, -EUCLEAN },
    { "the end, and not empty", 1, 5, 5, SLOT_END, -EUCLEAN },
    { "an unknown flag", 1, 5, 5, 2, -EUCLEAN },
    { "all flags", 1, 0, 0, UINT32_MAX, -EUCLEAN },
    { "a total too small", 1, 4, 5, 0, -EUCLEAN },
    { "a total too large", 1, 6, 5, 0, -EUCLEAN },
};

/* A sender that writes what it likes, and stays until it is told to go. */
static void forge_slot(struct companion *companion, void *argument)
{
    const struct forgery *forgery = argument;
    struct bounded_buffer *buffer;
    CHECK_RESULT(join(&buffer, SENDER, LONG_NS), 0);
    struct slot_shm *slot = &buffer->shm->slot[0];
    slot->length = forgery->length;
    slot->flags = forgery->flags;
    slot->total = forgery->total;
    atomic_store(&slot->sequence, forgery->sequence);
    CHECK_RESULT(weir_semset_post(buffer->set, FULL, 0), 0);
    companion_arrive(companion);
    bounded_buffer_leave(buffer);
}

static void forged_slots(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
        struct forgery forgery = forgeries[i];
        struct bounded_buffer *buffer;
        struct companion sender;
        const void *data;
        uint32_t bytes;
        companion_start(&sender, forge_slot, &forgery);
        assert_int_equal(join(&buffer, RECEIVER, LONG_NS), 0);
        int result = bounded_buffer_next(buffer, &data, &bytes);
        if (result != forgery.expected)
            print_error("%s\n", forgery.what);
        assert_int_equal(result, forgery.expected);
        if (result < 0) /* and it stays so, without another wait */
            assert_int_equal(bounded_buffer_next(buffer, &data, &bytes), result);
        companion_meet(&sender);
        companion_release(&sender);
        assert_int_equal(companion_end(&sender), 0);
        bounded_buffer_leave(buffer);
    }
}

struct lie {
    const char *what;
    uint64_t freed;
    uint32_t verdict;
    int expected; /* of the first reserve after the lie, with all slots full */
};

static const struct lie lies[] = {
    { "one is free", 1, 0, 0 },
    { "posted, and none is free", 0, 0, -EUCLEAN },
    { "more freed than sent", SLOTS + 1, 0, -EUCLEAN },
    { "the most", UINT64_MAX, 0, -EUCLEAN },
    { "failed", 0, FAILED | EIO, -ECANCELED },
    { "accepted before the end", 0, ACCEPTED, -EUCLEAN },
};

static void tell_lie(struct companion *companion, void *argument)
{
    const struct lie *lie = argument;
    struct bounded_buffer *buffer;
    CHECK_RESULT(join(&buffer, RECEIVER, LONG_NS), 0);
    companion_arrive(companion); /* until all slots are full */
    atomic_store(&buffer->shm->receiver.freed, lie->freed);
    atomic_store(&buffer->shm->receiver.verdict, lie->verdict);
    CHECK_RESULT(weir_semset_post(buffer->set, EMPTY, 0), 0);
    companion_arrive(companion);
    bounded_buffer_leave(buffer);
}

static void lying_receivers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct lie lie = lies[i];
        struct bounded_buffer *buffer;
        struct companion receiver;
        void *slot;
        companion_start(&receiver, tell_lie, &lie);
        assert_int_equal(join(&buffer, SENDER, LONG_NS), 0);
        for (int j = 0; j < SLOTS; j++) {
            assert_int_equal(bounded_buffer_reserve(buffer, &slot), 0);
            assert_int_equal(bounded_buffer_commit(buffer, 1), 0);
        }
        companion_meet(&receiver);
        companion_release(&receiver);
        int result = bounded_buffer_reserve(buffer, &slot);
        if (result != lie.expected)
            print_error("%s\n", lie.what);
        assert_int_equal(result, lie.expected);
        if (result == -ECANCELED)
            assert_int_equal(bounded_buffer_peer_error(buffer), EIO);
        companion_meet(&receiver);
        companion_release(&receiver);
        assert_int_equal(companion_end(&receiver), 0);
        bounded_buffer_leave(buffer);
    }
}

/* --- used up ---------------------------------------------------------------------------- */

/* Joins, and stands there until it is told to go; then it finds out what became of the other. */
static void join_and_stand(struct companion *companion, void *argument)
{
    const struct scene *scene = argument;
    struct bounded_buffer *buffer;
    const void *data;
    uint32_t bytes;
    void *slot;
    CHECK_RESULT(join(&buffer, scene->survivor, LONG_NS), 0);
    companion_arrive(companion);
    CHECK_RESULT(bounded_buffer_peer(buffer), -EPIPE);
    if (scene->survivor == SENDER) {
        int result = 0;
        for (int i = 0; result == 0 && i <= SLOTS; i++)
            if ((result = bounded_buffer_reserve(buffer, &slot)) == 0)
                result = bounded_buffer_commit(buffer, 1);
        CHECK_RESULT(result, -EPIPE);
    } else {
        CHECK_RESULT(bounded_buffer_next(buffer, &data, &bytes), -EPIPE);
    }
    bounded_buffer_leave(buffer);
}

static void join_and_be_killed(struct companion *companion, void *argument)
{
    const struct scene *scene = argument;
    struct bounded_buffer *buffer;
    CHECK_RESULT(join(&buffer, scene->victim, LONG_NS), 0);
    companion_arrive(companion);
}

static void transfer_soon(struct companion *companion, void *argument)
{
    const struct scene *scene = argument;
    (void)companion;
    CHECK_RESULT(transfer(scene->survivor, LONG_NS), 0);
}

/* One side killed, the other standing: a new pair meets under the name, without either. */
static void a_standing_survivor_is_in_nobodys_way(void **state)
{
    struct scene scenes[] = { { SENDER, RECEIVER, -1 }, { RECEIVER, SENDER, -1 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct companion victim, standing, successor;
        companion_start(&victim, join_and_be_killed, &scenes[i]);
        companion_start(&standing, join_and_stand, &scenes[i]);
        companion_meet(&victim);
        companion_meet(&standing);
        kill(victim.pid, SIGKILL);
        assert_true(WIFSIGNALED(companion_end(&victim)));
        int64_t start_ns = weir_now_ns();
        companion_start(&successor, transfer_soon, &scenes[i]);
        assert_int_equal(transfer(scenes[i].victim, LONG_NS), 0);
        assert_int_equal(companion_end(&successor), 0);
        assert_true(weir_now_ns() - start_ns < LONG_NS / 2);
        companion_release(&standing);
        assert_int_equal(companion_end(&standing), 0);
    }
}

static void hold_role(struct companion *companion, void *argument)
{
    const struct scene *scene = argument;
    struct bounded_buffer *buffer;
    CHECK_RESULT(join(&buffer, scene->victim, LONG_NS), 0);
    companion_arrive(companion);
    bounded_buffer_leave(buffer);
}

/* Both live: a third is refused; the name is the former pair's until it ends. */
static void a_living_pair_is_busy(void **state)
{
    struct scene scenes[] = { { SENDER, RECEIVER, -1 }, { RECEIVER, SENDER, -1 } };
    struct companion holders[2];
    struct bounded_buffer *buffer = NULL;
    (void)state;
    for (size_t i = 0; i < 2; i++)
        companion_start(&holders[i], hold_role, &scenes[i]);
    for (size_t i = 0; i < 2; i++)
        companion_meet(&holders[i]);
    assert_int_equal(join(&buffer, SENDER, LONG_NS), -EBUSY);
    assert_int_equal(join(&buffer, RECEIVER, 0), -EBUSY);
    for (size_t i = 0; i < 2; i++)
        companion_release(&holders[i]);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(companion_end(&holders[i]), 0);
    assert_int_equal(join(&buffer, SENDER, 0), -ETIMEDOUT);
}

/* --- arguments -------------------------------------------------------------------------- */

static void wrong_arguments(void **state)
{
    struct bounded_buffer *buffer = NULL;
    (void)state;
    assert_int_equal(bounded_buffer_join(&buffer, NAME, SENDER, 0, 1, 0), -EINVAL);
    assert_int_equal(bounded_buffer_join(&buffer, NAME, SENDER, 1025, 1, 0), -EINVAL);
    assert_int_equal(bounded_buffer_join(&buffer, NAME, SENDER, 1, 0, 0), -EINVAL);
    assert_int_equal(bounded_buffer_join(&buffer, "a//b", SENDER, 1, 1, 0), -EINVAL);
    assert_int_equal(bounded_buffer_join(&buffer, NAME, SENDER, 1, 1, 0), -ETIMEDOUT);
    assert_null(buffer);
    bounded_buffer_leave(NULL);
}

static void hold_other_size(struct companion *companion, void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    const uint32_t *size_bytes = argument;
    options.kind = "stream";
    options.semaphores = SEMAPHORES;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name(NAME), *size_bytes, &options), 0);
    companion_arrive(companion);
    weir_segment_close(segment);
}

static void another_size(void **state)
{
    const struct {
        uint32_t size_bytes;
        int expected;
    } rows[] = { { 1 << 20, -EPROTONOSUPPORT }, { 100, -EINVAL } };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bounded_buffer *buffer = NULL;
        struct companion holder;
        uint32_t size_bytes = rows[i].size_bytes;
        companion_start(&holder, hold_other_size, &size_bytes);
        companion_meet(&holder);
        assert_int_equal(join(&buffer, SENDER, 0), rows[i].expected);
        companion_release(&holder);
        assert_int_equal(companion_end(&holder), 0);
    }
}

static void one_slot_is_enough(struct companion *companion, void *argument)
{
    struct bounded_buffer *buffer;
    void *slot;
    (void)companion;
    (void)argument;
    CHECK_RESULT(bounded_buffer_join(&buffer, NAME, SENDER, 1, 8, weir_deadline_ns(LONG_NS)), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(bounded_buffer_reserve(buffer, &slot), 0);
        CHECK_RESULT(bounded_buffer_commit(buffer, 8), 0);
    }
    /* Reserved, and then there is nothing to put into it. */
    CHECK_RESULT(bounded_buffer_reserve(buffer, &slot), 0);
    CHECK_RESULT(bounded_buffer_end(buffer), 0);
    bounded_buffer_leave(buffer);
}

static void one_slot(void **state)
{
    struct bounded_buffer *buffer;
    struct companion sender;
    const void *data;
    uint32_t bytes, count = 0;
    (void)state;
    companion_start(&sender, one_slot_is_enough, NULL);
    assert_int_equal(bounded_buffer_join(&buffer, NAME, RECEIVER, 1, 8, weir_deadline_ns(LONG_NS)),
                     0);
    while (bounded_buffer_next(buffer, &data, &bytes) > 0) {
        count++;
        assert_int_equal(bounded_buffer_release(buffer), 0);
    }
    assert_int_equal(count, 3);
    assert_int_equal(bounded_buffer_accept(buffer), 0);
    assert_int_equal(companion_end(&sender), 0);
    bounded_buffer_leave(buffer);
}

int main(void)
{
    if (!tracer_works()) {
        fprintf(stderr, "skipped: nobody may trace its child here\n");
        return 77;
    }
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(a_standing_survivor_is_in_nobodys_way),
        TEST(a_living_pair_is_busy),
        TEST(wrong_arguments),
        TEST(another_size),
        TEST(one_slot),
        TEST(forged_slots),
        TEST(lying_receivers),
        TEST(killed_sender),
        TEST(killed_receiver),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
