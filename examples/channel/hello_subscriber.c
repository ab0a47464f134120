/* SPDX-License-Identifier: MIT */
/* Prints the numbers that come on the channel "hello", until its publisher ends. */
#include <errno.h>
#include <stdio.h>
#include <weir/weir.h>

int main(void)
{
    struct weir_subscriber *subscriber;
    int number, result = weir_subscriber_open(&subscriber, "hello", NULL);
    while (result == 0 &&
           (result = weir_subscriber_receive(subscriber, &number, sizeof number)) == 0)
        printf("%d\n", number);
    if (result != -ENODATA) /* the last publisher has said that this was all */
        return fprintf(stderr, "%s\n", weir_last_error()), 1;
    weir_subscriber_close(subscriber);
}
