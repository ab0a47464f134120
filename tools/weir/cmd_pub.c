/* SPDX-License-Identifier: MIT */
/* weir pub - messages to every 'weir sub', or program, of a channel. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/collect.h>
#include <weir/error.h>
#include <weir/inspect.h>

#include "channel.h"
#include "command.h"
#include "fields.h"
#include "input.h"
#include "named.h"
#include "object.h"
#include "sentence.h"
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

/* It waits so long without a word, and so long until the next one. */
#define SILENT_NS WEIR_SECOND_NS
#define TOLD_AGAIN_NS (60 * WEIR_SECOND_NS)

/* What --repeat keeps of standard input. */
#define KEPT_BYTES_MAX ((uint64_t)256 << 20)

struct request {
    const char *channel;
    char **files; /* NULL-terminated; empty: standard input */
    enum input_form form;
    uint64_t ring, repeat, wait_for, type;
    double rate;      /* 0: as fast as it goes */
    double wait;      /* below 0: for ever */
    uint64_t lag_max; /* 0: wait for the slowest */
    bool is_taken;
    struct weir_channel_options options;
};

struct publication {
    const struct request *request;
    struct weir_publisher *publisher;
    size_t most;
    int64_t start_ns;
    uint64_t sent;
    int64_t told_ns;   /* when it was said last for whom it waits; 0: never */
    bool has_left_out; /* a subscriber */
    bool has_met;      /* somebody had subscribed when it began, or at a message */
};

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

/* A call that waits, once more unless a signal is to end us. */
static bool is_again(int result)
{
    return result == -EINTR && !stop_signal();
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

static void look_around(struct publication *publication)
{
    if (!publication->has_met) /* it costs no system call */
        publication->has_met = weir_publisher_subscribers(publication->publisher) > 0;
}

static int fail(int result)
{
    return result == -EINTR ? STATUS_FAILURE : channel_fail(result); /* the signal says it all */
}

/* Who is in the way of this publisher: the first that has not attached it, else the slowest. */
struct obstacle {
    uint64_t identity; /* of this publisher; 0: not found yet */
    uint32_t own_slot, slot;
    int pid; /* 0: nobody */
    bool is_unattached;
};

static int find_obstacle(const struct weir_channel_member *member, void *argument)
{
    struct obstacle *obstacle = argument;
    if (member->role == WEIR_MEMBER_PUBLISHER) {
        if (member->pid == getpid()) {
            obstacle->identity = member->identity;
            obstacle->own_slot = member->slot;
        }
        return 0;
    }
    if (obstacle->identity == 0 || member->is_lossy || member->pid <= 0 || obstacle->is_unattached)
        return 0;
    bool is_slowest = false, is_unattached = true;
    for (size_t i = 0; i < member->reading_count; i++)
        if (member->readings[i].publisher == obstacle->own_slot &&
            member->readings[i].identity == obstacle->identity) {
            is_unattached = false;
            is_slowest = member->readings[i].is_slowest;
        }
    if (is_slowest || is_unattached) {
        obstacle->slot = member->slot;
        obstacle->pid = member->pid;
        obstacle->is_unattached = is_unattached;
    }
    return 0;
}

static void tell_of_wait(struct publication *publication)
{
    const char *channel = publication->request->channel;
    struct obstacle obstacle = { .pid = 0 };
    publication->told_ns = weir_now_ns();
    if (weir_inspect_channel(channel, find_obstacle, &obstacle) != 0 || obstacle.pid == 0)
        return;
    char *command = process_command(obstacle.pid);
    char *shown = command ? text_escape(command, false) : NULL;
    command_note("waiting for subscriber %u of '%s' (pid %d%s%s%s) to %s; 'weir top' shows more",
                 obstacle.slot, channel, obstacle.pid, shown ? ", " : "", shown ? shown : "",
                 process_is_stopped(obstacle.pid) ? ", stopped" : "",
                 obstacle.is_unattached ? "attach this publisher's ring"
                                        : "give back what it has of the ring");
    free(shown);
    free(command);
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
    tell_of_wait(publication);
    return weir_publisher_send_until(publication->publisher, data, size, type, WEIR_NEVER);
}

static int publish(struct publication *publication, const unsigned char *data, size_t size)
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
    while (is_again(result) || is_stranger(publication, result));
    if (result != 0)
        return fail(result);
    publication->sent++;
    look_around(publication);
    return STATUS_OK;
}

/* All messages of one file. */
static int publish_file(struct publication *publication, const char *path, enum input_form form)
{
    struct input input;
    const unsigned char *data;
    size_t size;
    int more = 1;
    int status = input_open(&input, path, form, publication->request->ring, publication->most);
    while (status == STATUS_OK && (more = input_next(&input, &data, &size)) > 0)
        status = publish(publication, data, size);
    if (more < 0)
        status = STATUS_FAILURE;
    input_close(&input);
    return status;
}

