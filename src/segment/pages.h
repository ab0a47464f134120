/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_PAGES_H
#define WEIR_SEGMENT_PAGES_H

/* What the flags of a segment say of one mapping's pages. */

#include <stddef.h>
#include <stdint.h>

/* Beside the public flags: nobody else has the memory yet, and all of it is 0. */
#define WEIR__PAGES_NEW (1u << 31)

/*
 * Keeps the mapping from children, if WEIR_SEGMENT_NO_FORK is in flags. Between what maps it and this there is
 * no other step than a look at what it is, and both stand in one section of weir__unforked_enter().
 */
int weir__pages_hide(void *memory, uint64_t size_bytes, uint32_t flags);

/*
 * Applies WEIR_SEGMENT_DUMP, NO_DUMP, HUGE_PAGES (as advice), PREFAULT
 * and LOCK of flags to the mapping. *pages becomes WEIR_PAGES_TRANSPARENT where
 * the advice was taken, and is left alone otherwise.
 *
 * -ENOMEM: memory ran out while prefaulting; -EPERM: locking is over the limit.
 */
int weir__pages_apply(void *memory, uint64_t size_bytes, uint32_t flags, uint32_t *pages);

#endif
