/* SPDX-License-Identifier: MIT */
#include "channel/directory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <weir/identity.h>

#include "base/error.h"
#include "base/futex.h"
#include "base/magic.h"
#include "channel/stats.h"
#include "channel/wait.h"
#include "segment/handle.h"
#include "segment/sysv.h"

/* How often a slot may change hands under us before we give up. */
#define RETRIES 100

static const char *const singulars[WEIR__ROLES] = { "publisher", "subscriber" };
static const char *const plurals[WEIR__ROLES] = { "publishers", "subscribers" };

static void write_head(void *memory, const void *argument)
{
    struct weir__directory_shm *shm = memory;
    const struct weir__terms *terms = argument;
    shm->magic = WEIR__DIRECTORY_MAGIC;
    memcpy(shm->counts, terms->counts, sizeof shm->counts);
    shm->delivery = terms->delivery;
    shm->type_bytes = terms->type_bytes;
    memcpy(shm->type_name, terms->type_name, sizeof shm->type_name);
}

bool weir__is_type_name(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] < ' ' || name[i] > '~')
            return false;
    return length > 0 && length <= WEIR_TYPE_NAME_MAX;
}

/* No type, or one with a name of weir's making: nothing but NULs behind it. */
static bool is_type(const struct weir__terms *terms)
{
    size_t length = strnlen(terms->type_name, sizeof terms->type_name);
    for (size_t i = length; i < sizeof terms->type_name; i++)
        if (terms->type_name[i] != '\0')
            return false;
    return length == 0 ? terms->type_bytes == 0 : weir__is_type_name(terms->type_name, length);
}

/* A type as a sentence has it. */
struct type_text {
    char text[WEIR__TYPE_NAME_BYTES + 40];
};

static struct type_text describe(const struct weir__terms *terms)
{
    struct type_text type;
    if (terms->type_name[0] == '\0')
        snprintf(type.text, sizeof type.text, "no type");
    else if (terms->type_bytes == 0)
        snprintf(type.text, sizeof type.text, "'%s' of any size", terms->type_name);
    else
        snprintf(type.text, sizeof type.text, "'%s' of %u bytes", terms->type_name,
                 terms->type_bytes);
    return type;
}

/* Who gives no type takes the channel's; who gives one must find exactly that. */
static int check_type(const struct weir__terms *terms, const struct weir__terms *asked,
                      const char *name)
{
    if (asked->type_name[0] == '\0' ||
        (strcmp(asked->type_name, terms->type_name) == 0 && asked->type_bytes == terms->type_bytes))
        return 0;
    struct type_text has = describe(terms), wants = describe(asked);
    const char *cure = terms->type_name[0] == '\0'
                           ? ": whoever came first made it so; give that one the type as well, or "
                             "start this one first"
                           : "";
    return weir__fail(EPROTOTYPE, "channel '%s' was made for messages of %s, not of %s%s", name,
                      has.text, wants.text, cure);
}

/* What was copied from the head, held against the segment's size. */
static int check_terms(const struct weir__terms *terms, const char *name, uint64_t size_bytes)
{
    for (int role = 0; role < WEIR__ROLES; role++)
        if (terms->counts[role] == 0 || terms->counts[role] > WEIR_CHANNEL_MEMBERS_MAX)
            return weir__fail(EUCLEAN, "channel '%s' says that it has %u %s, which cannot be", name,
                              terms->counts[role], plurals[role]);
    if (weir__directory_bytes(terms->counts) > size_bytes)
        return weir__fail(EUCLEAN, "channel '%s' says that it has more slots than its memory",
                          name);
    if (terms->delivery > 1)
        return weir__fail(EUCLEAN, "channel '%s' says that its delivery is %u, which cannot be",
                          name, terms->delivery);
    if (!is_type(terms))
        return weir__fail(EUCLEAN, "channel '%s' has a type that cannot be", name);
    return 0;
}

