/* SPDX-License-Identifier: MIT */
/* What comes into a wait set, and goes. */
#include "waitset/set.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <weir/identity.h>

#include "base/error.h"
#include "base/kept.h"
#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "segment/identity.h"
#include "segment/sysv.h"

#define NS_A_SECOND 1000000000

static bool is_looked_at(uint32_t kind)
{
    return kind != WEIR_WAIT_FD && kind != WEIR_WAIT_TIMER;
}

/* There is room for an item of this number. */
static int make_room(struct weir_wait_set *set, uint32_t number)
{
    if (number >= WEIR_WAIT_ITEMS_MAX)
        return weir__fail(ENOSPC, "%d items are in this set, as many as a set takes",
                          WEIR_WAIT_ITEMS_MAX);
    if (weir__bells_grow(set->bells, (number + 1) * WEIR__ITEM_WORDS) != 0)
        return weir__fail(ENOMEM, "no memory for another item of a wait set");
    if (number < set->room)
        return 0;
    uint32_t room = set->room ? set->room * 2 : 16;
    struct weir__item **items = realloc(set->items, room * sizeof(struct weir__item *));
    if (items)
        set->items = items;
    uint32_t *generations = items ? realloc(set->generations, room * sizeof *generations) : NULL;
    if (generations)
        set->generations = generations;
    uint32_t *looked = generations ? realloc(set->looked, room * sizeof *looked) : NULL;
    if (!looked)
        return weir__fail(ENOMEM, "no memory for another item of a wait set");
    set->looked = looked;
    for (uint32_t i = set->room; i < room; i++) {
        set->items[i] = NULL;
        set->generations[i] = 0;
    }
    set->room = room;
    return 0;
}

/* There is a place in by_fd for a descriptor. */
static int make_fd_room(struct weir_wait_set *set, int fd)
{
    uint32_t wanted = (uint32_t)fd + 1;
    if (wanted <= set->fd_room)
        return 0;
    uint32_t room = wanted < 64 ? 64 : wanted + wanted / 2;
    uint32_t *by_fd = realloc(set->by_fd, room * sizeof *by_fd);
    if (!by_fd)
        return weir__fail(ENOMEM, "no memory for another descriptor of a wait set");
    memset(by_fd + set->fd_room, 0, (room - set->fd_room) * sizeof *by_fd);
    set->by_fd = by_fd;
    set->fd_room = room;
    return 0;
}

/*
 * A descriptor is new in the epoll set, so an item that has its number has one that the user closed:
 * when that item is removed, it is not to take the new one out of the epoll set.
 */
static void forget_closed(struct weir_wait_set *set, int fd)
{
    if ((uint32_t)fd >= set->fd_room || set->by_fd[fd] == 0)
        return;
    set->items[set->by_fd[fd] - 1]->fd = -1;
    set->by_fd[fd] = 0;
    set->polled_count--;
}

/* The slices' timer, which does not go yet. */
static int make_slice(struct weir_wait_set *set)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = WEIR__EVENT_SLICE };
    if (set->slice >= 0)
        return 0;
    set->slice = weir__kept(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (set->slice >= 0 && epoll_ctl(set->epoll, EPOLL_CTL_ADD, set->slice, &event) == 0) {
        forget_closed(set, set->slice);
        return 0;
    }
    int error = errno;
    if (set->slice >= 0)
        close(set->slice);
    set->slice = -1;
    return weir__fail(error, "no timer for a wait set: %s", strerror(error));
}

static int poll_item(struct weir__item *item, uint32_t events)
{
    struct epoll_event event = { .events = events,
                                 .data.u64 = (uint64_t)item->generation << 32 | item->number };
    if (epoll_ctl(item->set->epoll, EPOLL_CTL_ADD, item->fd, &event) != 0)
        return errno == EEXIST
                   ? weir__fail(EEXIST, "the descriptor %d is in the set already", item->fd)
                   : weir__fail(errno, "the descriptor %d cannot be waited for: %s", item->fd,
                                strerror(errno));
    item->set->polled_count++;
    return 0;
}

