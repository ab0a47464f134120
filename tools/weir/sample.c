/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/collect.h>
#include <weir/identity.h>
#include <weir/inspect.h>

#include "fields.h"
#include "sentence.h"
#include "text.h"

struct taking {
    struct sample *sample;
    const struct sample *before;
    const char *channel;
    int64_t at_ns;
    size_t first, publisher_count; /* rows of this channel: its publishers come first */
};

static struct sample_row *add_row(struct sample *sample)
{
    size_t bytes = (sample->row_count + 1) * sizeof *sample->rows;
    sample->rows = text_memory(realloc(sample->rows, bytes));
    struct sample_row *row = &sample->rows[sample->row_count++];
    memset(row, 0, sizeof *row);
    return row;
}

/* The same member in the look before, and whether that look saw the channel at all. */
static const struct sample_row *find_before(const struct sample *before,
                                            const struct sample_row *row, int64_t *channel_ns)
{
    *channel_ns = 0;
    for (size_t i = 0; before && i < before->row_count; i++) {
        const struct sample_row *old = &before->rows[i];
        if (strcmp(old->channel, row->channel) != 0)
            continue;
        *channel_ns = old->at_ns;
        if (old->identity == row->identity && old->role == row->role && old->slot == row->slot)
            return old;
    }
    return NULL;
}

/* Who was not there when we looked at its channel before has done all that it did since then. */
static void find_rates(struct sample_row *row, const struct sample *before)
{
    int64_t before_ns;
    const struct sample_row *old = find_before(before, row, &before_ns);
    uint64_t messages = 0, bytes = 0;
    if (!row->has_counts || before_ns == 0 || row->at_ns <= before_ns || (old && !old->has_counts))
        return;
    if (old) {
        messages = old->messages;
        bytes = old->bytes;
    }
    /* A publisher that did not hold still for a look may seem to go back. */
    if (row->messages < messages || row->bytes < bytes) {
        row->messages = messages;
        row->bytes = bytes;
    }
    double seconds = (double)(row->at_ns - before_ns) / 1e9;
    row->has_rates = true;
    row->message_rate = (double)(row->messages - messages) / seconds;
    row->byte_rate = (double)(row->bytes - bytes) / seconds;
}

/* They stand in the order of their slots. */
static const struct sample_row *find_publisher(const struct taking *taking,
                                               const struct weir_channel_reading *reading)
{
    const struct sample_row *rows = taking->sample->rows + taking->first;
    size_t low = 0, high = taking->publisher_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].slot < reading->publisher)
            low = middle + 1;
        else
            high = middle;
    }
    return low < taking->publisher_count && rows[low].slot == reading->publisher &&
                   rows[low].identity == reading->identity
               ? &rows[low]
               : NULL;
}

static void add_lag(const struct taking *taking, const struct weir_channel_reading *reading,
                    struct sample_row *row)
{
    const struct sample_row *publisher = find_publisher(taking, reading);
    if (reading->has_holds) {
        row->has_holds = true;
        row->held_bytes += reading->held_bytes;
        row->held_messages += reading->held_messages;
    }
    if (!(reading->has_lag & WEIR_LAG_BYTES))
        return;
    if (reading->lag_bytes > row->lag_bytes)
        row->lag_bytes = reading->lag_bytes;
    if ((reading->has_lag & WEIR_LAG_MESSAGES) && reading->lag_messages > row->lag_messages)
        row->lag_messages = reading->lag_messages;
    row->has_lag = true;
    if (!publisher || publisher->ring_bytes == 0)
        return;
    double use = (double)reading->lag_bytes / (double)publisher->ring_bytes;
    row->has_use = true;
    if (use > row->use)
        row->use = use < 1 ? use : 1; /* a lossy one may be further behind */
}

static void fill_publisher(const struct weir_channel_member *member, struct sample_row *row)
{
    row->has_counts = true;
    row->messages = member->committed_messages;
    row->bytes = member->committed_bytes;
    row->ring_bytes = member->ring_bytes;
    row->missed = member->evictions;
    row->has_lag = row->has_use = member->ring_bytes != 0;
    row->lag_bytes = member->used_bytes;
    if (row->has_use)
        row->use = (double)member->used_bytes / (double)member->ring_bytes;
}

