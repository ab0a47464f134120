/* SPDX-License-Identifier: MIT */
/*
 * What the two cores are like at a moment: how far apart, and whether somebody else's thread is on one of them. So
 * each thing that is measured bears a tag, and only what bears the same one is compared.
 */
#include "lane.h"

#include "../share.h"
#include "../values.h"
#include "ticks.h"

enum { CHUNKS = 15, BOUNCES = 64 };

/* Between the 120 ns of near cores and the 510 ns of far ones: their geometric mean. */
#define NEAR_BELOW_NS 250.0

/* There and back of one line, median of chunks; the answering process gets 0. */
static double bounce(struct player *player)
{
    _Atomic uint64_t *line = &player->board->line;
    double chunks[CHUNKS];
    meet(player);
    uint64_t turn = atomic_load_explicit(line, memory_order_acquire);
    meet(player);
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        uint64_t start = ticks();
        for (int i = 0; i < BOUNCES; i++, turn += 2) {
            if (player->role == 0)
                atomic_store_explicit(line, turn + 1, memory_order_release);
            while (atomic_load_explicit(line, memory_order_acquire) < turn + 2 - player->role)
                ;
            if (player->role == 1)
                atomic_store_explicit(line, turn + 2, memory_order_release);
        }
        chunks[chunk] = (double)(ticks() - start) / BOUNCES / player->ticks_per_ns;
    }
    meet(player);
    if (player->role == 1)
        return 0;
    values_sort(chunks, CHUNKS);
    return chunks[CHUNKS / 2];
}

/* Both at once; the answering process gets nothing of worth. */
struct look look(struct player *player)
{
    struct board *board = player->board;
    struct look look = { .bounce_ns = bounce(player), .is_whole = true };
    if (player->whole == 0)
        return look;
    double share = share_probe();
    if (player->role == 1)
        board->share = share;
    meet(player);
    look.is_whole =
        share_is_whole(share, player->whole) && share_is_whole(board->share, player->whole);
    return look;
}

static enum tag cores_at(const struct look *look)
{
    return look->bounce_ns < NEAR_BELOW_NS ? NEAR : FAR;
}

/* Whoever was there at one of the looks was there in between. */
static enum tag tag_of_looks(const struct look *looks, unsigned count)
{
    bool is_whole = true;
    for (unsigned i = 0; i < count; i++) {
        if (cores_at(&looks[i]) != cores_at(&looks[0]))
            return MIXED;
        is_whole &= looks[i].is_whole;
    }
    enum tag shared = cores_at(&looks[0]) == NEAR ? NEAR_SHARED : FAR_SHARED;
    return is_whole ? cores_at(&looks[0]) : shared;
}

enum tag tag_of(const struct look looks[2])
{
    return tag_of_looks(looks, 2);
}

enum tag tag_of_pair(const struct round *round)
{
    return tag_of_looks(round->looks, 3);
}