int weir__refuse_huge_pages(const struct weir_segment *memory)
{
    int saved_errno = errno;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int error = madvise(weir_segment_data(memory), page, MADV_RANDOM) == 0 ? 0 : errno;
    madvise(weir_segment_data(memory), page, MADV_NORMAL);
    errno = saved_errno;
    if (error == 0)
        return 0;
    if (error == EINVAL)
        return -EPROTO;
    /* It splits the mapping for a moment: that says nothing of its pages. */
    return weir__fail(ENOMEM, "no memory for one mapping more, or as many as vm.max_map_count "
                              "allows a process; try again when some are gone");
}

/* What the head says is copied once: what is written over it later is not read. */
static int read_directory(struct weir__directory *directory, const char *name,
                          const struct weir__terms *asked)
{
    struct weir__directory_shm *shm = weir_segment_data(directory->segment);
    uint64_t size_bytes = weir_segment_size(directory->segment), magic = 0;
    struct weir__terms *terms = &directory->terms;
    if (size_bytes >= sizeof *shm)
        memcpy(&magic, &shm->magic, sizeof magic);
    if (size_bytes < sizeof *shm)
        return weir__fail(EPROTO, "'%s' is no channel's directory: it is too small for one", name);
    if (weir__magic_is_other_layout(magic, WEIR__DIRECTORY_MAGIC))
        return weir__fail(EPROTONOSUPPORT,
                          "channel '%s' has layout %d, this weir knows %d: use one version on both "
                          "sides",
                          name, weir__magic_layout(magic),
                          weir__magic_layout(WEIR__DIRECTORY_MAGIC));
    if (magic != WEIR__DIRECTORY_MAGIC)
        return weir__fail(EUCLEAN, "channel '%s' has no directory: its first word was written over",
                          name);
    memcpy(terms->counts, shm->counts, sizeof terms->counts);
    memcpy(&terms->delivery, &shm->delivery, sizeof terms->delivery);
    memcpy(&terms->type_bytes, &shm->type_bytes, sizeof terms->type_bytes);
    memcpy(terms->type_name, shm->type_name, sizeof terms->type_name);
    int result = check_terms(terms, name, size_bytes);
    if (result == 0)
        result = check_type(terms, asked, name);
    if (result != 0)
        return result;
    for (int role = 0; role < WEIR__ROLES; role++) {
        uint32_t count = terms->counts[role];
        if (asked->counts[role] != 0 && asked->counts[role] != count)
            return weir__fail(EINVAL, "channel '%s' was made for %u %s, not for %u", name, count,
                              count == 1 ? singulars[role] : plurals[role], asked->counts[role]);
        directory->roles[role] = (struct weir__slots){
            .at = shm->slots + (role == WEIR__SUBSCRIBER ? terms->counts[WEIR__PUBLISHER] : 0),
            .count = count,
            .changes = &shm->roles[role].changes,
        };
    }
    return 0;
}

/* Of one that others have made: asking costs as much as all else of a read. */
static int read_found(struct weir__directory *directory, const char *name,
                      const struct weir__terms *asked)
{
    int result = weir__refuse_huge_pages(directory->segment);
    if (result == -EPROTO)
        return weir__fail(EPROTO, "'%s' is no channel's directory: it is of huge pages", name);
    return result != 0 ? result : read_directory(directory, name, asked);
}

int weir__directory_open(struct weir__directory *directory, const char *name,
                         const struct weir__terms *asked,
                         const struct weir_segment_options *options,
                         struct weir__segment_beside *beside, struct weir__rundir *dir)
{
    struct weir__terms terms = *asked;
    for (int role = 0; role < WEIR__ROLES; role++)
        if (terms.counts[role] == 0)
            terms.counts[role] = WEIR_CHANNEL_MEMBERS_DEFAULT;
    struct weir__segment_making making = { .size_bytes = weir__directory_bytes(terms.counts),
                                           .fill = write_head,
                                           .argument = &terms,
                                           .flags = WEIR_SEGMENT_PREFAULT,
                                           .beside = beside };
    int result = weir__segment_create_or_open(&directory->segment, weir_by_name(name), &making,
                                              options, dir);
    if (result < 0)
        return result;
    return (result == WEIR_CREATED ? read_directory : read_found)(directory, name, asked);
}

