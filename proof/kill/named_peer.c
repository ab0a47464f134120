/* SPDX-License-Identifier: MIT */
/* What a peer does with a latest value that has a name. */
#include "act.h"

#include <errno.h>

static struct weir_latest_writer *writer;
static struct weir_latest_reader *reader;

static struct weir_ref ref(void)
{
    return weir_by_name("swept");
}

static void fill(uint64_t *words, uint64_t version)
{
    for (unsigned i = 0; i < VALUE_WORDS; i++)
        words[i] = (version + i) * UINT64_C(0x9e3779b97f4a7c15);
}

static int named_create(const struct order *order)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    options.value_bytes_max = VALUE_WORDS * sizeof(uint64_t);
    options.buffers = VALUE_BUFFERS;
    options.holds = HOLDS;
    peer_enter(order);
    int result = weir_latest_create(&writer, ref(), &options);
    peer_leave(order);
    return result;
}

static int open_reader(void)
{
    return reader ? 0 : weir_latest_open(&reader, ref(), NULL);
}

static int named_open(const struct order *order)
{
    peer_enter(order);
    int result = open_reader();
    peer_leave(order);
    return result;
}

/* The next version, whatever was there. */
static int named_write(const struct order *order)
{
    uint64_t words[VALUE_WORDS];
    int result = open_reader();
    if (result != 0)
        return result;
    fill(words, weir_latest_version(reader) + 1);
    peer_enter(order);
    result = weir_latest_write(writer, words, sizeof words);
    peer_leave(order);
    return result;
}

static int named_read(const struct order *order)
{
    uint64_t words[VALUE_WORDS], wanted[VALUE_WORDS];
    struct weir_latest_value value;
    int result = open_reader();
    if (result != 0)
        return result;
    peer_enter(order);
    result = weir_latest_read(reader, words, sizeof words, &value);
    peer_leave(order);
    if (result != 0)
        return result;
    fill(wanted, value.version);
    for (unsigned i = 0; i < VALUE_WORDS; i++)
        if (value.size_bytes != sizeof words || words[i] != wanted[i])
            return peer_broken("version %u is torn at word %u", (unsigned)value.version, i);
    return 0;
}

static int named_close(const struct order *order)
{
    peer_enter(order);
    if (reader)
        weir_latest_reader_close(reader);
    if (writer)
        weir_latest_writer_close(writer);
    peer_leave(order);
    reader = NULL;
    writer = NULL;
    return 0;
}

act *const named_acts[VERBS] = { NAMED_VERBS(VERB_ACT) };
