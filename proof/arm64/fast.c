/* SPDX-License-Identifier: MIT */
/*
 * Both sides of a channel, awake, send, lend and take some hundred messages: what is executed
 * of these calls is looked at by the script beside this file.
 */
#include <stdio.h>

#include <weir/weir.h>

enum { LAPS = 300, BYTES = 400 };

static int go(struct weir_publisher *publisher, struct weir_subscriber *subscriber)
{
    static unsigned char bytes[BYTES];
    struct weir_message message;
    void *loan;
    int result = 0;
    for (unsigned i = 0; i < LAPS && result == 0; i++) {
        result = weir_publisher_send_until(publisher, bytes, i % BYTES, 0, 0);
        if (result == 0)
            result = weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0);
        if (result == 0)
            result = weir_publisher_loan_until(publisher, i % BYTES, &loan, 0);
        if (result == 0)
            result = weir_publisher_commit(publisher, i % BYTES, 0);
        if (result == 0)
            result = weir_subscriber_take_until(subscriber, &message, 0);
        if (result == 0)
            result = weir_subscriber_release(subscriber, &message);
    }
    return result;
}

int main(void)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    if (weir_publisher_open(&publisher, "fast", NULL) != 0 ||
        weir_subscriber_open(&subscriber, "fast", NULL) != 0 || go(publisher, subscriber) != 0) {
        fprintf(stderr, "fast: %s\n", weir_last_error());
        return 1;
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    return 0;
}
