/* SPDX-License-Identifier: MIT */
#include "members.h"

#include <stdlib.h>

#include <weir/identity.h>
#include <weir/inspect.h>

#include "fields.h"
#include "text.h"

enum member_field {
    ROLE,
    SLOT,
    PID,
    COMMAND,
    USER,
    LIFE,
    STATE,
    RING,
    MESSAGES,
    COMMITTED,
    EXACT,
    ENDED,
    USED,
    LAG,
    HELD,
    ACTIVITY,
    NEED,
    SLOWEST,
    RELEASED_BYTES,
    LOSSY,
    MISSED,
    EVICTIONS,
    WAITS,
    SLEEPS,
    WAKES,
    LOOKS,
    REAPED,
    REFUSALS,
    IDENTITY,
    MEMBER_FIELDS,
};

const struct table_column member_columns[MEMBER_FIELDS] = {
    [ROLE] = { "ROLE", TABLE_TEXT, 1 },
    [SLOT] = { "SLOT", TABLE_NUMBER, 1 },
    [PID] = { "PID", TABLE_NUMBER, 1 },
    [COMMAND] = { "COMMAND", TABLE_TEXT, 2 },
    [USER] = { "USER", TABLE_TEXT, 2 },
    [LIFE] = { "LIFE", TABLE_TEXT, 1 },
    [STATE] = { "STATE", TABLE_TEXT, 1 },
    [RING] = { "RING", TABLE_SIZE, 1 },
    [MESSAGES] = { "MESSAGES", TABLE_NUMBER, 1 },
    [COMMITTED] = { "COMMITTED", TABLE_SIZE, 3 },
    [EXACT] = { "EXACT", TABLE_FLAG, 4 },
    [ENDED] = { "ENDED", TABLE_FLAG, 4 },
    [USED] = { "USED", TABLE_SIZE, 2 },
    [LAG] = { "LAG", TABLE_SIZE, 1 },
    [HELD] = { "HELD", TABLE_SIZE, 2 },
    [ACTIVITY] = { "ACTIVITY", TABLE_TEXT, 1 },
    [NEED] = { "NEED", TABLE_TEXT, 2 },
    [SLOWEST] = { "SLOWEST", TABLE_NUMBER, 2 },
    [RELEASED_BYTES] = { "RELEASED", TABLE_SIZE, 3 },
    [LOSSY] = { "LOSSY", TABLE_FLAG, 3 },
    [MISSED] = { "MISSED", TABLE_NUMBER, 2 },
    [EVICTIONS] = { "EVICTIONS", TABLE_NUMBER, 3 },
    [WAITS] = { "WAITS", TABLE_NUMBER, 4 },
    [SLEEPS] = { "SLEEPS", TABLE_NUMBER, 4 },
    [WAKES] = { "WAKES", TABLE_NUMBER, 4 },
    [LOOKS] = { "LOOKS", TABLE_NUMBER, 4 },
    [REAPED] = { "REAPED", TABLE_NUMBER, 4 },
    [REFUSALS] = { "REFUSALS", TABLE_NUMBER, 4 },
    [IDENTITY] = { "IDENTITY", TABLE_TEXT, 5 },
};
const size_t member_column_count = MEMBER_FIELDS;

enum reading_field {
    SUBSCRIBER,
    PUBLISHER,
    READING,
    RELEASED,
    READING_LAG,
    BEHIND,
    HOLDS,
    READING_HELD,
    IS_SLOWEST,
    READING_FIELDS,
};

const struct table_column reading_columns[READING_FIELDS] = {
    [SUBSCRIBER] = { "SUBSCRIBER", TABLE_NUMBER, 1 },
    [PUBLISHER] = { "PUBLISHER", TABLE_NUMBER, 1 },
    [READING] = { "READING", TABLE_TEXT, 1 },
    [RELEASED] = { "RELEASED", TABLE_SIZE, 1 },
    [READING_LAG] = { "LAG", TABLE_SIZE, 1 },
    [BEHIND] = { "BEHIND", TABLE_NUMBER, 1 },
    [HOLDS] = { "HOLDS", TABLE_NUMBER, 1 },
    [READING_HELD] = { "HELD", TABLE_SIZE, 1 },
    [IS_SLOWEST] = { "SLOWEST", TABLE_FLAG, 1 },
};
const size_t reading_column_count = READING_FIELDS;

enum terms_field {
    PUBLISHERS,
    SUBSCRIBERS,
    DELIVERY,
    TYPE,
    TYPE_SIZE,
    TERMS_FIELDS,
};

const struct table_column terms_columns[TERMS_FIELDS] = {
    [PUBLISHERS] = { "PUBLISHERS", TABLE_NUMBER, 1 },
    [SUBSCRIBERS] = { "SUBSCRIBERS", TABLE_NUMBER, 1 },
    [DELIVERY] = { "DELIVERY", TABLE_TEXT, 1 },
    [TYPE] = { "TYPE", TABLE_TEXT, 1 },
    [TYPE_SIZE] = { "TYPE-SIZE", TABLE_SIZE, 1 },
};
const size_t terms_column_count = TERMS_FIELDS;

struct gathering {
    struct table *members, *readings;
};

static void give(struct table_value *value, char *text)
{
    value->known = text != NULL;
    value->text = text;
}

/* Others write these numbers: one that no program counts to is none. */
static void set_count(struct table_value *value, uint64_t count)
{
    if (count <= INT64_MAX)
        table_set_number(value, (int64_t)count);
}

