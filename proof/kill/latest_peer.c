/* SPDX-License-Identifier: MIT */
/* What a peer does with a latest value; it checks every value that it sees. */
#include "act.h"

#include <errno.h>
#include <string.h>

static struct weir_latest_writer *writer;
static struct weir_latest_reader *reader;
static uint64_t *loaned;
static struct weir_latest_value held[HOLDS];
static unsigned held_count;
static uint64_t payload[VALUE_WORDS];

static struct latest_state *state(void)
{
    return &accounts->latest;
}

static struct weir_latest_options options(void)
{
    struct weir_latest_options chosen = WEIR_LATEST_OPTIONS;
    chosen.value_bytes_max = sizeof payload;
    chosen.buffers = VALUE_BUFFERS;
    chosen.holds = HOLDS;
    return chosen;
}

static int find_memory(struct weir_latest_memory *memory)
{
    struct weir_latest_options chosen = options();
    int result = weir_latest_bytes(&chosen, memory);
    if (result != 0 || memory->values_bytes + memory->readers_bytes > LATEST_BYTES)
        return result != 0 ? result : -EOVERFLOW;
    memory->values = state()->memory;
    memory->readers = state()->memory + memory->values_bytes;
    return 0;
}

static uint64_t word_of(uint64_t version, unsigned index)
{
    return index == 0 ? version : (version + index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(uint64_t *words, uint64_t version)
{
    for (unsigned i = 0; i < VALUE_WORDS; i++)
        words[i] = word_of(version, i);
}

static int check_whole(const uint64_t *words, const struct weir_latest_value *value)
{
    if (value->size_bytes != sizeof payload)
        return peer_broken("version %u has %u bytes", (unsigned)value->version,
                           (unsigned)value->size_bytes);
    for (unsigned i = 0; i < VALUE_WORDS; i++)
        if (words[i] != word_of(value->version, i))
            return peer_broken("version %u is torn at word %u", (unsigned)value->version, i);
    return 0;
}

/* What every reader that begins now must get, or something newer. */
static uint64_t least_version(void)
{
    uint64_t seen = state()->seen, committed = state()->committed;
    return seen > committed ? seen : committed;
}

static int check_value(const uint64_t *words, const struct weir_latest_value *value, uint64_t least)
{
    unsigned long long known = state()->seen, begun = state()->begun;
    if (value->version < least || value->version > begun)
        return peer_broken("version %u; %u was there before, %u was begun",
                           (unsigned)value->version, (unsigned)least, (unsigned)begun);
    while (known < value->version &&
           !atomic_compare_exchange_weak(&state()->seen, &known, value->version))
        ;
    return check_whole(words, value);
}

/* --- the writer -------------------------------------------------------------------------------- */

static int make_ready(const struct order *order)
{
    struct weir_latest_options chosen = options();
    struct weir_latest_memory memory;
    int result = find_memory(&memory);
    peer_enter(order);
    if (result == 0)
        result = weir_latest_init(&memory, &chosen);
    peer_leave(order);
    return result;
}

static int open_reader(void)
{
    struct weir_latest_memory memory;
    int result = find_memory(&memory);
    return result != 0 || reader ? result : weir_latest_reader_open(&reader, &memory);
}

static int be_writer(const struct order *order)
{
    struct weir_latest_memory memory;
    int result = find_memory(&memory);
    peer_enter(order);
    if (result == 0)
        result = weir_latest_writer_open(&writer, &memory);
    peer_leave(order);
    if (result < 0)
        return result;
    int opened = open_reader();
    uint64_t version = opened == 0 ? weir_latest_version(reader) : 0;
    if (version < least_version() || version > state()->begun)
        return peer_broken("the writer goes on from version %u; %u was there, %u was begun",
                           (unsigned)version, (unsigned)least_version(), (unsigned)state()->begun);
    state()->committed = state()->begun = version; /* what was only begun is nobody's */
    return opened != 0 ? opened : result;
}

static int write_values(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && result == 0; i++) {
        uint64_t version = state()->committed + 1;
        fill(payload, version);
        peer_enter(order);
        state()->begun = version;
        result = weir_latest_write(writer, payload, sizeof payload);
        state()->committed = version;
        peer_leave(order);
    }
    return result;
}

static int lend(const struct order *order)
{
    void *data = NULL;
    peer_enter(order);
    int result = weir_latest_loan(writer, &data);
    peer_leave(order);
    if (result == 0)
        fill(loaned = data, state()->committed + 1);
    return result;
}

static int publish(const struct order *order)
{
    if (!loaned)
        return 0;
    loaned = NULL;
    peer_enter(order);
    state()->begun = state()->committed + 1;
    int result = weir_latest_commit(writer, sizeof payload);
    state()->committed = state()->begun;
    peer_leave(order);
    return result;
}

static int abandon(const struct order *order)
{
    loaned = NULL;
    peer_enter(order);
    weir_latest_abandon(writer);
    peer_leave(order);
    return 0;
}

static int writer_close(const struct order *order)
{
    peer_enter(order);
    weir_latest_writer_close(writer);
    peer_leave(order);
    writer = NULL;
    return 0;
}

/* --- readers ------------------------------------------------------------------------------------ */

static int reader_open(const struct order *order)
{
    peer_enter(order);
    int result = open_reader();
    peer_leave(order);
    return result;
}

static int copy(const struct order *order)
{
    struct weir_latest_value value;
    static uint64_t words[VALUE_WORDS];
    uint64_t least = least_version();
    peer_enter(order);
    int result = weir_latest_read(reader, words, sizeof words, &value);
    peer_leave(order);
    return result == 0 ? check_value(words, &value, least) : result;
}

static int peek(const struct order *order)
{
    struct weir_latest_value value;
    static uint64_t words[VALUE_WORDS];
    uint64_t least = least_version();
    peer_enter(order);
    int result = weir_latest_peek(reader, &value);
    if (result == 0) {
        memcpy(words, value.data, sizeof words);
        result = weir_latest_check(reader, &value);
    }
    peer_leave(order);
    return result == 0 ? check_value(words, &value, least) : result;
}

static int hold_one(const struct order *order)
{
    struct weir_latest_value value;
    uint64_t least = least_version();
    peer_enter(order);
    int result = weir_latest_hold(reader, &value);
    peer_leave(order);
    if (result != 0)
        return result;
    held[held_count++] = value;
    state()->holding[peer_self]++;
    return check_value(value.data, &value, least);
}

static int hold(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && result == 0; i++)
        result = hold_one(order);
    return result;
}

