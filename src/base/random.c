/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t weir__random_nonzero(void)
{
    uint64_t number = 0;
    while (number == 0) {
        /* Up to 256 bytes come whole or not at all; EINTR only before the pool is ready. */
        if (getrandom(&number, sizeof number, 0) != sizeof number) {
            if (errno != EINTR)
                abort(); /* no kernel that weir runs on is without it */
            number = 0;
        }
    }
    return number;
}
