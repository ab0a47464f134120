/* SPDX-License-Identifier: MIT */
/* A price, as it stands in memory: the message of the channel "market". */
#ifndef MARKET_QUOTE_H
#define MARKET_QUOTE_H

#include <stdint.h>

struct quote {
    uint64_t number; /* from 0 */
    char symbol[8];
    int64_t bid, ask; /* in millionths */
};

#endif