/* All of them are still what they were. */
static int check_held(void)
{
    int result = 0;
    for (unsigned i = 0; i < held_count && result == 0; i++) {
        result = check_whole(held[i].data, &held[i]);
        if (result == 0 && weir_latest_check(reader, &held[i]) != 0)
            result = peer_broken("version %u is held, and overwritten", (unsigned)held[i].version);
    }
    return result;
}

static int let_go(const struct order *order)
{
    struct weir_latest_value value = held[0];
    int result = check_held();
    if (held_count == 0 || result != 0)
        return result;
    memmove(held, held + 1, --held_count * sizeof held[0]);
    state()->holding[peer_self]--;
    peer_enter(order);
    result = weir_latest_release(reader, &value);
    peer_leave(order);
    return result;
}

static int await_newer(const struct order *order)
{
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = weir_latest_wait_until(reader, order->size_bytes, deadline_ns);
    peer_leave(order);
    if (result == 0 && weir_latest_version(reader) <= order->size_bytes)
        return peer_broken("woken, and nothing is newer than %u", order->size_bytes);
    return peer_timed(order, before_ns, result);
}

static int reader_close(const struct order *order)
{
    int result = check_held();
    held_count = 0;
    state()->holding[peer_self] = 0;
    peer_enter(order);
    weir_latest_reader_close(reader);
    peer_leave(order);
    reader = NULL;
    return result;
}

act *const latest_acts[VERBS] = { LATEST_VERBS(VERB_ACT) };
