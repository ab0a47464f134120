/* SPDX-License-Identifier: MIT */
/* Waits for a subscriber of "hello", and sends it three messages. */
#include <stdio.h>
#include <weir/weir.h>

int main(void)
{
    struct weir_publisher *publisher;
    int result = weir_publisher_open(&publisher, "hello", NULL);
    if (result == 0)
        result = weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER);
    for (int i = 0; result == 0 && i < 3; i++)
        result = weir_publisher_send(publisher, &i, sizeof i);
    if (result != 0)
        return fprintf(stderr, "%s\n", weir_last_error()), 1;
    weir_publisher_close(publisher);
}
