/* SPDX-License-Identifier: MIT */
/* From rounds to medians: only what was measured between the same cores is compared. */
#include "report.h"

#include "../values.h"

const char *tag_name(enum tag tag)
{
    static const char *const names[] = { "near", "far", "near, shared", "far, shared", "mixed" };
    return names[tag];
}

/* The median over the pairs of the double that lies offset bytes into a round. */
static double median_at(const struct round *const *pairs, unsigned count, size_t offset)
{
    double values[ROUNDS_MAX];
    for (unsigned i = 0; i < count; i++)
        values[i] = *(const double *)(const void *)((const char *)pairs[i] + offset);
    return values_median(values, count);
}

static double ratio_of(const struct round *round, unsigned side, enum kind kind, int which)
{
    const struct figures *weir = &round->sides[0], *other = &round->sides[side];
    if (kind == ONE_WAY || kind == BATCHED)
        return weir->messages_per_s / other->messages_per_s;
    return which == 0 ? weir->p50_ns / other->p50_ns : weir->p999_ns / other->p999_ns;
}

static void take_ratios(struct summary *summary, const struct round *const *pairs, unsigned count)
{
    enum kind kind = summary->cell->work.kind;
    bool is_rate = kind == ONE_WAY || kind == BATCHED;
    for (int which = 0; which < (is_rate ? 1 : 2); which++) {
        double ratios[ROUNDS_MAX];
        for (unsigned i = 0; i < count; i++)
            ratios[i] = ratio_of(pairs[i], 1, kind, which);
        summary->ratio[which] = values_median(ratios, count);
        summary->has_ratio[which] = true;
        if (which == 0) {
            summary->lowest = ratios[0];
            summary->highest = ratios[count - 1];
        }
    }
}

/* Whether a side that was measured so may be compared: with whole cores, if the pairs are of such. */
static bool is_alike(enum tag side, enum tag pairs)
{
    if (pairs == MIXED || side == pairs)
        return true;
    return (pairs == NEAR_SHARED && side == NEAR) || (pairs == FAR_SHARED && side == FAR);
}

static void take_ratios_to(struct summary *summary, const struct round *const *pairs,
                           unsigned count, unsigned side)
{
    double ratios[ROUNDS_MAX];
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        if (is_alike(tag_of(&pairs[i]->looks[side]), summary->tag))
            ratios[found++] = ratio_of(pairs[i], side, summary->cell->work.kind, 0);
    if (found == 0)
        return;
    summary->to[side] =
        (struct ratios){ .pair_count = found, .median = values_median(ratios, found) };
    summary->to[side].lowest = ratios[0];
    summary->to[side].highest = ratios[found - 1];
    if (summary->cell->sides[side] == &transport_ring_readonly)
        summary->to_readonly = summary->to[side];
}

/* Of the pairs with whole cores the tag that most have; without any, of the others. */
static enum tag choose_tag(const struct board *board)
{
    unsigned counts[TAGS] = { 0 };
    for (unsigned i = 0; i < board->round_count; i++)
        if (!board->rounds[i].is_awake)
            counts[tag_of_pair(&board->rounds[i])]++;
    enum tag tag = counts[NEAR] >= counts[FAR] ? NEAR : FAR;
    if (counts[tag] == 0)
        tag = counts[NEAR_SHARED] >= counts[FAR_SHARED] ? NEAR_SHARED : FAR_SHARED;
    return counts[tag] == 0 ? MIXED : tag;
}

void summarize(struct summary *summary, const struct cell *cell, const struct board *board)
{
    const struct round *pairs[ROUNDS_MAX];
    unsigned count = 0;
    enum tag tag = choose_tag(board);
    for (unsigned i = 0; i < board->round_count; i++)
        if (tag == MIXED || (!board->rounds[i].is_awake && tag_of_pair(&board->rounds[i]) == tag))
            pairs[count++] = &board->rounds[i];
    *summary = (struct summary){ .cell = cell,
                                 .tag = tag,
                                 .pair_count = tag == MIXED ? 0 : count,
                                 .round_count = board->round_count };
    summary->bounce_ns = median_at(pairs, count, offsetof(struct round, looks[1].bounce_ns));
    for (unsigned side = 0; side < cell->side_count; side++) {
        double *to = (double *)(void *)&summary->sides[side];
        for (size_t field = 0; field < sizeof(struct figures) / sizeof(double); field++)
            to[field] = median_at(pairs, count,
                                  offsetof(struct round, sides[0]) + side * sizeof(struct figures) +
                                      field * sizeof(double));
    }
    take_ratios(summary, pairs, count);
    for (unsigned side = 1; side < cell->side_count; side++)
        take_ratios_to(summary, pairs, count, side);
}