int weir__directory_look(struct weir__directory *directory, const char *name)
{
    static const struct weir__terms any;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_NO_FORK;
    options.trust = WEIR_TRUST_DIRECTORY;
    options.kind = WEIR__DIRECTORY_KIND;
    int result = weir_segment_open(&directory->segment, weir_by_name(name), 0, &options);
    if (result != 0)
        return result;
    result = read_found(directory, name, &any);
    if (result != 0)
        weir_segment_close(directory->segment);
    return result;
}

void weir__slots_changed(const struct weir__slots *slots)
{
    /* Sequentially consistent [slot.changes]: a joiner's claim and this, then its look at the
     * boundary; a publisher's boundary, then its look at this. Pairs with weir__slots_changes()
     * and the fence in weir__publisher_look(). */
    atomic_fetch_add(slots->changes, 1);
    /* Who sleeps on it: a wait set that is told of members. */
    weir__futex_wake(slots->changes);
}

int weir__shown_id(uint64_t page, uint64_t owner)
{
    uint64_t id = (page >> 32) - 1;
    return owner != 0 && id <= INT32_MAX && page == weir__page_word(owner, (int)id) ? (int)id : -1;
}

int weir__shown_life(uint64_t page, uint64_t owner)
{
    struct weir__error_saved saved;
    struct shmid_ds found;
    uint32_t uid = WEIR_UID_ANY;
    int id = weir__shown_id(page, owner);
    weir__error_save(&saved);
    if (id >= 0 && weir__shm_stat(id, &found) == 0)
        uid = found.shm_perm.cuid;
    int verdict = weir_life(owner, uid);
    weir__error_restore(&saved);
    return verdict;
}

int weir__slot_life(const struct weir__slot_shm *slot, uint64_t owner)
{
    return weir__shown_life(weir__slot_page(slot), owner);
}

/*
 * What a former owner has shown there has our key by chance. From the claim until we have cleared
 * it, it would be taken for ours: so its creator for who made our beacon, and us, if that is another
 * user, for dead. After who owned it last, as owner was read, nobody writes it before the next claim.
 */
static bool is_mistakable(const struct weir__slot_shm *slot, uint64_t me)
{
    return weir__shown_id(weir__slot_page(slot), me) >= 0;
}

/*
 * A slot that is free, or else one whose owner is dead. -EBUSY: none; -EAGAIN: none but where
 * another session is needed.
 */
static int find_place(const struct weir__slots *slots, uint64_t me, uint64_t *owner)
{
    int none = -EBUSY;
    for (int asks = 0; asks < 2; asks++) {
        for (uint32_t i = 0; i < slots->count; i++) {
            const struct weir__slot_shm *slot = &slots->at[i];
            *owner = weir__slot_owner(slot);
            if (*owner != 0 && (!asks || weir__slot_life(slot, *owner) != WEIR_LIFE_DEAD))
                continue;
            if (!is_mistakable(slot, me))
                return (int)i;
            none = -EAGAIN;
        }
    }
    return none;
}

int weir__slot_claim(const struct weir__slots *slots, uint64_t me, bool *was_dead)
{
    for (uint32_t attempt = 0; attempt < RETRIES + slots->count; attempt++) {
        uint64_t owner;
        int number = find_place(slots, me, &owner);
        if (number < 0)
            return number;
        struct weir__slot_shm *slot = &slots->at[number];
        /* Acquire and release [slot.owner]: whatever a dead one did there comes before. Pairs with
         * weir__slot_owner(). */
        if (!atomic_compare_exchange_strong(&slot->owner, &owner, me))
            continue;
        /* Relaxed: a dead owner's page means nothing; should its key be ours by chance, it shall
         * not be taken for our page. */
        atomic_store_explicit(&slot->page, 0, memory_order_relaxed);
        *was_dead = owner != 0;
        return number;
    }
    return -EBUSY;
}

