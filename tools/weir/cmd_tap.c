/* SPDX-License-Identifier: MIT */
/* weir tap - the messages of a channel, watched from outside. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/tap.h>

#include "channel.h"
#include "command.h"
#include "named.h"
#include "output.h"
#include "size.h"
#include "stop.h"
#include "text.h"
#include "value.h"

static const char help[] =
    "Usage: weir tap [OPTION]... CHANNEL\n"
    "\n"
    "Prints the messages of CHANNEL as they are published, a line each, and is no\n"
    "member of it: takes no place, and writes nothing that others see. No publisher\n"
    "waits for it, or knows of it; so it can slow nobody, and misses messages when\n"
    "it is too slow itself, or is stopped. How many is told at the end.\n"
    "\n"
    "Needs the right to read the publishers' memory; whoever may not be read is told\n"
    "of, and left out. ('weir sub' takes part, and gets every message; 'weir top' and\n"
    "'weir info' show who publishes, and who subscribes.)\n"
    "\n"
    "Options:\n"
    "  -c, --count=N          end after N messages\n"
    "  -t, --timeout=SECONDS  end, with status 0, when so long no message has come\n"
    "  -f, --from=WHERE       oldest: with all that is still there; -N: with the last\n"
    "                         N messages of each publisher; now (without it)\n"
    "  -r, --raw              the bytes of the messages, one after the other\n"
    "  -L, --length-prefixed  before each message its length in 4 bytes, the lowest\n"
    "                         first (little-endian), and nothing behind it\n"
    "  -x, --hex              a line of hexadecimal digits a message\n"
    "  -J, --json             a line of JSON a message, as of 'weir sub'; missed: how\n"
    "                         many of its publisher's messages before it, if any\n"
    "  -q, --quiet            no remarks\n"
    "  -h, --help             this text\n"
    "\n"
    "Examples:\n"
    "  weir tap house/events\n"
    "  weir tap --from oldest --timeout 0 house/events\n"
    "      what is still there\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, or a publisher could not be read; 2 called wrongly.\n";

struct request {
    const char *channel;
    struct weir_tap_options options;
    enum output_form form;
    bool has_form;
    uint64_t count; /* 0: no end */
    double timeout; /* below 0: none */
};

struct watching {
    const struct request *request;
    struct weir_tap *tap;
    void *room;
    size_t room_bytes;
    uint64_t taken, missed;
    int64_t deadline_ns; /* for the next message */
    struct output output;
    int status;
};

/* Between two looks whether anybody reads our output. */
#define SLICE_NS INT64_C(100000000)

static void reset_deadline(struct watching *watching)
{
    double timeout = watching->request->timeout;
    watching->deadline_ns = timeout < 0 ? WEIR_NEVER : seconds_deadline(timeout);
}

static bool is_read(struct watching *watching)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = 0 }; /* its end is told unasked */
    if (poll(&out, 1, 0) <= 0 || !(out.revents & (POLLERR | POLLHUP)))
        return true;
    output_fail(EPIPE);
    watching->status = STATUS_FAILURE;
    return false;
}

/* What comes instead of a message. False: that is the end. */
static bool go_on_after(struct watching *watching, int result, const struct weir_message *message)
{
    switch (result) {
    case -EINTR:
    case -EAGAIN:
    case -ETIMEDOUT:
        return is_read(watching) && weir_now_ns() < watching->deadline_ns;
    case -EMSGSIZE:
        free(watching->room);
        watching->room_bytes = message->size_bytes;
        watching->room = text_memory(malloc(watching->room_bytes));
        return true;
    case -EUCLEAN: /* of one publisher, which is left alone from now on */
    case -EPROTO:
    case -EPERM:
    case -EACCES:
        watching->status = command_fail_weir();
        return true;
    default:
        watching->status = command_fail_weir();
        return false;
    }
}

static int receive(struct watching *watching, struct weir_message *message, int64_t deadline_ns)
{
    return weir_tap_receive_until(watching->tap, watching->room, watching->room_bytes, message,
                                  deadline_ns);
}

static enum output_result watch(struct watching *watching)
{
    const struct request *request = watching->request;
    enum output_result written = OUTPUT_DONE;
    struct weir_message message;
    reset_deadline(watching);
    while (written == OUTPUT_DONE && !stop_signal() &&
           (request->count == 0 || watching->taken < request->count)) {
        int result = receive(watching, &message, 0);
        if (result == -EAGAIN) { /* what is there is printed at once */
            int64_t slice_ns = weir_deadline_ns(SLICE_NS);
            written = output_flush(&watching->output);
            if (written != OUTPUT_DONE)
                break;
            if (watching->deadline_ns > weir_now_ns())
                result =
                    receive(watching, &message,
                            slice_ns < watching->deadline_ns ? slice_ns : watching->deadline_ns);
        }
        if (result == 0) {
            watching->taken++;
            watching->missed += message.missed;
            reset_deadline(watching);
            written = output_message(&watching->output, &message);
        } else if (!go_on_after(watching, result, &message)) {
            break;
        }
    }
    return written == OUTPUT_DONE ? output_flush(&watching->output) : written;
}

static int tap(const struct request *request)
{
    struct watching *watching = text_memory(calloc(1, sizeof *watching));
    watching->request = request;
    watching->output.form = request->form;
    watching->room_bytes = 4096;
    watching->room = text_memory(malloc(watching->room_bytes));
    if (weir_tap_open(&watching->tap, request->channel, &request->options) != 0)
        watching->status = command_fail_weir();
    else if (watch(watching) == OUTPUT_FAILED)
        watching->status = STATUS_FAILURE;
    if (watching->missed > 0)
        command_note("%llu message%s overwritten before %s could be read",
                     (unsigned long long)watching->missed,
                     watching->missed == 1 ? " was" : "s were",
                     watching->missed == 1 ? "it" : "they");
    weir_tap_close(watching->tap);
    int status = watching->status;
    free(watching->room);
    free(watching);
    return status;
}

/* False: the usage error is told. */
static bool take_form(struct request *request, enum output_form wanted)
{
    if (request->has_form && request->form != wanted) {
        command_usage("--raw, --length-prefixed, --hex and --json: one of them at most");
        return false;
    }
    request->has_form = true;
    request->form = wanted;
    return true;
}

/* False: the usage error is told, or *status is what the command returns. */
static bool take_option(struct request *request, int option, int *status)
{
    *status = STATUS_USAGE;
    switch (option) {
    case 'c':
        return number_option("--count", optarg, 1, UINT64_MAX / 2, &request->count);
    case 'f':
        return from_option(optarg, &request->options.start, &request->options.start_back);
    case 'J':
        return value_json_possible() && take_form(request, OUTPUT_JSON);
    case 'L':
        return take_form(request, OUTPUT_LENGTH);
    case 'r':
        return take_form(request, OUTPUT_RAW);
    case 't':
        return seconds_option("--timeout", optarg, &request->timeout);
    case 'x':
        return take_form(request, OUTPUT_HEX);
    default:
        return command_option(option, status);
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
        { "raw", no_argument, NULL, 'r' },
        { "timeout", required_argument, NULL, 't' },
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .timeout = -1, .options = WEIR_TAP_OPTIONS, .form = OUTPUT_LINE };
    int option, status;
    while ((option = getopt_long(argc, argv, "c:f:hJLqrt:x", long_options, NULL)) != -1)
        if (!take_option(&request, option, &status))
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
        status = tap(&request);
    return command_finish(status);
}

const struct command command_tap = {
    .name = "tap",
    .summary = "print the messages of a channel, from outside",
    .help = help,
    .run = run,
};
