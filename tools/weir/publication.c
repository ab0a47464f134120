/* SPDX-License-Identifier: MIT */
/* A message of 'weir pub' goes out: at its time, and past whoever is in its way. */
#include "publication.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <weir/clock.h>

#include "channel.h"
#include "command.h"
#include "sentence.h"
#include "stop.h"

/* It waits so long without a word, and so long until the next one. */
#define SILENT_NS WEIR_SECOND_NS
#define TOLD_AGAIN_NS (60 * WEIR_SECOND_NS)

/* Until it is this message's turn; each by its own time from the start, so that nothing adds up. */
static void pace(const struct publication *publication)
{
    double at = (double)publication->sent / publication->request->rate * (double)WEIR_SECOND_NS;
    if (at > (double)(INT64_MAX / 2))
        at = (double)(INT64_MAX / 2);
    int64_t due_ns = publication->start_ns + (int64_t)at;
    const struct timespec due = { due_ns / WEIR_SECOND_NS, due_ns % WEIR_SECOND_NS };
    if (weir_now_ns() >= due_ns) /* made up for without a system call each */
        return;
    while (!stop_signal() && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        ;
}

/* A subscriber that cannot be met is not waited for from now on: told, and gone on without. */
static bool is_stranger(struct publication *publication, int result)
{
    if (result != -EPROTO && result != -EPERM && result != -EACCES)
        return false;
    char *shown = sentence_last();
    command_fail("a subscriber is left out: %s", shown);
    free(shown);
    publication->has_left_out = true;
    return true;
}

bool publication_goes_on(struct publication *publication, int result)
{
    return (result == -EINTR && !stop_signal()) || is_stranger(publication, result);
}

void publication_look_around(struct publication *publication)
{
    if (!publication->has_met) /* it costs no system call */
        publication->has_met = weir_publisher_subscribers(publication->publisher) > 0;
}

int publication_fail(int result)
{
    return result == -EINTR ? STATUS_FAILURE : channel_fail(result); /* the signal says it all */
}

/* Without a word it waits a second; then it says for whom, once a minute at most. */
static int send_or_tell(struct publication *publication, const unsigned char *data, size_t size)
{
    uint32_t type = (uint32_t)publication->request->type;
    bool may_tell = !command_quiet && (publication->told_ns == 0 ||
                                       weir_now_ns() - publication->told_ns > TOLD_AGAIN_NS);
    int result = weir_publisher_send_until(publication->publisher, data, size, type,
                                           may_tell ? weir_deadline_ns(SILENT_NS) : WEIR_NEVER);
    if (result != -ETIMEDOUT)
        return result;
    publication_tell_of_wait(publication);
    return weir_publisher_send_until(publication->publisher, data, size, type, WEIR_NEVER);
}

int publication_send(struct publication *publication, const unsigned char *data, size_t size)
{
    int result;
    if (publication->request->rate > 0) {
        if (publication->sent == 0)
            publication->start_ns = weir_now_ns();
        pace(publication);
    }
    if (stop_signal())
        return STATUS_FAILURE;
    do
        result = send_or_tell(publication, data, size);
    while (publication_goes_on(publication, result));
    if (result != 0)
        return publication_fail(result);
    publication->sent++;
    publication_look_around(publication);
    return STATUS_OK;
}
