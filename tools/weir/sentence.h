/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SENTENCE_H
#define WEIR_TOOL_SENTENCE_H

/*
 * The library's sentences name what a C program sets. Who typed a command sets an option, so the
 * command tells them in its own words: this is the one place that knows both.
 */

/* weir_last_error(), as text_escape() makes it, in the words of the command. New memory. */
char *sentence_last(void);

#endif
