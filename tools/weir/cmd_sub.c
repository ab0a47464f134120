/* SPDX-License-Identifier: MIT */
/* weir sub - the messages of a channel. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/error.h>

#include "channel.h"
#include "command.h"
#include "object.h"
#include "receiver.h"
#include "stop.h"
#include "text.h"

static const char help[] =
    "Usage: weir sub [OPTION]... CHANNEL\n"
    "\n"
    "Subscribes to CHANNEL and prints each message that is published from then on,\n"
    "by 'weir pub' or by programs with <weir/channel.h>, a line each: all of them,\n"
    "each once, in the order of its publisher. It may start before anybody\n"
    "publishes, and goes on when publishers come and go, until it is interrupted;\n"
    "then it leaves in order, and ends with status 0. With --count or --until-end it\n"
    "was not done yet, and ends by the signal: a shell sees 130 (SIGINT) or 143\n"
    "(SIGTERM).\n"
    "\n"
    "A publisher that it may not read, or that wrote nonsense, is told of and left;\n"
    "the others are read on, and the status is 1 in the end.\n"
    "\n"
    "What is there is printed at once. A publisher waits for the slowest subscriber:\n"
    "whoever stops reading from this command may stop it, too; unless that one waits\n"
    "for nobody ('weir pub --lag-max'): then what was missed is said, about once a\n"
    "second. A message counts as taken ('weir pub --taken') once it is written.\n"
    "('weir tap' prints them without taking part, and slows nobody; 'weir top' shows\n"
    "who is behind, and who waits for whom.)\n"
    "\n"
    "Options:\n" RECEIVER_FROM_HELP
    "      --lossy            miss what is not read in time: no publisher waits for\n"
    "                         this one; it says on standard error how many were\n"
    "                         missed. This one alone: a channel that it makes is\n"
    "                         reliable to others\n"
    "  -c, --count=N          end after N messages\n"
    "  -t, --timeout=SECONDS  end, with status 0, when so long no message has come\n"
    "  -e, --until-end        end when the last publisher has left; with status 1 if\n"
    "                         it was killed, or a program that ended without\n"
    "                         weir_publisher_close()\n" RECEIVER_FORMS_HELP
    "  -J, --json             a line of JSON a message: session (a number for its\n"
    "                         publisher), sequence (of that one's messages, from 0),\n"
    "                         missed (before it, if any), type, size,\n"
    "                         received (when), and text or, when it is no\n"
    "                         UTF-8, base64\n" CHANNEL_HELP
    "  -q, --quiet            no remarks: not of a publisher's death, either\n"
    "  -h, --help             this text\n"
    "\n"
    "Examples:\n"
    "  weir sub house/events\n"
    "  weir sub --count 1 --raw camera >frame.ppm\n"
    "  weir sub --json --timeout 10 house/events | jq -r .text\n"
    "\n"
    "Exit status:\n"
    "  0 done; 1 failed, or a publisher was left; 2 called wrongly; by the signal\n"
    "  when interrupted before what --count or --until-end says.\n";

struct request {
    struct receiver_request messages;
    bool until_end;
    struct weir_channel_options options;
};

/* Messages of one publisher that were taken, and overwritten before they were copied. */
struct overwritten {
    uint32_t session;
    uint64_t count;
};

struct subscription {
    struct receiver receiver; /* whose room has the copy: what is in the ring may be overwritten */
    const struct request *request;
    struct weir_subscriber *subscriber;
    int fd;
    bool is_lossy;
    struct weir_message held[WEIR_HOLDS_MAX]; /* not written yet, or not all of it */
    unsigned held_count;
    struct overwritten *overwritten;
    size_t overwritten_count;
    uint64_t untold; /* messages that were missed, and of which nothing was said yet */
    int64_t told_ns; /* when something was said last */
};

/* What is written is given back. */
static void give_back(struct receiver *receiver)
{
    struct subscription *subscription = (struct subscription *)receiver;
    for (unsigned i = 0; i < subscription->held_count; i++)
        weir_subscriber_release(subscription->subscriber, &subscription->held[i]);
    subscription->held_count = 0;
}

