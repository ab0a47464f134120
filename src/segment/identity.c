/* SPDX-License-Identifier: MIT */
/*
 * Beacons.
 *
 *   what                | who writes it               | under what
 *   --------------------+-----------------------------+------------------------------
 *   the beacon          | its process: made, set to   | nobody else is told of it
 *                       | mode 0, never written       | before it is whole
 *   cache->self         | the thread that made it     | cache->lock, the identity last; the
 *                       |                             | page is wiped in a child of fork
 *
 * ID1: a beacon has one attachment, its own process's. No fork(3) comes between
 *     the attach and MADV_DONTFORK; a child by clone(2) that came would have one,
 *     which would outlive us: the count, looked at after MADV_DONTFORK, is then 2,
 *     and the beacon is thrown away.
 * ID2: nobody without privilege attaches it: mode 0, and no key.
 * ID3: a child never acts as its parent: the cache lies in a page that the kernel
 *     wipes at fork (MADV_WIPEONFORK), lock included.
 *
 * CRASH beacon.made: as any private segment: a draft names it until it is removed
 * from the name space, and then the kernel frees it.
 */
#include "segment/identity.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/segment.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/section.h"
#include "segment/handle.h"
#include "segment/sysv.h"

#define SIZE_BITS 20
#define SESSION_BITS 13

/* How often a beacon that a fork spoiled is made again. */
#define RETRIES 100

/* All zero is the state of a fresh page, and of a child's: unlocked, no identity. */
struct cache {
    pthread_mutex_t lock;
    struct weir__self self;
    void *beacon; /* where it is attached */
};

static struct cache *cache;
static const struct weir__self nobody;
_Atomic(const struct weir__self *) weir__self_place = &nobody;

uint64_t weir__identity_pack(const struct weir__beacon *beacon)
{
    return (uint64_t)(uint32_t)beacon->id << (SIZE_BITS + SESSION_BITS) | (beacon->size_bytes - 1)
                                                                              << SESSION_BITS;
}

struct weir__beacon weir__identity_unpack(uint64_t identity)
{
    return (struct weir__beacon){
        .id = (int)(identity >> (SIZE_BITS + SESSION_BITS)),
        .size_bytes = (identity >> SESSION_BITS & (WEIR__BEACON_SIZE_MAX - 1)) + 1,
    };
}

/*
 * A name: a trace of the uid, 16 bits; a tag of the identity, 28; of its IPC namespace, 20.
 *
 * Between two namespaces of one tag the living would be called dead, for as long as both exist: their
 * inodes, which are shared out to namespaces of all kinds, the lowest that is free, differ in these bits
 * up to a million of them. The tag of the identity tells a name that a former owner has left beside
 * the word of one that has not written its own yet: were it taken for its own, one that lives would be looked
 * for under another's uid, and called dead. So it is long. Of the uid a trace does: two users of one
 * trace could only keep each other's dead alive.
 */
#define SPACE_BITS 20
#define SPACE_MASK ((UINT64_C(1) << SPACE_BITS) - 1)
#define TAG_BITS 28
#define TAG_MASK (((UINT64_C(1) << TAG_BITS) - 1) << SPACE_BITS)
#define TRACE_SHIFT (SPACE_BITS + TAG_BITS)

#define TRACED (UINT64_C(1) << 32) /* in a maker: it is a trace of the uid, not 0 */

static uint64_t tag_of(uint64_t identity)
{
    uint64_t mixed = (identity >> SESSION_BITS) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed >> (64 - TAG_BITS) << SPACE_BITS;
}

/* 1 to 65535; 0: any. */
static uint64_t trace_of(uint32_t uid)
{
    return uid == WEIR_UID_ANY ? 0 : uid * UINT32_C(0x9e3779b1) % 65535 + 1;
}

uint64_t weir__identity_name(uint64_t identity, uint32_t uid)
{
    return trace_of(uid) << TRACE_SHIFT | tag_of(identity) | weir__self()->space;
}

/* No identity has a tag of 0: a name that nobody has written yet is nobody's. */
bool weir__identity_name_fits(uint64_t name, uint64_t identity)
{
    uint64_t tag = tag_of(identity);
    return tag != 0 && (name & TAG_MASK) == tag;
}

bool weir__identity_can_be(uint64_t identity)
{
    return tag_of(identity) != 0;
}

bool weir__identity_name_can_be(uint64_t name)
{
    return name == 0 || (name & TAG_MASK) != 0;
}

uint64_t weir__identity_name_maker(uint64_t name, uint64_t identity)
{
    bool is_seen = weir__identity_name_fits(name, identity) && !weir__self()->sees_other_uids;
    return is_seen && name >> TRACE_SHIFT != 0 ? TRACED | name >> TRACE_SHIFT : WEIR_UID_ANY;
}

