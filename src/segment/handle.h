/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_HANDLE_H
#define WEIR_SEGMENT_HANDLE_H

/* The private handle of a segment, and the steps that create and open share. */

#include <stdbool.h>

#include <weir/segment.h>

#include "segment/entry.h"
#include "segment/ref.h"

/* One further mapping, from weir_segment_attach(). */
struct weir__mapping {
    struct weir__mapping *next;
    void *memory;     /* the segment's first byte, the header included */
    uint64_t only_in; /* WEIR_SEGMENT_NO_FORK: the process that has it; else 0 */
};

struct weir__backend;

struct weir_segment {
    const struct weir__backend *backend;
    int id;           /* System V, else -1 */
    int fd;           /* POSIX and memfd, else -1 */
    void *memory;     /* the segment's first byte */
    uint64_t only_in; /* WEIR_SEGMENT_NO_FORK: the process that has it mapped; else 0 */
    uint64_t segsz;   /* the kernel's, header included; of a file, its size when it was opened */
    uint32_t offset_bytes; /* where the user's bytes begin: 0 or WEIR__HEADER_BYTES */
    uint32_t pages;        /* enum weir_pages */
    bool is_removed;       /* ephemeral: marked for destruction when this handle was made */

    /* With a record in the run directory, else directory is NULL. */
    char *directory; /* the entry's: a name or "~NONCE" */
    uint64_t ipc_namespace;
    struct weir__record record;

    struct weir_semset *semset; /* that lives with it, or NULL */

    struct weir__mapping *mappings; /* further ones; see mappings_lock */
};

/*
 * Where shmat(2) is to place the segment, so that the user's first byte comes to
 * address. NULL would mean anywhere: the lowest page gives an address that is refused.
 */
static inline void *weir__segment_base(const struct weir_segment *segment, void *address)
{
    uintptr_t base = (uintptr_t)address - segment->offset_bytes;
    return !address ? NULL : base ? (void *)base : (void *)1;
}

/*
 * An ephemeral private segment that is made if another object is, and before that one: one draft
 * serves for both, and costs as much as the kernel's own part of a small segment.
 */
struct weir__segment_beside {
    uint64_t size_bytes;
    const struct weir_segment_options *options;
    struct weir_segment
        *made; /* NULL: not made; else the caller's, also when the other one failed */
};

/* How an object is made: whole, before anybody sees it. */
struct weir__segment_making {
    uint64_t size_bytes;
    uint64_t least_bytes; /* that one which is there already must have */
    void (*fill)(void *memory,
                 const void *argument); /* by name: the user's bytes, 0 before; or NULL */
    const void *argument;
    /* WEIR_SEGMENT_PREFAULT: applied only when it is created. One that is there already is not
     * trusted yet, and so is not touched. */
    uint32_t flags;
    struct weir__segment_beside *beside; /* or NULL; of an object with a draft */
};

/* What the caller asked for, with every default filled in and checked. */
struct weir__segment_ask {
    struct weir_ref ref;
    uint64_t size_bytes;
    struct weir_segment_options options; /* mode, kind and size are never 0 or NULL */
    char what[WEIR__REF_TEXT_BYTES];     /* the reference as text */
    struct weir__rundir *dir;            /* to be entered by who needs it; its owner closes it */
    const struct weir__segment_making *making;
    bool is_probe; /* -ENOENT of an open leaves no sentence */
};

enum weir__ask_for { WEIR__ASK_CREATE = 1, WEIR__ASK_OPEN = 2 };

/* -EINVAL, with both numbers, when the segment has fewer bytes than are asked for. */
int weir__segment_check_size(const struct weir__segment_ask *ask, uint64_t has_bytes);

/* Of options from a later release: -EINVAL if one of the fields is used that come behind the known. */
int weir__options_end(const void *options, size_t size, size_t known);

/* Checks reference, size and options; purpose is one or both of enum weir__ask_for. */
int weir__segment_ask(struct weir__segment_ask *ask, struct weir_ref ref, uint64_t size_bytes,
                      const struct weir_segment_options *options, unsigned purpose);

/* An empty handle, -ENOMEM; and its end, which detaches whatever is attached. */
int weir__segment_new(struct weir_segment **segment);
void weir__segment_free(struct weir_segment *segment);

/* The handle ends, its attachment stays until the process does. No record, no further mapping. */
void weir__segment_leave(struct weir_segment *segment);

/*
 * What a public call that gives a handle does at its end, result being that of the work: hands
 * made over with the sentence as saved, or takes it back with the sentence of the failure.
 */
struct weir__error_saved;
int weir__segment_finish(struct weir_segment **segment, struct weir_segment *made, uint32_t flags,
                         int result, const struct weir__error_saved *saved);

/*
 * The public calls, in a run directory that is entered once for several of them. The caller gives
 * it as weir__rundir_init() or the last of them left it, and closes it in the end.
 */
int weir__segment_create(struct weir_segment **segment, struct weir_ref ref, uint64_t size_bytes,
                         const struct weir_segment_options *options, struct weir__rundir *dir);
int weir__segment_create_or_open(struct weir_segment **segment, struct weir_ref ref,
                                 const struct weir__segment_making *making,
                                 const struct weir_segment_options *options,
                                 struct weir__rundir *dir);

/* Remembers where the object's record stands. -ENOMEM. */
int weir__segment_set_entry(struct weir_segment *segment, const struct weir__rundir *dir,
                            const char *directory, const struct weir__record *record);

/* The id of a segment by key, ftok or id; -ENOENT and the like with a sentence. */
int weir__segment_find(struct weir_ref ref);

/* Takes a name away, of whatever kind its object is. */
int weir__name_remove(const char *name);

/*
 * Whether who is self, with this trust, accepts a creator and owner, of an object of System V; of a
 * directory's see below. 1, 0; neither is known: -EMFILE, -ENFILE, -ENOMEM: in this moment; -ENOSYS:
 * nobody tells. Without a sentence.
 */
int weir__trusts(uint32_t trust, uint32_t trust_uid, uint32_t self, uint32_t creator,
                 uint32_t owner);

/* Whether the options' trust accepts this creator and owner: 0; -EPERM: it does not, or nobody tells
 * who they are; -EMFILE, -ENFILE, -ENOMEM: that cannot be looked up now. With a sentence. */
int weir__trust_check(uint32_t trust, uint32_t trust_uid, uint32_t creator, uint32_t owner,
                      const uint32_t *entry_owner, const char *what);

/* The same for what is a file, open as fd. */
int weir__trust_check_file(uint32_t trust, uint32_t trust_uid, int fd, uint32_t owner,
                           const char *what);

#endif
