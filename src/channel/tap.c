/* SPDX-License-Identifier: MIT */
/*
 * A tap: lanes that are read, and validated as a lossy subscriber does it, by one who has neither
 * slot nor page. docs/lane.md, "Taps".
 */
#include <weir/tap.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/identity.h>

#include "base/error.h"
#include "base/futex.h"
#include "base/process.h"
#include "channel/subscriber.h"
#include "segment/identity.h"

/* From one look to the next, when there was nothing: twice as long each time, up to the most. */
#define NAP_NS INT64_C(500000)
#define NAP_MOST_NS INT64_C(8000000)

/* What a tap knows of a publishers' slot. */
struct place {
    struct weir__lane *lane;   /* attached; NULL: none */
    uint64_t done, done_shown; /* whose lane was left, as the slot had it */
    uint64_t first;            /* what was shown when we opened */
    struct weir__vain scarce;
};

struct weir_tap {
    struct weir_tap_options options;
    struct weir__directory directory;
    uint64_t process;
    uint64_t ipc_namespace; /* where it was opened; 0: not known */
    bool is_open;
    bool is_scarce; /* there was no room for one of those that are shown */
    uint32_t changes_seen, numbers;
    uint64_t missed;       /* of all publishers */
    uint32_t turn;         /* the slot that was looked at last */
    int64_t asked_ns;      /* when the kernel was asked for the publishers' lives */
    struct place places[]; /* by slot */
};

static const struct weir__slots *publishers(const struct weir_tap *tap)
{
    return &tap->directory.roles[WEIR__PUBLISHER];
}

static void leave(struct weir_tap *tap, uint32_t number)
{
    struct place *place = &tap->places[number];
    place->done = place->lane->peer.owner;
    place->done_shown = place->lane->peer.shown;
    weir__peer_part(NULL, &place->lane->peer);
    free(place->lane);
    place->lane = NULL;
    tap->changes_seen--; /* another may stand in its slot by now: look again */
}

static int corrupt(struct weir_tap *tap, uint32_t number)
{
    uint64_t head = tap->places[number].lane->head;
    leave(tap, number);
    return weir__fail(EUCLEAN, "the publisher's record at position %llu cannot be true",
                      (unsigned long long)head);
}

/* To where so many messages lie before, or to the end; a ring's length at most. */
static int walk(struct weir__lane *lane, uint64_t count)
{
    uint64_t start = lane->head, header;
    while (lane->count < count && lane->head - start <= lane->ring.capacity) {
        switch (weir__lane_look(lane, &header)) {
        case WEIR__FOUND_NOTHING:
            return 0;
        case WEIR__FOUND_NONSENSE:
            return -EUCLEAN;
        case WEIR__FOUND_OVERRUN:
            return -EAGAIN;
        case WEIR__FOUND_MESSAGE:
            weir__lane_step_over(lane, header);
            lane->walked += weir__record_bytes(weir__record_length(header));
        }
    }
    return 0;
}

/* newest: what is known of now, if it is overtaken: -EAGAIN. */
static int try_begin(const struct weir_tap *tap, struct weir__lane *lane, struct weir__mark *newest)
{
    bool is_oldest = tap->options.start == WEIR_START_OLDEST;
    int result =
        weir__lane_pick(lane, is_oldest ? WEIR__PICK_OLDEST : WEIR__PICK_NEWEST, 0, newest);
    if (result != 0)
        return result;
    weir__lane_go_to(lane, newest);
    if (is_oldest)
        return 0;
    result = walk(lane, UINT64_MAX);
    if (result != 0 || tap->options.start == WEIR_START_NOW)
        return result;
    *newest = (struct weir__mark){ lane->head, lane->count };
    struct weir__mark mark = *newest;
    uint64_t back = tap->options.start_back;
    uint64_t count = lane->count - (back < lane->count ? back : lane->count);
    result = weir__lane_pick(lane, WEIR__PICK_BEFORE, count, &mark);
    if (result != 0)
        return result;
    weir__lane_go_to(lane, &mark);
    return walk(lane, count);
}