static void fill_subscriber(const struct taking *taking, const struct weir_channel_member *member,
                            struct sample_row *row)
{
    row->has_counts = member->is_exact;
    row->messages = member->released_messages;
    row->bytes = member->released_bytes;
    row->missed = member->missed_messages;
    for (size_t i = 0; i < member->reading_count; i++)
        add_lag(taking, &member->readings[i], row);
}

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct taking *taking = argument;
    struct sample_row *row = add_row(taking->sample);
    taking->publisher_count += member->role == WEIR_MEMBER_PUBLISHER;
    row->channel = text_escape(taking->channel, true);
    row->at_ns = taking->at_ns;
    row->identity = member->identity;
    row->role = member->role;
    row->slot = member->slot;
    row->life = member->life;
    row->state = member->state;
    row->pid = member->pid;
    row->slowest = WEIR_SLOT_NONE;
    if (member->pid > 0) {
        row->command = process_command(member->pid);
        row->is_stopped = process_is_stopped(member->pid);
    }
    if (member->state != WEIR_MEMBER_SHOWN)
        return 0;
    row->activity = member->activity;
    row->need = member->need;
    row->slowest = member->slowest;
    if (member->role == WEIR_MEMBER_PUBLISHER)
        fill_publisher(member, row);
    else
        fill_subscriber(taking, member, row);
    find_rates(row, taking->before);
    return 0;
}

static int take_channel(struct sample *sample, const char *channel, const struct sample *before)
{
    struct taking taking = { .sample = sample,
                             .before = before,
                             .channel = channel,
                             .at_ns = weir_now_ns(),
                             .first = sample->row_count };
    int result = weir_inspect_channel(channel, visit, &taking);
    if (result == 0)
        sample->channel_count++;
    else if (!sample->trouble)
        sample->trouble = sentence_last();
    return result;
}

struct names {
    char **at;
    size_t count;
};

static int note_channel(const struct weir_object *object, void *argument)
{
    struct names *names = argument;
    if (!object->weirs || !object->name || strcmp(object->kind, "channel") != 0)
        return 0;
    names->at = text_memory(realloc(names->at, (names->count + 1) * sizeof *names->at));
    names->at[names->count++] = text_format("%s", object->name);
    return 0;
}

/* Why no channel is seen, if it is for the directory that has their names. */
static void tell_hidden(struct sample *sample)
{
    if (weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL) < 0 && !sample->trouble)
        sample->trouble = sentence_last();
}

/* Of all channels, one that has just gone is none. */
static int take_all(struct sample *sample, const struct sample *before)
{
    struct names names = { NULL, 0 };
    int result = weir_inspect(WEIR_OBJECT_SEGMENT, note_channel, &names);
    if (result != 0)
        sample->trouble = sentence_last();
    for (size_t i = 0; i < names.count; i++) {
        bool had_trouble = sample->trouble != NULL;
        if (take_channel(sample, names.at[i], before) == -ENOENT && !had_trouble) {
            free(sample->trouble);
            sample->trouble = NULL;
        }
        free(names.at[i]);
    }
    if (names.count == 0)
        tell_hidden(sample);
    free(names.at);
    return result;
}

int sample_take(struct sample *sample, char *const *channels, size_t count,
                const struct sample *before)
{
    int result = 0;
    memset(sample, 0, sizeof *sample);
    sample->at_ns = weir_now_ns();
    if (before)
        sample->seconds = (double)(sample->at_ns - before->at_ns) / 1e9;
    if (count == 0)
        return take_all(sample, before);
    for (size_t i = 0; i < count; i++) {
        int one = take_channel(sample, channels[i], before);
        if (result == 0)
            result = one;
    }
    return result;
}

void sample_free(struct sample *sample)
{
    for (size_t i = 0; i < sample->row_count; i++) {
        free(sample->rows[i].channel);
        free(sample->rows[i].command);
    }
    free(sample->rows);
    free(sample->trouble);
    memset(sample, 0, sizeof *sample);
}
