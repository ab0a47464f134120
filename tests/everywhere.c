/* SPDX-License-Identifier: MIT */
#include "everywhere.h"

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "segment/handle.h"

int everywhere_open(struct everywhere *liar, const char *channel, uint32_t count)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.publishers_max = options.subscribers_max = liar->count = count;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    int result = weir_publisher_open(&liar->publisher, channel, &options);
    if (result != 0)
        return result;
    result = weir_subscriber_open(&liar->subscriber, channel, &options);
    if (result != 0)
        weir_publisher_close(liar->publisher);
    return result;
}

/* All slots but its own, the first, are those of nobody, or show what that does. */
static void fill(const struct weir__slots *slots, bool lies)
{
    uint64_t owner = weir__slot_owner(&slots->at[0]), page = weir__slot_page(&slots->at[0]);
    for (uint32_t i = 1; i < slots->count; i++) {
        atomic_store(&slots->at[i].page, lies ? page : 0);
        atomic_store(&slots->at[i].owner, lies ? owner : 0);
    }
}

static void fill_all(const struct everywhere *liar, bool lies)
{
    const struct weir__slots *publishers = weir__side_own(&liar->publisher->side);
    const struct weir__page_shm *page = weir_segment_data(liar->subscriber->side.memory);
    struct weir__lane_shm *lane = weir_segment_data(liar->publisher->side.memory);
    const uint32_t line = weir__page_epoch_line(liar->count, 0);
    for (uint32_t i = 1; i < liar->count; i++) {
        struct weir__entry_shm *entry = (void *)(uintptr_t)weir__page_entry(page, line, i);
        atomic_store(&entry->lane, lies ? weir__slot_page(&publishers->at[0]) : 0);
    }
    atomic_store(&lane->stats.common.waits_for,
                 lies ? WEIR__WAITS_FOR_ROOM : WEIR__WAITS_FOR_NOTHING);
    fill(publishers, lies);
    fill(weir__side_own(&liar->subscriber->side), lies);
}

void everywhere_lie(const struct everywhere *liar)
{
    fill_all(liar, true);
}

void everywhere_close(const struct everywhere *liar)
{
    fill_all(liar, false);
    weir_subscriber_close(liar->subscriber);
    weir_publisher_close(liar->publisher);
}
