/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_KEPT_H
#define WEIR_BASE_KEPT_H

/*
 * A descriptor that stays open is none of 0, 1 and 2. Where those are closed, as in some daemons, the
 * kernel gives them to whoever opens next; and what somebody then prints would go into a segment.
 */

/* The descriptor fd, or in its place, close-on-exec, another one of the same file; -1 and errno. */
int weir__kept(int fd);

#endif
