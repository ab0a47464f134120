/* SPDX-License-Identifier: MIT */
#ifndef WEIR_OFFSET_H
#define WEIR_OFFSET_H

/*
 * Offset pointers: how one place in shared memory points to another.
 *
 * Each process has the memory at an address of its own, so an address that is stored there means
 * nothing to the others. What is stored is the distance from the first byte: an offset, 0 for
 * "nowhere". A process turns it into an address of its own when it follows it, and there it is
 * checked: an offset that leads out of the memory, or to a place that is not aligned for the type,
 * gives NULL, whoever wrote it.
 *
 *     typedef WEIR_POINTER(struct node) node_pointer;
 *     struct node {
 *         node_pointer next;
 *         int value;
 *     };
 *
 *     struct weir_space space = { weir_segment_data(segment), weir_segment_size(segment) };
 *     for (struct node *node = weir_pointer_get(space, list->head); node;
 *          node = weir_pointer_get(space, node->next))
 *         sum += node->value;
 *
 * A list that a hostile process has bent into a ring is still a ring: bound your loops where you
 * do not trust who writes.
 *
 * Concurrency: the calls read and write what they are given, without atomics: guard it with a
 * lock, as any data.
 */

#include <stdint.h>

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory that is shared, as this process sees it. Never stored in it. */
struct weir_space {
    void *base;          /* offset 0: the same byte of the memory in every process. Not NULL, unless
                            size_bytes is 0: the calls here do not look */
    uint64_t size_bytes; /* from the segment, never from the shared memory */
};

/*
 * A pointer to type, to stand in shared memory: 8 bytes. All 0: nowhere. Give it a name by typedef:
 * then one can be assigned to another. Two are compared by their offsets, a.offset == b.offset: neither C nor
 * C++ compares unions. To void there is none, since what is pointed to has a size that is checked: take
 * WEIR_POINTER(char), or an offset and weir_offset_address().
 */
#define WEIR_POINTER(type)                                                                         \
    union {                                                                                        \
        uint64_t offset;                                                                           \
        type *only_for_its_type;                                                                   \
    }

/* The address that a WEIR_POINTER means here; NULL: nowhere, outside of the space, or unaligned. */
#ifdef __cplusplus
#define weir_pointer_get(space, pointer)                                                           \
    (static_cast<__typeof__(&*(pointer).only_for_its_type)>(                                       \
        weir_offset_address((space), (pointer).offset, sizeof(*(pointer).only_for_its_type),       \
                            __alignof__(*(pointer).only_for_its_type))))
#else
#define weir_pointer_get(space, pointer)                                                           \
    ((__typeof__(&*(pointer).only_for_its_type))weir_offset_address(                               \
        (space), (pointer).offset, sizeof(*(pointer).only_for_its_type),                           \
        __alignof__(*(pointer).only_for_its_type)))
#endif

/* Makes the WEIR_POINTER at place mean address; NULL, or what is not in the space: nowhere. */
#define weir_pointer_set(space, place, address)                                                    \
    ((void)sizeof((place)->only_for_its_type == (address)),                                        \
     (void)((place)->offset = weir_offset_of((space), (address))))

/*
 * weir_offset_address() - from an offset to an address
 *
 * space: the memory. offset: in bytes. size_bytes: how much must be there; align: 1, 2, 4 ... of
 * the address.
 *
 * Returns: the address; NULL when the offset is 0, when it and size_bytes lead out of the space,
 *     or when the address is not aligned.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT void *weir_offset_address(struct weir_space space, uint64_t offset, uint64_t size_bytes,
                                      uint64_t align);

/*
 * weir_offset_of() - from an address to an offset
 *
 * space: the memory. address: in it.
 *
 * Returns: the offset in bytes; 0 when the address is NULL, the base itself, or not in the space.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_offset_of(struct weir_space space, const void *address);

#ifdef __cplusplus
}
#endif
#endif
