/* SPDX-License-Identifier: MIT */
/* weir pub - messages to every 'weir sub', or program, of a channel. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>

#include "channel.h"
#include "command.h"
#include "named.h"
#include "object.h"
#include "publication.h"
#include "size.h"
#include "stop.h"
#include "text.h"

static const char help[] =
    "Usage: weir pub [OPTION]... CHANNEL [FILE]...\n"
    "\n"
    "Publishes a message for each line of standard input, without its end, to all\n"
    "who subscribe to CHANNEL: 'weir sub', or programs with <weir/channel.h>. With\n"
    "FILEs, a message for each of them; '-' is the whole of standard input.\n"
    "\n"
    "Whoever has subscribed before a message gets it, also when this command has\n"
    "ended, or was killed, since. Nothing is dropped: it waits for the slowest, but\n"
    "for those that are lossy ('weir sub --lossy'), or see --lag-max, and says for\n"
    "whom when that takes more than a second. What\n"
    "is published while nobody subscribes is gone, which is told when nobody was\n"
    "there at all; --wait-for waits for somebody.\n"
    "A subscriber that it may not read, or whose page is not made by weir, is told\n"
    "of and left out; the others get everything, and the status is 1 in the end.\n"
    "Any number may publish to a channel at once. 'weir info' shows who takes part,\n"
    "'weir top' the same live, 'weir tap' the messages, from outside.\n"
    "\n"
    "Options:\n"
    "  -L, --length-prefixed  standard input is, for each message, its length in 4\n"
    "                         bytes, the lowest first (little-endian), then its bytes\n"
    "  -s, --wait-for=N       begin when N have subscribed\n"
    "  -w, --wait=SECONDS     give up when they have not by then; fractions are\n"
    "                         allowed\n"
    "  -r, --rate=N           N messages a second, such as 100 or 0.5, by the clock:\n"
    "                         one that was held up is made up for\n"
    "  -n, --repeat=N         the whole N times; standard input is read to its end\n"
    "                         first, and may have 256 MiB, FILEs are read anew each\n"
    "                         time\n"
    "  -t, --type=N           the number that each message carries, 0 to 65535\n"
    "      --ring=SIZE        of this publisher's ring, a power of two, 64K at least;\n"
    "                         a message has a quarter of it less 8 bytes at most;\n"
    "                         without it: 1M\n"
    "      --lossy            if this makes the channel: whoever subscribes misses\n"
    "                         what it does not read in time. Who makes it without,\n"
    "                         'weir sub' as well, makes it reliable, and then this is\n"
    "                         refused\n"
    "      --lag-max=SIZE     once the ring is full, do not wait for one who is so\n"
    "                         far behind, or half the ring; 'weir sub' says what it\n"
    "                         missed\n"
    "      --taken            end only when all who subscribe have taken everything;\n"
    "                         'weir sub' has written it by then. Nobody there at all\n"
    "                         is a failure\n" CHANNEL_HELP "  -q, --quiet            no remarks\n"
    "  -h, --help             this text\n"
    "\n"
    "Examples:\n"
    "  echo 'door open' | weir pub house/events\n"
    "  weir pub --wait-for 1 --rate 30 --ring 32M camera frame-*.ppm\n"
    "\n"
    "Exit status:\n"
    "  0 all is committed (with --taken: taken); 1 not all, or a subscriber was left\n"
    "  out; 2 called wrongly; by the signal when interrupted.\n";

static int run_publication(const struct publication_request *request)
{
    struct publication publication = { .request = request };
    struct weir_channel_options options = request->options;
    options.ring_bytes = request->ring;
    options.lag_max_bytes = request->lag_max;
    object_collect_leftovers();
    int result = weir_publisher_open(&publication.publisher, request->channel, &options);
    if (result != 0)
        return channel_fail(result);
    publication.most = weir_publisher_max_bytes(publication.publisher);
    publication_look_around(&publication);
    int status = STATUS_OK;
    for (char **file = request->files; *file && status == STATUS_OK; file++)
        status = input_check_whole(*file, request->ring, publication.most);
    if (status == STATUS_OK && request->wait_for > 0)
        status = publication_await_subscribers(&publication);
    if (status == STATUS_OK)
        status = publication_send_all(&publication);
    if (status == STATUS_OK && request->is_taken)
        status = publication_await_taken(&publication);
    else if (status != STATUS_OK && publication.sent > 0)
        command_note("%llu message%s published before", (unsigned long long)publication.sent,
                     publication.sent == 1 ? " was" : "s were");
    else if (status == STATUS_OK)
        publication_tell_of_nobody(&publication);
    if (status == STATUS_OK)
        publication_tell_of_unattached(&publication);
    publication_be_noticed(&publication);
    weir_publisher_close(publication.publisher);
    return status == STATUS_OK && publication.has_left_out ? STATUS_FAILURE : status;
}

static bool rate_option(const char *text, double *rate)
{
    char *end;
    errno = 0;
    *rate = strtod(text, &end);
    if (end != text && *end == '\0' && errno == 0 && isfinite(*rate) && *rate > 0)
        return true;
    char *shown = text_escape(text, false);
    command_usage("--rate '%s': messages a second are wanted, more than 0: 100, 0.5", shown);
    free(shown);
    return false;
}

static bool ring_option(const char *text, uint64_t *ring)
{
    if (!size_option("--ring", text, ring))
        return false;
    if (*ring >= WEIR_RING_BYTES_MIN && (*ring & (*ring - 1)) == 0)
        return true;
    command_usage("--ring '%s': a power of two is wanted, 64K at least: 1M, 32M", text);
    return false;
}

/* 0 would say: wait for the slowest. Who writes it means the contrary. */
static bool lag_option(const char *text, uint64_t *lag)
{
    if (!size_option("--lag-max", text, lag))
        return false;
    if (*lag > 0)
        return true;
    command_usage("--lag-max '%s': 1 at least, which waits for nobody; to wait for the slowest, "
                  "leave it out",
                  text);
    return false;
}

