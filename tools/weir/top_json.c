/* SPDX-License-Identifier: MIT */
/* A look of weir top as a line of JSON, by jansson. */
#include "top.h"

#ifdef WEIR_HAVE_JANSSON

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/identity.h>
#include <weir/inspect.h>

#include "text.h"

static json_t *time_now(void)
{
    struct timespec now;
    struct tm parts;
    char seconds[32], text[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, sizeof text, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
    return json_string(text);
}

/* Others write these numbers: one that no program counts to is none. */
static json_t *count_if(bool is_known, uint64_t count)
{
    return is_known && count <= INT64_MAX ? json_integer((json_int_t)count) : json_null();
}

static json_t *real_if(bool is_known, double number)
{
    return is_known ? json_real(number) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* Whatever another process calls itself. */
static json_t *foreign_text(const char *text)
{
    char *utf8 = text ? text_utf8(text) : NULL;
    json_t *json = text_or_null(utf8);
    free(utf8);
    return json;
}

static json_t *row_json(const struct sample_row *row)
{
    json_t *object = text_memory(json_object());
    bool is_publisher = row->role == WEIR_MEMBER_PUBLISHER, has_counts = row->has_counts;
    const struct {
        const char *name;
        json_t *value;
    } fields[] = {
        { "channel", json_string(row->channel) },
        { "role", json_string(is_publisher ? "publisher" : "subscriber") },
        { "slot", json_integer(row->slot) },
        { "pid", count_if(row->pid > 0, (uint64_t)row->pid) },
        { "command", foreign_text(row->command) },
        { "life", json_string(weir_life_name((int)row->life)) },
        { "state", json_string(weir_member_state_name(row->state)) },
        { "activity", text_or_null(row->activity ? weir_activity_name(row->activity) : NULL) },
        { "stopped", json_boolean(row->is_stopped) },
        { "need", text_or_null(row->need ? weir_need_name(row->need) : NULL) },
        { "slowest", count_if(row->slowest != WEIR_SLOT_NONE, row->slowest) },
        { "messages", count_if(has_counts, row->messages) },
        { "bytes", count_if(has_counts, row->bytes) },
        { "message_rate", real_if(row->has_rates, row->message_rate) },
        { "byte_rate", real_if(row->has_rates, row->byte_rate) },
        { "lag", count_if(row->has_lag, row->lag_bytes) },
        { "behind", count_if(row->has_lag && !is_publisher, row->lag_messages) },
        { "holds", count_if(row->has_holds, row->held_messages) },
        { "held", count_if(row->has_holds, row->held_bytes) },
        { "ring", count_if(is_publisher && has_counts, row->ring_bytes) },
        { "use", real_if(row->has_use, row->use) },
        { is_publisher ? "evictions" : "missed",
          count_if(has_counts || !is_publisher, row->missed) },
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set_new(object, fields[i].name, text_memory(fields[i].value));
    return object;
}

char *top_json(const struct sample *sample)
{
    json_t *object = text_memory(json_object()), *members = text_memory(json_array());
    for (size_t i = 0; i < sample->row_count; i++)
        json_array_append_new(members, row_json(&sample->rows[i]));
    json_object_set_new(object, "time", time_now());
    json_object_set_new(object, "seconds", json_real(sample->seconds));
    json_object_set_new(object, "channels", json_integer((json_int_t)sample->channel_count));
    json_object_set_new(object, "members", members);
    char *line = text_memory(json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)));
    json_decref(object);
    return line;
}

#else

#include <stddef.h>

char *top_json(const struct sample *sample)
{
    (void)sample;
    return NULL;
}

#endif
