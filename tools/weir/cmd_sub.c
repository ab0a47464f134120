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
#include "named.h"
#include "object.h"
#include "output.h"
#include "size.h"
#include "stop.h"
#include "text.h"
#include "value.h"

static const char help[] =
    "Usage: weir sub [OPTION]... CHANNEL\n"
    "\n"
    "Subscribes to CHANNEL and prints each message that is published from then on,\n"
    "by 'weir pub' or by programs with <weir/channel.h>, a line each: all of them,\n"
    "each once, in the order of its publisher. It may start before anybody\n"
    "publishes, and goes on when publishers come and go, until it is interrupted;\n"
    "then it leaves in order, and ends with status 0.\n"
    "\n"
    "What is there is printed at once. A publisher waits for the slowest subscriber:\n"
    "whoever stops reading from this command may stop it, too; unless that one waits\n"
    "for nobody ('weir pub --lag-max'): then what was missed is said. A message\n"
    "counts as taken ('weir pub --taken') once it is written.\n"
    "\n"
    "Options:\n"
    "  -f, --from=WHERE       oldest: with all that is still there; -N: with the last\n"
    "                         N messages of each publisher; now (without it)\n"
    "      --lossy            miss what is not read in time: no publisher waits for\n"
    "                         this one; it says on standard error how many were\n"
    "                         missed. This one alone: a channel that it makes is\n"
    "                         reliable to others\n"
    "  -c, --count=N          end after N messages\n"
    "  -t, --timeout=SECONDS  end, with status 0, when so long no message has come\n"
    "  -e, --until-end        end when the last publisher has left; with status 1 if\n"
    "                         it was killed\n"
    "  -r, --raw              the bytes of the messages, one after the other\n"
    "  -L, --length-prefixed  before each message its length in 4 bytes, the lowest\n"
    "                         first (little-endian), and nothing behind it\n"
    "  -x, --hex              a line of hexadecimal digits a message\n"
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
    "  0 done; 1 failed, or a publisher wrote nonsense and was left; 2 called\n"
    "  wrongly.\n";

struct request {
    const char *channel;
    uint64_t count; /* 0: no end */
    double timeout; /* below 0: none */
    bool until_end;
    bool has_form;
    struct weir_channel_options options;
};

/* Messages of one publisher that were taken, and overwritten before they were copied. */
struct overwritten {
    uint32_t session;
    uint64_t count;
};

struct subscription {
    const struct request *request;
    struct weir_subscriber *subscriber;
    int fd;
    uint64_t taken;
    int64_t deadline_ns;                      /* for the next message */
    struct weir_message held[WEIR_HOLDS_MAX]; /* not written yet, or not all of it */
    unsigned held_count;
    void *copy; /* of the message that is next: what is in the ring may be overwritten */
    size_t copy_bytes;
    struct overwritten *overwritten;
    size_t overwritten_count;
    struct output output;
    int status;
};

static void reset_deadline(struct subscription *subscription)
{
    double timeout = subscription->request->timeout;
    subscription->deadline_ns = timeout < 0 ? WEIR_NEVER : seconds_deadline(timeout);
}

/* What is written is given back. */
static enum output_result write_out(struct subscription *subscription)
{
    enum output_result result = output_flush(&subscription->output);
    if (result != OUTPUT_DONE)
        return result;
    for (unsigned i = 0; i < subscription->held_count; i++)
        weir_subscriber_release(subscription->subscriber, &subscription->held[i]);
    subscription->held_count = 0;
    return OUTPUT_DONE;
}

/* Room for a message's bytes. */
static void need_copy(struct subscription *subscription, size_t size_bytes)
{
    if (size_bytes <= subscription->copy_bytes)
        return;
    free(subscription->copy);
    subscription->copy = text_memory(malloc(size_bytes));
    subscription->copy_bytes = size_bytes;
}

