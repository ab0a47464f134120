/* SPDX-License-Identifier: MIT */
/* A channel as its options ask for it: what stands in its directory, and who may open that. */
#include "channel/directory.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "segment/handle.h"

/* The type that options give, into what is asked of the directory. */
static int take_type(const struct weir_channel_options *options, struct weir__terms *asked)
{
    const char *name = options->type_name ? options->type_name : "";
    if (options->type_bytes != 0 && !options->type_name)
        return weir__fail(EINVAL, "options: type_bytes is %u without a type_name",
                          options->type_bytes);
    if (options->type_name && !weir__is_type_name(name, strlen(name)))
        return weir__fail(EINVAL,
                          "the type's name '%.100s' must have 1 to %d characters, all of them "
                          "printable ASCII",
                          name, WEIR_TYPE_NAME_MAX);
    memcpy(asked->type_name, name, strlen(name) + 1);
    asked->type_bytes = options->type_bytes;
    return 0;
}

void weir__channel_rights(struct weir_segment_options *rights,
                          const struct weir_channel_options *options)
{
    rights->mode = options->mode;
    rights->gid = options->gid;
    if (options->flags & WEIR_CHANNEL_SET_GID)
        rights->flags |= WEIR_SEGMENT_SET_GID;
}

int weir__directory_open_as(struct weir__directory *directory, const char *name,
                            const struct weir_channel_options *options, struct weir__rundir *dir)
{
    struct weir__terms asked = {
        .counts = { options->publishers_max, options->subscribers_max },
        .delivery = options->delivery == WEIR_DELIVERY_LOSSY,
    };
    int result = take_type(options, &asked);
    if (result != 0)
        return result;
    struct weir_segment_options segment = WEIR_SEGMENT_OPTIONS;
    weir__channel_rights(&segment, options);
    segment.trust = options->trust;
    segment.trust_uid = options->trust_uid;
    segment.kind = WEIR__DIRECTORY_KIND;
    segment.flags |= WEIR_SEGMENT_NO_FORK;
    bool is_to_stay = options->flags & WEIR_CHANNEL_PERSISTENT;
    segment.lifetime = is_to_stay ? WEIR_PERSISTENT : WEIR_EPHEMERAL;
    result = weir__directory_open(directory, name, &asked, &segment, dir);
    if (result == 0 && is_to_stay && directory->segment->record.lifetime != WEIR_PERSISTENT)
        result = weir__fail(EINVAL,
                            "channel '%s' was made for the time being: it goes with its last "
                            "member, and cannot be made to stay",
                            name);
    return result;
}
