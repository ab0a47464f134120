/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

/*
 * All of weir; each header also stands alone. In C++ write `struct` before those types that share their
 * name with a call, as with stat(2): weir_segment_stat, weir_semset_stat, weir_limits.
 */
#include <weir/arena.h>
#include <weir/barrier.h>
#include <weir/channel.h>
#include <weir/channel_options.h>
#include <weir/clock.h>
#include <weir/collect.h>
#include <weir/condition.h>
#include <weir/error.h>
#include <weir/event.h>
#include <weir/identity.h>
#include <weir/inspect.h>
#include <weir/latest.h>
#include <weir/limits.h>
#include <weir/mutex.h>
#include <weir/offset.h>
#include <weir/once.h>
#include <weir/permits.h>
#include <weir/pool.h>
#include <weir/publisher.h>
#include <weir/ref.h>
#include <weir/rwlock.h>
#include <weir/segment.h>
#include <weir/semaphore.h>
#include <weir/semset.h>
#include <weir/subscriber.h>
#include <weir/tap.h>
#include <weir/version.h>
#include <weir/waitset.h>

#endif
