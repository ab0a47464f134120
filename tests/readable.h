/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_READABLE_H
#define WEIR_TESTS_READABLE_H

#include <poll.h>
#include <stdbool.h>

#include "fixture.h"

/* Whether the descriptor is readable within the time; that it is anything else is an error. */
static inline bool is_readable(int fd, int within_ms)
{
    struct pollfd entry = { fd, POLLIN, 0 };
    int found = poll(&entry, 1, within_ms);
    CHECK(found == 0 || (found == 1 && entry.revents == POLLIN));
    return found == 1;
}

#endif
