/* SPDX-License-Identifier: MIT */
/* The public calls that make or find a segment. */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "base/error.h"
#include "segment/handle.h"

/* What a public call does around the work: the handle, and the sentence of a success. */
static int finish(struct weir_segment **segment, struct weir_segment *made, uint32_t flags,
                  int result, const struct weir__error_saved *saved)
{
    if (result >= 0) {
        made->only_in = flags & WEIR_SEGMENT_NO_FORK ? getpid() : 0;
        *segment = made;
        weir__error_restore(saved);
    } else {
        struct weir__error_saved sentence;
        weir__error_save(&sentence);
        weir__segment_free(made);
        weir__error_restore(&sentence);
    }
    return result;
}

int weir_segment_create(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                        const struct weir_segment_options *options)
{
    struct weir__segment_ask ask;
    struct weir__error_saved saved;
    struct weir_segment *made = NULL;
    weir__error_save(&saved);
    int result = weir__segment_ask(&ask, ref, size_bytes, options, WEIR__ASK_CREATE);
    if (result == 0)
        result = weir__segment_new(&made);
    if (result != 0)
        return result;
    return finish(segment, made, ask.options.flags, weir__segment_create(made, &ask), &saved);
}

int weir_segment_open(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                      const struct weir_segment_options *options)
{
    struct weir__segment_ask ask;
    struct weir__error_saved saved;
    struct weir_segment *made = NULL;
    weir__error_save(&saved);
    int result = weir__segment_ask(&ask, ref, size_bytes, options, WEIR__ASK_OPEN);
    if (result == 0)
        result = weir__segment_new(&made);
    if (result != 0)
        return result;
    return finish(segment, made, ask.options.flags, weir__segment_open(made, &ask), &saved);
}

int weir_segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                uint64_t size_bytes, const struct weir_segment_options *options)
{
    int result = -ENOENT;
    bool is_private = ref.by == WEIR_BY_NONE;
    for (int attempt = 0; attempt < WEIR__RETRIES; attempt++) {
        struct weir__segment_ask ask;
        /* What cannot be created is refused before it is opened. */
        result = weir__segment_ask(&ask, ref, size_bytes, options, WEIR__ASK_CREATE);
        if (result != 0)
            return result;
        if (!is_private)
            result = weir_segment_open(segment, ref, size_bytes, options);
        if (!is_private && result != -ENOENT)
            return result;
        result = weir_segment_create(segment, ref, size_bytes, options);
        if (result != -EEXIST)
            return result == 0 ? WEIR_CREATED : result;
    }
    return result;
}
