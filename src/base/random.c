/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"

/* splitmix64's finisher: each bit of the result depends on each bit of the number. */
static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/*
 * Where a filter forbids getrandom(2) and there is no /dev/urandom: what the kernel gave
 * the program at its start, the time, the process and a count. Different each time, though
 * somebody who knows them all could guess it.
 */
static uint64_t number_of_last_resort(void)
{
    static weir__atomic_u64 count;
    uint64_t seed = 0;
    struct timespec now = { 0, 0 };
    const void *start = (const void *)getauxval(AT_RANDOM);
    if (start)
        memcpy(&seed, start, sizeof seed);
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* Relaxed: only that each count is given once matters. */
    uint64_t turn = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return mix(mix(mix(seed ^ (uint64_t)now.tv_nsec) ^ (uint64_t)getpid()) + turn);
}

static bool read_urandom(uint64_t *number)
{
    int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool is_read = read(file, number, sizeof *number) == sizeof *number;
    close(file);
    return is_read;
}

uint64_t weir__random_nonzero(void)
{
    int saved_errno = errno;
    uint64_t number = 0;
    while (number == 0) {
        /* Up to 256 bytes come whole or not at all; EINTR only before the pool is ready. */
        ssize_t length = getrandom(&number, sizeof number, 0);
        if (length < 0 && errno == EINTR)
            number = 0;
        else if (length != sizeof number && !read_urandom(&number))
            number = number_of_last_resort();
    }
    errno = saved_errno;
    return number;
}
