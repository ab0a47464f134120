/* SPDX-License-Identifier: MIT */
/* What the tests of the mutex share. */
#include "mutex_acts.h"

#include <errno.h>
#include <sys/mman.h>

#include <weir/clock.h>

struct board *board;

struct weir__mutex_shm *inside(void)
{
    return (struct weir__mutex_shm *)(void *)&board->mutex;
}

int set_up(void **state)
{
    (void)state;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : 0;
}

int tear_down(void **state)
{
    (void)state;
    return munmap(board, sizeof *board);
}

int lock(void *unused)
{
    (void)unused;
    return weir_mutex_lock(&board->mutex);
}

int try_lock(void *unused)
{
    (void)unused;
    return weir_mutex_try_lock(&board->mutex);
}

int lock_for(void *argument)
{
    return weir_mutex_lock_until(&board->mutex, weir_deadline_ns(*(int64_t *)argument));
}

int lock_until(void *argument)
{
    return weir_mutex_lock_until(&board->mutex, *(int64_t *)argument);
}

int unlock(void *unused)
{
    (void)unused;
    return weir_mutex_unlock(&board->mutex);
}

int consistent(void *unused)
{
    (void)unused;
    return weir_mutex_consistent(&board->mutex);
}

int identity(void *unused)
{
    (void)unused;
    return weir_identity(&board->identity);
}

void die_holding(void)
{
    struct actor holder;
    actor_start(&holder);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_kill(&holder);
}

void make_good(void)
{
    assert_result(weir_mutex_consistent(&board->mutex), 0);
    assert_result(weir_mutex_consistent(&board->mutex), -EINVAL);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}
