/* SPDX-License-Identifier: MIT */
#include "named.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/identity.h>

#include "command.h"
#include "size.h"
#include "text.h"

/* Where an identity has the id of its beacon: <weir/identity.h>. */
#define BEACON_ID_SHIFT 33

static int refuse(struct named *named)
{
    return command_usage("'%s' is no name: NAME, key:0x1234, ftok:PATH:PROJ or posix:/NAME",
                         named->object.argument);
}

bool named_option(struct named_access *access, int option, const char *argument, int *status)
{
    bool good = true;
    if (option == 'm')
        good = mode_option("--mode", argument, &access->mode);
    else if (option == NAMED_GID)
        access->has_gid = good = group_option("--gid", argument, &access->gid);
    else if (option == NAMED_ANY_OWNER)
        access->any_owner = true;
    else
        return command_option(option, status);
    if (!good)
        *status = STATUS_USAGE;
    return good;
}

struct weir_segment_options named_options(const char *kind, const struct named_access *access)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = WEIR_PERSISTENT;
    options.kind = kind;
    options.mode = access->mode;
    options.gid = access->gid;
    options.flags = access->has_gid ? WEIR_SEGMENT_SET_GID : 0;
    options.trust = access->any_owner ? WEIR_TRUST_ANYONE : WEIR_TRUST_SELF;
    return options;
}

/*
 * A NAME says of what kind its segment is. Nothing says so of another one that was there already: so it
 * is taken for ours only if it has the very size, and if what is in it can be ours. Else data of some
 * other program would be written over.
 */
static bool may_be_ours(const struct named *named, const struct named_kind *kind)
{
    bool by_name = named->object.ref.by == WEIR_BY_NAME;
    uint64_t has_bytes = weir_segment_size(named->segment);
    if (named->is_new)
        return true;
    if (!by_name && has_bytes != kind->size_bytes) {
        command_fail("%s has %" PRIu64 " bytes, and a %s that weir makes there has %" PRIu64
                     ": something else is in it; take a NAME",
                     named->object.argument, has_bytes, kind->name, kind->size_bytes);
        return false;
    }
    const char *why = kind->contradiction(named->data);
    if (why && by_name)
        command_fail("'%s' is damaged: %s; 'weir rm' removes it", named->object.argument, why);
    else if (why)
        command_fail("%s: something else is in it: %s; take a NAME", named->object.argument, why);
    return why == NULL;
}

int named_open(struct named *named, const char *text, const struct named_kind *kind,
               const struct named_access *access, enum named_how how)
{
    struct weir_segment_options options = named_options(kind->name, access);
    uint64_t size_bytes = kind->size_bytes;
    memset(named, 0, sizeof *named);
    if (!object_parse(&named->object, text))
        return STATUS_USAGE;
    if (named->object.ref.by == WEIR_BY_ID)
        return refuse(named);
    object_collect_leftovers();
    if (how == NAMED_LOOK)
        options.flags |= WEIR_SEGMENT_READ_ONLY;
    int result =
        how == NAMED_MAKE
            ? weir_segment_create_or_open(&named->segment, named->object.ref, size_bytes, &options)
            : weir_segment_open(&named->segment, named->object.ref, size_bytes, &options);
    if (result < 0)
        return command_fail_weir();
    named->is_new = result == WEIR_CREATED;
    named->data = weir_segment_data(named->segment);
    return may_be_ours(named, kind) ? STATUS_OK : STATUS_FAILURE;
}

void named_close(struct named *named)
{
    weir_segment_close(named->segment);
    object_free(&named->object);
}

bool seconds_option(const char *option, const char *text, double *seconds)
{
    char *end;
    errno = 0;
    *seconds = strtod(text, &end);
    /* strtod(3) takes blanks, signs, "inf" and hexadecimal digits as well. */
    bool is_plain = strspn(text, "0123456789.eE-") == strlen(text) && *text != '-';
    if (is_plain && end != text && *end == '\0' && errno == 0 && isfinite(*seconds) &&
        *seconds >= 0)
        return true;
    char *shown = text_escape(text, false);
    command_usage("%s '%s': seconds are wanted, 0 or more: 5, 0.25", option, shown);
    free(shown);
    return false;
}

int64_t seconds_deadline(double seconds)
{
    bool is_ever = seconds > (double)(INT64_MAX / 2 / WEIR_SECOND_NS);
    return is_ever ? WEIR_NEVER : weir_deadline_ns((int64_t)(seconds * (double)WEIR_SECOND_NS));
}

bool deadline_option(const char *option, const char *text, int64_t *deadline_ns)
{
    double seconds;
    if (!seconds_option(option, text, &seconds))
        return false;
    *deadline_ns = seconds_deadline(seconds);
    return true;
}

char *identity_format(uint64_t identity)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    int id = (int)(identity >> BEACON_ID_SHIFT);
    if (weir_segment_lookup(weir_by_id(id), &stat) == 0 && stat.shm_cpid > 0)
        return text_format("process %d", stat.shm_cpid);
    return text_format("a process that cannot be seen from here");
}
