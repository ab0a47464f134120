/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_LIVE_H
#define WEIR_BASE_LIVE_H

/*
 * The part of a handle that lives in its own process only: a child of fork finds it zero. So
 * a fast path that needs anything of it but zero needs no look at whose handle it is.
 */

#define WEIR__LIVE_BYTES 128 /* of each: the pair of lines that processors fetch at once */

/* Zero. NULL: no memory, or 65,536 are there. */
void *weir__live_new(void);

/* Also in a child of fork. live: NULL does nothing. */
void weir__live_free(void *live);

#endif
