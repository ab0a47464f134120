/* SPDX-License-Identifier: MIT */
/* A channel as its options ask for it: what stands in its directory, and who may open that. */
#include "channel/directory.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "segment/handle.h"

int weir__channel_options(struct weir_channel_options *to, const struct weir_channel_options *from)
{
    static const struct weir_channel_options defaults = WEIR_CHANNEL_OPTIONS;
    const uint32_t both = WEIR_CHANNEL_SPIN_ONLY | WEIR_CHANNEL_SLEEP_ONLY;
    const uint32_t known = both | WEIR_CHANNEL_PERSISTENT | WEIR_CHANNEL_SET_GID;
    *to = defaults;
    if (from && from->size != sizeof *to)
        return weir__fail(EINVAL, "options.size is %u: start from WEIR_CHANNEL_OPTIONS",
                          from->size);
    if (from)
        *to = *from;
    if (to->ring_bytes == 0)
        to->ring_bytes = WEIR_RING_BYTES_DEFAULT;
    if (to->flags & ~known)
        return weir__fail(EINVAL, "options: flags 0x%x are not known", to->flags & ~known);
    if ((to->flags & both) == both)
        return weir__fail(EINVAL, "options: WEIR_CHANNEL_SPIN_ONLY and WEIR_CHANNEL_SLEEP_ONLY "
                                  "exclude each other");
    if (to->reserved[0] || to->reserved[1])
        return weir__fail(EINVAL, "options.reserved must be 0: start from WEIR_CHANNEL_OPTIONS");
    if (to->ring_bytes < WEIR_RING_BYTES_MIN || (to->ring_bytes & (to->ring_bytes - 1)) != 0)
        return weir__fail(EINVAL, "a ring of %llu bytes: it must be a power of two, %llu at least",
                          (unsigned long long)to->ring_bytes,
                          (unsigned long long)WEIR_RING_BYTES_MIN);
    if (to->publishers_max > WEIR_CHANNEL_MEMBERS_MAX ||
        to->subscribers_max > WEIR_CHANNEL_MEMBERS_MAX)
        return weir__fail(EINVAL, "a channel for %u publishers and %u subscribers: %d each at most",
                          to->publishers_max, to->subscribers_max, WEIR_CHANNEL_MEMBERS_MAX);
    if (to->delivery > WEIR_DELIVERY_LOSSY)
        return weir__fail(EINVAL, "options: delivery %u is not known", to->delivery);
    if (to->start > WEIR_START_BACK)
        return weir__fail(EINVAL, "options: start %u is not known", to->start);
    return 0;
}

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

static int refuse_delivery(const char *name, bool is_lossy)
{
    if (is_lossy)
        return weir__fail(EINVAL,
                          "channel '%s' was made lossy, and a publisher cannot change that: leave "
                          "options.delivery 0; a subscriber may ask for everything by its own "
                          "(WEIR_DELIVERY_RELIABLE)",
                          name);
    return weir__fail(
        EINVAL,
        "channel '%s' was made reliable, by whoever came first, and a publisher cannot "
        "change that: leave --lossy out (options.delivery 0); a subscriber may be lossy "
        "by itself ('weir sub --lossy'), and --lag-max (options.lag_max_bytes) waits "
        "for none",
        name);
}

/* Of the channel that was opened, and what was asked of it. */
static int check_opened(const struct weir__directory *directory, const char *name,
                        const struct weir_channel_options *options)
{
    bool is_lossy = directory->terms.delivery != 0;
    if ((options->flags & WEIR_CHANNEL_PERSISTENT) &&
        directory->segment->record.lifetime != WEIR_PERSISTENT)
        return weir__fail(EINVAL,
                          "channel '%s' was made for the time being: it goes with its last "
                          "member, and cannot be made to stay",
                          name);
    if (options->delivery != WEIR_DELIVERY_CHANNEL &&
        is_lossy != (options->delivery == WEIR_DELIVERY_LOSSY))
        return refuse_delivery(name, is_lossy);
    return 0;
}

int weir__directory_open_as(struct weir__directory *directory, const char *name,
                            const struct weir_channel_options *options,
                            struct weir__segment_beside *beside, struct weir__rundir *dir)
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
    result = weir__directory_open(directory, name, &asked, &segment, beside, dir);
    return result == 0 ? check_opened(directory, name, options) : result;
}