uint64_t weir__slot_show(const struct weir__slots *slots, uint32_t number, uint64_t me, int id)
{
    uint64_t page = weir__page_word(me, id);
    /* Release [slot.page]: our memory is whole. Pairs with weir__slot_page(). */
    atomic_store_explicit(&slots->at[number].page, page, memory_order_release);
    weir__slots_changed(slots);
    /* CRASH side.listed */
    return page;
}

bool weir__slot_regain(const struct weir__slots *slots, uint32_t number, uint64_t me, uint64_t page)
{
    struct weir__slot_shm *slot = &slots->at[number];
    uint64_t owner = weir__slot_owner(slot);
    for (int attempt = 0; owner != me; attempt++) {
        if (attempt == RETRIES || (owner != 0 && weir__slot_life(slot, owner) != WEIR_LIFE_DEAD))
            return false;
        /* Acquire and release [slot.owner]: as at a claim. Pairs with weir__slot_owner(). */
        if (atomic_compare_exchange_strong(&slot->owner, &owner, me))
            break;
    }
    /* Until here, what is shown may have our key by chance, or on purpose, and we be found dead by it:
     * then we are put out once more, and take it again. */
    /* Release [slot.page]: our memory is whole. Pairs with weir__slot_page(). */
    atomic_store_explicit(&slot->page, page, memory_order_release);
    weir__slots_changed(slots);
    /* Full fence [slot.changes]: as at a claim, before we look at anybody's memory. */
    atomic_thread_fence(memory_order_seq_cst);
    return true;
}

void weir__slot_leave(const struct weir__slots *slots, uint32_t number, uint64_t me)
{
    /* Release [slot.owner]: all that we did comes before. Pairs with weir__slot_owner(). */
    atomic_compare_exchange_strong_explicit(&slots->at[number].owner, &me, 0, memory_order_release,
                                            memory_order_relaxed);
    /* CRASH side.left */
    weir__slots_changed(slots);
}

bool weir__slot_reap(const struct weir__slots *slots, uint32_t number, uint64_t owner,
                     struct weir__stats_shm *stats)
{
    struct weir__slot_shm *slot = &slots->at[number];
    if (owner == 0 || weir__slot_life(slot, owner) != WEIR_LIFE_DEAD)
        return false;
    /* CRASH side.reap: the next one does it; a late one fails, the session is new. */
    /* Acquire and release [slot.owner]: what we do with the dead one's memory comes after. */
    if (atomic_compare_exchange_strong(&slot->owner, &owner, 0)) {
        weir__slots_changed(slots);
        weir__count_reaped(stats);
    }
    return true;
}

bool weir__slots_reap(const struct weir__slots *slots, struct weir__stats_shm *stats)
{
    bool is_dead = false;
    for (uint32_t i = 0; i < slots->count; i++)
        if (weir__slot_reap(slots, i, weir__slot_owner(&slots->at[i]), stats))
            is_dead = true;
    return is_dead;
}

uint32_t weir__slots_shown(const struct weir__slots *slots)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < slots->count; i++)
        count +=
            weir__shown_id(weir__slot_page(&slots->at[i]), weir__slot_owner(&slots->at[i])) >= 0;
    return count;
}

uint32_t weir__slots_ring(const struct weir__slots *slots)
{
    uint32_t rung = 0;
    for (uint32_t i = 0; i < slots->count; i++) {
        if (weir__slot_owner(&slots->at[i]) == 0)
            continue;
        weir__ring(&slots->at[i].doorbell);
        rung++;
    }
    return rung;
}
