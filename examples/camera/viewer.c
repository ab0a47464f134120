/* SPDX-License-Identifier: MIT */
/*
 * camera_viewer HZ - shows what it has time for, so many pictures a second at most
 *
 * It is lossy: the camera never waits for it, and goes over what it has not looked at, or is just
 * looking at. message.missed tells how many were not seen, and weir_subscriber_check() whether
 * the picture was still whole when the look at it was over.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/weir.h>

#include "frame.h"

struct viewer {
    uint64_t shown, torn, missed, light;
    struct timespec pause; /* the time that showing takes */
};

static void show(struct viewer *viewer, struct weir_subscriber *subscriber,
                 const struct weir_message *message)
{
    const struct frame *frame = message->data;
    uint64_t light = 0;
    for (uint32_t row = 0; row < FRAME_HEIGHT; row++)
        light += frame->rows[row][FRAME_ROW_BYTES / 2];
    nanosleep(&viewer->pause, NULL);
    /* Only now is it known whether what was read was this picture. */
    if (weir_subscriber_check(subscriber, message) != 0) {
        viewer->torn++;
        return;
    }
    viewer->shown++;
    viewer->light += light / FRAME_HEIGHT;
}

int main(int count, char **arguments)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct viewer viewer = { 0 };
    options.delivery = WEIR_DELIVERY_LOSSY;
    double hz = count == 2 ? strtod(arguments[1], NULL) : 0;
    if (!(hz >= 1))
        return fprintf(stderr, "usage: camera_viewer HZ\n"), 2;
    viewer.pause.tv_nsec = (long)(0.999e9 / hz);
    int result = weir_subscriber_open(&subscriber, "camera", &options);
    while (result == 0 && (result = weir_subscriber_take(subscriber, &message)) == 0) {
        viewer.missed += message.missed;
        if (message.size_bytes == sizeof(struct frame))
            show(&viewer, subscriber, &message);
        result = weir_subscriber_release(subscriber, &message);
    }
    if (result != -ENODATA)
        return fprintf(stderr, "camera_viewer: %s\n", weir_last_error()), 1;
    weir_subscriber_close(subscriber);
    printf("%" PRIu64 " shown, %" PRIu64 " overwritten while it looked, %" PRIu64 " missed\n",
           viewer.shown, viewer.torn, viewer.missed);
}