enum { OPTION_RING = 0x2000, OPTION_TAKEN, OPTION_LOSSY, OPTION_LAG_MAX };

/* False: the usage error is told, or *status is what the command returns. */
static bool take_option(struct publication_request *request, int option, int *status)
{
    *status = STATUS_USAGE;
    switch (option) {
    case 'L':
        request->form = INPUT_LENGTHS;
        return true;
    case 'n':
        return number_option("--repeat", optarg, 1, UINT32_MAX, &request->repeat);
    case 'r':
        return rate_option(optarg, &request->rate);
    case 's':
        return number_option("--wait-for", optarg, 1, WEIR_CHANNEL_MEMBERS_MAX, &request->wait_for);
    case 't':
        return number_option("--type", optarg, 0, UINT16_MAX, &request->type);
    case 'w':
        return seconds_option("--wait", optarg, &request->wait);
    case OPTION_RING:
        return ring_option(optarg, &request->ring);
    case OPTION_LOSSY:
        request->options.delivery = WEIR_DELIVERY_LOSSY;
        return true;
    case OPTION_LAG_MAX:
        return lag_option(optarg, &request->lag_max);
    case OPTION_TAKEN:
        request->is_taken = true;
        return true;
    default:
        return channel_option(&request->options, option, optarg, status);
    }
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "lag-max", required_argument, NULL, OPTION_LAG_MAX },
        { "length-prefixed", no_argument, NULL, 'L' },
        { "lossy", no_argument, NULL, OPTION_LOSSY },
        { "rate", required_argument, NULL, 'r' },
        { "repeat", required_argument, NULL, 'n' },
        { "ring", required_argument, NULL, OPTION_RING },
        { "taken", no_argument, NULL, OPTION_TAKEN },
        { "type", required_argument, NULL, 't' },
        { "wait", required_argument, NULL, 'w' },
        { "wait-for", required_argument, NULL, 's' },
        CHANNEL_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct publication_request request = {
        .ring = WEIR_RING_BYTES_DEFAULT, .repeat = 1, .wait = -1, .options = WEIR_CHANNEL_OPTIONS
    };
    int option, status;
    while ((option = getopt_long(argc, argv, "hLn:qr:s:t:w:", long_options, NULL)) != -1)
        if (!take_option(&request, option, &status))
            return status;
    if (optind == argc)
        return command_usage("which CHANNEL?");
    request.channel = argv[optind];
    request.files = argv + optind + 1;
    if (channel_name_check(request.channel) != STATUS_OK)
        return STATUS_USAGE;
    if (*request.files && request.form == INPUT_LENGTHS)
        return command_usage("--length-prefixed is for standard input: a FILE is a message");
    if (request.wait >= 0 && request.wait_for == 0)
        return command_usage("--wait needs --wait-for: how many to wait for");
    status = stop_catch();
    if (status == STATUS_OK)
        status = run_publication(&request);
    return stop_end(command_finish(status));
}

const struct command command_pub = {
    .name = "pub",
    .summary = "publish messages: lines, or files",
    .help = help,
    .run = run,
};
