/* SPDX-License-Identifier: MIT */
/* weir tap - the messages of a channel, watched from outside. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/tap.h>

#include "command.h"
#include "receiver.h"
#include "stop.h"
#include "text.h"

static const char help[] =
    "Usage: weir tap [OPTION]... CHANNEL\n"
    "\n"
    "Prints the messages of CHANNEL as they are published, a line each, and is no\n"
    "member of it: takes no place, and writes nothing that others see. No publisher\n"
    "waits for it, or knows of it; so it can slow nobody, and misses messages when\n"
    "it is too slow itself, or is stopped. How many is told at the end.\n"
    "CHANNEL must be there: who is no member makes none, and does not wait for one.\n"
    "\n"
    "Needs the right to read the publishers' memory; whoever may not be read is told\n"
    "of, and left out. ('weir sub' takes part, and gets every message; 'weir top' and\n"
    "'weir info' show who publishes, and who subscribes.)\n"
    "\n"
    "Options:\n"
    "  -c, --count=N          end after N messages\n"
    "  -t, --timeout=SECONDS  end, with status 0, when so long no message has "
    "come\n" RECEIVER_FROM_HELP RECEIVER_FORMS_HELP
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
    "  0 done, or interrupted; 1 failed, or a publisher was left out; 2 called\n"
    "  wrongly; by the signal when interrupted before --count messages.\n";

struct watching {
    struct receiver receiver;
    struct weir_tap *tap;
};

/* Between two looks whether anybody reads our output. */
#define SLICE_NS INT64_C(100000000)

static int next(struct receiver *receiver, struct weir_message *message, int64_t deadline_ns)
{
    struct watching *watching = (struct watching *)receiver;
    int64_t slice_ns = deadline_ns > 0 ? weir_deadline_ns(SLICE_NS) : 0;
    int result;
    while ((result = weir_tap_receive_until(
                watching->tap, receiver->room, receiver->room_bytes, message,
                slice_ns < deadline_ns ? slice_ns : deadline_ns)) == -EMSGSIZE)
        receiver_need_room(receiver, message->size_bytes);
    return result == -ETIMEDOUT ? -EAGAIN : result;
}

static int tap(const struct receiver_request *request)
{
    static const struct receiver_source source = { next, NULL, receiver_go_on_after };
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct watching *watching = text_memory(calloc(1, sizeof *watching));
    struct receiver *receiver = &watching->receiver;
    receiver->request = request;
    receiver->source = &source;
    receiver->unwritten_max = UINT_MAX;
    receiver->output.form = request->form;
    receiver_need_room(receiver, 4096);
    options.start = request->start;
    options.start_back = request->start_back;
    if (weir_tap_open(&watching->tap, request->channel, &options) != 0)
        receiver->status = command_fail_weir();
    else
        receiver_print(receiver);
    uint64_t missed = watching->tap ? weir_tap_missed(watching->tap) : 0;
    if (missed > 0)
        command_note("%llu message%s overwritten before %s could be read",
                     (unsigned long long)missed, missed == 1 ? " was" : "s were",
                     missed == 1 ? "it" : "they");
    weir_tap_close(watching->tap);
    int status = receiver_end(receiver, false);
    free(receiver->room);
    free(watching);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        RECEIVER_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct receiver_request request = RECEIVER_REQUEST;
    int option, status;
    while ((option = getopt_long(argc, argv, RECEIVER_SHORT_OPTIONS, long_options, NULL)) != -1)
        if (!receiver_option(&request, option, &status) &&
            (status != STATUS_OK || !command_option(option, &status)))
            return status;
    status = receiver_operand(&request, argc, argv);
    if (status != STATUS_OK)
        return status;
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
