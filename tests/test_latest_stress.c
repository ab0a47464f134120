/* SPDX-License-Identifier: MIT */
/*
 * Goal: no reader ever sees a torn value, or an older one after a newer one, while the writer
 *       writes as fast as it can, and while writers and readers are killed and replaced.
 * Method: each value is its version, in every byte; readers that copy, that hold, and that look in
 *       place check each byte. Processes, and threads for the thread sanitizer.
 */
#include "fixture.h"
#include "latest_world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_BYTES 40000
#define MS_NS INT64_C(1000000)

enum form { COPY, HOLD, PEEK, FORMS };

static struct board {
    atomic_bool is_over;
    atomic_ulong written, seen[FORMS];
} * board;

struct setting {
    uint64_t max_bytes;
    uint32_t buffers, holds;
};

/* 8 and 64 bytes have ways of their own, and all values are as large; up to 104 have the hot cell. */
static const struct setting settings[] = {
    { 8, 0, 4 },   { 8, 2, 0 },    { 64, 0, 4 },   { 64, 3, 1 },    { 104, 0, 4 },
    { 104, 3, 1 }, { 1000, 4, 2 }, { 1000, 6, 0 }, { 40000, 4, 2 }, { 40000, 3, 0 },
};

struct player {
    struct world *world;
    enum form form;
};

static uint64_t size_of(const struct world *world, uint64_t number)
{
    uint64_t max_bytes = world->options.value_bytes_max;
    return max_bytes <= 64 ? max_bytes : 8 + number * 7919 % (max_bytes - 7);
}

static void write_on(void *argument)
{
    struct world *world = argument;
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
    static unsigned char bytes[MAX_BYTES];
    void *data;
    int result = weir_latest_writer_open(&writer, &world->memory);
    CHECK(result == 0 || result == WEIR_OWNER_DIED);
    CHECK_RESULT(weir_latest_reader_open(&reader, &world->memory), 0);
    uint64_t number = weir_latest_version(reader);
    while (!atomic_load_explicit(&board->is_over, memory_order_relaxed)) {
        uint64_t size_bytes = size_of(world, ++number);
        if (number % 4 == 0) {
            CHECK_RESULT(weir_latest_loan(writer, &data), 0);
            value_fill(data, size_bytes, number);
            CHECK_RESULT(weir_latest_commit(writer, size_bytes), 0);
        } else {
            value_fill(bytes, size_bytes, number);
            CHECK_RESULT(weir_latest_write(writer, bytes, size_bytes), 0);
        }
        atomic_fetch_add_explicit(&board->written, 1, memory_order_relaxed);
    }
    weir_latest_reader_close(reader);
    weir_latest_writer_close(writer);
}

/* 0: a value; else what the call may give under a fast writer. */
static int look(struct weir_latest_reader *reader, enum form form, unsigned char *bytes,
                struct weir_latest_value *value)
{
    int result = form == COPY   ? weir_latest_read(reader, bytes, MAX_BYTES, value)
                 : form == HOLD ? weir_latest_hold(reader, value)
                                : weir_latest_peek(reader, value);
    if (result != 0)
        return result;
    uint64_t number = form == PEEK ? 0 : value_number(value->data, value->size_bytes);
    if (form == HOLD) {
        sched_yield();
        CHECK(value_number(value->data, value->size_bytes) == number);
        CHECK_RESULT(weir_latest_check(reader, value), 0);
        CHECK_RESULT(weir_latest_release(reader, value), 0);
    }
    if (form == PEEK) {
        number = value_number(value->data, value->size_bytes);
        if (weir_latest_check(reader, value) != 0)
            return -EAGAIN;
    }
    CHECK(number == value->version);
    return 0;
}

static void read_on(struct world *world, enum form form)
{
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    unsigned char *bytes = malloc(MAX_BYTES);
    uint64_t last = 0;
    CHECK(bytes != NULL);
    CHECK_RESULT(weir_latest_reader_open(&reader, &world->memory), 0);
    while (!atomic_load_explicit(&board->is_over, memory_order_relaxed)) {
        int result = look(reader, form, bytes, &value);
        if (result == -EAGAIN || result == -ENOBUFS || result == -EOPNOTSUPP)
            continue;
        CHECK_RESULT(result, 0);
        CHECK(value.version >= last && value.size_bytes == size_of(world, value.version));
        last = value.version;
        atomic_fetch_add_explicit(&board->seen[form], 1, memory_order_relaxed);
    }
    weir_latest_reader_close(reader);
    free(bytes);
}

static void play_reader(void *argument)
{
    struct player *player = argument;
    read_on(player->world, player->form);
}