/* Of all publishers: what is known of each. */
static void add_holds(const struct weir_channel_reading *reading, struct table_value *row,
                      struct table_value *pair)
{
    if (!reading->has_holds)
        return;
    set_count(&pair[HOLDS], reading->held_messages);
    set_count(&pair[READING_HELD], reading->held_bytes);
    set_count(&row[HELD], (uint64_t)row[HELD].number + reading->held_bytes);
}

static void add_readings(struct gathering *gathering, const struct weir_channel_member *member,
                         struct table_value *row)
{
    for (size_t i = 0; i < member->reading_count; i++) {
        const struct weir_channel_reading *reading = &member->readings[i];
        struct table_value *pair = table_row(gathering->readings);
        table_set_number(&pair[SUBSCRIBER], member->slot);
        table_set_number(&pair[PUBLISHER], reading->publisher);
        table_set_text(&pair[READING], reading->state == WEIR_READING_ATTACHED   ? "attached"
                                       : reading->state == WEIR_READING_FINISHED ? "finished"
                                                                                 : "refused");
        set_count(&pair[RELEASED], reading->released_bytes);
        table_set_number(&pair[IS_SLOWEST], reading->is_slowest);
        add_holds(reading, row, pair);
        if (reading->has_lag & WEIR_LAG_MESSAGES)
            set_count(&pair[BEHIND], reading->lag_messages);
        if (!(reading->has_lag & WEIR_LAG_BYTES))
            continue;
        set_count(&pair[READING_LAG], reading->lag_bytes);
        if (!row[LAG].known || row[LAG].number < (int64_t)reading->lag_bytes)
            set_count(&row[LAG], reading->lag_bytes); /* the largest */
    }
}

/* What it counted, and what it does now. */
static void add_statistics(const struct weir_channel_member *member, struct table_value *row)
{
    set_count(&row[WAITS], member->waits);
    set_count(&row[SLEEPS], member->sleeps);
    set_count(&row[WAKES], member->wakes);
    set_count(&row[LOOKS], member->looks);
    set_count(&row[REAPED], member->reaped);
    set_count(&row[REFUSALS], member->refusals);
    if (member->activity != 0)
        table_set_text(&row[ACTIVITY], member->pid > 0 && process_is_stopped(member->pid)
                                           ? "stopped"
                                           : weir_activity_name(member->activity));
    if (member->need != WEIR_NEED_NOTHING)
        table_set_text(&row[NEED], weir_need_name(member->need));
}

static void add_publisher(const struct weir_channel_member *member, struct table_value *row)
{
    set_count(&row[RING], member->ring_bytes);
    set_count(&row[COMMITTED], member->committed_bytes);
    set_count(&row[MESSAGES], member->committed_messages);
    set_count(&row[USED], member->used_bytes);
    set_count(&row[EVICTIONS], member->evictions);
    table_set_number(&row[EXACT], member->is_exact);
    table_set_number(&row[ENDED], member->has_ended);
    if (member->slowest != WEIR_SLOT_NONE)
        table_set_number(&row[SLOWEST], member->slowest);
}

static void add_subscriber(struct gathering *gathering, const struct weir_channel_member *member,
                           struct table_value *row)
{
    if (member->is_exact) {
        set_count(&row[MESSAGES], member->released_messages);
        set_count(&row[RELEASED_BYTES], member->released_bytes);
    }
    table_set_number(&row[LOSSY], member->is_lossy);
    set_count(&row[MISSED], member->missed_messages);
    add_readings(gathering, member, row);
}

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct gathering *gathering = argument;
    struct table_value *row = table_row(gathering->members);
    bool is_publisher = member->role == WEIR_MEMBER_PUBLISHER;
    table_set_text(&row[ROLE], is_publisher ? "publisher" : "subscriber");
    table_set_number(&row[SLOT], member->slot);
    table_set_text(&row[LIFE], weir_life_name((int)member->life));
    table_set_text(&row[STATE], weir_member_state_name(member->state));
    give(&row[IDENTITY], text_format("%016llx", (unsigned long long)member->identity));
    if (member->pid > 0) {
        table_set_number(&row[PID], member->pid);
        give(&row[COMMAND], process_command(member->pid));
    }
    if (member->uid != WEIR_UID_ANY)
        give(&row[USER], user_name(member->uid));
    if (member->state != WEIR_MEMBER_SHOWN)
        return 0;
    add_statistics(member, row);
    if (is_publisher)
        add_publisher(member, row);
    else
        add_subscriber(gathering, member, row);
    return 0;
}

int terms_find(struct table *table, const char *channel)
{
    struct weir_channel_terms terms = { .size = sizeof terms };
    int result = weir_inspect_channel_terms(channel, &terms);
    if (result != 0)
        return result;
    struct table_value *row = table_row(table);
    table_set_number(&row[PUBLISHERS], terms.publishers_max);
    table_set_number(&row[SUBSCRIBERS], terms.subscribers_max);
    table_set_text(&row[DELIVERY], terms.delivery == 0 ? "reliable" : "lossy");
    if (terms.type_name[0] != '\0')
        table_set_text(&row[TYPE], terms.type_name);
    if (terms.type_bytes != 0)
        table_set_number(&row[TYPE_SIZE], terms.type_bytes);
    return 0;
}

int members_find(struct table *members, struct table *readings, const char *channel)
{
    struct gathering gathering = { .members = members, .readings = readings };
    return weir_inspect_channel(channel, visit, &gathering);
}
