/* SPDX-License-Identifier: MIT */
/* weir create - a persistent segment. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>
#include <weir/segment.h>

#include "command.h"
#include "object.h"
#include "size.h"
#include "text.h"

static const char help[] =
    "Usage: weir create [OPTION]... OBJECT --size=SIZE\n"
    "\n"
    "Makes a segment of SIZE bytes, all zero. It is persistent: from the shell\n"
    "nobody stays to hold it, so it stays until 'weir rm', or until the machine\n"
    "restarts. Silent when it succeeds; fails when OBJECT exists.\n"
    "\n"
    "OBJECT is NAME, key:0x1234, ftok:PATH:PROJ or posix:/NAME. By NAME it is checked\n"
    "and typed: the bytes are the user's, and weir's header stands in a page of its\n"
    "own. By key it is raw, as shmget(2) makes it for any program; by POSIX name, as\n"
    "shm_open(3) does, but complete from the first moment: its size, its mode, and\n"
    "memory for every byte of it.\n"
    "\n"
    "Names are each user's own. For others to find one, with --mode and --gid, all\n"
    "set WEIR_DIR to the same directory, one that their group may use.\n"
    "\n"
    "Options:\n"
    "  -s, --size=SIZE    bytes: 4096, 4K, 64M, 1GiB, 0x1000 (K is 1024)\n"
    "  -m, --mode=MODE    permission bits in octal; 0600 unless said; no umask\n"
    "  -g, --gid=GROUP    give it to this group, a name or a number\n"
    "      --huge         huge pages if there are any, else normal ones\n"
    "      --persist      what it is anyway\n"
    "  -v, --verbose      print what was made\n"
    "  -q, --quiet        no remarks\n"
    "  -h, --help         this text\n"
    "\n"
    "Examples:\n"
    "  weir create camera/left --size 64M --mode 0640 --gid video\n"
    "  weir create ftok:/etc/hostname:65 --size 1024\n"
    "      what shmget(ftok(\"/etc/hostname\", 65), 1024,\n"
    "      IPC_CREAT | IPC_EXCL | 0600) makes\n"
    "  weir create posix:/frames --size 1M\n"
    "      what multiprocessing.shared_memory.SharedMemory(\"frames\") opens\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, 2 called wrongly. With 1 it may have been made all the same:\n"
    "  when what -v prints cannot be written (a full disk); the message says so.\n";

struct request {
    uint64_t size_bytes;
    struct weir_segment_options options;
    bool verbose;
};

/* 0, or an errno. */
static int print(const struct object *object, const struct weir_segment_stat *stat)
{
    int printed;
    errno = 0;
    if (stat->backend == WEIR_BACKEND_SYSV)
        printed = printf("%s: id %d, key 0x%08x, %" PRIu64 " bytes, mode %04o\n", object->argument,
                         stat->id, stat->key, stat->size_bytes, stat->mode);
    else
        printed = printf("%s: %" PRIu64 " bytes, mode %04o\n", object->argument, stat->size_bytes,
                         stat->mode);
    return printed < 0 && errno ? errno : command_flush();
}

static int create(const char *text, const struct request *request)
{
    struct object object;
    if (!object_parse(&object, text))
        return STATUS_USAGE;
    if (object.ref.by == WEIR_BY_ID) {
        int status = command_usage("'%s': the kernel chooses identifiers: create by NAME, "
                                   "key:0x1234, ftok:PATH:PROJ or posix:/NAME",
                                   object.argument);
        object_free(&object);
        return status;
    }
    object_collect_leftovers();
    struct weir_segment *segment;
    int status = STATUS_OK;
    struct weir_segment_stat stat = { .size = sizeof stat };
    if (weir_segment_create(&segment, object.ref, request->size_bytes, &request->options) < 0) {
        object_free(&object);
        return command_fail_weir();
    }
    int error = 0;
    if (weir_segment_stat(segment, &stat) == 0) {
        if (request->options.flags & WEIR_SEGMENT_HUGE_PAGES && stat.pages == WEIR_PAGES_NORMAL)
            command_note("'%s' has normal pages: 'weir doctor' says how to get huge ones",
                         object.argument);
        if (request->verbose)
            error = print(&object, &stat);
    } else if (request->verbose) {
        printf("%s\n", object.argument);
        error = command_flush();
    }
    if (error)
        status = command_fail("'%s' is made, but the output cannot be written: %s", object.argument,
                              strerror(error));
    weir_segment_close(segment);
    object_free(&object);
    return status;
}

enum { OPTION_HUGE = 256, OPTION_PERSIST };

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "gid", required_argument, NULL, 'g' },
        { "huge", no_argument, NULL, OPTION_HUGE },
        { "mode", required_argument, NULL, 'm' },
        { "persist", no_argument, NULL, OPTION_PERSIST },
        { "size", required_argument, NULL, 's' },
        { "verbose", no_argument, NULL, 'v' },
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .options = WEIR_SEGMENT_OPTIONS };
    request.options.lifetime = WEIR_PERSISTENT;
    bool sized = false, good = true;
    int option, status;
    while (good && (option = getopt_long(argc, argv, "g:hm:qs:v", long_options, NULL)) != -1) {
        switch (option) {
        case 'g':
            good = group_option("--gid", optarg, &request.options.gid);
            request.options.flags |= WEIR_SEGMENT_SET_GID;
            break;
        case OPTION_HUGE:
            request.options.flags |= WEIR_SEGMENT_HUGE_PAGES;
            break;
        case 'm':
            good = mode_option("--mode", optarg, &request.options.mode);
            break;
        case OPTION_PERSIST:
            break;
        case 's':
            good = sized = size_option("--size", optarg, &request.size_bytes);
            break;
        case 'v':
            request.verbose = true;
            break;
        default:
            if (!command_option(option, &status))
                return status;
        }
    }
    if (!good)
        return STATUS_USAGE;
    if (optind == argc)
        return command_usage("which object? NAME, key:0x1234, ftok:PATH:PROJ or posix:/NAME");
    if (optind + 1 < argc) {
        const char *excess = argv[optind + 1];
        bool is_size = !sized && size_parse(excess, &request.size_bytes) == NULL;
        return command_usage("'%s' is too much: %s%s", excess,
                             is_size ? "a size is --size=" : "one object a call",
                             is_size ? excess : "");
    }
    if (!sized)
        return command_usage("how large? --size=SIZE, for example --size=64K");
    if (request.size_bytes == 0)
        return command_usage("--size 0: a segment has one byte at least");
    return command_finish(create(argv[optind], &request));
}

const struct command command_create = {
    .name = "create",
    .summary = "make a persistent segment",
    .help = help,
    .run = run,
};
