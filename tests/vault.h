/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_VAULT_H
#define WEIR_TESTS_VAULT_H

/*
 * A run directory of any user's, what stands in it, and a vault: a directory with a file, of one
 * user, who must have it as it was, wherever in the run directory another one has moved it.
 */

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

#define GROUP_GID 55555

/* A record's file; with "#" before it a draft's directory, with "~" that of one without a name. */
#define NONCE "1122334455667788"

/* A new, empty one; nothing is left of the former. */
void make_run(uid_t owner, gid_t group, mode_t mode);
/* The same, where everybody may write, with the namespace's directory in it. */
void make_inside(void);

/* In a child: root, or a member of the group GROUP_GID, from here on. */
void become_member(uid_t uid);
/* In a child: everything that can be collected; a segment "mine", if it can be made. */
void collect_all(void *unused);
void try_create(void *unused);

void make_vault(const char *path, uid_t owner);
/* It is as it was made; afterwards the test has none. */
void expect_vault(void);

/* Of an entry of the run directory: a file with these bytes; whether it has this file. */
void fill(const char *directory, const char *file, const char *bytes, size_t length);
bool is_there(const char *directory, const char *file);

#endif