/* A lossy one's next message, whole. */
static int receive_copy(struct subscription *subscription, struct weir_message *message)
{
    struct receiver *receiver = &subscription->receiver;
    for (;;) {
        int result = weir_subscriber_receive_until(subscription->subscriber, receiver->room,
                                                   receiver->room_bytes, message, 0);
        if (result != -EMSGSIZE)
            return result;
        receiver_need_room(receiver, message->size_bytes);
    }
}

/* One that was overwritten counts among what its publisher's next message says was missed. */
static void count_overwritten(struct subscription *subscription, const struct weir_message *message)
{
    struct overwritten *of = subscription->overwritten;
    size_t i = 0, count = subscription->overwritten_count;
    while (i < count && of[i].session != message->session)
        i++;
    if (i == count) {
        of = text_memory(realloc(of, (count + 1) * sizeof *of));
        of[i] = (struct overwritten){ .session = message->session };
        subscription->overwritten = of;
        subscription->overwritten_count++;
    }
    of[i].count += message->missed + 1;
}

static uint64_t take_overwritten(struct subscription *subscription, uint32_t session)
{
    struct overwritten *of = subscription->overwritten;
    for (size_t i = 0; i < subscription->overwritten_count; i++)
        if (of[i].session == session) {
            uint64_t count = of[i].count;
            of[i] = of[--subscription->overwritten_count];
            return count;
        }
    return 0;
}

/* A reliable one's next message, held; it is copied, and then asked whether it was whole. */
static int take_copy(struct subscription *subscription, struct weir_message *message)
{
    int result = weir_subscriber_take_until(subscription->subscriber, message, 0);
    if (result != 0)
        return result;
    receiver_need_room(&subscription->receiver, message->size_bytes);
    if (message->size_bytes > 0)
        memcpy(subscription->receiver.room, message->data, message->size_bytes);
    result = weir_subscriber_check(subscription->subscriber, message);
    if (result != 0) {
        count_overwritten(subscription, message);
        weir_subscriber_release(subscription->subscriber, message);
        return -EOVERFLOW;
    }
    message->missed += take_overwritten(subscription, message->session);
    return 0;
}

static void tell_missed(struct subscription *subscription)
{
    if (subscription->untold == 0)
        return;
    command_note("%llu message%s missed", (unsigned long long)subscription->untold,
                 subscription->untold == 1 ? " was" : "s were");
    subscription->untold = 0;
    subscription->told_ns = weir_now_ns();
}

/* At once, but once a second at most, whoever misses some again and again. */
static void tell_missed_if_due(struct subscription *subscription)
{
    if (subscription->untold > 0 && weir_now_ns() - subscription->told_ns >= WEIR_SECOND_NS)
        tell_missed(subscription);
}

/* Until there may be a message, or nobody reads our output any more. */
static void await_news(struct subscription *subscription, int64_t deadline_ns)
{
    struct pollfd fds[] = { { .fd = subscription->fd, .events = POLLIN },
                            { .fd = STDOUT_FILENO, .events = 0 } }; /* its end is told unasked */
    if (subscription->untold > 0 && subscription->told_ns + WEIR_SECOND_NS < deadline_ns)
        deadline_ns = subscription->told_ns + WEIR_SECOND_NS;
    int64_t left_ns = deadline_ns - weir_now_ns();
    const struct timespec left = { left_ns / WEIR_SECOND_NS, left_ns % WEIR_SECOND_NS };
    if (left_ns > 0)
        ppoll(fds, 2, deadline_ns == WEIR_NEVER ? NULL : &left, NULL);
    tell_missed_if_due(subscription);
}

/*
 * The next message: a copy, since publishers that wait for nobody, and all of a lossy one, may
 * overwrite what is in the ring. Of a reliable one it is held until it is written.
 */
