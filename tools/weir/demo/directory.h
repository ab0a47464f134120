/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_DEMO_DIRECTORY_H
#define WEIR_TOOL_DEMO_DIRECTORY_H

/*
 * The directory in which a scene plays that has no namespaces: made with a name
 * that nobody else gives, and cleared of the names that scenes use. Whatever
 * else somebody has put or moved there stays, and the directory with it.
 */

#include <stdbool.h>
#include <stddef.h>

#define DIRECTORY_JOURNAL ".journal"

/* Makes one below $TMPDIR, or /tmp, and puts its path into path; 0 or -errno. */
int directory_make(char *path, size_t room);

/* $TMPDIR, or /tmp. */
const char *directory_parent(void);

/* Whether directory_make() gives such names. */
bool directory_is_name(const char *name);

/* Removes the scenes' files in the directory that fd is, the journal last, and then it. Async-signal-safe. */
void directory_clear(int fd, const char *path);

#endif
