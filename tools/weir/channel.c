/* SPDX-License-Identifier: MIT */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>
#include <weir/ref.h>

#include "command.h"
#include "size.h"
#include "text.h"

int channel_name_check(const char *name)
{
    if (weir_name_check(name) == 0)
        return STATUS_OK;
    if (!strchr(name, ':'))
        return command_usage("%s", weir_last_error());
    char *shown = text_escape(name, false);
    command_usage("'%s': a channel has a NAME, such as house/events, and no key or identifier",
                  shown);
    free(shown);
    return STATUS_USAGE;
}

static bool type_refused(const char *text, const char *why)
{
    char *shown = text_escape(text, false);
    command_usage("--typed '%s': %s: NAME or NAME:SIZE is wanted, 'struct point:16'", shown, why);
    free(shown);
    return false;
}

/* "NAME" or "NAME:SIZE"; a name may have colons of its own, as in "geometry::point:16". */
static bool type_option(struct weir_channel_options *options, char *text)
{
    char *colon = strrchr(text, ':'), *end = NULL;
    uint64_t bytes = 0;
    if (colon && colon[1] != '\0' && strchr("-+0123456789", colon[1])) {
        const char *why = size_parse(colon + 1, &bytes);
        if (!why && (bytes == 0 || bytes > UINT32_MAX))
            why = "a size is 1 to 4294967295";
        if (why)
            return type_refused(text, why);
        end = colon;
        *end = '\0';
    }
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            return type_refused(text, "a name is of printable ASCII");
    if ((length == 0 || length > WEIR_TYPE_NAME_MAX) && end)
        *end = ':'; /* to be told as it was given */
    if (length == 0 || length > WEIR_TYPE_NAME_MAX)
        return type_refused(text, "a name has 1 to 63 characters");
    options->type_name = text;
    options->type_bytes = (uint32_t)bytes;
    return true;
}

static bool members_option(const char *option, const char *text, uint32_t *count)
{
    uint64_t number;
    if (!number_option(option, text, 1, WEIR_CHANNEL_MEMBERS_MAX, &number))
        return false;
    *count = (uint32_t)number;
    return true;
}

static bool from_back(const char *text, uint64_t *start_back)
{
    const char *why = number_parse(text + 1, UINT64_MAX / 2, start_back);
    if (why)
        command_usage("--from '%s': %s", text, why);
    return !why;
}

bool from_option(const char *text, uint32_t *start, uint64_t *start_back)
{
    *start = WEIR_START_BACK;
    if (text[0] == '-' && text[1] >= '0' && text[1] <= '9')
        return from_back(text, start_back);
    *start = strcmp(text, "oldest") == 0 ? WEIR_START_OLDEST : WEIR_START_NOW;
    if (*start == WEIR_START_OLDEST || strcmp(text, "now") == 0)
        return true;
    char *shown = text_escape(text, false);
    command_usage("--from '%s': oldest, now or -N is wanted, such as -10", shown);
    free(shown);
    return false;
}

bool channel_option(struct weir_channel_options *options, int option, char *argument, int *status)
{
    *status = STATUS_USAGE;
    switch (option) {
    case CHANNEL_ANY_OWNER:
        options->trust = WEIR_TRUST_ANYONE;
        return true;
    case CHANNEL_GID:
        options->flags |= WEIR_CHANNEL_SET_GID;
        return group_option("--gid", argument, &options->gid);
    case CHANNEL_MODE:
        return mode_option("--mode", argument, &options->mode);
    case CHANNEL_PERSISTENT:
        options->flags |= WEIR_CHANNEL_PERSISTENT;
        return true;
    case CHANNEL_PUBLISHERS:
        return members_option("--publishers-max", argument, &options->publishers_max);
    case CHANNEL_SUBSCRIBERS:
        return members_option("--subscribers-max", argument, &options->subscribers_max);
    case CHANNEL_TYPED:
        return type_option(options, argument);
    default:
        return command_option(option, status);
    }
}

int channel_fail(int result)
{
    int status = command_fail_weir();
    /* Who may not come to the names gets no further by what is said of a channel. */
    const char *said = weir_last_error();
    bool is_directory = strstr(said, "the run directory") || strstr(said, "WEIR_DIR");
    if ((result == -EACCES || result == -EPERM) && !is_directory)
        command_note("a channel of several users: who makes it, and all who join, say "
                     "--mode 0660 --gid GROUP --any-owner");
    return status;
}