static int next(struct receiver *receiver, struct weir_message *message, int64_t deadline_ns)
{
    struct subscription *subscription = (struct subscription *)receiver;
    struct weir_message *held = &subscription->held[subscription->held_count];
    if (deadline_ns > 0) {
        await_news(subscription, deadline_ns);
        return -EAGAIN;
    }
    int result =
        subscription->is_lossy ? receive_copy(subscription, held) : take_copy(subscription, held);
    if (result == -ENODATA || result == -EPIPE)
        subscription->untold += held->missed;
    if (result != 0)
        return result;
    subscription->untold += held->missed;
    tell_missed_if_due(subscription);
    subscription->held_count += !subscription->is_lossy;
    *message = *held;
    message->data = receiver->room;
    return 0;
}

static bool go_on_after(struct receiver *receiver, int result)
{
    const struct request *request = ((struct subscription *)receiver)->request;
    const char *channel = request->messages.channel;
    switch (result) {
    case -EOVERFLOW: /* the next message says how many were missed */
        return true;
    case -ENODATA:
        return !request->until_end;
    case -EPIPE:
        if (request->until_end) {
            receiver->status =
                command_fail("the last publisher of '%s' was killed, or ended without "
                             "weir_publisher_close()",
                             channel);
            return false;
        }
        command_note("the last publisher of '%s' was killed, or ended without "
                     "weir_publisher_close(); waiting for another one",
                     channel);
        return true;
    case -EPERM: /* one publisher, which is left alone from now on */
    case -EACCES:
        receiver->status = channel_fail(result);
        return true;
    default:
        return receiver_go_on_after(receiver, result);
    }
}

static int subscribe(const struct request *request)
{
    static const struct receiver_source source = { next, give_back, go_on_after };
    struct subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return command_fail("no memory");
    struct receiver *receiver = &subscription->receiver;
    subscription->request = request;
    receiver->request = &request->messages;
    receiver->source = &source;
    receiver->output.form = request->messages.form;
    object_collect_leftovers();
    int result = weir_subscriber_open(&subscription->subscriber, request->messages.channel,
                                      &request->options);
    if (result == 0)
        result = subscription->fd = weir_subscriber_fd(subscription->subscriber);
    if (result < 0) {
        receiver->status = channel_fail(result);
    } else {
        enum weir_delivery delivery = weir_subscriber_delivery(subscription->subscriber);
        subscription->is_lossy = delivery == WEIR_DELIVERY_LOSSY;
        receiver->unwritten_max = subscription->is_lossy ? 1 : WEIR_HOLDS_MAX;
        receiver_print(receiver);
    }
    weir_subscriber_close(subscription->subscriber);
    for (size_t i = 0; i < subscription->overwritten_count; i++)
        subscription->untold += subscription->overwritten[i].count;
    tell_missed(subscription);
    int status = receiver_end(receiver, request->until_end);
    free(subscription->overwritten);
    free(receiver->room);
    free(subscription);
    return status;
}

enum { OPTION_LOSSY = 0x2000 };

/* False: the usage error is told, or *status is what the command returns. */
static bool take_option(struct request *request, int option, int *status)
{
    switch (option) {
    case 'e':
        return request->until_end = true;
    case OPTION_LOSSY:
        request->options.delivery = WEIR_DELIVERY_LOSSY;
        return true;
    default:
        if (receiver_option(&request->messages, option, status))
            return true;
        return *status == STATUS_OK && channel_option(&request->options, option, optarg, status);
    }
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "lossy", no_argument, NULL, OPTION_LOSSY },
        { "until-end", no_argument, NULL, 'e' },
        RECEIVER_LONG_OPTIONS,
        CHANNEL_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .messages = RECEIVER_REQUEST, .options = WEIR_CHANNEL_OPTIONS };
    int option, status;
    while ((option = getopt_long(argc, argv, "e" RECEIVER_SHORT_OPTIONS, long_options, NULL)) != -1)
        if (!take_option(&request, option, &status))
            return status;
    request.options.start = request.messages.start;
    request.options.start_back = request.messages.start_back;
    status = receiver_operand(&request.messages, argc, argv);
    if (status != STATUS_OK)
        return status;
    status = stop_catch();
    if (status == STATUS_OK)
        status = subscribe(&request);
    return command_finish(status);
}

const struct command command_sub = {
    .name = "sub",
    .summary = "print the messages of a channel",
    .help = help,
    .run = run,
};
