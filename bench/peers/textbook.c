/* SPDX-License-Identifier: MIT */
/*
 * The textbook: a System V segment of slots, and two semaphores (EMPTY, FULL) for each
 * direction. shmget(2), shmat(2), semop(2).
 */
#include "peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define LANE_NAME "textbook"

enum { EMPTY, FULL, SEMAPHORES_A_WAY };

/* One direction. */
struct way {
    unsigned char *slots;
    unsigned short first; /* of its semaphores */
    unsigned turn;
};

struct lane {
    struct player *player;
    uint64_t sent, received;
    int semaphores;
    unsigned slot_count;
    unsigned char *memory;
    struct way out, in;
};

static int set = -1; /* of the driver, who removes it */

static void wait_and_post(struct lane *lane, unsigned short number, short by)
{
    struct sembuf operation = { .sem_num = number, .sem_op = by };
    while (semop(lane->semaphores, &operation, 1) != 0)
        if (errno != EINTR)
            give_up("semop: %s", strerror(errno));
}

static unsigned char *next_slot(struct lane *lane, struct way *way, size_t size)
{
    unsigned char *slot = way->slots + way->turn * size;
    way->turn = way->turn + 1 < lane->slot_count ? way->turn + 1 : 0;
    return slot;
}

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    wait_and_post(lane, lane->out.first + EMPTY, -1);
    memcpy(next_slot(lane, &lane->out, size), data, size);
    wait_and_post(lane, lane->out.first + FULL, 1);
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    wait_and_post(lane, lane->in.first + FULL, -1);
    memcpy(data, next_slot(lane, &lane->in, size), size);
    wait_and_post(lane, lane->in.first + EMPTY, 1);
}

#include "lane/copying.h"
#include "lane/loops.h"

static void remove_set(void)
{
    if (set >= 0)
        semctl(set, 0, IPC_RMID);
    set = -1;
}

static void make(struct player *player, unsigned slot_count, size_t way_bytes)
{
    unsigned short values[2 * SEMAPHORES_A_WAY] = { [EMPTY] = (unsigned short)slot_count,
                                                    [SEMAPHORES_A_WAY + EMPTY] =
                                                        (unsigned short)slot_count };
    int segment = shmget(IPC_PRIVATE, 2 * way_bytes, 0600);
    set = semget(IPC_PRIVATE, 2 * SEMAPHORES_A_WAY, 0600);
    if (segment < 0 || set < 0 || semctl(set, 0, SETALL, values) != 0)
        give_up("the textbook's segment and semaphores: %s", strerror(errno));
    atexit(remove_set);
    player->board->ids[0] = segment;
    player->board->ids[1] = set;
}

static void *open_slots(struct player *player, unsigned slot_count)
{
    static struct lane lanes[2];
    struct lane *lane = &lanes[slot_count > 1];
    size_t way_bytes = slot_count * player->work.size_bytes;
    bool is_driver = player->role == 0;
    if (is_driver)
        make(player, slot_count, way_bytes);
    meet(player);
    *lane = (struct lane){ .player = player,
                           .semaphores = player->board->ids[1],
                           .slot_count = slot_count,
                           .memory = shmat(player->board->ids[0], NULL, 0) };
    if (lane->memory == (void *)-1)
        give_up("shmat: %s", strerror(errno));
    struct way there = { .slots = lane->memory, .first = 0 };
    struct way back = { .slots = lane->memory + way_bytes, .first = SEMAPHORES_A_WAY };
    lane->out = is_driver ? there : back;
    lane->in = is_driver ? back : there;
    meet(player);
    if (is_driver)
        shmctl(player->board->ids[0], IPC_RMID, NULL); /* gone with the last who has it attached */
    return lane;
}

static void *open_one(struct player *player)
{
    return open_slots(player, 1);
}

static void *open_16(struct player *player)
{
    return open_slots(player, 16);
}

static void close_lane(void *state)
{
    struct lane *lane = state;
    meet(lane->player);
    if (lane->player->role == 0)
        semctl(lane->semaphores, 0, IPC_RMID);
    shmdt(lane->memory);
}

const struct transport transport_textbook = {
    .name = "System V segment, 1 slot",
    .slowness = 128,
    .open = open_one,
    LANE_CALLS,
};

const struct transport transport_textbook_16 = {
    .name = "System V segment, 16 slots",
    .slowness = 64,
    .open = open_16,
    LANE_CALLS,
};
