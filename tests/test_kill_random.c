/* SPDX-License-Identifier: MIT */
/*
 * Goal: a thousand SIGKILLs at random instants, some of them while stopped, leave nothing that one
 *       collect does not clear, and disturb no survivor.
 * Method: batches of children that create, open, close, remove and collect in a loop; the parent
 *       counts their steps through a pipe, and stops, resumes and kills them by a seeded draw.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 8, KILLS = SANITIZED ? 200 : 1000, NAMES = 4 };

#define TEST_KEY 0x6b696c6cu
#define TEST_SIZE 6000

static const char *const names[NAMES] = { "r/0", "r/1", "r/2", "r/3" };

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* --- what the children do --------------------------------------------------------------- */

static bool allowed(int result)
{
    /* Gone in this moment, there in this moment, or of the other lifetime's size and set. */
    return result >= 0 || result == -ENOENT || result == -EEXIST || result == -EIDRM;
}

static void use(struct weir_segment *segment)
{
    unsigned char *data = weir_segment_data(segment);
    CHECK(weir_segment_size(segment) == TEST_SIZE);
    data[0]++;
    data[TEST_SIZE - 1]++;
    struct weir_semset *set = weir_segment_semset(segment);
    if (set) {
        int value = weir_semset_value(set, 1);
        CHECK(value == 9 || value == -EIDRM);
    }
}

static int step(uint64_t draw, struct weir_segment **held)
{
    static const uint16_t values[2] = { 7, 9 };
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_ref ref = weir_by_name(names[draw >> 8 & (NAMES - 1)]);
    options.lifetime = draw >> 16 & 1;
    /* Every other name has semaphores: who asks an object for more than it has is refused. */
    options.semaphores = draw >> 8 & 1 ? 2 : 0;
    options.semaphore_values = values;
    if (*held) {
        weir_segment_close(*held);
        *held = NULL;
    }
    switch (draw % 10) {
    case 0:
    case 1:
        return weir_segment_create(held, ref, TEST_SIZE, &options);
    case 2:
    case 3:
        return weir_segment_open(held, ref, TEST_SIZE, NULL);
    case 4:
    case 5:
        return weir_segment_create_or_open(held, ref, TEST_SIZE, &options);
    case 6:
        return weir_segment_remove(ref);
    case 7:
        options.lifetime = WEIR_EPHEMERAL;
        return weir_segment_create(held, weir_private(), TEST_SIZE, &options);
    case 8:
        options.lifetime = WEIR_PERSISTENT;
        options.semaphores = 0;
        return draw >> 18 & 1
                   ? weir_segment_create_or_open(held, weir_by_key(TEST_KEY), TEST_SIZE, &options)
                   : weir_segment_remove(weir_by_key(TEST_KEY));
    default:
        return weir_collect(0, NULL, NULL);
    }
}

static void work(uint64_t seed, int steps)
{
    struct weir_segment *held = NULL;
    for (;;) {
        char byte = 0;
        int result = step(next_random(&seed), &held);
        if (!allowed(result))
            CHECK_RESULT(result, 0);
        if (held)
            use(held);
        if (write(steps, &byte, 1) != 1)
            _exit(2);
    }
}

/* --- what the parent does --------------------------------------------------------------- */

static pid_t start_worker(uint64_t seed, const int steps[2])
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(steps[0]);
        work(seed, steps[1]);
    }
    assert_true(child > 0);
    return child;
}

/* Goes on after so many steps of all of them together, then after so many rounds of nothing. */
static void await_steps(int fd, unsigned count, unsigned spins)
{
    char bytes[64];
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(read(fd, bytes, 1), 1);
    for (volatile unsigned i = 0; i < spins; i++)
        ;
}

static void end_worker(pid_t child)
{
    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        print_error("a worker ended by itself, status 0x%x\n", status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Kills one after another while the rest goes on; half of them are stopped first, for a while. */
static void run_batch(uint64_t *seed)
{
    int steps[2];
    pid_t children[CHILDREN];
    assert_int_equal(pipe2(steps, O_CLOEXEC), 0);
    for (int i = 0; i < CHILDREN; i++)
        children[i] = start_worker(next_random(seed) | 1, steps);
    close(steps[1]);
    for (int i = 0; i < CHILDREN; i++) {
        uint64_t draw = next_random(seed);
        bool others_run = i < CHILDREN - 1;
        await_steps(steps[0], draw % 20, (unsigned)(draw >> 8) % 20000);
        if (draw >> 40 & 1)
            kill(children[i], SIGSTOP);
        if (others_run && (draw >> 41 & 1))
            await_steps(steps[0], 10, 0);
        if (draw >> 42 & 1)
            kill(children[i], SIGCONT);
        end_worker(children[i]);
    }
    close(steps[0]);
}

/* What may be there after a collect: persistent names, whole, and the key. */
static void remove_persistent(void *argument)
{
    (void)argument;
    for (int i = 0; i < NAMES; i++) {
        struct weir_segment *segment;
        int result = weir_segment_open(&segment, weir_by_name(names[i]), TEST_SIZE, NULL);
        if (result == -ENOENT)
            continue;
        CHECK_RESULT(result, 0);
        struct weir_segment_stat stat = { .size = sizeof stat };
        CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
        CHECK(stat.lifetime == WEIR_PERSISTENT && stat.shm_nattch == 1);
        use(segment);
        weir_segment_close(segment);
        CHECK_RESULT(weir_segment_remove(weir_by_name(names[i])), 0);
    }
    int result = weir_segment_remove(weir_by_key(TEST_KEY));
    CHECK(result == 0 || result == -ENOENT);
}

static void test_a_thousand_kills(void **state)
{
    (void)state;
    const char *chosen = getenv("WEIR_TEST_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : (uint64_t)time(NULL) | 1;
    unsigned kills = 0;
    unsigned collected = 0;
    print_message("           WEIR_TEST_SEED=%llu\n", (unsigned long long)seed);
    fflush(NULL);
    /* One lives through all of it. */
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *survivor;
    options.semaphores = 2;
    assert_result(weir_segment_create(&survivor, weir_by_name("survivor"), 100, &options), 0);
    strcpy(weir_segment_data(survivor), "alive");
    while (kills < KILLS) {
        run_batch(&seed);
        kills += CHILDREN;
        int result = weir_collect(0, NULL, NULL);
        assert_true(result >= 0);
        collected += (unsigned)result;
        assert_int_equal(names_starting('#'), 0);
        assert_int_equal(names_starting('~'), 0);
        in_child(remove_persistent, NULL);
        assert_int_equal(segments_now(), 1);
        assert_int_equal(sets_now(), 1);
        assert_int_equal(names_now(), 1);
    }
    struct weir_segment *found;
    assert_result(weir_segment_open(&found, weir_by_name("survivor"), 100, NULL), 0);
    assert_string_equal(weir_segment_data(found), "alive");
    weir_segment_close(found);
    weir_segment_close(survivor);
    print_message("           %u kills, %u leftovers collected\n", kills, collected);
    assert_true(collected > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_thousand_kills, fixture_check),
    };
    if (!fixture_is_alone()) {
        fprintf(stderr, "no IPC namespace of its own: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("kill_random", tests, fixture_start, fixture_end);
}
