/* SPDX-License-Identifier: MIT */
/* A wait set, made and given up. */
#include "waitset/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <weir/identity.h>

#include "base/error.h"
#include "base/kept.h"
#include "segment/identity.h"

int weir__set_check(const struct weir_wait_set *set)
{
    if (weir__set_is_ours(set))
        return 0;
    return weir__fail(ECHILD, "this wait set was opened by the parent process: a child opens its "
                              "own");
}

void weir__set_make_readable(struct weir_wait_set *set)
{
    const uint64_t one = 1;
    int saved_errno = errno;
    if (!set->is_news && write(set->news, &one, sizeof one) == sizeof one)
        set->is_news = true;
    errno = saved_errno;
}

void weir__set_touch(struct weir_wait_set *set)
{
    if (set->has_user)
        weir__set_make_readable(set);
}

/* Setting a time that is one cannot fail; did it all the same, the former pace goes on. */
void weir__set_pace(struct weir_wait_set *set)
{
    int64_t pace_ns = set->looked_count == 0 ? 0 : set->is_alone ? WEIR__LOOK_NS : WEIR__SLICE_NS;
    const struct timespec pace = { 0, pace_ns };
    const struct itimerspec time = { pace, pace };
    int saved_errno = errno;
    if (pace_ns != set->pace_ns && timerfd_settime(set->slice, 0, &time, NULL) == 0)
        set->pace_ns = pace_ns;
    errno = saved_errno;
}

static int take_options(struct weir_wait_set *set, const struct weir_wait_set_options *options)
{
    static const struct weir_wait_set_options defaults = WEIR_WAIT_SET_OPTIONS;
    if (!options)
        options = &defaults;
    if (options->size != sizeof defaults)
        return weir__fail(EINVAL, "options.size is %u: start from WEIR_WAIT_SET_OPTIONS",
                          options->size);
    if (options->flags & ~(uint32_t)WEIR_WAIT_SET_SLEEP_ONLY)
        return weir__fail(EINVAL, "options: flags 0x%x are not known",
                          options->flags & ~(uint32_t)WEIR_WAIT_SET_SLEEP_ONLY);
    if (memcmp(options->reserved, defaults.reserved, sizeof defaults.reserved) != 0)
        return weir__fail(EINVAL, "options.reserved must be 0: start from WEIR_WAIT_SET_OPTIONS");
    set->spin_ns = options->flags & WEIR_WAIT_SET_SLEEP_ONLY ? 0
                   : options->spin_ns == 0                   ? WEIR__SPIN_NS
                   : options->spin_ns < WEIR__SLICE_NS       ? options->spin_ns
                                                             : WEIR__SLICE_NS;
    return 0;
}

static int make(struct weir_wait_set *set, const struct weir_wait_set_options *options)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = WEIR__EVENT_NEWS };
    int result = take_options(set, options);
    if (result == 0)
        result = weir_identity(&set->identity);
    if (result != 0)
        return result;
    set->identity_now = weir__identity_word();
    set->epoll = weir__kept(epoll_create1(EPOLL_CLOEXEC));
    set->news = weir__kept(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (set->epoll < 0 || set->news < 0 ||
        epoll_ctl(set->epoll, EPOLL_CTL_ADD, set->news, &event) != 0)
        return weir__fail(errno, "no descriptors for a wait set: %s", strerror(errno));
    if (weir__bells_open(&set->bells, set->news) != 0)
        return weir__fail(ENOMEM, "no memory for a wait set");
    return 0;
}

int weir_wait_set_open(struct weir_wait_set **set, const struct weir_wait_set_options *options)
{
    struct weir__error_saved saved;
    struct weir_wait_set *made = calloc(1, sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a wait set");
    made->epoll = made->news = made->slice = -1;
    made->identity_now = &made->identity; /* a half-made set is ours, and can be closed */
    weir__error_save(&saved);
    int result = make(made, options);
    if (result == 0) {
        *set = made;
    } else {
        weir__error_save(&saved);
        weir_wait_set_close(made);
    }
    weir__error_restore(&saved);
    return result;
}

void weir_wait_set_close(struct weir_wait_set *set)
{
    if (!set)
        return;
    for (uint32_t i = 0; i < set->room; i++)
        if (set->items[i])
            weir__item_free(set->items[i]);
    weir__bells_close(set->bells, weir__set_is_ours(set));
    const int fds[] = { set->slice, set->news, set->epoll };
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(set->items);
    free(set->generations);
    free(set->by_fd);
    free(set->looked);
    free(set);
}

int weir_wait_set_fd(struct weir_wait_set *set)
{
    int result = weir__set_check(set);
    if (result != 0)
        return result;
    if (!set->has_user) {
        set->has_user = true;
        weir__set_make_readable(set);
    }
    return set->epoll;
}