/*
 * A new item in the set, as from has it. fd, if any, is put into the epoll set; it is the item's
 * only once this succeeds. Its number, or why not.
 */
static int add(struct weir_wait_set *set, const struct weir__item *from, uint32_t events)
{
    uint32_t number = set->lowest;
    while (number < set->room && set->items[number])
        number++;
    int result = make_room(set, number);
    if (result == 0 && is_looked_at(from->kind))
        result = make_slice(set);
    if (result == 0 && from->fd >= 0)
        result = make_fd_room(set, from->fd);
    struct weir__item *item = result == 0 ? malloc(sizeof *item) : NULL;
    if (!item)
        return result != 0 ? result : weir__fail(ENOMEM, "no memory for an item of a wait set");
    *item = *from;
    item->set = set;
    item->number = number;
    item->generation = ++set->generations[number] & INT32_MAX;
    if (item->fd >= 0)
        result = poll_item(item, events);
    if (result != 0) {
        free(item);
        return result;
    }
    set->items[number] = item;
    set->lowest = number + 1;
    if (item->fd >= 0) {
        forget_closed(set, item->fd);
        set->by_fd[item->fd] = number + 1;
    }
    if (is_looked_at(item->kind)) {
        item->place = set->looked_count;
        set->looked[set->looked_count++] = number;
        weir__set_pace(set);
        weir__set_touch(set);
    }
    if (item->side)
        weir__side_watch(item->side, &item->watcher);
    return (int)number;
}

static void refused(struct weir__side_watcher *watcher)
{
    struct weir__item *item = (struct weir__item *)(void *)watcher;
    if (weir__set_is_ours(item->set))
        weir__set_touch(item->set);
}

static void closed(struct weir__side_watcher *watcher)
{
    struct weir__item *item = (struct weir__item *)(void *)watcher;
    item->side = NULL; /* it is out of its list already */
    weir__item_free(item);
}

static int add_handle(struct weir_wait_set *set, struct weir__side *side, struct weir__item *item)
{
    int result = weir__set_check(set);
    if (result == 0)
        result = weir__side_check(side);
    if (result != 0)
        return result;
    for (const struct weir__side_watcher *at = side->watchers; at; at = at->next)
        if (((const struct weir__item *)(const void *)at)->set == set)
            return weir__fail(EEXIST, "this handle is in the set already");
    item->side = side;
    item->fd = -1;
    item->watcher = (struct weir__side_watcher){ .refused = refused, .closed = closed };
    return add(set, item, 0);
}

int weir_wait_set_add_subscriber(struct weir_wait_set *set, struct weir_subscriber *subscriber,
                                 uint64_t token)
{
    struct weir__item item = { .token = token,
                               .kind = WEIR_WAIT_SUBSCRIBER,
                               .subscriber = subscriber };
    return add_handle(set, &subscriber->side, &item);
}

int weir_wait_set_add_publisher(struct weir_wait_set *set, struct weir_publisher *publisher,
                                uint64_t token)
{
    struct weir__item item = { .token = token,
                               .kind = WEIR_WAIT_PUBLISHER,
                               .publisher = publisher };
    return add_handle(set, &publisher->side, &item);
}

int weir_wait_set_add_fd(struct weir_wait_set *set, int fd, uint32_t events, uint64_t token)
{
    const struct weir__item item = { .token = token, .kind = WEIR_WAIT_FD, .fd = fd };
    int result = weir__set_check(set);
    if (result != 0)
        return result;
    if (events & ~(uint32_t)(POLLIN | POLLOUT | POLLPRI | 0x2000 /* POLLRDHUP */))
        return weir__fail(EINVAL, "events 0x%x: POLLIN, POLLOUT, POLLPRI and POLLRDHUP are known",
                          events);
    /* Asked before there is room for it: a number that means nothing may be a large one. */
    if (fcntl(fd, F_GETFD) < 0)
        return weir__fail(EBADF, "the descriptor %d is none", fd);
    return add(set, &item, events);
}

