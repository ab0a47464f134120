/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_IDENTITY_H
#define WEIR_SEGMENT_IDENTITY_H

#include <stdbool.h>

#include <weir/identity.h>

#include "base/atomics.h"

/* What the two parts of an identity are, without its session. */
struct weir__beacon {
    int id;
    uint64_t size_bytes; /* 1 to WEIR__BEACON_SIZE_MAX */
};

#define WEIR__BEACON_SIZE_MAX (UINT64_C(1) << 20)

/* What this process is to others, since weir_identity() succeeded. */
struct weir__self {
    weir__atomic_u64 identity; /* 0 before; and in a child of fork, until it has one of its own */
    uint64_t known;            /* the same, for who knows that weir_identity() has succeeded */
    uint64_t name;             /* weir__identity_name() of it */
    uint32_t uid;              /* effective: what others must ask for */
    uint32_t space;            /* a tag of the IPC namespace that the beacon is in */
    uint64_t ipc_namespace;    /* that one; 0: it is not known */
    uint64_t user_namespace;   /* of then; 0: it is not known */
    bool sees_other_uids; /* of that one, weir__sees_other_uids(): uids are no numbers to ask by */
};

/* Where it stands. Never NULL; another place before weir_identity() has succeeded. */
extern _Atomic(const struct weir__self *) weir__self_place __attribute__((visibility("hidden")));

static inline const struct weir__self *weir__self(void)
{
    /* Acquire [self.place]: a page of zeros before it is found. Pairs with make_cache(). */
    return atomic_load_explicit(&weir__self_place, memory_order_acquire);
}

/* weir_identity() without a system call, once it has succeeded. 0: it has not. */
static inline uint64_t weir__self_identity(const struct weir__self *self)
{
    /* Acquire [self.identity]: name and uid before it. Pairs with tell(). */
    return atomic_load_explicit(&self->identity, memory_order_acquire);
}

/*
 * Where this process's identity stands, once weir_identity() has succeeded: a child
 * of fork reads 0 there, or what it has become itself.
 */
const uint64_t *weir__identity_word(void);

/* The effective uid that this process had then: what others must ask for. */
uint32_t weir__identity_uid(void);

/*
 * Whether the kernel names one maker for this segment, which this process has just made, and for its beacon: others
 * take the one for the other. The calling thread asks for both, so that their numbers mean the same. Once
 * weir_identity() has succeeded. 0, -EPERM: the process has changed its user, or its user namespace.
 */
int weir__identity_check_maker(int id);

/*
 * The calling thread's IPC namespace; 0: it is not known. /proc tells, and takes longer than all else
 * on the way to a name; who has a beacon asks for that one first: where it answers is where it was made.
 */
uint64_t weir__ipc_namespace_here(void);

/*
 * A word to stand beside an owner's: a trace of the uid to ask for (of none, WEIR_UID_ANY, in a user namespace that
 * was made: others see another number there), in which IPC namespace (this process's), and enough of the
 * identity to see whether it is that owner's: of 2^28 others, one's would fit. (An owner takes a place with one compare-and-swap, and
 * can be killed before it has written more.)
 */
uint64_t weir__identity_name(uint64_t identity, uint32_t uid);

/*
 * Whether any process can ever have that identity, or have left that name: of what stands in memory that may be
 * no object of ours. 0 is a name that nobody has written yet.
 */
bool weir__identity_can_be(uint64_t identity);
bool weir__identity_name_can_be(uint64_t name);

/* Whether it is that identity's. */
bool weir__identity_name_fits(uint64_t name, uint64_t identity);

/*
 * Whom to ask weir__life() for: who made the beacon, as the name says; WEIR_UID_ANY when it is another's
 * name, or when this process sees other numbers for the kernel's uids: a living one would not be found
 * under the one that it knows of itself.
 */
uint64_t weir__identity_name_maker(uint64_t name, uint64_t identity);

/* weir_life(); the maker: a uid, or as above. */
int weir__life(uint64_t identity, uint64_t maker);

/*
 * Whether it may be asked for from here: false when it is that identity's, and of another IPC
 * namespace. There our kernel knows nobody, and "no such id" would be its answer for the living.
 */
bool weir__identity_name_is_near(uint64_t name, uint64_t identity);

uint64_t weir__identity_pack(const struct weir__beacon *beacon);
struct weir__beacon weir__identity_unpack(uint64_t identity);

#endif
