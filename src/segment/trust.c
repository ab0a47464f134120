/* SPDX-License-Identifier: MIT */
/*
 * Whose objects are accepted.
 *
 * In a user namespace that has not all uids, one number stands for all those that it has not, and
 * that may be the number of the caller, too: of "nobody" in a container, and of everybody where
 * no uid is mapped. Two that are called by it need not be one. So it is taken for an unknown,
 * which equals nobody and not itself, unless something else shows whose the object is:
 *
 *   of System V   the IPC namespace belongs to this user namespace: nobody else comes in, but who
 *                 had all rights over it
 *   a file        the kernel lets its owner alone, or who may act for him, set O_NOATIME
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "segment/handle.h"

static bool is_one_of(uint32_t uid, uint32_t self, uint32_t other)
{
    return uid == self || uid == 0 || uid == other;
}

static bool accepts(uint32_t trust, uint32_t trust_uid, uint32_t self, uint32_t creator,
                    uint32_t owner)
{
    uint32_t other = trust == WEIR_TRUST_UID ? trust_uid : self;
    return trust == WEIR_TRUST_ANYONE ||
           (is_one_of(creator, self, other) && is_one_of(owner, self, other));
}

/* Of an object of System V. The second question is asked seldom: it costs more. */
static bool is_told(uint32_t uid)
{
    return weir__uid_is_told(uid) || weir__ipc_is_of_user_namespace();
}

bool weir__trusts(uint32_t trust, uint32_t trust_uid, uint32_t self, uint32_t creator,
                  uint32_t owner)
{
    return accepts(trust, trust_uid, self, creator, owner) &&
           (trust == WEIR_TRUST_ANYONE || (is_told(creator) && is_told(owner)));
}

static int refuse(const char *what, uint32_t creator, uint32_t owner)
{
    uint32_t self = geteuid();
    uint32_t unknown = weir__uid_is_told(creator) ? owner : creator;
    if (!weir__uid_is_told(unknown))
        return weir__fail(EPERM,
                          "%s belongs to uid %u: in this user namespace that is everybody who has "
                          "no uid in it, so that nobody can tell whether it is yours (uid %u): to "
                          "accept others' objects set options.trust; see uid_map in "
                          "user_namespaces(7)",
                          what, unknown, self);
    return weir__fail(EPERM,
                      "%s was made by uid %u and belongs to uid %u, you are uid %u: to accept "
                      "others' objects set options.trust",
                      what, creator, owner, self);
}

int weir__trust_check(uint32_t trust, uint32_t trust_uid, uint32_t creator, uint32_t owner,
                      const uint32_t *entry_owner, const char *what)
{
    if (weir__trusts(trust, trust_uid, geteuid(), creator, owner) ||
        (trust == WEIR_TRUST_DIRECTORY && entry_owner && creator == *entry_owner &&
         weir__uid_is_told(creator)))
        return 0;
    return refuse(what, creator, owner);
}

/* The flag belongs to the open file, which others may have, too: it goes again. It would do no harm. */
static bool is_owners_own(int fd)
{
    int saved_errno = errno;
    int flags = fcntl(fd, F_GETFL);
    bool is_own = flags >= 0 && !(flags & O_NOATIME) && fcntl(fd, F_SETFL, flags | O_NOATIME) == 0;
    if (is_own)
        fcntl(fd, F_SETFL, flags);
    errno = saved_errno;
    return is_own;
}

int weir__trust_check_file(uint32_t trust, uint32_t trust_uid, int fd, uint32_t owner,
                           const char *what)
{
    bool is_accepted = accepts(trust, trust_uid, geteuid(), owner, owner);
    if (is_accepted &&
        (trust == WEIR_TRUST_ANYONE || weir__uid_is_told(owner) || is_owners_own(fd)))
        return 0;
    return refuse(what, owner, owner);
}
