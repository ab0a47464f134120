/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_MEMFD_H
#define WEIR_SEGMENT_MEMFD_H

#include "segment/handle.h"

/*
 * Attaches the memfd behind fd, which becomes the handle's, whatever comes of it. Nothing of
 * the descriptor is believed: it may be anything that another process has sent.
 */
int weir__memfd_take(struct weir_segment *segment, const struct weir__segment_ask *ask, int fd);

#endif
