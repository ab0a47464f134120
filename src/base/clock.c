/* SPDX-License-Identifier: MIT */
#include <weir/clock.h>

#include <time.h>

int64_t weir_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t weir_deadline_ns(int64_t timeout_ns)
{
    int64_t now_ns = weir_now_ns();
    if (timeout_ns < 0 || timeout_ns > WEIR_NEVER - now_ns)
        return WEIR_NEVER;
    return now_ns + timeout_ns;
}
