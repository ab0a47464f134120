/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_JOURNAL_H
#define WEIR_TOOL_JOURNAL_H

/*
 * What a scene outside of a private namespace leaves when the command and the
 * scene are killed at once, the next 'weir demo' takes away: the scene's
 * directory holds a list of what the scene made, and a lock that ends with the
 * scene's last process.
 */

#include "stage.h"

#define JOURNAL_DIRECTORY "weir-demo-"
#define JOURNAL_FILE ".journal"

/* $TMPDIR, or /tmp. */
const char *journal_parent(void);

/* Begins the list of a scene in its own directory; 0 or -errno. */
int journal_open(const char *directory);

/* Puts down a new object; nothing when no list was begun. */
void journal_add(enum stage_kind kind, int id);

/* Removes what dead scenes of this user, machine start and IPC namespace have left. */
void journal_collect(void);

#endif
