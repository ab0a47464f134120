/* SPDX-License-Identifier: MIT */
/* Limits that are no rings: one line, memcpy, a bare futex. */
#include "lane.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "histogram.h"
#include "ticks.h"

static void *open_player(struct player *player)
{
    return player;
}

static void close_player(void *state)
{
    (void)state;
}

/*
 * One line: each stores the next number as soon as it sees the other's
 */

static void line_ping(void *state, uint64_t messages, struct histogram *histogram)
{
    struct player *player = state;
    _Atomic uint64_t *line = &player->board->line;
    uint64_t turn = atomic_load_explicit(line, memory_order_relaxed), before = ticks();
    for (uint64_t i = 0; i < messages; i++, turn += 2) {
        atomic_store_explicit(line, turn + 1, memory_order_release);
        while (atomic_load_explicit(line, memory_order_acquire) != turn + 2)
            ;
        uint64_t now = ticks();
        histogram_add(histogram, now - before);
        before = now;
    }
}

static void line_pong(void *state, uint64_t messages)
{
    struct player *player = state;
    _Atomic uint64_t *line = &player->board->line;
    for (uint64_t i = 0; i < messages; i++) {
        uint64_t seen;
        while (((seen = atomic_load_explicit(line, memory_order_acquire)) & 1) == 0)
            ;
        atomic_store_explicit(line, seen + 1, memory_order_release);
    }
}

const struct transport transport_line = {
    .name = "line",
    .open = open_player,
    .ping = line_ping,
    .pong = line_pong,
    .close = close_player,
};

/*
 * memcpy: the messages go into memory as large as the ring, and nobody reads them
 */

static void memcpy_send(void *state, uint64_t messages)
{
    struct player *player = state;
    uint64_t size = player->work.size_bytes, at = 0;
    unsigned char *memory = player->back->bytes; /* of no use to the ring in one-way traffic */
    for (uint64_t i = 0; i < messages; i++) {
        memcpy(memory + at, player->source, size);
        __asm__ volatile("" ::: "memory"); /* each copy is made */
        at = at + 2 * size > player->work.ring_bytes ? 0 : at + size;
    }
}

static void memcpy_receive(void *state, uint64_t messages)
{
    (void)state;
    (void)messages;
}

const struct transport transport_memcpy = {
    .name = "memcpy",
    .open = open_player,
    .send = memcpy_send,
    .receive = memcpy_receive,
    .close = close_player,
};

/*
 * The bare futex: a word for each direction, no payload
 */

static void futex_post(_Atomic uint32_t *word)
{
    /* We alone write it. Release [bare.futex]. Pairs with futex_await(). */
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_await(_Atomic uint32_t *word, uint32_t value)
{
    /* Acquire [bare.futex]. Pairs with futex_post(). */
    while (atomic_load_explicit(word, memory_order_acquire) == value)
        if (syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0) != 0 && errno != EAGAIN &&
            errno != EINTR)
            give_up("futex: %s", strerror(errno));
}

static void futex_ping(void *state, uint64_t messages, struct histogram *histogram)
{
    struct player *player = state;
    _Atomic uint32_t *mine = player->board->futex[1], *other = player->board->futex[0];
    uint32_t value = atomic_load_explicit(mine, memory_order_relaxed);
    for (uint64_t i = 0; i < messages; i++) {
        let_sleep(player);
        uint64_t before = ticks();
        futex_post(other);
        futex_await(mine, value++);
        histogram_add(histogram, ticks() - before);
    }
}

static void futex_pong(void *state, uint64_t messages)
{
    struct player *player = state;
    _Atomic uint32_t *mine = player->board->futex[0], *other = player->board->futex[1];
    /* What this process has answered so far: the driver may have posted already. */
    uint32_t value = atomic_load_explicit(other, memory_order_relaxed);
    for (uint64_t i = 0; i < messages; i++) {
        futex_await(mine, value++);
        futex_post(other);
    }
}

const struct transport transport_futex = {
    .name = "futex",
    .open = open_player,
    .ping = futex_ping,
    .pong = futex_pong,
    .close = close_player,
};
