/* SPDX-License-Identifier: MIT */
/*
 * keep CHANNEL COUNT - for the tests: subscribes, takes COUNT messages in place and keeps them, and
 * reads what follows, of whoever publishes, until it is killed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

int main(int argc, char **argv)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    if (argc != 3)
        return 2;
    int result = weir_subscriber_open(&subscriber, argv[1], NULL);
    long count = atol(argv[2]);
    while (result == 0 || result == -ENODATA || result == -EPIPE) {
        result = weir_subscriber_take_until(subscriber, &message, WEIR_NEVER);
        if (result == 0 && count-- <= 0)
            result = weir_subscriber_release(subscriber, &message);
    }
    fprintf(stderr, "keep: %s\n", weir_last_error());
    return 1;
}
