/* SPDX-License-Identifier: MIT */
/* What a caller asks for: options with their defaults, checked before anything is touched. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "segment/backend.h"
#include "segment/ref.h"

#define PAGE_FLAGS                                                                                 \
    (WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_LOCK | WEIR_SEGMENT_HUGE_PAGES | WEIR_SEGMENT_NO_FORK |  \
     WEIR_SEGMENT_DUMP | WEIR_SEGMENT_NO_DUMP)
#define CREATE_FLAGS (WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_SET_GID)
#define ALL_FLAGS (PAGE_FLAGS | CREATE_FLAGS | WEIR_SEGMENT_READ_ONLY)

int weir__options_end(const void *options, size_t size, size_t known)
{
    const unsigned char *bytes = options;
    for (size_t i = known; i < size && i < 4096; i++)
        if (bytes[i] != 0)
            return weir__fail(EINVAL,
                              "options has a field at byte %zu that this weir (%zu bytes) "
                              "does not know",
                              i, known);
    return 0;
}

/*
 * Takes over as much of the caller's struct as the caller knows. A larger one
 * than ours, from a newer header, must not ask for what this library cannot do.
 */
static int copy_options(struct weir_segment_options *to, const struct weir_segment_options *from)
{
    static const struct weir_segment_options defaults = WEIR_SEGMENT_OPTIONS;
    *to = defaults;
    if (!from)
        return 0;
    if (from->size < sizeof *to)
        return weir__fail(EINVAL, "options.size is %u: start from WEIR_SEGMENT_OPTIONS",
                          from->size);
    int result = weir__options_end(from, from->size, sizeof *to);
    if (result != 0)
        return result;
    memcpy(to, from, sizeof *to);
    to->size = sizeof *to;
    if (to->reserved[0] || to->reserved[1])
        return weir__fail(EINVAL, "options.reserved must be 0");
    return 0;
}

/* What holds for every backend. */
static int check_create(const struct weir__segment_ask *ask)
{
    const struct weir_segment_options *options = &ask->options;
    if (ask->size_bytes == 0)
        return weir__fail(EINVAL, "a segment of 0 bytes cannot be: ask for 1 at least");
    if (ask->size_bytes > (uint64_t)INT64_MAX - 65536)
        return weir__fail(E2BIG, "a segment of %" PRIu64 " bytes is beyond every address space",
                          ask->size_bytes);
    if (options->flags & WEIR_SEGMENT_READ_ONLY)
        return weir__fail(EINVAL, "WEIR_SEGMENT_READ_ONLY is for open: who creates also writes");
    if (options->mode & ~0666u)
        return weir__fail(EINVAL,
                          "mode %04o: a segment has read and write bits alone (0666), no others",
                          options->mode);
    /* For chown(2) this one means "as it is". */
    if ((options->flags & WEIR_SEGMENT_SET_GID) && options->gid == UINT32_MAX)
        return weir__fail(EINVAL, "gid %" PRIu32 " is no group's", options->gid);
    return 0;
}

static int check_sysv_create(const struct weir__segment_ask *ask)
{
    const struct weir_segment_options *options = &ask->options;
    uint32_t by = ask->ref.by;
    if (by == WEIR_BY_ID)
        return weir__fail(EINVAL, "%s: the kernel chooses ids; create by name, key or privately",
                          ask->what);
    if (options->lifetime == WEIR_EPHEMERAL && (by == WEIR_BY_KEY || by == WEIR_BY_FTOK))
        return weir__fail(EOPNOTSUPP,
                          "%s cannot be ephemeral: IPC_RMID takes the key away, and nobody would "
                          "find it; use a name, or WEIR_PERSISTENT",
                          ask->what);
    bool has_record =
        by == WEIR_BY_NAME || (by == WEIR_BY_NONE && options->lifetime == WEIR_EPHEMERAL);
    if (options->semaphores && !has_record)
        return weir__fail(EOPNOTSUPP,
                          "%s cannot bring semaphores: only a segment by name, or a private and "
                          "ephemeral one, can; create the set by itself",
                          ask->what);
    return 0;
}