/* Standard input, as it stands in memory: each message behind its length. */
struct kept {
    unsigned char *bytes;
    size_t used, capacity;
};

static int keep(struct kept *kept, const unsigned char *data, size_t size)
{
    size_t wanted = kept->used + sizeof size + size;
    if (wanted > KEPT_BYTES_MAX)
        return command_fail("standard input has more than the 256 MiB that --repeat keeps in "
                            "memory: give FILEs, which are read anew each time");
    if (wanted > kept->capacity) {
        kept->capacity = wanted > KEPT_BYTES_MAX / 2 ? KEPT_BYTES_MAX : 2 * wanted;
        kept->bytes = text_memory(realloc(kept->bytes, kept->capacity));
    }
    memcpy(kept->bytes + kept->used, &size, sizeof size);
    memcpy(kept->bytes + kept->used + sizeof size, data, size);
    kept->used = wanted;
    return STATUS_OK;
}

static int keep_all(const struct publication *publication, enum input_form form, struct kept *kept)
{
    struct input input;
    const unsigned char *data;
    size_t size;
    int more = 1;
    int status = input_open(&input, "-", form, publication->request->ring, publication->most);
    while (status == STATUS_OK && (more = input_next(&input, &data, &size)) > 0)
        status = keep(kept, data, size);
    input_close(&input);
    return more < 0 ? STATUS_FAILURE : status;
}

static int publish_kept(struct publication *publication, const struct kept *kept)
{
    int status = STATUS_OK;
    size_t at = 0, size;
    while (status == STATUS_OK && at < kept->used) {
        memcpy(&size, kept->bytes + at, sizeof size);
        status = publish(publication, kept->bytes + at + sizeof size, size);
        at += sizeof size + size;
    }
    return status;
}

static int publish_repeated(struct publication *publication)
{
    struct kept kept = { .bytes = NULL };
    int status = keep_all(publication, publication->request->form, &kept);
    for (uint64_t turn = 0; status == STATUS_OK && turn < publication->request->repeat; turn++) {
        if (kept.used == 0)
            break;
        status = publish_kept(publication, &kept);
    }
    free(kept.bytes);
    return status;
}

/* Whether standard input stands among the files for more than once: its bytes come once alone. */
static bool is_input_repeated(const struct request *request)
{
    uint64_t times = 0;
    for (char **file = request->files; *file; file++)
        times += input_is_standard(*file) ? request->repeat : 0;
    return times > 1;
}

static int publish_files(struct publication *publication)
{
    const struct request *request = publication->request;
    struct kept kept = { .bytes = NULL };
    bool is_kept = is_input_repeated(request);
    int status = is_kept ? keep_all(publication, INPUT_WHOLE, &kept) : STATUS_OK;
    for (uint64_t turn = 0; turn < request->repeat && status == STATUS_OK; turn++)
        for (char **file = request->files; *file && status == STATUS_OK; file++)
            status = is_kept && input_is_standard(*file)
                         ? publish_kept(publication, &kept)
                         : publish_file(publication, *file, INPUT_WHOLE);
    free(kept.bytes);
    return status;
}

static int publish_all(struct publication *publication)
{
    if (*publication->request->files)
        return publish_files(publication);
    if (publication->request->repeat > 1)
        return publish_repeated(publication);
    return publish_file(publication, "-", publication->request->form);
}

/* Beside the directory of this IPC namespace. Those of dead namespaces stay, so this is a hint. */
static bool has_other_namespaces(void)
{
    char path[PATH_MAX];
    if (weir_run_directory(path, sizeof path) < 0)
        return false;
    char *own = strrchr(path, '/');
    *own++ = '\0';
    DIR *base = opendir(path);
    bool has = false;
    for (const struct dirent *entry; base && !has && (entry = readdir(base));)
        has = strncmp(entry->d_name, "ipc-", 4) == 0 && strcmp(entry->d_name, own) != 0;
    if (base)
        closedir(base);
    return has;
}

static int too_few(const struct publication *publication)
{
    const struct request *request = publication->request;
    int count = weir_publisher_subscribers(publication->publisher);
    if (count > 0 && (uint64_t)count >= request->wait_for) /* stopped, or come just now */
        return command_fail("%d had subscribed to '%s' within %g s, and not all of them have "
                            "attached what is published here",
                            count, request->channel, request->wait);
    if (count <= 0)
        return command_fail("nobody had subscribed to '%s' within %g s%s", request->channel,
                            request->wait,
                            has_other_namespaces()
                                ? "; other IPC namespaces, as of containers, have names here, too: "
                                  "one of this name there is another channel"
                                : "");
    return command_fail("%d of %llu had subscribed to '%s' within %g s", count,
                        (unsigned long long)request->wait_for, request->channel, request->wait);
}