/* A lossy one's next message, whole. */
static int receive_copy(struct subscription *subscription, struct weir_message *message)
{
    for (;;) {
        int result = weir_subscriber_receive_until(subscription->subscriber, subscription->copy,
                                                   subscription->copy_bytes, message, 0);
        if (result != -EMSGSIZE)
            return result;
        need_copy(subscription, message->size_bytes);
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
    need_copy(subscription, message->size_bytes);
    if (message->size_bytes > 0)
        memcpy(subscription->copy, message->data, message->size_bytes);
    result = weir_subscriber_check(subscription->subscriber, message);
    if (result != 0) {
        count_overwritten(subscription, message);
        weir_subscriber_release(subscription->subscriber, message);
        return -EOVERFLOW;
    }
    message->missed += take_overwritten(subscription, message->session);
    return 0;
}

static void tell_missed(uint64_t count)
{
    command_note("%llu message%s missed", (unsigned long long)count,
                 count == 1 ? " was" : "s were");
}

/*
 * The next message: a copy, since publishers that wait for nobody, and all of a lossy one, may
 * overwrite what is in the ring. Of a reliable one it is held until it is written.
 */
static enum output_result write_next(struct subscription *subscription, int *result)
{
    struct weir_message *held = &subscription->held[subscription->held_count];
    bool is_lossy = weir_subscriber_delivery(subscription->subscriber) == WEIR_DELIVERY_LOSSY;
    *result = is_lossy ? receive_copy(subscription, held) : take_copy(subscription, held);
    if (*result != 0)
        return OUTPUT_DONE;
    if (held->missed > 0)
        tell_missed(held->missed);
    subscription->held_count += !is_lossy;
    subscription->taken++;
    reset_deadline(subscription);
    struct weir_message message = *held;
    message.data = subscription->copy;
    enum output_result written = output_message(&subscription->output, &message);
    if (written == OUTPUT_DONE && (is_lossy || subscription->held_count == WEIR_HOLDS_MAX))
        written = write_out(subscription);
    return written;
}

static bool is_enough(const struct subscription *subscription)
{
    return subscription->request->count > 0 && subscription->taken == subscription->request->count;
}

/*
 * Until there may be a message: true. False: a signal is to end us, no message has come for so
 * long, or nobody reads our output any more.
 */
static bool await_message(struct subscription *subscription)
{
    struct pollfd fds[] = { { .fd = subscription->fd, .events = POLLIN },
                            { .fd = STDOUT_FILENO, .events = 0 } }; /* its end is told unasked */
    int64_t left_ns = subscription->deadline_ns - weir_now_ns();
    const struct timespec left = { left_ns / WEIR_SECOND_NS, left_ns % WEIR_SECOND_NS };
    if (left_ns <= 0)
        return false;
    int ready = ppoll(fds, 2, subscription->deadline_ns == WEIR_NEVER ? NULL : &left, NULL);
    if (stop_signal())
        return false;
    if (ready > 0 && fds[1].revents & (POLLERR | POLLHUP)) {
        output_fail(EPIPE);
        subscription->status = STATUS_FAILURE;
        return false;
    }
    return true;
}

/* What a take says instead of a message. False: that is the end. */
static bool go_on_after(struct subscription *subscription, int result)
{
    const struct request *request = subscription->request;
    switch (result) {
    case -EAGAIN:
        return await_message(subscription);
    case -EINTR:
    case -EOVERFLOW: /* the next message says how many were missed */
        return true;
    case -ENODATA:
        return !request->until_end;
    case -EPIPE:
        if (request->until_end) {
            subscription->status =
                command_fail("the last publisher of '%s' was killed", request->channel);
            return false;
        }
        command_note("the last publisher of '%s' was killed; waiting for another one",
                     request->channel);
        return true;
    case -EUCLEAN: /* of one publisher, which is left alone from now on */
    case -EPROTO:
    case -EPERM:
    case -EACCES:
        subscription->status = command_fail_weir();
        return true;
    default:
        subscription->status = command_fail_weir();
        return false;
    }
}

static enum output_result receive_all(struct subscription *subscription)
{
    enum output_result written = OUTPUT_DONE;
    reset_deadline(subscription);
    while (written == OUTPUT_DONE && !stop_signal() && !is_enough(subscription)) {
        int result;
        written = write_next(subscription, &result);
        if (result == 0) {
            continue;
        } else if (subscription->held_count > 0 && result == -EAGAIN) {
            written = write_out(subscription); /* and look again: it may have taken long */
        } else {
            if (subscription->held_count > 0)
                written = write_out(subscription);
            if (written == OUTPUT_DONE && !go_on_after(subscription, result))
                break;
        }
    }
    return written == OUTPUT_DONE ? write_out(subscription) : written;
}

static int subscribe(const struct request *request, enum output_form form)
{
    struct subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return command_fail("no memory");
    *subscription = (struct subscription){ .request = request, .output = { .form = form } };
    object_collect_leftovers();
    int result =
        weir_subscriber_open(&subscription->subscriber, request->channel, &request->options);
    if (result == 0)
        result = subscription->fd = weir_subscriber_fd(subscription->subscriber);
    if (result < 0)
        subscription->status = command_fail_weir();
    else if (receive_all(subscription) == OUTPUT_FAILED)
        subscription->status = STATUS_FAILURE;
    weir_subscriber_close(subscription->subscriber);
    int status = subscription->status;
    for (size_t i = 0; i < subscription->overwritten_count; i++)
        tell_missed(subscription->overwritten[i].count);
    free(subscription->overwritten);
    free(subscription->copy);
    free(subscription);
    return status;
}

/* False: the usage error is told, or *status is what the command returns. */
static bool take_form(struct request *request, enum output_form *form, enum output_form wanted)
{
    if (request->has_form && *form != wanted) {
        command_usage("--raw, --length-prefixed, --hex and --json: one of them at most");
        return false;
    }
    request->has_form = true;
    *form = wanted;
    return true;
}

enum { OPTION_LOSSY = 0x2000 };

static bool take_option(struct request *request, enum output_form *form, int option, int *status)
{
    *status = STATUS_USAGE;
    switch (option) {
    case 'c':
        return number_option("--count", optarg, 1, UINT64_MAX / 2, &request->count);
    case 'e':
        return request->until_end = true;
    case 'f':
        return from_option(optarg, &request->options.start, &request->options.start_back);
    case OPTION_LOSSY:
        request->options.delivery = WEIR_DELIVERY_LOSSY;
        return true;
    case 'J':
        return value_json_possible() && take_form(request, form, OUTPUT_JSON);
    case 'L':
        return take_form(request, form, OUTPUT_LENGTH);
    case 'r':
        return take_form(request, form, OUTPUT_RAW);
    case 't':
        return seconds_option("--timeout", optarg, &request->timeout);
    case 'x':
        return take_form(request, form, OUTPUT_HEX);
    default:
        return channel_option(&request->options, option, optarg, status);
    }
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "count", required_argument, NULL, 'c' },
        { "from", required_argument, NULL, 'f' },
        { "hex", no_argument, NULL, 'x' },
        { "json", no_argument, NULL, 'J' },
        { "length-prefixed", no_argument, NULL, 'L' },
        { "lossy", no_argument, NULL, OPTION_LOSSY },
        { "raw", no_argument, NULL, 'r' },
        { "timeout", required_argument, NULL, 't' },
        { "until-end", no_argument, NULL, 'e' },
        CHANNEL_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .timeout = -1, .options = WEIR_CHANNEL_OPTIONS };
    enum output_form form = OUTPUT_LINE;
    int option, status;
    while ((option = getopt_long(argc, argv, "c:ef:hJLqrt:x", long_options, NULL)) != -1)
        if (!take_option(&request, &form, option, &status))
            return status;
    if (optind == argc)
        return command_usage("which CHANNEL?");
    if (optind + 1 < argc)
        return command_usage("'%s' is too much: one channel a call", argv[optind + 1]);
    request.channel = argv[optind];
    if (weir_name_check(request.channel) != 0)
        return command_usage("%s", weir_last_error());
    status = stop_catch();
    if (status == STATUS_OK)
        status = subscribe(&request, form);
    return command_finish(status);
}

const struct command command_sub = {
    .name = "sub",
    .summary = "print the messages of a channel",
    .help = help,
    .run = run,
};