/* Who is overtaken each time begins now: what is overwritten from there on is missed. */
static int begin(const struct weir_tap *tap, struct weir__lane *lane, bool was_there)
{
    struct weir__mark newest = { 0, 0 };
    int result = was_there ? -EAGAIN : 0;
    for (int attempt = 0;
         attempt < WEIR__OVERTAKEN_MAX && result == -EAGAIN && weir__lane_may_walk(lane); attempt++)
        result = try_begin(tap, lane, &newest);
    if (result == -EAGAIN)
        weir__lane_go_to(lane, &newest);
    return result == -EAGAIN ? 0 : result;
}

/* Where an id is another segment's, or nobody's: that is no word on a publisher. */
static bool is_elsewhere(const struct weir_tap *tap)
{
    uint64_t here = weir__ipc_namespace_here();
    return tap->ipc_namespace != 0 && here != 0 && here != tap->ipc_namespace;
}

/* What one that was found shows; whom we cannot read is told of once, and then left alone. */
static int attach(struct weir_tap *tap, uint32_t number, uint64_t owner, uint64_t page)
{
    const struct weir__wanted wanted = { WEIR__LANE_MAGIC,
                                         WEIR__LANE_RING_OFFSET + WEIR_RING_BYTES_MIN,
                                         weir__lane_most_bytes(), NULL };
    struct weir__peer peer = { .owner = owner, .shown = page, .number = number };
    struct place *place = &tap->places[number];
    int result =
        weir__shown_attach_to_look(&peer.memory, weir__shown_id(page, owner), owner, &wanted);
    if (result != 0 && is_elsewhere(tap))
        return weir__fail(EXDEV, "this thread is in another IPC namespace than the one that the "
                                 "tap was opened in: receive there");
    if (result == -ENOENT || result == -EIDRM)
        return 0; /* it has left, or is dying: its slot changes */
    if (result == 0) {
        result =
            weir__lane_make(&place->lane, &peer, tap->directory.terms.type_bytes, ++tap->numbers);
        if (result != 0)
            weir__peer_part(NULL, &peer);
    } else if (result == -EPROTO) {
        result = weir__fail(EPROTO, "a publisher shows a segment of another kind (%d)",
                            weir__shown_id(page, owner));
    }
    if (result == -EPROTO || result == -EPERM || result == -EACCES || result == -EUCLEAN) {
        place->done = owner;
        place->done_shown = page;
    }
    if (result != 0) /* for want of memory, say: it is tried again */
        return result;
    result = begin(tap, place->lane, place->first == page);
    return result == 0 ? 0 : corrupt(tap, number);
}

/* What a slot shows, if that is new. 0; or what is to be told: then, or later, look again. */
static int attach_slot(struct weir_tap *tap, uint32_t number, uint32_t changes, bool is_idle)
{
    const struct weir__slot_shm *slot = &publishers(tap)->at[number];
    struct place *place = &tap->places[number];
    uint64_t owner = weir__slot_owner(slot), page = weir__slot_page(slot);
    if (owner == 0 || weir__shown_id(page, owner) < 0)
        return 0;
    if (!tap->is_open)
        place->first = page;
    if (place->lane || (place->done == owner && place->done_shown == page))
        return 0;
    if (!is_idle && weir__vain_waits(&place->scarce, owner, page)) {
        tap->is_scarce = true;
        tap->changes_seen = changes - 1;
        return 0;
    }
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = attach(tap, number, owner, page);
    if (result != 0)
        tap->changes_seen = changes - 1; /* look again, at those behind it */
    if (weir__is_scarce(result)) {
        tap->is_scarce = true;
        if (weir__vain_note(&place->scarce, owner, page, 0) && !is_idle)
            result = 0;
    }
    if (result == 0) /* whatever was met on the way */
        weir__error_restore(&saved);
    return result;
}

