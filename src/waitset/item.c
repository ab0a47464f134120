/* SPDX-License-Identifier: MIT */
/* One item of a wait set: whether it is ready, and what is told of it. */
#include "waitset/set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <weir/identity.h>

#include "base/error.h"
#include "channel/publisher.h"
#include "channel/subscriber.h"

static uint32_t bell_of(const struct weir__item *item, uint32_t word)
{
    return item->number * WEIR__ITEM_WORDS + word;
}

static void stop_looking(struct weir__item *item)
{
    struct weir_wait_set *set = item->set;
    uint32_t last = set->looked[--set->looked_count];
    set->looked[item->place] = last;
    set->items[last]->place = item->place;
    if (!weir__set_is_ours(set)) /* bells and timer are the parent's */
        return;
    for (uint32_t i = 0; i < item->words; i++)
        weir__bells_drop(set->bells, bell_of(item, i));
    weir__set_pace(set);
}

/* Explicitly: a child of fork may have the file open, and so keep it in the epoll set. */
static void stop_polling(struct weir__item *item)
{
    int saved_errno = errno;
    if (weir__set_is_ours(item->set))
        epoll_ctl(item->set->epoll, EPOLL_CTL_DEL, item->fd, NULL);
    item->set->by_fd[item->fd] = 0;
    if (item->kind != WEIR_WAIT_FD)
        close(item->fd);
    item->fd = -1;
    item->set->polled_count--;
    errno = saved_errno;
}

void weir__item_free(struct weir__item *item)
{
    struct weir_wait_set *set = item->set;
    if (item->fd >= 0)
        stop_polling(item);
    if (item->kind != WEIR_WAIT_FD && item->kind != WEIR_WAIT_TIMER)
        stop_looking(item);
    if (item->side)
        weir__side_unwatch(item->side, &item->watcher);
    weir__members_close(item->members);
    set->items[item->number] = NULL;
    if (item->number < set->lowest)
        set->lowest = item->number;
    free(item);
}

bool weir__item_is_waiting(const struct weir__item *item)
{
    if (item->kind == WEIR_WAIT_PUBLISHER)
        return item->publisher->refused != WEIR__REFUSED_NOTHING;
    return item->kind != WEIR_WAIT_DEATH;
}

/* Whether nobody has rung since it was armed. */
static bool is_quiet(const struct weir__item *item)
{
    for (uint32_t i = 0; i < item->words; i++)
        /* Acquire [slot.doorbell], [slot.changes]: who has seen the ring sees what it was for. Pairs
         * with ring() and weir__slots_changed(). */
        if (!weir__bells_is_waiting(item->set->bells, bell_of(item, i)) ||
            atomic_load_explicit(item->word[i], memory_order_acquire) != item->value[i])
            return false;
    return true;
}

bool weir__item_is_ready(struct weir__item *item)
{
    if (item->is_armed && !item->is_due && is_quiet(item))
        return false;
    item->is_due = false;
    bool is_ready = item->kind == WEIR_WAIT_SUBSCRIBER ? weir__subscriber_is_ready(item->subscriber)
                    : item->kind == WEIR_WAIT_PUBLISHER ? weir__publisher_is_ready(item->publisher)
                    : item->kind == WEIR_WAIT_MEMBERS   ? weir__members_have_changed(item->members)
                                                        : item->is_dead;
    is_ready |= item->is_news && weir__item_is_waiting(item);
    if (item->is_armed && (is_ready || !is_quiet(item)))
        item->is_armed = false;
    return is_ready;
}

void weir__item_ask(struct weir__item *item)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    if (item->kind == WEIR_WAIT_SUBSCRIBER)
        item->is_news |= weir__subscriber_ask(item->subscriber);
    else if (item->kind == WEIR_WAIT_PUBLISHER)
        item->is_news |= weir__publisher_ask(item->publisher);
    else if (item->kind == WEIR_WAIT_MEMBERS)
        weir__members_ask(item->members);
    else if (!item->is_dead)
        item->is_dead = weir_life(item->identity, item->uid) == WEIR_LIFE_DEAD;
    weir__error_restore(&saved);
}

void weir__item_tell(struct weir__item *item, struct weir_wait_event *event)
{
    *event =
        (struct weir_wait_event){ .token = item->token, .item = item->number, .kind = item->kind };
    item->is_news = false;
    if (item->kind == WEIR_WAIT_MEMBERS)
        weir__members_tell(item->members, event);
}

void weir__item_announce(struct weir__item *item)
{
    if (item->side) {
        struct weir__sleep sleep = weir__sleep_announce(&item->side->waiter);
        item->words = 1;
        item->word[0] = item->side->waiter.doorbell;
        item->value[0] = sleep.bell;
    } else {
        item->words = 0;
        for (int role = 0; role < WEIR__ROLES; role++) {
            if (!item->members->rolls[role].now)
                continue;
            item->word[item->words] = item->members->directory.roles[role].changes;
            item->value[item->words++] = item->members->rolls[role].seen;
        }
    }
    for (uint32_t i = 0; i < item->words; i++)
        weir__bells_set(item->set->bells, bell_of(item, i), item->word[i], item->value[i]);
    item->is_armed = item->is_due = true;
}
