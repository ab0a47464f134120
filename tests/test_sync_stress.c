/* SPDX-License-Identifier: MIT */
/*
 * Goal: threads that use all of floor 2 at once over one mapping never race, never lose a unit, an
 *       item or a turn, and what a lock guards is whole.
 * Method: four threads draw what to do for some seconds; what is guarded is plain memory, so that
 *       the thread sanitizer sees an order that is missing.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <weir/condition.h>
#include <weir/event.h>
#include <weir/once.h>
#include <weir/semaphore.h>

#include "base/atomics.h"

#define MS WEIR_MILLISECOND_NS

enum { SECONDS = 3, THREADS = 4, ONCES = 4096, ROOM = 2 };

static struct board {
    struct weir_mutex plain, recursive, queue;
    struct weir_condition filled, emptied;
    struct weir_semaphore units;
    struct weir_event event;
    struct weir_once once[ONCES];
    uint64_t plain_count, recursive_count, unit_count; /* guarded by each */
    uint64_t items[ROOM], item_count, put, got;
    uint64_t built[ONCES];
    uint64_t message; /* written before the event's state */
    weir__atomic_u64 state;
} * board;

struct thread {
    pthread_t id;
    uint64_t seed;
    uint64_t plain, recursive, units, put, got, turns;
    char wrong[256];
};

static weir__atomic_u32 is_over;

