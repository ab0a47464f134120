/* SPDX-License-Identifier: MIT */
/* A wait set, waited for. */
#include "waitset/set.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/subscriber.h"

#define NS_A_SECOND 1000000000

/* Looks between two at the clock while spinning. */
#define SPINS_PER_LOOK 16

/* Who always finds channels ready, or spins, looks at descriptors this often. */
#define POLL_NS 100000

/* How often a set that was rung for while it armed arms again. */
#define TRIES 8

/* Events that epoll gives at once. */
#define BURST 64

/* Those that are ready of the items that are looked at, in turns. */
static size_t look(struct weir_wait_set *set, struct weir_wait_event *events, size_t room)
{
    size_t count = 0;
    uint32_t at = set->turn;
    set->is_due = false;
    for (uint32_t left = set->looked_count; left > 0 && count < room; left--) {
        at = at + 1 < set->looked_count ? at + 1 : 0;
        struct weir__item *item = set->items[set->looked[at]];
        if (weir__item_is_ready(item))
            weir__item_tell(item, &events[count++]);
    }
    for (size_t i = 0; i < count; i++)
        if (events[i].kind == WEIR_WAIT_DEATH)
            weir__item_free(set->items[events[i].item]);
    set->turn = at < set->looked_count ? at : 0;
    return count;
}

static void ask(struct weir_wait_set *set)
{
    for (uint32_t i = 0; i < set->looked_count; i++) {
        struct weir__item *item = set->items[set->looked[i]];
        weir__item_ask(item);
        item->is_due = true;
    }
    set->is_due = true;
    set->is_alone = false;
    set->asked_ns = weir_now_ns();
}

/* The timer has gone: for a slice, or for one of the looks of a set that is alone. */
static bool is_slice_over(const struct weir_wait_set *set)
{
    return set->pace_ns == WEIR__SLICE_NS || weir__slice_is_over(set->asked_ns, weir_now_ns());
}

static bool read_count(int fd, uint64_t *count)
{
    int saved_errno = errno;
    bool is_read = read(fd, count, sizeof *count) == sizeof *count;
    errno = saved_errno;
    return is_read;
}

/* What epoll has found. true: there is something to tell. */
static bool take_event(struct weir_wait_set *set, const struct epoll_event *found,
                       struct weir_wait_event *event)
{
    uint64_t count = 0, name = found->data.u64;
    if (name == WEIR__EVENT_NEWS) {
        set->is_news = true;
        set->spin_until_ns = 0;
    }
    if (name == WEIR__EVENT_SLICE && read_count(set->slice, &count) && is_slice_over(set))
        ask(set);
    if (name == WEIR__EVENT_NEWS || name == WEIR__EVENT_SLICE)
        return false;
    struct weir__item *item = (uint32_t)name < set->room ? set->items[(uint32_t)name] : NULL;
    if (!item || item->generation != name >> 32)
        return false;
    if (item->kind == WEIR_WAIT_DEATH) { /* whom the beacon still calls alive is asked by slices */
        weir__item_ask(item);
        epoll_ctl(set->epoll, EPOLL_CTL_DEL, item->fd, NULL);
        set->is_due = true;
        return false;
    }
    if (item->kind == WEIR_WAIT_TIMER && !read_count(item->fd, &count))
        return false;
    *event = (struct weir_wait_event){
        .token = item->token, .item = item->number, .kind = item->kind, .expirations = count
    };
    if (item->kind == WEIR_WAIT_FD)
        event->what = found->events;
    else if (item->is_once)
        weir__item_free(item);
    return true;
}

/*
 * What epoll has for us. As many as there is room for are asked for, so that each has its turn;
 * what is our own takes places, too, and then we ask once more.
 */
static int poll_items(struct weir_wait_set *set, struct weir_wait_event *events, size_t room)
{
    struct epoll_event found[BURST];
    int saved_errno = errno, count = 0, got = 1;
    set->is_woken = false;
    set->polled_ns = weir_now_ns();
    for (int try = 0; try < 4 && count == 0 && got > 0; try++) {
        got = epoll_wait(set->epoll, found, room < BURST ? (int)room : BURST, 0);
        for (int i = 0; i < got; i++)
            count += take_event(set, &found[i], &events[count]);
    }
    errno = saved_errno;
    return count;
}

/* Whether it is time to look at descriptors, although channels are ready; or alone, at slices. */
static bool is_poll_due(const struct weir_wait_set *set)
{
    int64_t period_ns = set->polled_count > 0 ? POLL_NS : WEIR__SLICE_NS;
    int64_t now_ns = weir_now_ns();
    return now_ns - set->polled_ns >= period_ns || now_ns < set->polled_ns;
}

