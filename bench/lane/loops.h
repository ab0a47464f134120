/* SPDX-License-Identifier: MIT */
/*
 * The loops of a transport, compiled into its file so that what is small is inlined: this
 * file is included once in each, after it has defined
 *
 *   struct lane      with player, sent and received
 *   lane_put, lane_get                              a message copied
 *   lane_loan, lane_commit, lane_take, lane_release a message in place
 *   lane_begin, lane_end                            around a batch
 *
 * and, if it has calls for many messages, LANE_HAS_MANY and
 *
 *   lane_place, lane_found                          a message of a burst, by its index
 *   lane_put_many, lane_get_many                    as without _many; lane_get_many and
 *   lane_loan_many, lane_commit_many,               lane_take_many return how many, which may
 *   lane_take_many, lane_release_many               be fewer, and so does lane_loan_many
 *
 * Payload. Copied messages have their number in the first and in the last word; each
 * is checked, and all words of one in CHECK_EVERY. In place every word is the number:
 * all are written, read and checked. Sizes are known at run time only.
 */
#include <string.h>

#include "histogram.h"
#include "ticks.h"

#define CHECK_EVERY 1024

#define PAYLOAD_WORD UINT64_C(0x9e3779b97f4a7c15)

typedef uint64_t words __attribute__((vector_size(16), aligned(8), may_alias));

static inline void write_words(void *data, size_t size, uint64_t number)
{
    unsigned char *at = data;
    words all = { number, number };
    for (; size >= sizeof all; size -= sizeof all, at += sizeof all)
        *(words *)(void *)at = all;
    memcpy(at, &number, size);
}

static inline bool are_words(const void *data, size_t size, uint64_t number)
{
    const unsigned char *at = data;
    words all = { number, number }, differ[2] = { { 0, 0 }, { 0, 0 } };
    uint64_t last = number;
    for (; size >= 2 * sizeof all; size -= 2 * sizeof all, at += 2 * sizeof all) {
        differ[0] |= ((const words *)(const void *)at)[0] ^ all;
        differ[1] |= ((const words *)(const void *)at)[1] ^ all;
    }
    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&last, at, 8);
        differ[0] |= (words){ last ^ number, 0 };
    }
    differ[0] |= differ[1];
    return (differ[0][0] | differ[0][1]) == 0;
}

static inline void stamp(unsigned char *data, size_t size, uint64_t number)
{
    memcpy(data, &number, 8);
    memcpy(data + size - 8, &number, 8);
}

static inline void check_stamp(const unsigned char *data, size_t size, uint64_t number)
{
    uint64_t first, last;
    memcpy(&first, data, 8);
    memcpy(&last, data + size - 8, 8);
    bool is_right = first == number && last == number;
    if (number % CHECK_EVERY == 0 && size > 16)
        is_right = is_right && are_words(data + 8, size - 16, PAYLOAD_WORD);
    if (!is_right)
        give_up("%s: message %llu has a wrong payload", LANE_NAME, (unsigned long long)number);
}

static inline __attribute__((always_inline)) void send_one(struct lane *lane, enum form form)
{
    size_t size = lane->player->work.size_bytes;
    if (form == COPYING) {
        stamp(lane->player->source, size, lane->sent);
        lane_put(lane, lane->player->source, size);
    } else {
        write_words(lane_loan(lane, size), size, lane->sent);
        lane_commit(lane, size);
    }
    lane->sent++;
}

static inline __attribute__((always_inline)) void receive_one(struct lane *lane, enum form form)
{
    size_t size = lane->player->work.size_bytes;
    if (form == COPYING) {
        lane_get(lane, lane->player->sink, size);
        check_stamp(lane->player->sink, size, lane->received);
    } else {
        size_t found;
        const void *data = lane_take(lane, &found);
        if (found != size || !are_words(data, size, lane->received))
            give_up("%s: message %llu has a wrong payload", LANE_NAME,
                    (unsigned long long)lane->received);
        lane_release(lane);
    }
    lane->received++;
}

#ifdef LANE_HAS_MANY
static inline __attribute__((always_inline)) void send_burst(struct lane *lane, uint64_t count,
                                                             enum form form)
{
    size_t size = lane->player->work.size_bytes;
    while (count > 0) {
        unsigned burst = lane->burst < count ? lane->burst : (unsigned)count;
        if (form == IN_PLACE)
            burst = lane_loan_many(lane, size, (unsigned)count);
        for (unsigned i = 0; i < burst; i++, lane->sent++) {
            if (form == COPYING)
                stamp(lane->player->source + i * size, size, lane->sent);
            else
                write_words(lane_place(lane, i), size, lane->sent);
        }
        if (form == COPYING)
            lane_put_many(lane, burst);
        else
            lane_commit_many(lane, burst);
        count -= burst;
    }
}

