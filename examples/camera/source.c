/* SPDX-License-Identifier: MIT */
/*
 * camera_source FRAMES [HZ] - a camera: 6 MB a picture, made where it will be read
 *
 * weir_publisher_loan_until() gives room in the ring, the picture is made there, and the commit
 * shows it to all: no byte is copied, however many look. It waits for who must see each picture,
 * and never for a viewer that may miss some.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "frame.h"

#define RING_BYTES (UINT64_C(64) << 20) /* ten pictures; the longest message is a quarter */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void wait_until(int64_t time_ns)
{
    struct timespec then = { time_ns / 1000000000, time_ns % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
        ;
}

static int take_picture(struct weir_publisher *publisher, uint64_t number)
{
    void *place;
    int result = weir_publisher_loan_until(publisher, sizeof(struct frame), &place, WEIR_NEVER);
    if (result != 0)
        return result;
    struct frame *frame = place;
    frame->number = number;
    frame->time_ns = now_ns();
    for (uint32_t row = 0; row < FRAME_HEIGHT; row++)
        memset(frame->rows[row], frame_colour(number, row), FRAME_ROW_BYTES);
    return weir_publisher_commit(publisher, sizeof *frame, 0);
}

int main(int count, char **arguments)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = RING_BYTES;
    if (count < 2)
        return fprintf(stderr, "usage: camera_source FRAMES [HZ]\n"), 2;
    uint64_t frames = strtoull(arguments[1], NULL, 10);
    double hz = count > 2 ? strtod(arguments[2], NULL) : 0;
    int result = weir_publisher_open(&publisher, "camera", &options);
    if (result == 0)
        result = weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER);
    int64_t start_ns = now_ns();
    for (uint64_t i = 0; i < frames && result == 0; i++) {
        if (hz > 0)
            wait_until(start_ns + (int64_t)((double)i * 1e9 / hz));
        result = take_picture(publisher, i);
    }
    if (result != 0)
        return fprintf(stderr, "camera_source: %s\n", weir_last_error()), 1;
    weir_publisher_close(publisher);
}
