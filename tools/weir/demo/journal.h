/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_JOURNAL_H
#define WEIR_TOOL_JOURNAL_H

/*
 * What a scene outside of a private namespace leaves when the command and the
 * scene are killed at once, the next weir command takes away: the scene's
 * directory holds a list of what the scene made, and a lock that ends with the
 * scene's last process.
 */

#include <weir/collect.h>

#include "stage.h"

/* Begins the list of a scene in its own directory; 0 or -errno. */
int journal_open(const char *directory);

/* Puts down an object that is about to be made; nothing when no list was begun. */
void journal_add(const struct stage_object *object);

/* Removes one of weir's sets by name, if it is there. */
void journal_remove_named(uint32_t number);

/*
 * Removes what dead scenes of this user, machine start and IPC namespace have
 * left, or with dry_run only reports it (report may be NULL). Believes nothing
 * that is not written as journal_open() writes it, and removes no file but those
 * of scenes.
 */
void journal_collect(bool dry_run, void (*report)(const struct weir_leftover *, void *),
                     void *argument);

#endif