bool weir__identity_name_is_near(uint64_t name, uint64_t identity)
{
    return !weir__identity_name_fits(name, identity) || (name & SPACE_MASK) == weir__self()->space;
}

static bool is_maker(uint32_t uid, uint64_t maker)
{
    if (maker & TRACED)
        return (TRACED | trace_of(uid)) == maker;
    return maker == WEIR_UID_ANY || maker == uid;
}

/*
 * In a child of fork. The kernel has wiped the page by now and left out the beacon. An emulator
 * of another processor takes every advice and follows none: then this is left to us.
 */
static void forget_in_child(void)
{
    if (weir__self_identity(&cache->self) == WEIR_IDENTITY_NOBODY)
        return;
    if (cache->beacon)
        shmdt(cache->beacon);
    memset(cache, 0, sizeof *cache);
}

static void make_cache(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    if (madvise(memory, page, MADV_WIPEONFORK) != 0 ||
        pthread_atfork(NULL, NULL, forget_in_child) != 0) {
        munmap(memory, page);
        return;
    }
    cache = memory;
    /* Release [self.place]: the page before it is found. Pairs with weir__self(). */
    atomic_store_explicit(&weir__self_place, &cache->self, memory_order_release);
}

/* How the kernel answers for a beacon. */
enum answer {
    ANSWER_SAME, /* it is there */
    ANSWER_GONE, /* no segment, or another one, has its id */
    ANSWER_ELSE, /* the kernel does not say */
};

/*
 * Since it has its identity: then it sees other numbers for uids than those it knows, its own among them. It is
 * looked for each time, since nothing tells of it: unshare(2) and setns(2) are not ours.
 */
static bool has_left_user_namespace(void)
{
    const struct weir__self *self = weir__self();
    if (weir__self_identity(self) == WEIR_IDENTITY_NOBODY)
        return false; /* what it knows by then is taken for the numbers of here, see tell() */
    uint64_t now = weir__user_namespace();
    return now == 0 || now != self->user_namespace;
}

/*
 * maker: a uid, or as weir__identity_name_maker() gives it. Another maker's number is no sign of a death for who may
 * see a living one under another number than it asks for.
 */
static enum answer ask(uint64_t identity, uint64_t maker)
{
    struct weir__beacon beacon = weir__identity_unpack(identity);
    struct shmid_ds found;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = weir__shm_stat(beacon.id, &found);
    weir__error_restore(&saved);
    if (result == -ENOENT)
        return ANSWER_GONE;
    if (result != 0)
        return ANSWER_ELSE;
    bool is_same = found.shm_segsz == beacon.size_bytes &&
                   (is_maker(found.shm_perm.cuid, maker) || has_left_user_namespace());
    return is_same ? ANSWER_SAME : ANSWER_GONE;
}

/* With the lock held. */
static void tell(uint64_t identity)
{
    cache->self.known = identity;
    cache->self.ipc_namespace = weir__ipc_namespace();
    /* Inodes of namespaces that exist together differ, and in their last digits: the lowest free
     * number is given each time. */
    cache->self.space = (uint32_t)(cache->self.ipc_namespace & SPACE_MASK);
    cache->self.user_namespace = weir__user_namespace();
    cache->self.sees_other_uids = weir__sees_other_uids(cache->self.user_namespace);
    weir__overflow_uid(); /* kept, while /proc is there: it may be out of sight later */
    cache->self.name =
        weir__identity_name(identity, cache->self.sees_other_uids ? WEIR_UID_ANY : cache->self.uid);
    /* Release [self.identity]: name and uid before it. Pairs with weir__self_identity(). */
    atomic_store_explicit(&cache->self.identity, identity, memory_order_release);
}

static int no_answer(void)
{
    return weir__fail(EPERM, "the kernel does not answer SHM_STAT_ANY for a segment of our own: a "
                             "filter (seccomp) forbids it, or an emulator does not know it; see "
                             "'weir doctor'");
}

/*
 * Whom the kernel names as the beacon's maker: that is what others compare. geteuid() may be another by now, or
 * have been, where another thread gives up its rights.
 */
static int learn_maker(const struct weir__beacon *beacon)
{
    struct shmid_ds found;
    if (weir__shm_stat(beacon->id, &found) != 0 || found.shm_segsz != beacon->size_bytes)
        return no_answer();
    cache->self.uid = found.shm_perm.cuid;
    return ask(weir__identity_pack(beacon), cache->self.uid) == ANSWER_SAME ? 0 : no_answer();
}

/*
 * One try: -EAGAIN when a fork came between; or when this identity's tag is 0, which is also that of
 * a name that was never written, and of WEIR_IDENTITY_NOBODY: the first segment of a namespace has
 * the id 0, and one of 1 byte would be that.
 */
