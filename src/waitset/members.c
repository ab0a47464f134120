/* SPDX-License-Identifier: MIT */
/* Who is in a channel, seen by one who is no member of it. */
#include "waitset/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static uint32_t bit_of(int role)
{
    return role == WEIR__PUBLISHER ? WEIR_WAIT_PUBLISHERS : WEIR_WAIT_SUBSCRIBERS;
}

static int open_directory(struct weir__members *members, const char *name,
                          const struct weir_channel_options *given)
{
    struct weir_channel_options options;
    struct weir__rundir dir;
    int result = weir__channel_options(&options, given);
    if (result == 0)
        result = weir__check_publisher(&options);
    if (result != 0)
        return result;
    weir__rundir_init(&dir);
    result = weir__directory_open_as(&members->directory, name, &options, NULL, &dir);
    weir__rundir_close(&dir);
    return result;
}

static int make_rolls(struct weir__members *members)
{
    for (int role = 0; role < WEIR__ROLES; role++) {
        const struct weir__slots *slots = &members->directory.roles[role];
        struct weir__roll *roll = &members->rolls[role];
        if (!(members->roles & bit_of(role)))
            continue;
        roll->now = calloc(slots->count, sizeof *roll->now);
        roll->told = calloc(slots->count, sizeof *roll->told);
        roll->seen = weir__slots_changes(slots) - 1;
        if (!roll->now || !roll->told)
            return weir__fail(ENOMEM, "no memory for %u members", slots->count);
    }
    return 0;
}

int weir__members_open(struct weir__members **members, const char *name,
                       const struct weir_channel_options *options, uint32_t roles)
{
    struct weir__members *made = calloc(1, sizeof *made);
    struct weir__error_saved saved;
    if (!made)
        return weir__fail(ENOMEM, "no memory for a channel's members");
    made->is_first = true;
    made->roles = made->changed = roles; /* the first event says how many are there */
    weir__error_save(&saved);
    int result = open_directory(made, name, options);
    if (result == 0)
        result = make_rolls(made);
    if (result == 0) {
        *members = made;
    } else {
        weir__error_save(&saved);
        weir__members_close(made);
    }
    weir__error_restore(&saved);
    return result;
}

void weir__members_close(struct weir__members *members)
{
    if (!members)
        return;
    for (int role = 0; role < WEIR__ROLES; role++) {
        free(members->rolls[role].now);
        free(members->rolls[role].told);
    }
    weir_segment_close(members->directory.segment);
    free(members);
}

/* Whether now[] is another than was told of. */
static bool read_slots(const struct weir__slots *slots, struct weir__roll *roll)
{
    roll->present = 0;
    for (uint32_t i = 0; i < slots->count; i++) {
        uint64_t owner = weir__slot_owner(&slots->at[i]), page = weir__slot_page(&slots->at[i]);
        bool is_shown = weir__shown_id(page, owner) >= 0;
        roll->now[i] = is_shown ? page : 0; /* not the owner, which may have come round */
        roll->present += is_shown;
    }
    return memcmp(roll->now, roll->told, slots->count * sizeof *roll->now) != 0;
}

bool weir__members_have_changed(struct weir__members *members)
{
    for (int role = 0; role < WEIR__ROLES; role++) {
        const struct weir__slots *slots = &members->directory.roles[role];
        struct weir__roll *roll = &members->rolls[role];
        uint32_t changes = weir__slots_changes(slots);
        if (!roll->now || (changes == roll->seen && !roll->is_asked))
            continue;
        roll->is_asked = false;
        roll->seen = changes; /* then the slots: a later change makes another look */
        if (read_slots(slots, roll))
            members->changed |= bit_of(role);
        else if (!members->is_first)
            members->changed &= ~bit_of(role); /* all is again as it was told */
    }
    return members->changed != 0;
}

void weir__members_ask(struct weir__members *members)
{
    for (int role = 0; role < WEIR__ROLES; role++) {
        const struct weir__slots *slots = &members->directory.roles[role];
        for (uint32_t i = 0; members->rolls[role].now && i < slots->count; i++)
            weir__slot_reap(slots, i, weir__slot_owner(&slots->at[i]), NULL);
        members->rolls[role].is_asked = true;
    }
}

void weir__members_tell(struct weir__members *members, struct weir_wait_event *event)
{
    for (int role = 0; role < WEIR__ROLES; role++) {
        struct weir__roll *roll = &members->rolls[role];
        if (roll->now)
            memcpy(roll->told, roll->now, members->directory.roles[role].count * sizeof *roll->now);
    }
    event->what = members->changed;
    event->publishers = members->rolls[WEIR__PUBLISHER].present;
    event->subscribers = members->rolls[WEIR__SUBSCRIBER].present;
    members->changed = 0;
    members->is_first = false;
}