int weir_wait_set_add_timer(struct weir_wait_set *set, int64_t first_ns, int64_t interval_ns,
                            uint64_t token)
{
    struct weir__item item = { .token = token, .kind = WEIR_WAIT_TIMER };
    int result = weir__set_check(set);
    if (result != 0)
        return result;
    if (first_ns < 0 || interval_ns < 0 || first_ns == WEIR_NEVER)
        return weir__fail(EINVAL,
                          "a timer's first time is %lld, and its interval %lld ns: neither may be "
                          "negative, nor the first time WEIR_NEVER",
                          (long long)first_ns, (long long)interval_ns);
    if (first_ns == 0)
        first_ns = 1; /* 0 would be no timer at all */
    const struct itimerspec time = { { interval_ns / NS_A_SECOND, interval_ns % NS_A_SECOND },
                                     { first_ns / NS_A_SECOND, first_ns % NS_A_SECOND } };
    item.is_once = interval_ns == 0;
    item.fd = weir__kept(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (item.fd < 0 || timerfd_settime(item.fd, TFD_TIMER_ABSTIME, &time, NULL) != 0)
        result = weir__fail(errno, "no timer: %s", strerror(errno));
    if (result == 0)
        result = add(set, &item, EPOLLIN);
    if (result < 0 && item.fd >= 0)
        close(item.fd);
    return result;
}

/*
 * A pidfd of the process, which becomes readable when that ends: a reason to ask, sooner than a
 * slice. -1: its pid is not visible here.
 */
static int open_pidfd(uint64_t identity, uint32_t uid)
{
    int pidfd = weir__shm_maker_pidfd(weir__identity_unpack(identity).id);
    /* Alive only now: so the number was not another's when it was opened. */
    if (pidfd >= 0 && weir_life(identity, uid) != WEIR_LIFE_ALIVE) {
        close(pidfd);
        pidfd = -1;
    }
    return pidfd;
}

int weir_wait_set_add_death(struct weir_wait_set *set, uint64_t identity, uint32_t uid,
                            uint64_t token)
{
    struct weir__error_saved saved;
    struct weir__item item = {
        .token = token, .kind = WEIR_WAIT_DEATH, .fd = -1, .identity = identity, .uid = uid
    };
    int result = weir__set_check(set);
    if (result != 0)
        return result;
    weir__error_save(&saved);
    int life = weir_life(identity, uid);
    if (life == WEIR_LIFE_UNKNOWN)
        return weir__fail(EPERM, "the kernel does not tell this thread whether that process "
                                 "lives: another IPC namespace, or a filter");
    item.is_dead = life == WEIR_LIFE_DEAD;
    if (!item.is_dead)
        item.fd = open_pidfd(identity, uid);
    weir__error_restore(&saved);
    result = add(set, &item, EPOLLIN);
    if (result < 0 && item.fd >= 0)
        close(item.fd);
    return result;
}

int weir_wait_set_add_members(struct weir_wait_set *set, const char *name,
                              const struct weir_channel_options *options, uint32_t roles,
                              uint64_t token)
{
    struct weir__item item = { .token = token, .kind = WEIR_WAIT_MEMBERS, .fd = -1 };
    int result = weir__set_check(set);
    if (result != 0)
        return result;
    if (roles == 0 || roles & ~(uint32_t)(WEIR_WAIT_PUBLISHERS | WEIR_WAIT_SUBSCRIBERS))
        return weir__fail(
            EINVAL, "roles 0x%x: WEIR_WAIT_PUBLISHERS, WEIR_WAIT_SUBSCRIBERS, or both", roles);
    result = weir__members_open(&item.members, name, options, roles);
    if (result != 0)
        return result;
    result = add(set, &item, 0);
    if (result < 0)
        weir__members_close(item.members);
    return result;
}

int weir_wait_set_remove(struct weir_wait_set *set, uint32_t number)
{
    int result = weir__set_check(set);
    if (result != 0)
        return result;
    if (number >= set->room || !set->items[number])
        return weir__fail(ENOENT, "item %u is not in this set", number);
    weir__item_free(set->items[number]);
    return 0;
}