#define WANT(thread, condition)                                                                    \
    do {                                                                                           \
        if (!(condition) && !(thread)->wrong[0]) {                                                 \
            snprintf((thread)->wrong, sizeof(thread)->wrong, "line %d: %s (%.100s)", __LINE__,     \
                     #condition, weir_last_error());                                               \
            atomic_store_explicit(&is_over, 1, memory_order_relaxed);                              \
        }                                                                                          \
    } while (0)

static uint64_t draw(struct thread *thread, uint64_t below)
{
    thread->seed ^= thread->seed << 13;
    thread->seed ^= thread->seed >> 7;
    thread->seed ^= thread->seed << 17;
    return thread->seed % below;
}

static void use_plain(struct thread *thread)
{
    int result =
        draw(thread, 2)
            ? weir_mutex_lock(&board->plain)
            : weir_mutex_lock_until(&board->plain, weir_deadline_ns((int64_t)draw(thread, 50000)));
    if (result == -ETIMEDOUT || result == -EAGAIN)
        return;
    WANT(thread, result == 0);
    WANT(thread, weir_mutex_try_lock(&board->plain) == -EDEADLK);
    board->plain_count++;
    thread->plain++;
    WANT(thread, weir_mutex_unlock(&board->plain) == 0);
}

static void use_recursive(struct thread *thread)
{
    uint64_t depth = 1 + draw(thread, 3);
    for (uint64_t i = 0; i < depth; i++)
        WANT(thread, weir_mutex_lock(&board->recursive) == 0);
    board->recursive_count++;
    thread->recursive++;
    for (uint64_t i = 0; i < depth; i++)
        WANT(thread, weir_mutex_unlock(&board->recursive) == 0);
}

static void use_units(struct thread *thread)
{
    int result = weir_semaphore_wait_until(&board->units, weir_deadline_ns(MS));
    if (result == -ETIMEDOUT)
        return;
    WANT(thread, result == 0);
    board->unit_count++; /* one unit: nobody else is here */
    thread->units++;
    WANT(thread, weir_semaphore_post(&board->units) == 0);
}

static void put(struct thread *thread)
{
    int64_t deadline_ns = weir_deadline_ns(MS);
    WANT(thread, weir_mutex_lock(&board->queue) == 0);
    while (board->item_count == ROOM)
        if (weir_condition_wait_until(&board->emptied, &board->queue, deadline_ns) != 0)
            break;
    if (board->item_count < ROOM) {
        board->items[board->item_count++] = board->put++;
        thread->put++;
    }
    WANT(thread, weir_mutex_unlock(&board->queue) == 0);
    WANT(thread, weir_condition_signal(&board->filled) == 0);
}

static void get(struct thread *thread)
{
    int64_t deadline_ns = weir_deadline_ns(MS);
    WANT(thread, weir_mutex_lock(&board->queue) == 0);
    while (board->item_count == 0)
        if (weir_condition_wait_until(&board->filled, &board->queue, deadline_ns) != 0)
            break;
    if (board->item_count > 0) {
        WANT(thread, board->items[0] == board->got);
        memmove(board->items, board->items + 1, sizeof board->items - sizeof board->items[0]);
        board->item_count--;
        board->got++;
        thread->got++;
    }
    WANT(thread, weir_condition_broadcast(&board->emptied) == 0);
    WANT(thread, weir_mutex_unlock(&board->queue) == 0);
}

static void build(struct thread *thread)
{
    uint64_t which = draw(thread, ONCES);
    int result = weir_once_begin(&board->once[which]);
    if (result == WEIR_ONCE_BEGUN) {
        WANT(thread, board->built[which] == 0);
        if (draw(thread, 4) == 0) {
            WANT(thread, weir_once_abandon(&board->once[which]) == 0);
            return;
        }
        board->built[which] = which + 1;
        WANT(thread, weir_once_end(&board->once[which]) == 0);
    } else {
        WANT(thread, result == 0);
    }
    WANT(thread, board->built[which] == which + 1);
}

/* One thread alone changes the state: the others wait for it to change. */
static void change(struct thread *thread)
{
    /* Only this thread writes; those who have seen the state read the message. */
    uint64_t state = atomic_load_explicit(&board->state, memory_order_relaxed);
    if (state == 0)
        board->message = 1;
    atomic_store_explicit(&board->state, state + 1, memory_order_release);
    WANT(thread, (draw(thread, 2) ? weir_event_notify(&board->event)
                                  : weir_event_notify_all(&board->event)) == 0);
}

static void see_change(struct thread *thread)
{
    uint64_t before = atomic_load_explicit(&board->state, memory_order_acquire);
    int64_t until_ns = weir_deadline_ns(MS);
    uint32_t ticket;
    int result = 0;
    while (result == 0 && atomic_load_explicit(&board->state, memory_order_acquire) == before) {
        WANT(thread, weir_event_prepare(&board->event, &ticket) == 0);
        if (atomic_load_explicit(&board->state, memory_order_acquire) != before)
            break;
        result = weir_event_wait_until(&board->event, ticket, until_ns);
        WANT(thread, result == 0 || result == -ETIMEDOUT);
    }
    if (atomic_load_explicit(&board->state, memory_order_acquire) != 0)
        WANT(thread, board->message == 1);
    thread->turns += result == 0;
}

static void *work(void *argument)
{
    struct thread *thread = argument;
    bool is_first = thread->seed == 1;
    thread->seed = thread->seed * UINT64_C(88172645463325252) + 1;
    while (atomic_load_explicit(&is_over, memory_order_relaxed) == 0) {
        switch (draw(thread, 8)) {
        case 0:
        case 1:
            use_plain(thread);
            break;
        case 2:
            use_recursive(thread);
            break;
        case 3:
            use_units(thread);
            break;
        case 4:
            put(thread);
            break;
        case 5:
            get(thread);
            break;
        case 6:
            build(thread);
            break;
        default:
            is_first ? change(thread) : see_change(thread);
            break;
        }
    }
    return NULL;
}

static void add_up(const struct thread *threads)
{
    struct thread all = { .seed = 0 };
    for (int i = 0; i < THREADS; i++) {
        if (threads[i].wrong[0])
            fail_msg("thread %d: %s", i, threads[i].wrong);
        all.plain += threads[i].plain;
        all.recursive += threads[i].recursive;
        all.units += threads[i].units;
        all.put += threads[i].put;
        all.got += threads[i].got;
        all.turns += threads[i].turns;
    }
    print_message("           %llu and %llu locks, %llu units, %llu items, %llu turns\n",
                  (unsigned long long)all.plain, (unsigned long long)all.recursive,
                  (unsigned long long)all.units, (unsigned long long)all.got,
                  (unsigned long long)all.turns);
    assert_true(all.plain > 0 && all.recursive > 0 && all.units > 0 && all.turns > 0);
    assert_true(all.plain == board->plain_count && all.recursive == board->recursive_count);
    assert_true(all.units == board->unit_count);
    assert_true(all.put == board->put && all.got == board->got);
    assert_true(all.put == all.got + board->item_count && all.got > 0);
}

static void test_stress(void **state)
{
    struct thread threads[THREADS];
    const struct timespec time = { SECONDS, 0 };
    (void)state;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(board != MAP_FAILED);
    assert_result(weir_mutex_init(&board->recursive, WEIR_MUTEX_RECURSIVE), 0);
    assert_result(weir_semaphore_init(&board->units, 1), 0);
    memset(threads, 0, sizeof threads);
    for (int i = 0; i < THREADS; i++) {
        threads[i].seed = (uint64_t)i + 1;
        assert_int_equal(pthread_create(&threads[i].id, NULL, work, &threads[i]), 0);
    }
    nanosleep(&time, NULL); /* how long it goes on */
    atomic_store_explicit(&is_over, 1, memory_order_relaxed);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
    add_up(threads);
    munmap(board, sizeof *board);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_stress) };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