static inline __attribute__((always_inline)) void receive_burst(struct lane *lane, uint64_t *left,
                                                                enum form form)
{
    size_t size = lane->player->work.size_bytes, found;
    unsigned most = *left < BATCH ? (unsigned)*left : BATCH;
    unsigned burst = form == COPYING ? lane_get_many(lane, most) : lane_take_many(lane, most);
    for (unsigned i = 0; i < burst; i++, lane->received++) {
        const void *data = lane_found(lane, i, &found);
        if (form == COPYING)
            check_stamp(data, size, lane->received);
        else if (found != size || !are_words(data, size, lane->received))
            give_up("%s: message %llu has a wrong payload", LANE_NAME,
                    (unsigned long long)lane->received);
    }
    if (form == IN_PLACE)
        lane_release_many(lane, burst);
    *left -= burst;
}
#endif

static inline __attribute__((always_inline)) void send_batch(struct lane *lane, uint64_t count,
                                                             enum form form)
{
    lane_begin(lane);
#ifdef LANE_HAS_MANY
    send_burst(lane, count, form);
#else
    for (; count > 0; count--)
        send_one(lane, form);
#endif
    lane_end(lane);
}

static inline __attribute__((always_inline)) void receive_all(struct lane *lane, uint64_t messages,
                                                              enum form form)
{
#ifdef LANE_HAS_MANY
    if (lane->player->work.kind == BATCHED) {
        while (messages > 0)
            receive_burst(lane, &messages, form);
        return;
    }
#endif
    for (uint64_t i = 0; i < messages; i++)
        receive_one(lane, form);
}

static inline __attribute__((always_inline)) void send_all(struct lane *lane, uint64_t messages,
                                                           enum form form)
{
    if (lane->player->work.kind != BATCHED) {
        for (uint64_t i = 0; i < messages; i++)
            send_one(lane, form);
        return;
    }
    for (; messages > BATCH; messages -= BATCH)
        send_batch(lane, BATCH, form);
    send_batch(lane, messages, form);
}

static inline __attribute__((always_inline)) void
ping_all(struct lane *lane, uint64_t messages, struct histogram *histogram, enum form form)
{
    bool is_asleep = lane->player->work.kind == ASLEEP;
    uint64_t before = ticks();
    for (uint64_t i = 0; i < messages; i++) {
        if (__builtin_expect(is_asleep, 0)) {
            let_sleep(lane->player);
            before = ticks();
        }
        send_one(lane, form);
        receive_one(lane, form);
        uint64_t now = ticks();
        histogram_add(histogram, now - before);
        before = now;
    }
}

static inline __attribute__((always_inline)) void pong_all(struct lane *lane, uint64_t messages,
                                                           enum form form)
{
    for (uint64_t i = 0; i < messages; i++) {
        receive_one(lane, form);
        send_one(lane, form);
    }
}

static void run_send(void *state, uint64_t messages)
{
    struct lane *lane = state;
    if (lane->player->work.form == COPYING)
        send_all(lane, messages, COPYING);
    else
        send_all(lane, messages, IN_PLACE);
}

/* inline: a transport that hands on several messages in one call has its own. */
static inline void run_receive(void *state, uint64_t messages)
{
    struct lane *lane = state;
    if (lane->player->work.form == COPYING)
        receive_all(lane, messages, COPYING);
    else
        receive_all(lane, messages, IN_PLACE);
}

static void run_ping(void *state, uint64_t messages, struct histogram *histogram)
{
    struct lane *lane = state;
    if (lane->player->work.form == COPYING)
        ping_all(lane, messages, histogram, COPYING);
    else
        ping_all(lane, messages, histogram, IN_PLACE);
}

static void run_pong(void *state, uint64_t messages)
{
    struct lane *lane = state;
    if (lane->player->work.form == COPYING)
        pong_all(lane, messages, COPYING);
    else
        pong_all(lane, messages, IN_PLACE);
}

/* The calls of a transport, but for its open: these loops', and the file's own close_lane(). */
#define LANE_CALLS                                                                                 \
    .send = run_send, .receive = run_receive, .ping = run_ping, .pong = run_pong,                  \
    .close = close_lane
