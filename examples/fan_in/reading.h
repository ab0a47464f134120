/* SPDX-License-Identifier: MIT */
/* What a sensor says: the message of the channel "sensors", as it stands in memory. */
#ifndef FAN_IN_READING_H
#define FAN_IN_READING_H

#include <stdint.h>

#define SENSORS_MAX 64

struct reading {
    uint32_t sensor; /* 0 to SENSORS_MAX - 1 */
    uint32_t number; /* of this sensor's readings, from 0 */
    int64_t time_ns; /* CLOCK_MONOTONIC */
    double value;
};

#endif
