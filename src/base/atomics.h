/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_ATOMICS_H
#define WEIR_BASE_ATOMICS_H

/* The one place that includes <stdatomic.h>: no other file names its types but through here. */
#include <stdatomic.h>

typedef atomic_int weir__atomic_int;

#endif
