/* SPDX-License-Identifier: MIT */
/* The public calls that make, find or remove a segment, whatever it is made of. */
#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "base/process.h"
#include "segment/backend.h"

int weir__segment_finish(struct weir_segment **segment, struct weir_segment *made, uint32_t flags,
                         int result, const struct weir__error_saved *saved)
{
    if (result >= 0) {
        made->only_in = flags & WEIR_SEGMENT_NO_FORK ? weir__process() : 0;
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

static int create_in(struct weir_segment **segment, struct weir_ref ref,
                     const struct weir__segment_making *making,
                     const struct weir_segment_options *options, struct weir__rundir *dir)
{
    struct weir__segment_ask ask;
    struct weir__error_saved saved;
    struct weir_segment *made = NULL;
    weir__error_save(&saved);
    int result = weir__segment_ask(&ask, ref, making->size_bytes, options, WEIR__ASK_CREATE);
    if (result == 0)
        result = weir__segment_new(&made);
    if (result != 0)
        return result;
    made->backend = weir__backend_of(ref);
    ask.dir = dir;
    ask.making = making;
    return weir__segment_finish(segment, made, ask.options.flags, made->backend->create(made, &ask),
                                &saved);
}

int weir__segment_create(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                         const struct weir_segment_options *options, struct weir__rundir *dir)
{
    const struct weir__segment_making making = { .size_bytes = size_bytes };
    return create_in(segment, ref, &making, options, dir);
}

static int open_in(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                   const struct weir_segment_options *options, struct weir__rundir *dir,
                   bool is_probe)
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
    made->backend = weir__backend_of(ref);
    ask.dir = dir;
    ask.is_probe = is_probe;
    return weir__segment_finish(segment, made, ask.options.flags, made->backend->open(made, &ask),
                                &saved);
}

/* By turns, until one of them says what there is. */
static int create_or_open(struct weir_segment **segment, struct weir_ref ref,
                          const struct weir__segment_making *making,
                          const struct weir_segment_options *options, struct weir__rundir *dir)
{
    int result = -ENOENT;
    bool is_private = ref.by == WEIR_BY_NONE || ref.by == WEIR_BY_MEMFD;
    for (int attempt = 0; attempt < WEIR__RETRIES; attempt++) {
        struct weir__segment_ask ask;
        /* What cannot be created is refused before it is opened. */
        result = weir__segment_ask(&ask, ref, making->size_bytes, options, WEIR__ASK_CREATE);
        if (result != 0)
            return result;
        if (!is_private)
            result = open_in(segment, ref, making->least_bytes, options, dir, true);
        if (!is_private && result != -ENOENT)
            return result;
        result = create_in(segment, ref, making, options, dir);
        if (result != -EEXIST)
            return result == 0 ? WEIR_CREATED : result;
    }
    return result;
}

int weir__segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                 const struct weir__segment_making *making,
                                 const struct weir_segment_options *options,
                                 struct weir__rundir *dir)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = create_or_open(segment, ref, making, options, dir);
    if (result >= 0) /* that it was not there was no error */
        weir__error_restore(&saved);
    return result;
}

int weir_segment_create(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                        const struct weir_segment_options *options)
{
    struct weir__rundir dir;
    weir__rundir_init(&dir);
    int result = weir__segment_create(segment, ref, size_bytes, options, &dir);
    weir__rundir_close(&dir);
    return result;
}

int weir_segment_open(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                      const struct weir_segment_options *options)
{
    struct weir__rundir dir;
    weir__rundir_init(&dir);
    int result = open_in(segment, ref, size_bytes, options, &dir, false);
    weir__rundir_close(&dir);
    return result;
}

int weir_segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                uint64_t size_bytes, const struct weir_segment_options *options)
{
    const struct weir__segment_making making = { .size_bytes = size_bytes,
                                                 .least_bytes = size_bytes };
    struct weir__rundir dir;
    weir__rundir_init(&dir);
    int result = weir__segment_create_or_open(segment, ref, &making, options, &dir);
    weir__rundir_close(&dir);
    return result;
}

static int check_stat_size(const struct weir_segment_stat *stat)
{
    if (stat->size >= sizeof *stat)
        return 0;
    return weir__fail(EINVAL, "stat->size is %u: set it to sizeof(struct weir_segment_stat)",
                      stat->size);
}

int weir_segment_stat(const struct weir_segment *segment, struct weir_segment_stat *stat)
{
    int result = check_stat_size(stat);
    return result == 0 ? segment->backend->stat(segment, stat) : result;
}

int weir_segment_lookup(struct weir_ref ref, struct weir_segment_stat *stat)
{
    int result = check_stat_size(stat);
    return result == 0 ? weir__backend_of(ref)->lookup(ref, stat) : result;
}

int weir_segment_remove(struct weir_ref ref)
{
    return weir__backend_of(ref)->remove(ref);
}