/* All that is ready, as far as there is room. */
static int collect(struct weir_wait_set *set, struct weir_wait_event *events, size_t room)
{
    size_t looked = 0, polled = 0;
    bool is_due = is_poll_due(set), is_polled_first = is_due && set->is_polled_first;
    if (!is_polled_first)
        looked = look(set, events, room);
    if (is_due || (looked == 0 && (set->polled_count > 0 || set->is_woken || set->has_user))) {
        set->is_polled_first = !is_polled_first;
        if (looked < room)
            polled = (size_t)poll_items(set, events + looked, room - looked);
    }
    if (is_polled_first || (looked == 0 && set->is_due))
        looked = look(set, events + polled, room - polled);
    if (looked > 0)
        weir__set_touch(set);
    return (int)(looked + polled);
}

static bool is_any_ready(void *argument)
{
    const struct weir_wait_set *set = argument;
    for (uint32_t i = 0; i < set->looked_count; i++)
        if (weir__item_is_ready(set->items[set->looked[i]]))
            return true;
    return false;
}

enum armed {
    ARMED = 0,
    ARMED_READY, /* something may be ready already */
    ARMED_RUNG, /* nothing is; but somebody has rung meanwhile, for an item that is not armed now */
};

/*
 * The last step of arming: what has just been announced is looked at, whoever has rung or not; all
 * of it, since it is armed only by that.
 */
static enum armed look_at_armed(struct weir_wait_set *set)
{
    bool is_ready = false, is_rung = false;
    for (uint32_t i = 0; i < set->looked_count; i++) {
        struct weir__item *item = set->items[set->looked[i]];
        is_ready |= weir__item_is_ready(item);
        is_rung |= !item->is_armed && weir__item_is_waiting(item);
    }
    return is_ready ? ARMED_READY : is_rung ? ARMED_RUNG : ARMED;
}

/*
 * In place of arming, when nobody is to be had who waits for bells: nothing stays armed (W1), and the
 * set looks for itself (W2). To announce a sleep would only make others ring for nobody.
 */
static enum armed look_alone(struct weir_wait_set *set)
{
    uint64_t count;
    set->is_alone = true;
    for (uint32_t i = 0; i < set->looked_count; i++)
        set->items[set->looked[i]]->is_armed = false;
    if (set->is_news)
        read_count(set->news, &count);
    set->is_news = false;
    weir__set_pace(set);
    return is_any_ready(set) ? ARMED_READY : ARMED;
}

static void ask_for_fences(const struct weir_wait_set *set)
{
    for (uint32_t i = 0; i < set->looked_count; i++)
        if (set->items[set->looked[i]]->side)
            weir__sleep_ask_for_fences(&set->items[set->looked[i]]->side->waiter);
}

static enum armed arm_once(struct weir_wait_set *set)
{
    uint64_t count;
    uint32_t announced = 0;
    for (uint32_t i = 0; i < set->looked_count; i++) {
        struct weir__item *item = set->items[set->looked[i]];
        if (!item->is_armed && weir__item_is_waiting(item)) {
            weir__item_announce(item);
            announced++;
        }
    }
    if (announced == 0 && !set->is_news)
        return is_any_ready(set) ? ARMED_READY : ARMED;
    if (announced > 0 && !weir__sleep_order())
        ask_for_fences(set);
    for (uint32_t i = 0; i < set->looked_count; i++) {
        const struct weir__item *item = set->items[set->looked[i]];
        if (item->kind == WEIR_WAIT_SUBSCRIBER && item->subscriber->descriptor && announced > 0)
            weir__subscriber_update_descriptor(item->subscriber, 0); /* hears its own epoch alone */
    }
    if (set->looked_count == 0)
        read_count(set->news, &count);
    else if (weir__bells_wait(set->bells) != 0)
        return look_alone(set);
    weir__set_pace(set);
    set->is_news = false;
    return look_at_armed(set);
}

/*
 * From now on whoever makes an item ready makes `news` readable. ARMED; ARMED_READY: something may be
 * ready already. docs/lane.md, "Wait sets".
 *
 * A ring that came before the kernel waited has made nothing readable; and who rang will not ring
 * for that epoch again. So it goes on only with a new one, or with `news` readable (W2).
 */
static enum armed arm(struct weir_wait_set *set)
{
    enum armed result = ARMED_RUNG;
    if (set->is_alone)
        return look_alone(set);
    for (int try = 0; try < TRIES && result == ARMED_RUNG; try++)
        result = arm_once(set);
    if (result == ARMED_RUNG) {
        weir__set_make_readable(set);
        result = ARMED;
    }
    return result;
}

