/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_COLLECT_H
#define WEIR_SEGMENT_COLLECT_H

#include <weir/collect.h>

/* weir_collect() of drafts and names, the first time that this process creates something; a child of
 * fork, too. */
void weir__collect_once(void);

#endif
