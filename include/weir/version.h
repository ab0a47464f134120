/* SPDX-License-Identifier: MIT */
#ifndef WEIR_VERSION_H
#define WEIR_VERSION_H

/*
 * The version of weir, and what it promises.
 *
 * Before 1.0: a minor release (0.X) may change the interface (API), the binary
 * interface (ABI) and the layout in shared memory; CHANGELOG.md says so, and
 * programs of different layouts refuse one another (EPROTONOSUPPORT). A patch
 * release (0.X.Y) changes none of the three.
 *
 * From 1.0 on: API and ABI only grow within a major release (the SONAME carries
 * it); option structs start with their size, so that an older program keeps
 * working with a newer library. A layout that older releases cannot use has a
 * new layout version or an incompatible feature bit, and is refused clearly,
 * never misread.
 */

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

/* One number that can be compared: 0x00MMmmpp. */
#define WEIR_VERSION ((WEIR_VERSION_MAJOR << 16) | (WEIR_VERSION_MINOR << 8) | WEIR_VERSION_PATCH)

/*
 * weir_version() - the version of the library that is running
 *
 * major, minor, patch: where to put the three numbers; each may be NULL.
 *
 * Returns: the version as text, "0.1.0", in static memory.
 * Threads: may be called from any thread. Signals: async-signal-safe.
 */
WEIR_EXPORT const char *weir_version(int *major, int *minor, int *patch);

#ifdef __cplusplus
}
#endif
#endif
