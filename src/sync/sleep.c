/* SPDX-License-Identifier: MIT */
#include "sync/sleep.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/futex.h"

int weir__sleep_slice(const weir__atomic_u32 *word, uint32_t value, int64_t slice_ns,
                      int64_t deadline_ns)
{
    if (deadline_ns != WEIR_NEVER) {
        int64_t now_ns = weir_now_ns();
        if (deadline_ns <= now_ns) /* compared: of one long past the difference would come round */
            return -ETIMEDOUT;
        if (deadline_ns - now_ns < slice_ns)
            slice_ns = deadline_ns - now_ns;
    }
    /* The kernel only reads it. */
    int result = weir__futex_wait((weir__atomic_u32 *)(uintptr_t)word, value, slice_ns);
    return result == -ETIMEDOUT ? 1 : result;
}

int weir__sleep(const weir__atomic_u32 *word, uint32_t value, int64_t deadline_ns)
{
    int result = weir__sleep_slice(word, value, WEIR__SLICE_NS, deadline_ns);
    return result == 1 ? 0 : result;
}
