/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CLOCK_H
#define WEIR_CLOCK_H

/*
 * Time, as every deadline of weir counts it: nanoseconds of CLOCK_MONOTONIC,
 * which no one sets back and which stands still while the machine is suspended.
 */

#include <stdint.h>

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For sums such as weir_deadline_ns(5 * WEIR_SECOND_NS). */
#define WEIR_SECOND_NS INT64_C(1000000000)
#define WEIR_MILLISECOND_NS INT64_C(1000000)

/* A deadline that never comes. */
#define WEIR_NEVER INT64_MAX

/*
 * weir_now_ns() - the present time
 *
 * Returns: nanoseconds of CLOCK_MONOTONIC.
 * Threads: may be called from any thread. Signals: async-signal-safe.
 */
WEIR_EXPORT int64_t weir_now_ns(void);

/*
 * weir_deadline_ns() - the deadline that is timeout_ns from now
 *
 * timeout_ns: nanoseconds; negative means never, as with poll(2).
 *
 * Returns: an absolute time for the functions that end in _until; WEIR_NEVER
 *     when timeout_ns is negative or the sum would overflow.
 * Threads: may be called from any thread. Signals: async-signal-safe.
 */
WEIR_EXPORT int64_t weir_deadline_ns(int64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