/* is_idle: there is nothing else, so that want of room is told, although it was before. */
static int attach_new(struct weir_tap *tap, bool is_idle)
{
    const struct weir__slots *slots = publishers(tap);
    uint32_t changes = weir__slots_changes(slots);
    tap->is_scarce = false; /* whatever returns: a receive does not come again at once */
    if (changes == tap->changes_seen)
        return 0;
    tap->changes_seen = changes;
    for (uint32_t i = 0; i < slots->count; i++) {
        int result = attach_slot(tap, i, changes, is_idle);
        if (result != 0)
            return result;
    }
    return 0;
}

/*
 * A lane without a message: for good? The end, or the death, was seen first, so that a header that
 * is still 0 after it stays 0.
 */
static bool is_over(const struct weir_tap *tap, struct weir__lane *lane, bool is_asked)
{
    const struct weir__slot_shm *slot = &publishers(tap)->at[lane->peer.number];
    uint64_t header;
    /* Acquire [lane.end]: all that it committed. Pairs with weir_publisher_end(). */
    bool has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire) != 0;
    /* Whoever may write the directory may have written over the slot: that is a reason to ask. */
    bool is_gone = !has_ended &&
                   (is_asked || weir__slot_owner(slot) != lane->peer.owner ||
                    weir__slot_page(slot) != lane->peer.shown) &&
                   !is_elsewhere(tap) &&
                   weir__shown_life(lane->peer.shown, lane->peer.owner) == WEIR_LIFE_DEAD;
    return (has_ended || is_gone) && weir__lane_look(lane, &header) == WEIR__FOUND_NOTHING;
}

/* 1 and its header: the lane has a message. 0: none. -EUCLEAN: it was left. */
static int look_at_lane(struct weir_tap *tap, uint32_t number, bool is_asked, uint64_t *header)
{
    struct weir__lane *lane = tap->places[number].lane;
    uint64_t missed, bytes;
    lane->walked = 0;
    for (int attempt = 0; attempt < WEIR__OVERTAKEN_MAX && weir__lane_may_walk(lane); attempt++) {
        missed = 0;
        enum weir__found found = weir__lane_look(lane, header);
        if (found == WEIR__FOUND_MESSAGE)
            return 1;
        if (found == WEIR__FOUND_NOTHING) {
            if (is_over(tap, lane, is_asked))
                leave(tap, number);
            return 0;
        }
        if (found == WEIR__FOUND_NONSENSE || weir__lane_go_on(lane, &missed, &bytes) == -EUCLEAN)
            return corrupt(tap, number);
        tap->missed += missed;
    }
    return 0;
}

/* Copies the next message that is there: 1. 0: there is none. */
static int look(struct weir_tap *tap, void *data, size_t capacity_bytes,
                struct weir_message *message)
{
    const struct weir__slots *slots = publishers(tap);
    int64_t now_ns = weir_now_ns();
    bool is_asked = weir__slice_is_over(tap->asked_ns, now_ns);
    int result = attach_new(tap, false);
    if (is_asked)
        tap->asked_ns = now_ns;
    for (uint32_t i = 0; result == 0 && i < slots->count; i++) {
        uint64_t header;
        uint32_t before = tap->turn;
        tap->turn = (tap->turn + 1) % slots->count;
        struct weir__lane *lane = tap->places[tap->turn].lane;
        result = lane ? look_at_lane(tap, tap->turn, is_asked, &header) : 0;
        if (result != 1)
            continue;
        if (weir__record_length(header) > capacity_bytes) { /* it stays the next one */
            weir__lane_describe(lane, header, data, lane->missed, message);
            tap->turn = before;
            return weir__fail(EMSGSIZE, "the message has %u bytes, there is room for %zu",
                              weir__record_length(header), capacity_bytes);
        }
        result = 0;
        if (!weir__lane_copy(lane, header, data))
            continue; /* overwritten meanwhile: the next look goes on behind it */
        weir__lane_describe(lane, header, data, lane->missed, message);
        lane->missed = 0;
        weir__lane_step_over(lane, header);
        return 1;
    }
    return result;
}

