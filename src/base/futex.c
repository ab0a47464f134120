/* SPDX-License-Identifier: MIT */
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int weir__futex_wait(weir__atomic_u32 *word, uint32_t value, int64_t timeout_ns)
{
    struct timespec timeout = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
    int saved_errno = errno, result = 0;
    if (syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) != 0)
        result = errno == EAGAIN ? 0 : -errno;
    errno = saved_errno;
    return result;
}

int weir__nap(int64_t timeout_ns)
{
    weir__atomic_u32 nobodys = 0;
    return weir__futex_wait(&nobodys, 0, timeout_ns) == -EINTR ? -EINTR : 0;
}

void weir__futex_wake(weir__atomic_u32 *word)
{
    weir__futex_wake_bits(word, UINT32_MAX);
}

void weir__futex_wake_bits(weir__atomic_u32 *word, uint32_t mask)
{
    int saved_errno = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, mask);
    errno = saved_errno;
}

bool weir__futex_wake_one(weir__atomic_u32 *word)
{
    int saved_errno = errno;
    bool was_one = syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) == 1;
    errno = saved_errno;
    return was_one;
}

static bool membarrier(int command)
{
    int saved_errno = errno;
    bool is_done = syscall(SYS_membarrier, command, 0, 0) == 0;
    errno = saved_errno;
    return is_done;
}

bool weir__membarrier_register(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

bool weir__membarrier(void)
{
    return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