static pid_t start(void (*play)(void *), void *argument)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        play(argument);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void nap(int64_t ns)
{
    const struct timespec time = { 0, (long)ns };
    nanosleep(&time, NULL);
}

static void finish(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A while of which each had its part, however busy the machine is. */
static void run_for_a_while(const struct setting *setting)
{
    int64_t until_ns = weir_deadline_ns(20 * WEIR_SECOND_NS);
    nap(150 * MS_NS);
    while (weir_now_ns() < until_ns &&
           (board->written < 500 || board->seen[COPY] < 100 || board->seen[PEEK] < 20 ||
            (setting->holds > 0 && board->seen[HOLD] < 20)))
        nap(5 * MS_NS);
}

static void expect_all_seen(const struct setting *setting)
{
    print_message("           %5d bytes, %u buffers, %u holds: %lu written; %lu copied, %lu held, "
                  "%lu in place\n",
                  (int)setting->max_bytes, setting->buffers, setting->holds,
                  (unsigned long)board->written, (unsigned long)board->seen[COPY],
                  (unsigned long)board->seen[HOLD], (unsigned long)board->seen[PEEK]);
    assert_true(board->written > 0 && board->seen[COPY] > 0);
    assert_true((setting->holds > 0) == (board->seen[HOLD] > 0));
}

static void test_at_full_speed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *setting = &settings[i];
        struct weir_latest_options options =
            latest_options(setting->max_bytes, setting->buffers, setting->holds);
        struct world world;
        struct player players[FORMS];
        pid_t pids[FORMS];
        world_open(&world, MEMFD, &options);
        memset(board, 0, sizeof *board);
        pid_t writer = start(write_on, &world);
        for (enum form form = 0; form < FORMS; form++) {
            players[form] = (struct player){ &world, form };
            pids[form] = start(play_reader, &players[form]);
        }
        run_for_a_while(setting);
        board->is_over = true;
        finish(writer);
        for (enum form form = 0; form < FORMS; form++)
            finish(pids[form]);
        expect_all_seen(setting);
        world_close(&world);
    }
}

enum { KILLS = 80 };

static void reap_killed(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* One that had ended by itself had found something wrong. */
    assert_int_equal(status, SIGKILL);
}

/* With two holds and three readers, the dead ones' places must come back. */
static void test_kills_at_random(void **state)
{
    struct weir_latest_options options = latest_options(1000, 4, 2);
    struct player players[FORMS];
    struct world world;
    pid_t pids[FORMS + 1];
    (void)state;
    srandom(1);
    world_open(&world, MEMFD, &options);
    memset(board, 0, sizeof *board);
    for (enum form form = 0; form < FORMS; form++) {
        players[form] = (struct player){ &world, form };
        pids[form] = start(play_reader, &players[form]);
    }
    pids[FORMS] = start(write_on, &world);
    for (int i = 0; i < (SANITIZED ? KILLS / 10 : KILLS); i++) {
        unsigned who = (unsigned)random() % (FORMS + 1);
        nap(random() % (4 * MS_NS));
        reap_killed(pids[who]);
        pids[who] = who == FORMS ? start(write_on, &world) : start(play_reader, &players[who]);
    }
    /* Whoever is there now gets on. */
    unsigned long written = board->written, held = board->seen[HOLD], copied = board->seen[COPY];
    int64_t until_ns = weir_deadline_ns(20 * WEIR_SECOND_NS);
    while (weir_now_ns() < until_ns &&
           (board->written < written + 10 || board->seen[HOLD] < held + 2 ||
            board->seen[COPY] < copied + 2))
        sched_yield();
    board->is_over = true;
    for (unsigned who = 0; who <= FORMS; who++)
        finish(pids[who]);
    assert_true(board->seen[HOLD] >= held + 2 && board->seen[COPY] >= copied + 2);
    world_close(&world);
}

static void *write_as_thread(void *argument)
{
    write_on(argument);
    return NULL;
}

static void *read_as_thread(void *argument)
{
    play_reader(argument);
    return NULL;
}

static void test_threads(void **state)
{
    struct weir_latest_options options = latest_options(1000, 4, 2);
    struct world world;
    struct player players[2] = { { &world, COPY }, { &world, HOLD } };
    pthread_t threads[3];
    (void)state;
    world_open(&world, INHERITED, &options);
    memset(board, 0, sizeof *board);
    assert_int_equal(pthread_create(&threads[2], NULL, write_as_thread, &world), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_as_thread, &players[i]), 0);
    while (board->seen[COPY] < 500 || board->seen[HOLD] < 500)
        nap(MS_NS);
    board->is_over = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    world_close(&world);
}

static int stress_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_full_speed),
        cmocka_unit_test(test_kills_at_random),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, stress_start, fixture_end);
}
