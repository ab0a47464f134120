/* SPDX-License-Identifier: MIT */
/* weir rm - remove objects. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>

#include <weir/error.h>
#include <weir/identity.h>
#include <weir/mutex.h>
#include <weir/segment.h>
#include <weir/semset.h>

#include "command.h"
#include "named.h"
#include "object.h"
#include "text.h"

static const char help[] =
    "Usage: weir rm [OPTION]... OBJECT...\n"
    "\n"
    "Removes segments and semaphore sets. Nobody finds a removed segment any more;\n"
    "who has it attached keeps the memory until the last of them detaches. Who waits\n"
    "in a removed set is woken with an error. All objects are tried, also after one\n"
    "has failed. Only the owner, the creator and root may remove an object.\n"
    "\n"
    "A POSIX segment loses its name; who has it mapped keeps the memory. Nobody\n"
    "counts them: 'weir info' shows those that can be seen.\n"
    "\n"
    "A mutex of 'weir lock', by NAME, that somebody holds is refused: the next one\n"
    "would make it anew, and run beside the holder.\n"
    "\n"
    "OBJECT is NAME, id:N (a segment), sem:N (a semaphore set), key:0x1234,\n"
    "ftok:PATH:PROJ (whichever has the key) or posix:/NAME.\n"
    "\n"
    "Options:\n"
    "  -f, --force     what is not there is no error; a mutex that is held goes, too\n"
    "  -m, --segments  of a key: the segment\n"
    "  -s, --semsets   of a key: the semaphore set; with -m both\n"
    "  -q, --quiet     no remarks\n"
    "  -h, --help      this text\n"
    "\n"
    "Examples:\n"
    "  weir rm camera/left id:42 sem:7\n"
    "  weir rm -ms ftok:/etc/hostname:65\n"
    "      both that a textbook's program made with one key\n"
    "\n"
    "Exit status:\n"
    "  0 all are removed, 1 one could not be, 2 called wrongly (then nothing is\n"
    "  removed).\n";

struct request {
    bool force;
    uint32_t types; /* enum weir_object_type, or-ed; 0: whichever there is */
};

/* How a removal went: what is missing may be forgiven. */
static int judge(int result, const struct request *request)
{
    if (result >= 0 || (request->force && (result == -ENOENT || result == -EIDRM)))
        return STATUS_OK;
    return command_fail_weir();
}

static int remove_key(const struct object *object, const struct request *request)
{
    struct object_facts facts;
    uint32_t types = request->types;
    int status = STATUS_OK;
    if (types == 0) {
        int result = object_find(object, 0, &facts);
        if (result != 0)
            return judge(result, request);
        /* Tells when a segment and a set have the key: which is meant is not for us to guess. */
        if (object_find_one(object, &facts) != STATUS_OK)
            return STATUS_FAILURE;
        types = facts.object.type;
    }
    if (types & WEIR_OBJECT_SEGMENT)
        status = judge(weir_segment_remove(object->ref), request);
    if (types & WEIR_OBJECT_SEMSET && judge(weir_semset_remove(object->ref), request) != STATUS_OK)
        status = STATUS_FAILURE;
    return status;
}

/* Tells of a living holder, if it is a mutex; one that may not be looked into is let go. */
static bool is_held(const struct object *object)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    options.trust = WEIR_TRUST_ANYONE;
    options.kind = MUTEX_KIND;
    if (weir_segment_open(&segment, object->ref, sizeof(struct weir_mutex), &options) != 0)
        return false;
    uint64_t owner = weir_mutex_owner(weir_segment_data(segment));
    bool held = owner != WEIR_IDENTITY_NOBODY && weir_life(owner, WEIR_UID_ANY) != WEIR_LIFE_DEAD;
    if (held) {
        char *who = identity_format(owner);
        command_fail("'%s' is held by %s: --force removes it all the same", object->argument, who);
        free(who);
    }
    weir_segment_close(segment);
    return held;
}

static int remove_one(const struct object *object, const struct request *request)
{
    if (object->ref.by == WEIR_BY_NAME && !request->force && is_held(object))
        return STATUS_FAILURE;
    if (object->ref.by == WEIR_BY_NAME)
        return judge(weir_segment_remove(object->ref), request); /* whatever kind it is of */
    if (object->type == WEIR_OBJECT_SEMSET)
        return judge(weir_semset_remove(object->ref), request);
    if (object->type == WEIR_OBJECT_SEGMENT || object->type == WEIR_OBJECT_POSIX)
        return judge(weir_segment_remove(object->ref), request);
    return remove_key(object, request);
}

/* Under a key there may be one of each. */
static int check_has_key(const struct object *object)
{
    if (object->ref.by == WEIR_BY_KEY || object->ref.by == WEIR_BY_FTOK)
        return STATUS_OK;
    return command_usage("--segments and --semsets are for key: and ftok:, and '%s' is neither",
                         object->argument);
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "force", no_argument, NULL, 'f' },
        { "segments", no_argument, NULL, 'm' },
        { "semsets", no_argument, NULL, 's' },
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .force = false };
    int option, status;
    while ((option = getopt_long(argc, argv, "fhmqs", long_options, NULL)) != -1) {
        if (option == 'f')
            request.force = true;
        else if (option == 'm')
            request.types |= WEIR_OBJECT_SEGMENT;
        else if (option == 's')
            request.types |= WEIR_OBJECT_SEMSET;
        else if (!command_option(option, &status))
            return status;
    }
    if (optind == argc)
        return command_usage("which object?");
    size_t count = (size_t)(argc - optind), parsed = 0;
    struct object *objects = text_memory(calloc(count, sizeof *objects));
    while (parsed < count && object_parse(&objects[parsed], argv[optind + (int)parsed]))
        parsed++;
    status = parsed == count ? STATUS_OK : STATUS_USAGE;
    for (size_t i = 0; i < parsed && status == STATUS_OK && request.types != 0; i++)
        status = check_has_key(&objects[i]);
    if (status == STATUS_OK) {
        object_collect_leftovers();
        for (size_t i = 0; i < count; i++)
            if (remove_one(&objects[i], &request) != STATUS_OK)
                status = STATUS_FAILURE;
    }
    while (parsed > 0)
        object_free(&objects[--parsed]);
    free(objects);
    return command_finish(status);
}

const struct command command_remove = {
    .name = "rm",
    .summary = "remove segments and semaphore sets",
    .help = help,
    .run = run,
};
