/* SPDX-License-Identifier: MIT */
/*
 * Values with a name: one segment for both parts, the readers' part behind the values.
 *
 * A segment that was made, and whose maker was killed before it was made ready, is all zero: the
 * next writer makes it ready.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "latest/reader.h"
#include "latest/writer.h"

static const struct weir_latest_options defaults = WEIR_LATEST_OPTIONS;

static struct weir_segment_options segment_options(const struct weir_latest_options *options)
{
    struct weir_segment_options of_segment = WEIR_SEGMENT_OPTIONS;
    of_segment.kind = WEIR__LATEST_KIND;
    of_segment.lifetime = options->lifetime;
    of_segment.mode = options->mode;
    of_segment.trust = options->trust;
    of_segment.trust_uid = options->trust_uid;
    of_segment.gid = options->gid;
    of_segment.flags = options->flags & WEIR_LATEST_SET_GID ? WEIR_SEGMENT_SET_GID : 0;
    return of_segment;
}

static uint64_t bytes_of(uint64_t geometry)
{
    struct weir_latest_memory needs;
    weir__latest_sizes(geometry, &needs);
    return needs.values_bytes + needs.readers_bytes;
}

/*
 * Where the two parts are. What the geometry says is checked with the sizes by whoever uses them. One
 * look at the magic decides: who came a moment too soon would else have one part where there are two.
 */
static int place(struct weir_segment *segment, struct weir_latest_memory *memory)
{
    unsigned char *data = weir_segment_data(segment);
    uint64_t has_bytes = weir_segment_size(segment);
    struct weir_latest_memory needs = { .values_bytes = has_bytes };
    if (has_bytes >= sizeof(struct weir__latest_ready_shm)) {
        struct weir__latest_ready_shm *ready = (void *)data;
        /* Acquire [latest.ready]: a geometry, if there is one. Pairs with make_ready(). */
        uint64_t magic = atomic_load_explicit(&ready->magic, memory_order_acquire);
        if (magic == 0)
            return weir__fail_plain(EAGAIN, "the value has not been made ready yet");
        if (magic == WEIR__LATEST_VALUES_MAGIC)
            weir__latest_sizes(atomic_load_explicit(&ready->geometry, memory_order_relaxed),
                               &needs);
    }
    *memory = (struct weir_latest_memory){ .values = data, .values_bytes = has_bytes };
    if (needs.values_bytes < has_bytes) {
        memory->values_bytes = needs.values_bytes;
        memory->readers = data + needs.values_bytes;
        memory->readers_bytes = has_bytes - needs.values_bytes;
    }
    return 0;
}

/* Nobody said how large a value is to be, so it is opened alone. */
static int not_made(void)
{
    struct weir__error_saved why;
    weir__error_save(&why);
    return weir__fail(ENOENT, "%s; with a value_bytes_max in the options this call makes it",
                      why.text);
}

/* Too few bytes: mostly since it has another geometry, or layout, which says more. */
static int explain_size(struct weir_ref ref, const struct weir_segment_options *options,
                        uint64_t geometry)
{
    struct weir__error_saved why;
    struct weir_segment *segment;
    int result = 0;
    weir__error_save(&why);
    if (weir_segment_open(&segment, ref, 0, options) == 0) {
        const struct weir_latest_memory memory = { .values = weir_segment_data(segment),
                                                   .values_bytes = weir_segment_size(segment) };
        result = weir__latest_compare(&memory, geometry);
        weir_segment_close(segment);
    }
    if (result != 0)
        return result;
    weir__error_restore(&why);
    return -EINVAL;
}

int weir_latest_create(struct weir_latest_writer **writer, struct weir_ref ref,
                       const struct weir_latest_options *options)
{
    const struct weir_latest_options *asked = options ? options : &defaults;
    struct weir_latest_memory memory;
    struct weir_segment *segment;
    uint64_t geometry = 0;
    int result = weir__latest_check(asked);
    if (result == 0 && asked->flags & WEIR_LATEST_READ_ONLY)
        result = weir__latest_refuse_read_only();
    else if (result == 0 && asked->value_bytes_max != 0)
        result = weir__latest_pack(asked, &geometry);
    if (result != 0)
        return result;
    struct weir_segment_options of_segment = segment_options(asked);
    if (geometry == 0 || ref.by == WEIR_BY_ID)
        result = weir_segment_open(&segment, ref, 0, &of_segment);
    else
        result = weir_segment_create_or_open(&segment, ref, bytes_of(geometry), &of_segment);
    if (result == -EINVAL && geometry != 0 && ref.by != WEIR_BY_ID)
        result = explain_size(ref, &of_segment, geometry);
    if (result < 0)
        return result == -ENOENT && geometry == 0 && ref.by != WEIR_BY_ID ? not_made() : result;
    if (geometry != 0) {
        weir__latest_sizes(geometry, &memory);
        memory.values = weir_segment_data(segment);
        memory.readers =
            memory.readers_bytes == 0 ? NULL : (unsigned char *)memory.values + memory.values_bytes;
        result = weir_segment_size(segment) < bytes_of(geometry)
                     ? weir__fail(EINVAL, "the segment has %llu bytes, and needs %llu",
                                  (unsigned long long)weir_segment_size(segment),
                                  (unsigned long long)bytes_of(geometry))
                     : weir_latest_init(&memory, asked);
    } else {
        result = place(segment, &memory);
    }
    if (result == 0)
        result = weir__latest_writer_open(writer, &memory, segment);
    if (result < 0)
        weir_segment_close(segment);
    return result;
}

/* The values for reading alone, so that no stray pointer writes them; where the kernel allows it. */
static void protect(const struct weir_latest_memory *memory)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int saved_errno = errno;
    if ((uintptr_t)memory->values % page == 0 && memory->values_bytes >= page)
        mprotect(memory->values, memory->values_bytes / page * page, PROT_READ);
    errno = saved_errno;
}

/* For writing, too, unless that is not wanted, or not allowed. */
static int attach(struct weir_segment **segment, struct weir_ref ref,
                  const struct weir_latest_options *options, bool *may_write)
{
    struct weir_segment_options of_segment = segment_options(options);
    struct weir__error_saved saved;
    weir__error_save(&saved);
    *may_write = !(options->flags & WEIR_LATEST_READ_ONLY);
    int result = *may_write ? weir_segment_open(segment, ref, 0, &of_segment) : -EACCES;
    if (result != -EACCES)
        return result;
    *may_write = false;
    of_segment.flags |= WEIR_SEGMENT_READ_ONLY;
    result = weir_segment_open(segment, ref, 0, &of_segment);
    if (result == 0)
        weir__error_restore(&saved);
    return result;
}

int weir_latest_open(struct weir_latest_reader **reader, struct weir_ref ref,
                     const struct weir_latest_options *options)
{
    const struct weir_latest_options *asked = options ? options : &defaults;
    struct weir_latest_memory memory;
    struct weir_segment *segment;
    bool may_write;
    int result = weir__latest_check(asked);
    if (result == 0)
        result = attach(&segment, ref, asked, &may_write);
    if (result != 0)
        return result;
    result = place(segment, &memory);
    if (!may_write)
        memory.readers = NULL;
    if (result == 0)
        result = weir__latest_reader_open(reader, &memory, segment);
    if (result != 0)
        weir_segment_close(segment);
    else if (may_write)
        protect(&memory);
    return result;
}