/* 0: look again. */
static int nap(int64_t *nap_ns, int64_t deadline_ns)
{
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "no message is there yet");
    int64_t now_ns = weir_now_ns();
    if (deadline_ns <= now_ns)
        return weir__fail_plain(ETIMEDOUT, "no message has come by the deadline");
    int64_t left_ns = deadline_ns - now_ns, time_ns = left_ns < *nap_ns ? left_ns : *nap_ns;
    *nap_ns = *nap_ns < NAP_MOST_NS ? *nap_ns * 2 : NAP_MOST_NS;
    return weir__nap(time_ns) == -EINTR ? weir__fail_plain(EINTR, "a signal arrived while waiting")
                                        : 0;
}

static int check(const struct weir_tap *tap)
{
    if (tap->process == weir__process())
        return 0;
    return weir__fail(ECHILD, "this tap was opened by the parent process: a child opens its own");
}

int weir_tap_receive_until(struct weir_tap *tap, void *data, size_t capacity_bytes,
                           struct weir_message *message, int64_t deadline_ns)
{
    struct weir_message unasked;
    int64_t nap_ns = NAP_NS, begun_ns = weir_now_ns();
    int result = check(tap);
    while (result == 0) {
        result = look(tap, data, capacity_bytes, message ? message : &unasked);
        if (result == 1)
            return 0;
        if (result != 0)
            break;
        /* So who calls again and again has a pace. With room by now another look, and no nap. */
        bool is_idle = deadline_ns == 0 || weir__slice_is_over(begun_ns, weir_now_ns());
        result = tap->is_scarce && is_idle ? attach_new(tap, true) : nap(&nap_ns, deadline_ns);
    }
    return result;
}

uint64_t weir_tap_missed(const struct weir_tap *tap)
{
    return tap->missed;
}

static int check_options(const struct weir_tap_options *options)
{
    if (options->size != sizeof *options)
        return weir__fail(EINVAL, "options.size is %u: start from WEIR_TAP_OPTIONS", options->size);
    if (options->start > WEIR_START_BACK)
        return weir__fail(EINVAL, "options: start %u is not known", options->start);
    if (options->reserved != 0)
        return weir__fail(EINVAL, "options.reserved must be 0: start from WEIR_TAP_OPTIONS");
    return 0;
}

/* Whom we cannot read now the first receive tries again, and tells of. */
static void attach_first(struct weir_tap *tap)
{
    const struct weir__slots *slots = publishers(tap);
    struct weir__error_saved saved;
    weir__error_save(&saved);
    tap->changes_seen = weir__slots_changes(slots) - 1;
    for (uint32_t i = 0; i < slots->count && attach_new(tap, false) != 0; i++) {
    }
    for (uint32_t i = 0; i < slots->count; i++)
        if (!tap->places[i].lane)
            tap->places[i] = (struct place){ .first = tap->places[i].first };
    tap->changes_seen--;
    tap->is_open = true;
    weir__error_restore(&saved);
}

int weir_tap_open(struct weir_tap **tap, const char *name, const struct weir_tap_options *options)
{
    static const struct weir_tap_options defaults = WEIR_TAP_OPTIONS;
    struct weir__directory directory;
    int result = check_options(options ? options : &defaults);
    if (result == 0)
        result = weir__directory_look(&directory, name);
    if (result != 0)
        return result;
    uint32_t count = directory.roles[WEIR__PUBLISHER].count;
    struct weir_tap *made = calloc(1, sizeof *made + count * sizeof *made->places);
    if (!made) {
        weir_segment_close(directory.segment);
        return weir__fail(ENOMEM, "no memory for a tap");
    }
    made->options = options ? *options : defaults;
    made->directory = directory;
    made->process = weir__process();
    made->ipc_namespace = weir__ipc_namespace_here();
    attach_first(made);
    *tap = made;
    return 0;
}

void weir_tap_close(struct weir_tap *tap)
{
    if (!tap)
        return;
    for (uint32_t i = 0; i < publishers(tap)->count; i++) {
        struct weir__lane *lane = tap->places[i].lane;
        if (!lane)
            continue;
        weir__peer_part(NULL, &lane->peer);
        free(lane);
    }
    weir_segment_close(tap->directory.segment);
    free(tap);
}
