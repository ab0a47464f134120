/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_CHANNEL_H
#define WEIR_TOOL_CHANNEL_H

/* What 'weir pub' and 'weir sub' say alike of the channel that they open, or make; and 'weir tap'. */

#include <getopt.h>
#include <stdbool.h>

#include <weir/channel.h>

#define CHANNEL_ANY_OWNER 0x3000
#define CHANNEL_GID 0x3004
#define CHANNEL_MODE 0x3001
#define CHANNEL_PERSISTENT 0x3002
#define CHANNEL_TYPED 0x3003
#define CHANNEL_PUBLISHERS 0x3005
#define CHANNEL_SUBSCRIBERS 0x3006
#define CHANNEL_LONG_OPTIONS                                                                       \
    { "any-owner", no_argument, NULL, CHANNEL_ANY_OWNER },                                         \
        { "gid", required_argument, NULL, CHANNEL_GID },                                           \
        { "mode", required_argument, NULL, CHANNEL_MODE },                                         \
        { "persistent", no_argument, NULL, CHANNEL_PERSISTENT },                                   \
        { "publishers-max", required_argument, NULL, CHANNEL_PUBLISHERS },                         \
        { "subscribers-max", required_argument, NULL, CHANNEL_SUBSCRIBERS },                       \
    {                                                                                              \
        "typed", required_argument, NULL, CHANNEL_TYPED                                            \
    }

/* For the help: behind "Options:". */
#define CHANNEL_HELP                                                                               \
    "      --typed=NAME[:SIZE]  the channel's messages are of this type, and of SIZE\n"            \
    "                         bytes each: as it was made for, or else from now on\n"               \
    "      --persistent       if this makes the channel, it stays until 'weir rm'\n"               \
    "      --publishers-max=N  for how many the channel is: as it was made for, or\n"              \
    "                         else this makes it so; 1 to 4096, and 64 if nobody says\n"           \
    "      --subscribers-max=N  likewise\n"                                                        \
    "      --mode=MODE        who else may join what this makes: 0660, a group;\n"                 \
    "                         without it: 0600, this user alone\n"                                 \
    "      --gid=GROUP        give what this makes to a group, a name or a number\n"               \
    "      --any-owner        also a channel, and members, of other users\n"

/* Whether it can be a channel's: STATUS_OK, or the usage error is told. */
int channel_name_check(const char *name);

/* --from=WHERE of sub and tap: enum weir_start, and how many back; false: the usage error is told. */
bool from_option(const char *text, uint32_t *start, uint64_t *start_back);

/* False: it is none of these, or *status is STATUS_USAGE, and that is told. */
bool channel_option(struct weir_channel_options *options, int option, char *argument, int *status);

/* Tells why a channel could not be opened, or a member met: STATUS_FAILURE. */
int channel_fail(int result);

#endif
