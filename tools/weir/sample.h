/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SAMPLE_H
#define WEIR_TOOL_SAMPLE_H

/* What the members of channels did between two looks. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample_row {
    char *channel; /* as it may be shown */
    char *command; /* as the process has it; may be NULL */
    int64_t at_ns; /* of the look at this channel */
    uint64_t identity;
    uint32_t role, slot, life, state, activity, need, slowest; /* as in weir_channel_member */
    int32_t pid;
    bool is_stopped; /* by a signal or a debugger, as the kernel says */
    bool has_counts; /* what follows is known */
    uint64_t messages, bytes;
    bool has_rates; /* there was a look before this one */
    double message_rate, byte_rate;
    bool has_lag; /* of a publisher, the largest of its subscribers' */
    uint64_t lag_bytes, lag_messages;
    bool has_holds; /* subscriber, of all its publishers: */
    uint64_t held_bytes, held_messages;
    bool has_use;        /* of the ring; of a subscriber, where it is furthest behind */
    double use;          /* 0 to 1 */
    uint64_t ring_bytes; /* publisher */
    uint64_t missed;     /* subscriber: messages; publisher: subscribers that it evicted */
};

struct sample {
    int64_t at_ns;
    double seconds; /* since the look before; 0: there was none */
    struct sample_row *rows;
    size_t row_count, channel_count;
    char *trouble; /* why a channel could not be looked at; NULL */
};

/*
 * Looks at these channels, or at all there are (count 0). before: the look before, or NULL. Returns
 * 0, or the -errno of the first that could not be looked at: then trouble says why.
 */
int sample_take(struct sample *sample, char *const *channels, size_t count,
                const struct sample *before);
void sample_free(struct sample *sample);

#endif