/* The channel was made for fewer, perhaps by this command. */
static int too_many(const struct publication *publication)
{
    char *said = sentence_last();
    command_fail("%s; who makes it for more says --subscribers-max=%llu", said,
                 (unsigned long long)publication->request->wait_for);
    free(said);
    return STATUS_FAILURE;
}

static int await_subscribers(struct publication *publication)
{
    const struct request *request = publication->request;
    int64_t deadline_ns = request->wait < 0 ? WEIR_NEVER : seconds_deadline(request->wait);
    int result;
    do
        result = weir_publisher_wait_subscribers(publication->publisher,
                                                 (uint32_t)request->wait_for, deadline_ns);
    while (is_again(result) || is_stranger(publication, result));
    if (result == -ETIMEDOUT || result == -EAGAIN)
        return too_few(publication);
    if (result == -EINVAL)
        return too_many(publication);
    return result == 0 ? STATUS_OK : fail(result);
}

static int await_taken(struct publication *publication)
{
    int result;
    do
        result = weir_publisher_wait_taken(publication->publisher, WEIR_NEVER);
    while (is_again(result) || is_stranger(publication, result));
    if (result == -EPIPE && !publication->has_met && !publication->has_left_out)
        return command_fail("nobody has subscribed to '%s': --wait-for 1 waits for somebody",
                            publication->request->channel);
    if (result == -EPIPE)
        return command_fail("the last subscriber of '%s' left, or was killed, before it had taken "
                            "everything",
                            publication->request->channel);
    return result == 0 ? STATUS_OK : fail(result);
}

/* Enough for whoever looks at all; who is stopped learns nothing of a publisher without a message. */
#define NOTICED_NS (200 * WEIR_MILLISECOND_NS)

/*
 * Without a message nobody need have noticed that this publisher was there: so whoever waits for its end is
 * given the time to.
 */
static void be_noticed(const struct publication *publication)
{
    int count = weir_publisher_subscribers(publication->publisher);
    if (publication->sent == 0 && count > 0)
        weir_publisher_wait_subscribers(publication->publisher, (uint32_t)count,
                                        weir_deadline_ns(NOTICED_NS));
}

/* Nobody is waited for who is lossy; close gives him a moment, and then he learns nothing of us. */
static void tell_of_unattached(const struct publication *publication)
{
    int count = publication->has_met ? weir_publisher_subscribers(publication->publisher) : 0;
    if (publication->sent == 0 || count <= 0 || publication->request->is_taken ||
        publication->has_left_out || stop_signal())
        return;
    int result = weir_publisher_wait_subscribers(publication->publisher, (uint32_t)count,
                                                 weir_deadline_ns(NOTICED_NS));
    if (result == -ETIMEDOUT && weir_publisher_subscribers(publication->publisher) >= count)
        command_note("a subscriber of '%s' has not attached what is published here, as one that is "
                     "stopped: of what it is not waited for it gets nothing, and is told nothing",
                     publication->request->channel);
}

/* Nobody, from the begin to the end: what was published is gone. */
static void tell_of_nobody(struct publication *publication)
{
    look_around(publication);
    if (publication->sent == 0 || publication->has_met || publication->has_left_out)
        return;
    command_note("nobody had subscribed: %llu message%s went to nobody (--wait-for 1 waits)",
                 (unsigned long long)publication->sent, publication->sent == 1 ? "" : "s");
}

static int run_publication(const struct request *request)
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
    look_around(&publication);
    int status = STATUS_OK;
    for (char **file = request->files; *file && status == STATUS_OK; file++)
        status = input_check_whole(*file, request->ring, publication.most);
    if (status == STATUS_OK && request->wait_for > 0)
        status = await_subscribers(&publication);
    if (status == STATUS_OK)
        status = publish_all(&publication);
    if (status == STATUS_OK && request->is_taken)
        status = await_taken(&publication);
    else if (status != STATUS_OK && publication.sent > 0)
        command_note("%llu message%s published before", (unsigned long long)publication.sent,
                     publication.sent == 1 ? " was" : "s were");
    else if (status == STATUS_OK)
        tell_of_nobody(&publication);
    if (status == STATUS_OK)
        tell_of_unattached(&publication);
    be_noticed(&publication);
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
static bool take_option(struct request *request, int option, int *status)
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
    struct request request = {
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