static int make_beacon(uint64_t *identity)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    uint64_t size_bytes = weir__random_nonzero() % WEIR__BEACON_SIZE_MAX + 1;
    options.flags = WEIR_SEGMENT_NO_FORK | WEIR_SEGMENT_NO_DUMP;
    int result = weir_segment_create(&segment, weir_private(), size_bytes, &options);
    if (result != 0)
        return result;
    result = weir_segment_stat(segment, &stat);
    if (result == 0)
        result = weir__shm_set(stat.id, 0, -1);
    struct weir__beacon beacon = { .id = stat.id, .size_bytes = size_bytes };
    if (result == 0 && (stat.shm_nattch != 1 || tag_of(weir__identity_pack(&beacon)) == 0))
        result = -EAGAIN;
    if (result == 0)
        result = learn_maker(&beacon);
    if (result == 0)
        *identity = weir__identity_pack(&beacon);
    if (result != 0) {
        weir_segment_close(segment);
        return result;
    }
    /* The handle goes, the attachment stays until the process ends: it is the beacon. */
    cache->beacon = segment->memory;
    weir__segment_leave(segment);
    return 0;
}

const uint64_t *weir__identity_word(void)
{
    return &cache->self.known;
}

uint32_t weir__identity_uid(void)
{
    return cache->self.uid;
}

int weir__identity_check_maker(int id)
{
    struct shmid_ds made, beacon;
    int result = weir__shm_stat(id, &made);
    if (result == 0)
        result =
            weir__shm_stat(weir__identity_unpack(weir__self_identity(&cache->self)).id, &beacon);
    if (result != 0 || made.shm_perm.cuid == beacon.shm_perm.cuid)
        return result;
    return weir__fail(EPERM,
                      "what this process makes is uid %u's, what it made when it first used weir "
                      "is uid %u's: it has "
                      "changed its user, or its user namespace, since; open channels before that, "
                      "or use weir only "
                      "after it",
                      made.shm_perm.cuid, beacon.shm_perm.cuid);
}

int weir_identity(uint64_t *identity)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_cache);
    if (!cache)
        return weir__fail(ENOMEM, "no page that the kernel wipes in children: MADV_WIPEONFORK");
    int section = weir__section_enter(&cache->lock);
    int result = 0;
    uint64_t made = weir__self_identity(&cache->self);
    for (int attempt = 0; made == WEIR_IDENTITY_NOBODY && attempt < RETRIES; attempt++) {
        result = make_beacon(&made);
        if (result == 0)
            tell(made);
        if (result != -EAGAIN)
            break;
    }
    *identity = made;
    uint32_t uid = cache->self.uid;
    weir__section_leave(&cache->lock, section);
    if (result == -EAGAIN)
        return weir__fail(EBUSY, "this process forks faster than its beacon can be made");
    enum answer answer = result == 0 ? ask(*identity, uid) : ANSWER_SAME;
    if (answer == ANSWER_ELSE)
        return no_answer();
    if (answer == ANSWER_GONE)
        return weir__fail(EXDEV, "this thread is in another IPC namespace than its process's "
                                 "beacon: weir works in the namespace that it began in");
    return result;
}

uint64_t weir__ipc_namespace_here(void)
{
    const struct weir__self *self = weir__self();
    uint64_t identity = weir__self_identity(self);
    if (identity != WEIR_IDENTITY_NOBODY && ask(identity, self->uid) == ANSWER_SAME &&
        self->ipc_namespace != 0)
        return self->ipc_namespace;
    return weir__ipc_namespace();
}

int weir__life(uint64_t identity, uint64_t maker)
{
    uint64_t self;
    struct weir__error_saved saved;
    if (identity == WEIR_IDENTITY_NOBODY)
        return WEIR_LIFE_DEAD;
    switch (ask(identity, maker)) {
    case ANSWER_SAME:
        return WEIR_LIFE_ALIVE;
    case ANSWER_ELSE:
        return WEIR_LIFE_UNKNOWN;
    case ANSWER_GONE:
        break;
    }
    /* The same question about what is known to live: the answer must be yes. */
    weir__error_save(&saved);
    int result = weir_identity(&self);
    weir__error_restore(&saved);
    return result == 0 ? WEIR_LIFE_DEAD : WEIR_LIFE_UNKNOWN;
}

int weir_life(uint64_t identity, uint32_t uid)
{
    return weir__life(identity, uid);
}

const char *weir_life_name(int life)
{
    return life == WEIR_LIFE_ALIVE ? "alive" : life == WEIR_LIFE_DEAD ? "dead" : "unknown";
}
