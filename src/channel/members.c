/* SPDX-License-Identifier: MIT */
/* How many are there, as the directory says it. */
#include <weir/channel.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

static int count_others(const struct weir__side *side)
{
    int result = weir__side_check(side);
    return result == 0 ? (int)weir__slots_shown(weir__side_others(side)) : result;
}

int weir_publisher_subscribers(const struct weir_publisher *publisher)
{
    return count_others(&publisher->side);
}

int weir_subscriber_publishers(const struct weir_subscriber *subscriber)
{
    return count_others(&subscriber->side);
}
