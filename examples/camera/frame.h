/* SPDX-License-Identifier: MIT */
/* A picture, as it stands in memory: the message of the channel "camera". */
#ifndef CAMERA_FRAME_H
#define CAMERA_FRAME_H

#include <stdint.h>

#define FRAME_WIDTH 1920
#define FRAME_HEIGHT 1080
#define FRAME_ROW_BYTES (FRAME_WIDTH * 3) /* red, green, blue */

struct frame {
    uint64_t number;                             /* from 0 */
    int64_t time_ns;                             /* CLOCK_MONOTONIC, when it was taken */
    uint8_t rows[FRAME_HEIGHT][FRAME_ROW_BYTES]; /* here of one colour each, see frame_colour() */
};

static inline uint8_t frame_colour(uint64_t number, uint32_t row)
{
    return (uint8_t)(number + row);
}

#endif
