/* SPDX-License-Identifier: MIT */
/* weir set - a new latest value. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/segment.h>

#include "command.h"
#include "named.h"
#include "size.h"
#include "text.h"
#include "value.h"

static const char help[] =
    "Usage: weir set [OPTION]... NAME [VALUE]\n"
    "\n"
    "Makes VALUE, or without it standard input to its end, the latest value of NAME.\n"
    "A VALUE is taken as it is, '-' as well, with a remark: it is no file.\n"
    "Who reads gets the former value or this one, whole: 'weir get', 'weir watch',\n"
    "programs by weir-latest.h(3). NAME is made when it is not there, and persistent:\n"
    "it stays until 'weir rm NAME', or until the machine restarts.\n"
    "\n"
    "There is one writer at a time. While another 'weir set' is at it, this one\n"
    "waits; a program that stays the writer of NAME keeps the place.\n"
    "\n"
    "Options:\n"
    "  -s, --max=SIZE      of a new one: the largest value that it takes; 4K unless\n"
    "                      said, or twice this one's if that is more\n" NAMED_HELP
    "  -w, --wait=SECONDS  for another writer, at most: 5 unless said\n"
    "  -q, --quiet         no remarks\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  weir set outside/temperature 21.5\n"
    "  weir set outside/temperature -- -5\n"
    "  weir set --max 1M camera/still < still.jpg\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, 2 called wrongly.\n";

enum { READ_AT_ONCE = 65536 };

#define KIND "latest" /* as 'weir list' shows it */

enum { WAIT_SECONDS = 5 };
#define NAP_NS WEIR_MILLISECOND_NS

struct request {
    unsigned char *bytes;
    uint64_t size_bytes;
    uint64_t max_bytes; /* 0: as the value asks */
    struct named_access access;
    double wait_seconds;
    int64_t deadline_ns; /* so many from when the value is there */
};

/* Standard input to its end. */
static int read_value(struct request *request)
{
    uint64_t capacity = 0;
    for (;;) {
        if (capacity - request->size_bytes < READ_AT_ONCE) {
            capacity = 2 * capacity + READ_AT_ONCE;
            request->bytes = text_memory(realloc(request->bytes, capacity));
        }
        ssize_t got = read(STDIN_FILENO, request->bytes + request->size_bytes,
                           capacity - request->size_bytes);
        if (got == 0)
            return STATUS_OK;
        if (got < 0 && errno != EINTR)
            return command_fail("cannot read standard input: %s", strerror(errno));
        if (got > 0)
            request->size_bytes += (uint64_t)got;
    }
}

static uint32_t trust_of(const struct request *request)
{
    return request->access.any_owner ? WEIR_TRUST_ANYONE : WEIR_TRUST_SELF;
}

/* Of what is there, and is not made. */
static struct weir_latest_options options_there(const struct request *request)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    options.trust = trust_of(request);
    return options;
}

static struct weir_latest_options options_of(const struct request *request)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    uint64_t page = 4096, wanted = 2 * request->size_bytes;
    options.value_bytes_max = request->max_bytes ? request->max_bytes
                              : wanted <= page   ? page
                                                 : (wanted + page - 1) / page * page;
    options.lifetime = WEIR_PERSISTENT;
    options.mode = request->access.mode;
    options.trust = trust_of(request);
    options.flags = WEIR_LATEST_ALWAYS_WAKE; /* who may only read it is woken, too */
    options.gid = request->access.gid;
    if (request->access.has_gid)
        options.flags |= WEIR_LATEST_SET_GID;
    return options;
}

/* What is not there, or was never made ready: whoever made it may have been killed. */
static int make(struct weir_latest_writer **writer, const struct object *object,
                const struct request *request)
{
    const struct weir_latest_options options = options_of(request), there = options_there(request);
    int result = weir_latest_create(writer, object->ref, &options);
    if (result != -EINVAL)
        return result;
    /* Somebody has just made it, otherwise; or such a one cannot be, and is told of once more. */
    result = weir_latest_create(writer, object->ref, &there);
    return result == -ENOENT ? weir_latest_create(writer, object->ref, &options) : result;
}

/* The writer's place, of what is there or of a new one. */
static int open_writer(struct weir_latest_writer **writer, const struct object *object,
                       const struct request *request)
{
    const struct weir_latest_options there = options_there(request);
    const struct timespec nap = { 0, NAP_NS };
    for (;;) {
        int result = weir_latest_create(writer, object->ref, &there);
        if (result == -ENOENT || result == -EAGAIN)
            result = make(writer, object, request);
        /* Another one writes, or is just making it. */
        if ((result != -EBUSY && result != -EAGAIN) || weir_now_ns() >= request->deadline_ns)
            return result;
        nanosleep(&nap, NULL);
    }
}

static int set(const struct object *object, const struct request *request)
{
    struct weir_latest_writer *writer;
    object_collect_leftovers();
    int status = STATUS_OK;
    if (open_writer(&writer, object, request) < 0)
        return command_fail_weir();
    int result = weir_latest_write(writer, request->bytes, request->size_bytes);
    if (result == -EMSGSIZE)
        status =
            command_fail("'%s' takes %llu bytes at most, not %llu: 'weir rm' it, and say --max",
                         object->argument, (unsigned long long)weir_latest_writer_max_bytes(writer),
                         (unsigned long long)request->size_bytes);
    else if (result != 0)
        status = command_fail_weir();
    weir_latest_writer_close(writer);
    return status;
}

/* VALUE, or standard input; the time to wait for others begins when it is there. */
static int take_value(struct request *request, const char *value)
{
    int status = STATUS_OK;
    if (value) {
        request->size_bytes = strlen(value);
        request->bytes = text_memory(malloc(request->size_bytes + 1));
        memcpy(request->bytes, value, request->size_bytes);
    } else {
        status = read_value(request);
    }
    request->deadline_ns = seconds_deadline(request->wait_seconds);
    return status;
}

static int run_on(const char *name, const char *value, struct request *request)
{
    struct object object;
    int status = value_object(&object, name) ? take_value(request, value) : STATUS_USAGE;
    if (status == STATUS_OK)
        status = set(&object, request);
    if (status == STATUS_OK && value && strcmp(value, "-") == 0)
        command_note("the value is '-': standard input is read where there is no VALUE");
    object_free(&object);
    free(request->bytes);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "max", required_argument, NULL, 's' },
        { "wait", required_argument, NULL, 'w' },
        NAMED_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .wait_seconds = WAIT_SECONDS };
    bool good = true;
    int option, status = STATUS_OK;
    while (good && (option = getopt_long(argc, argv, "hm:qs:w:", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            good = size_option("--max", optarg, &request.max_bytes);
            if (good && request.max_bytes == 0)
                return command_usage("--max '%s': a value has room for a byte at least", optarg);
            break;
        case 'w':
            good = seconds_option("--wait", optarg, &request.wait_seconds);
            break;
        default:
            if (!named_option(&request.access, option, optarg, &status))
                return status;
        }
    }
    if (!good)
        return STATUS_USAGE;
    if (optind == argc)
        return command_usage("which value? NAME, and what it is to be");
    if (optind + 2 < argc)
        return command_usage("'%s' is too much: put VALUE into quotes", argv[optind + 2]);
    return command_finish(
        run_on(argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL, &request));
}

const struct command command_set = {
    .name = "set",
    .summary = "make a new latest value",
    .help = help,
    .run = run,
};
