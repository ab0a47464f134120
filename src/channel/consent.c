/* SPDX-License-Identifier: MIT */
#include "channel/consent.h"

#include <errno.h>
#include <stdbool.h>

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

int weir__consent(const struct weir__consent *consent)
{
    const struct ipc_perm *lane = &consent->lane.shm_perm, *page = &consent->page.shm_perm;
    if (!weir__trusts(consent->trust, consent->trust_uid, lane->cuid, page->cuid, page->uid))
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
