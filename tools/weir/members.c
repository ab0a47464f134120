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
    LAG,
    SLEEPS,
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
    [LAG] = { "LAG", TABLE_SIZE, 1 },
    [SLEEPS] = { "SLEEPS", TABLE_NUMBER, 3 },
    [IDENTITY] = { "IDENTITY", TABLE_TEXT, 5 },
};
const size_t member_column_count = MEMBER_FIELDS;

enum reading_field {
    SUBSCRIBER,
    PUBLISHER,
    READING,
    RELEASED,
    READING_LAG,
    READING_FIELDS,
};

const struct table_column reading_columns[READING_FIELDS] = {
    [SUBSCRIBER] = { "SUBSCRIBER", TABLE_NUMBER, 1 },
    [PUBLISHER] = { "PUBLISHER", TABLE_NUMBER, 1 },
    [READING] = { "READING", TABLE_TEXT, 1 },
    [RELEASED] = { "RELEASED", TABLE_SIZE, 1 },
    [READING_LAG] = { "LAG", TABLE_SIZE, 1 },
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

/* How far a publisher is, by its slot, for those who read from it. */
struct progress_of {
    uint64_t ring, committed;
    uint32_t slot;
};

struct gathering {
    struct table *members, *readings;
    struct progress_of *publishers;
    size_t publisher_count;
};

static void give(struct table_value *value, char *text)
{
    value->known = text != NULL;
    value->text = text;
}

static void remember(struct gathering *gathering, const struct weir_channel_member *member)
{
    size_t bytes = (gathering->publisher_count + 1) * sizeof *gathering->publishers;
    gathering->publishers = text_memory(realloc(gathering->publishers, bytes));
    gathering->publishers[gathering->publisher_count++] =
        (struct progress_of){ member->ring_bytes, member->committed_bytes, member->slot };
}

/* What is committed and not released; -1: not known, or it cannot be true. */
static int64_t lag_of(const struct gathering *gathering, const struct weir_channel_reading *reading)
{
    for (size_t i = 0; i < gathering->publisher_count; i++) {
        const struct progress_of *publisher = &gathering->publishers[i];
        uint64_t lag = publisher->committed - reading->released_bytes;
        if (publisher->slot == reading->publisher && lag <= publisher->ring)
            return (int64_t)lag;
    }
    return -1;
}

static void add_readings(struct gathering *gathering, const struct weir_channel_member *member,
                         struct table_value *row)
{
    for (size_t i = 0; i < member->reading_count; i++) {
        const struct weir_channel_reading *reading = &member->readings[i];
        struct table_value *pair = table_row(gathering->readings);
        int64_t lag = reading->state == WEIR_READING_REFUSED ? -1 : lag_of(gathering, reading);
        table_set_number(&pair[SUBSCRIBER], member->slot);
        table_set_number(&pair[PUBLISHER], reading->publisher);
        table_set_text(&pair[READING], reading->state == WEIR_READING_ATTACHED   ? "attached"
                                       : reading->state == WEIR_READING_FINISHED ? "finished"
                                                                                 : "refused");
        if (reading->released_bytes <= INT64_MAX)
            table_set_number(&pair[RELEASED], (int64_t)reading->released_bytes);
        if (lag < 0)
            continue;
        table_set_number(&pair[READING_LAG], lag);
        if (!row[LAG].known || row[LAG].number < lag)
            table_set_number(&row[LAG], lag); /* the largest */
    }
}

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct gathering *gathering = argument;
    struct table_value *row = table_row(gathering->members);
    bool is_publisher = member->role == WEIR_MEMBER_PUBLISHER;
    bool is_shown = member->state == WEIR_MEMBER_SHOWN;
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
    if (is_shown)
        table_set_number(&row[SLEEPS], member->sleeps);
    if (is_shown && is_publisher) {
        remember(gathering, member);
        table_set_number(&row[RING], (int64_t)member->ring_bytes);
        if (member->committed_bytes <= INT64_MAX)
            table_set_number(&row[COMMITTED], (int64_t)member->committed_bytes);
        if (member->committed_messages <= INT64_MAX)
            table_set_number(&row[MESSAGES], (int64_t)member->committed_messages);
        table_set_number(&row[EXACT], member->is_exact);
        table_set_number(&row[ENDED], member->has_ended);
    } else if (is_shown) {
        add_readings(gathering, member, row);
    }
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
    int result = weir_inspect_channel(channel, visit, &gathering);
    free(gathering.publishers);
    return result;
}