static bool is_readable(const struct weir_wait_set *set)
{
    struct pollfd entry = { .fd = set->epoll, .events = POLLIN };
    int saved_errno = errno;
    int found = poll(&entry, 1, 0);
    errno = saved_errno;
    return found > 0;
}

/*
 * A moment in which a channel may become ready: sooner than a sleep could begin. It ends also when the
 * set is readable, so that a sleep would end at once; and goes on after a slice, or a look of a set that
 * is alone, as long as is left of it.
 */
static bool spin(struct weir_wait_set *set, int64_t deadline_ns)
{
    int64_t now_ns = weir_now_ns(), poll_ns = now_ns + POLL_NS;
    if (set->spin_until_ns == 0)
        set->spin_until_ns = now_ns + set->spin_ns;
    int64_t until_ns = deadline_ns < set->spin_until_ns ? deadline_ns : set->spin_until_ns;
    while (now_ns < until_ns) {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (is_any_ready(set))
                return true;
            weir__cpu_relax();
        }
        now_ns = weir_now_ns();
        if (now_ns >= poll_ns && is_readable(set))
            return false;
        if (now_ns >= poll_ns)
            poll_ns = now_ns + POLL_NS;
    }
    return false;
}

/* Before a sleep. Whether something has become ready. */
static bool look_for_a_moment(struct weir_wait_set *set, int64_t deadline_ns)
{
    if (set->spin_ns == 0 || set->looked_count == 0)
        return false;
    if (weir__yield_is_learnt(&set->yield)) /* who makes it ready may need this core */
        return weir__yield_and_look(&set->yield, is_any_ready, set, deadline_ns - weir_now_ns());
    if (!spin(set, deadline_ns))
        return false;
    weir__yield_looked(&set->yield);
    return true;
}

/* It has slept for so long, for channels or others. Who only sleeps learns nothing from it. */
static void note_sleep(struct weir_wait_set *set, int64_t slept_ns)
{
    if (set->spin_ns > 0 && set->looked_count > 0)
        weir__yield_slept(&set->yield, is_any_ready(set), slept_ns);
}

/*
 * Until the set is readable, or the deadline. By poll(2), not by epoll_wait(2): that one ends also
 * when no handler has run, as when a queue of io_uring that was closed is taken from its thread.
 */
static int sleep_until(struct weir_wait_set *set, int64_t deadline_ns)
{
    struct pollfd entry = { .fd = set->epoll, .events = POLLIN };
    int64_t begun_ns = weir_now_ns(), left_ns = deadline_ns - begun_ns;
    if (left_ns < 0)
        left_ns = 0;
    const struct timespec time = { left_ns / NS_A_SECOND, left_ns % NS_A_SECOND };
    int saved_errno = errno;
    int found = ppoll(&entry, 1, deadline_ns == WEIR_NEVER ? NULL : &time, NULL);
    int result = found < 0 ? -errno : 0;
    errno = saved_errno;
    if (result == -EINVAL)
        return weir__fail(EINVAL, "poll(2) refuses a single descriptor: RLIMIT_NOFILE is 0");
    note_sleep(set, weir_now_ns() - begun_ns);
    if (found > 0)
        set->is_woken = true; /* by what, epoll knows */
    return result;
}

/* Nothing was ready. 0: look again; else why there is nothing. */
static int sleep_once(struct weir_wait_set *set, int64_t deadline_ns)
{
    bool is_over = deadline_ns == 0 || weir_now_ns() >= deadline_ns;
    if (!is_over && look_for_a_moment(set, deadline_ns))
        return 0;
    if (!is_over || set->has_user) {
        enum armed armed = arm(set);
        if (armed == ARMED_READY) {
            note_sleep(set, 0);
            return 0;
        }
    }
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "nothing in the wait set is ready");
    if (is_over)
        return weir__fail_plain(ETIMEDOUT, "nothing in the wait set was ready by the deadline");
    return sleep_until(set, deadline_ns);
}

int weir_wait_set_wait_until(struct weir_wait_set *set, struct weir_wait_event *events,
                             size_t count, int64_t deadline_ns)
{
    int result = weir__set_is_ours(set) ? 0 : weir__set_check(set);
    if (result == 0 && (count == 0 || count > INT32_MAX))
        result =
            weir__fail(EINVAL, "a wait for %zu events: at least one, at most %d", count, INT32_MAX);
    set->spin_until_ns = 0;
    while (result == 0) {
        result = collect(set, events, count);
        if (result == 0)
            result = sleep_once(set, deadline_ns);
        if (result == -EINTR) {
            result = collect(set, events, count);
            return result != 0 ? result : weir__fail_plain(EINTR, "a signal arrived while waiting");
        }
    }
    return result;
}
