/* SPDX-License-Identifier: MIT */
#include "channel/consent.h"

#include <errno.h>

#include <weir/ref.h>

#include "base/error.h"
#include "segment/handle.h"

/* As the kernel decides it, for what is known of the publisher: not its further groups. */
static bool may_read(const struct ipc_perm *lane, const struct ipc_perm *page)
{
    if (lane->cuid == 0)
        return true; /* root: should it lack the capability, it does not go on, see there */
    if (lane->cuid == page->cuid || lane->cuid == page->uid)
        return page->mode & 0400;
    bool is_of_group = lane->gid == page->gid || lane->gid == page->cgid ||
                       lane->cgid == page->gid || lane->cgid == page->cgid;
    return page->mode & (is_of_group ? 0040 : 0004);
}

/*
 * Whether the publisher takes that subscriber whatever uids it sees: both are of one user, as two
 * numbers that are equal are in every namespace, but for that which stands for all others; or it
 * takes anybody, and anybody may read the page.
 */
static bool is_yes_anywhere(const struct weir__consent *consent)
{
    const struct ipc_perm *lane = &consent->lane.shm_perm, *page = &consent->page.shm_perm;
    bool is_one_user =
        page->cuid == lane->cuid && page->uid == lane->cuid && page->cuid != consent->overflow_uid;
    return (is_one_user && (page->mode & 0400)) ||
           (consent->trust == WEIR_TRUST_ANYONE && (page->mode & 0444) == 0444);
}

static int tell_two_namespaces(bool is_unsure)
{
    if (is_unsure)
        return weir__fail(
            EPERM, "it is not known whether a publisher is in this one's user namespace, where "
                   "uids are the same numbers, and so might not wait for this subscriber: have "
                   "/proc where both run (stat or readlink of /proc/thread-self/ns/user, or "
                   "Linux 6.11), or both of one uid, or the publisher trust anyone "
                   "(options.trust) and the subscriber's mode be 0444 at least");
    return weir__fail(EPERM, "a publisher is in another user namespace, where uids may be "
                             "other numbers, and so might not wait for this subscriber: "
                             "have both of one uid, or the publisher trust anyone "
                             "(options.trust) and the subscriber's mode be 0444 at least");
}

static int tell_untold(int error, const struct ipc_perm *page)
{
    return weir__fail(
        error,
        "whether a publisher would wait for this subscriber is not known%s, as uid %u "
        "may be a user, or all that have no uid in this user namespace (see uid_map in "
        "user_namespaces(7))",
        error == ENOSYS ? "" : " now", (unsigned)page->cuid);
}

int weir__consent(const struct weir__consent *consent)
{
    const struct ipc_perm *lane = &consent->lane.shm_perm, *page = &consent->page.shm_perm;
    if (consent->is_of_two_namespaces)
        return is_yes_anywhere(consent) ? 0 : tell_two_namespaces(consent->is_unsure);
    int trusts =
        weir__trusts(consent->trust, consent->trust_uid, lane->cuid, page->cuid, page->uid);
    if (trusts < 0)
        return tell_untold(-trusts, page);
    if (trusts == 0)
        return weir__fail(EPERM,
                          "a publisher (uid %u) does not trust this subscriber's uid %u, and so "
                          "would not wait for it: see its options.trust",
                          (unsigned)lane->cuid, (unsigned)page->cuid);
    if (!may_read(lane, page))
        return weir__fail(EACCES,
                          "a publisher (uid %u, gid %u) may not read this subscriber's page (uid "
                          "%u, gid %u, mode %04o), and so would not wait for it: set options.mode",
                          (unsigned)lane->cuid, (unsigned)lane->gid, (unsigned)page->cuid,
                          (unsigned)page->gid, (unsigned)page->mode & 0777);
    return 0;
}
