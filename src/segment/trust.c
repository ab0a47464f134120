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
 *
 * Where it cannot be looked up whether the namespace has all uids, that number is neither taken for a
 * uid nor for a stranger's: what fails for a moment (no descriptor free) is told as that, and may be
 * tried again; what nobody tells is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

/*
 * Of an object of System V: 1, 0; or, when neither is known, why. What cannot be asked in this moment
 * comes before what is never told. The second question is asked seldom: it costs more.
 */
static int is_told(uint32_t uid)
{
    int uids = weir__uid_ask(uid);
    int own = uids > 0 ? 1 : weir__ipc_is_of_user_namespace();
    if (own > 0)
        return 1;
    if (uids == 0 || own == 0)
        return uids < own ? uids : own;
    return uids == -ENOSYS ? own : uids;
}

int weir__trusts(uint32_t trust, uint32_t trust_uid, uint32_t self, uint32_t creator,
                 uint32_t owner)
{
    if (!accepts(trust, trust_uid, self, creator, owner))
        return 0;
    if (trust == WEIR_TRUST_ANYONE)
        return 1;
    int result = is_told(creator);
    return result > 0 ? is_told(owner) : result;
}

static int refuse(const char *what, uint32_t creator, uint32_t owner)
{
    uint32_t self = geteuid();
    uint32_t unknown = weir__uid_ask(creator) != 0 ? owner : creator;
    if (weir__uid_ask(unknown) == 0)
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

/* Who made it would be accepted if the number were known to be his. */
static int cannot_tell(const char *what, int error)
{
    if (error != ENOSYS)
        return weir__fail(error,
                          "%s belongs to uid %u, which is a user, or everybody who has no uid in "
                          "this user namespace: that cannot be looked up now: %s",
                          what, weir__overflow_uid(), strerror(error));
    return weir__fail(EPERM,
                      "%s belongs to uid %u, which is a user, or everybody who has no uid in this "
                      "user namespace: neither /proc (ns, uid_map) nor the kernel (before Linux "
                      "6.11) tells which: have /proc where this process runs, or another uid, or "
                      "set options.trust",
                      what, weir__overflow_uid());
}

int weir__trust_check(uint32_t trust, uint32_t trust_uid, uint32_t creator, uint32_t owner,
                      const uint32_t *entry_owner, const char *what)
{
    int result = weir__trusts(trust, trust_uid, geteuid(), creator, owner);
    if (result <= 0 && trust == WEIR_TRUST_DIRECTORY && entry_owner && creator == *entry_owner) {
        int told = weir__uid_ask(creator);
        result = told > 0 || result == 0 ? told : result;
    }
    if (result > 0)
        return 0;
    return result == 0 ? refuse(what, creator, owner) : cannot_tell(what, -result);
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
    if (!accepts(trust, trust_uid, geteuid(), owner, owner))
        return refuse(what, owner, owner);
    int result = trust == WEIR_TRUST_ANYONE ? 1 : weir__uid_ask(owner);
    if (result > 0 || is_owners_own(fd))
        return 0;
    return result == 0 ? refuse(what, owner, owner) : cannot_tell(what, -result);
}
