/* SPDX-License-Identifier: MIT */
/*
 * camera_consumer - looks at each picture of the camera, in place
 *
 * As many as you like, each gets every picture: the camera waits for the slowest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

#include "frame.h"

/* A row is of one colour when its bytes are equal to those one further on. */
static bool is_whole(const struct frame *frame)
{
    for (uint32_t row = 0; row < FRAME_HEIGHT; row++)
        if (frame->rows[row][0] != frame_colour(frame->number, row) ||
            memcmp(frame->rows[row], frame->rows[row] + 1, FRAME_ROW_BYTES - 1) != 0)
            return false;
    return true;
}

int main(void)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    uint64_t seen = 0, bad = 0;
    int result = weir_subscriber_open(&subscriber, "camera", NULL);
    while (result == 0 && (result = weir_subscriber_take(subscriber, &message)) == 0) {
        const struct frame *frame = message.data;
        if (message.size_bytes != sizeof *frame || frame->number != seen || !is_whole(frame))
            bad++;
        seen++;
        result = weir_subscriber_release(subscriber, &message);
    }
    if (result != -ENODATA)
        return fprintf(stderr, "camera_consumer: %s\n", weir_last_error()), 1;
    weir_subscriber_close(subscriber);
    printf("%" PRIu64 " pictures, %" PRIu64 " bad\n", seen, bad);
    return bad ? 1 : 0;
}