int weir__sysv_check(const struct weir__segment_ask *ask, unsigned purpose)
{
    struct weir_ref ref = ask->ref;
    int result = 0;
    if (ref.by == WEIR_BY_NAME)
        result = weir_name_check(ref.text);
    else if (ref.by < WEIR_BY_NAME || ref.by > WEIR_BY_NONE)
        result = weir__fail(EINVAL, "the reference names nothing: make it with weir_by_name() or "
                                    "one of its sisters");
    else if (ref.by == WEIR_BY_ID && ref.id < 0)
        result = weir__fail(EINVAL, "id %d: identifiers are 0 or above", ref.id);
    else if (ref.by == WEIR_BY_NONE && !(purpose & WEIR__ASK_CREATE))
        result = weir__fail(EINVAL, "a private object cannot be opened: it has no name");
    else if (ref.by != WEIR_BY_NAME && ask->options.semaphores && !(purpose & WEIR__ASK_CREATE))
        result = weir__fail(EINVAL,
                            "%s brings no semaphores, and %u are asked for: they are found by a "
                            "segment's name, or by the id of their own set",
                            ask->what, ask->options.semaphores);
    return result == 0 && (purpose & WEIR__ASK_CREATE) ? check_sysv_create(ask) : result;
}

static int check_options(const struct weir__segment_ask *ask, unsigned purpose)
{
    const struct weir_segment_options *options = &ask->options;
    if (options->lifetime > WEIR_PERSISTENT)
        return weir__fail(EINVAL, "lifetime %u is neither WEIR_EPHEMERAL nor WEIR_PERSISTENT",
                          options->lifetime);
    if (options->flags & ~(uint32_t)ALL_FLAGS)
        return weir__fail(EINVAL, "flags 0x%x are not known",
                          options->flags & ~(uint32_t)ALL_FLAGS);
    if ((options->flags & WEIR_SEGMENT_DUMP) && (options->flags & WEIR_SEGMENT_NO_DUMP))
        return weir__fail(EINVAL, "WEIR_SEGMENT_DUMP and WEIR_SEGMENT_NO_DUMP exclude each other");
    if (options->trust > WEIR_TRUST_ANYONE)
        return weir__fail(EINVAL, "trust %u is not known", options->trust);
    if (options->trust == WEIR_TRUST_DIRECTORY && ask->ref.by != WEIR_BY_NAME)
        return weir__fail(EINVAL, "WEIR_TRUST_DIRECTORY is for names: %s stands in no directory",
                          ask->what);
    return purpose & WEIR__ASK_CREATE ? check_create(ask) : 0;
}

int weir__segment_ask(struct weir__segment_ask *ask, struct weir_ref ref, uint64_t size_bytes,
                      const struct weir_segment_options *options, unsigned purpose)
{
    ask->ref = ref;
    ask->size_bytes = size_bytes;
    ask->dir = NULL;
    ask->making = NULL;
    ask->is_probe = false;
    weir__ref_text(ref, ask->what);
    int result = copy_options(&ask->options, options);
    if (result != 0)
        return result;
    if (ask->options.mode == 0)
        ask->options.mode = 0600;
    if (!ask->options.kind)
        ask->options.kind = "segment";
    result = weir__kind_check(ask->options.kind);
    if (result == 0)
        result = check_options(ask, purpose);
    return result == 0 ? weir__backend_of(ref)->check(ask, purpose) : result;
}

int weir__segment_check_size(const struct weir__segment_ask *ask, uint64_t has_bytes)
{
    if (ask->size_bytes <= has_bytes)
        return 0;
    return weir__fail(EINVAL, "%s has %" PRIu64 " bytes, and %" PRIu64 " are asked for", ask->what,
                      has_bytes, ask->size_bytes);
}
