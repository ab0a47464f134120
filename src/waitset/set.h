/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WAITSET_SET_H
#define WEIR_WAITSET_SET_H

/*
 * A wait set's handle. docs/lane.md, "Wait sets".
 *
 * Items are of two classes. Those of epoll: descriptors and timers. And those that are looked at:
 * subscribers, publishers, members and deaths (whose pidfd is in the epoll set, but only as a
 * reason to ask).
 *
 *   item      | means                                       | moved on by
 *   ----------+---------------------------------------------+---------------------------------
 *   not armed | each wait looks at it                       | arm(), before a sleep -> armed
 *   armed     | who makes it ready changes one of its words | a word that has changed, or whose
 *             | and wakes it: the words alone are looked at | bell is over; what a slice finds;
 *             |                                             | removal -> not armed
 *
 * W1: an item is armed only after it was announced (epoch, membarrier) and then found not ready.
 *     Until it is looked at it is due; as it is again at the end of each slice, of which each item
 *     keeps its own note: there may be no room for it among what is told at that moment.
 * W2: while `news` is not readable, every item that is looked at, and can become ready by somebody
 *     else's doing, is armed, and its bell waits. So nothing that becomes ready goes unheard. Or the
 *     set is alone: then none is armed, and the slices' timer goes at the pace of looks.
 * W3: the set is the epoll descriptor: `news`, the slice's timer, pidfds and the items of epoll.
 * W4: by_fd names, of each descriptor that was added and not removed, the item that has it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/waitset.h>

#include "base/bells.h"
#include "channel/side.h"

/* Who is there, of one role. */
struct weir__roll {
    uint32_t seen;    /* `changes`, before now[] was read */
    bool is_asked;    /* since: who was killed may have left without a word there */
    uint64_t *now;    /* by slot: what its owner shows; 0: nothing */
    uint64_t *told;   /* as the last event had it */
    uint32_t present; /* in now[] */
};

struct weir__members {
    struct weir__directory directory;
    uint32_t roles, changed; /* enum weir_wait_roles */
    bool is_first;           /* nothing was told yet: then all has changed */
    struct weir__roll rolls[WEIR__ROLES];
};

#define WEIR__ITEM_WORDS 2

struct weir__item {
    struct weir__side_watcher watcher; /* in the handle's list; first, so that it is the item */
    struct weir_wait_set *set;
    uint64_t token;
    uint32_t number, generation;
    uint32_t kind;  /* enum weir_wait_kind */
    uint32_t place; /* among those that are looked at */
    struct weir_subscriber *subscriber;
    struct weir_publisher *publisher;
    struct weir__side *side; /* of either */
    struct weir__members *members;

    bool is_armed;
    bool is_due; /* to be looked at, armed or not: it was announced, or a slice has ended, since */
    uint32_t words; /* so many of the next two */
    const weir__atomic_u32 *word[WEIR__ITEM_WORDS];
    uint32_t value[WEIR__ITEM_WORDS]; /* while nobody has rung */

    int fd; /* in the epoll set, or -1; a descriptor's is the user's, others are ours */
    bool is_once;
    bool is_dead;
    bool is_news; /* asked at a slice, the kernel had something for the handle's next call */
    uint64_t identity;
    uint32_t uid;
};

struct weir_wait_set {
    uint64_t identity;
    const uint64_t *identity_now; /* reads otherwise in a child of fork */
    int64_t spin_ns;
    int64_t spin_until_ns; /* of the present wait, since somebody has rung; 0: it has not begun */
    struct weir__yield yield; /* whether whom it waits for needs this core */
    int epoll, news;
    int slice;        /* a timer, or -1: nobody was to be asked for yet */
    int64_t pace_ns;  /* of it; 0: it stands */
    int64_t asked_ns; /* at the end of the last slice */
    struct weir__bells *bells;

    struct weir__item **items; /* by number; NULL: free */
    uint32_t room, lowest;     /* of items; no free one is below */
    uint32_t *generations;     /* of the item of this number, the last one */
    uint32_t *by_fd;           /* by an item's descriptor: the item's number + 1; 0: none */
    uint32_t fd_room;          /* of by_fd; the kernel's own table of descriptors is as long */
    uint32_t *looked;          /* the numbers of those that are looked at */
    uint32_t looked_count, polled_count;
    uint32_t turn;        /* where the next look begins, in looked */
    int64_t polled_ns;    /* when the epoll set was looked at last */
    bool is_polled_first; /* the next time that both have something */
    bool is_news;         /* `news` is readable */
    bool has_user;        /* of the descriptor */
    bool is_woken;        /* the epoll set was readable, for whatever reason */
    bool is_due;          /* some item is, and may be ready */
    bool is_alone;        /* nobody could wait in its place; tried again after this slice */
};

/* In the epoll set, beside what items have there. */
#define WEIR__EVENT_NEWS UINT64_MAX
#define WEIR__EVENT_SLICE (UINT64_MAX - 1)

int weir__set_check(const struct weir_wait_set *set);

static inline bool weir__set_is_ours(const struct weir_wait_set *set)
{
    return *set->identity_now == set->identity;
}

/* `news` is readable. */
void weir__set_make_readable(struct weir_wait_set *set);

/* The same, if anybody polls. */
void weir__set_touch(struct weir_wait_set *set);

/* A set that is alone looks so often. */
#define WEIR__LOOK_NS 1000000

/* The slices' timer goes while there is anybody to ask for, and stands else. */
void weir__set_pace(struct weir_wait_set *set);

/* Out of everything, and freed. */
void weir__item_free(struct weir__item *item);

/* Whether a look is to be made when somebody else has done something: else it is not armed. */
bool weir__item_is_waiting(const struct weir__item *item);

/* Whether it is ready. One that is armed is looked at only if somebody has rung, or it is due. */
bool weir__item_is_ready(struct weir__item *item);

/* Asks the kernel for lives. */
void weir__item_ask(struct weir__item *item);

/* What is told of one that is looked at, and ready. */
void weir__item_tell(struct weir__item *item, struct weir_wait_event *event);

/* Words and values, announced: the first half of arming. */
void weir__item_announce(struct weir__item *item);

/* Members of a channel. */
int weir__members_open(struct weir__members **members, const char *name,
                       const struct weir_channel_options *options, uint32_t roles);
void weir__members_close(struct weir__members *members);
bool weir__members_have_changed(struct weir__members *members);
void weir__members_ask(struct weir__members *members);
void weir__members_tell(struct weir__members *members, struct weir_wait_event *event);

#endif
