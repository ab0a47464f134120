/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TOLD_H
#define WEIR_TOOL_TOLD_H

/* How the wrappers of calls.h tell of a call. */

#include <stdbool.h>

#include "stage.h"

/* Whether the calling process tells of its calls now. */
bool told_is_on(void);

/*
 * Begins the block of one call, under the lock: "  3  [parent 4211] shmdt(…)",
 * with the result " = 0" if it is not NULL. told_end() writes it and unlocks.
 */
void told_begin(struct text *text, const char *call, const char *result);
void told_end(struct text *text);

/* "0", "-1 EINVAL (Invalid argument)"; static memory of the caller's choice. */
void told_result(char *out, size_t room, long result, int error);

/* "0666 | IPC_CREAT | IPC_EXCL" */
void told_flags(char *out, size_t room, int flags);

/* "IPC_RMID", "SETVAL" and the like, of shmctl and semctl; "..." for what no scene uses. */
const char *told_command_name(int command);

/* "IPC_PRIVATE" or "0x41060021" */
void told_key(char *out, size_t room, int key);

#endif
