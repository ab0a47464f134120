/* SPDX-License-Identifier: MIT */
/* Where a name is that is not here: in the directory of another IPC namespace. For sentences. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/collect.h>

#include "base/error.h"
#include "segment/entry.h"

struct search {
    const char *directory; /* the entry that is looked for */
    const char *own;       /* "ipc-NAMESPACE-BOOT" of the caller */
    char *where;
};

static int visit(const struct weir__rundir *base, const char *candidate, void *argument)
{
    struct search *search = argument;
    char path[2 * WEIR__ENTRY_NAME_BYTES];
    const char *boot = strchr(search->own + 4, '-');
    size_t length = strlen(candidate), tail = strlen(boot);
    /* Of this boot alone: what was before it does not exist any more. */
    if (strncmp(candidate, "ipc-", 4) != 0 || strcmp(candidate, search->own) == 0 ||
        length < tail + 4 || length - tail - 4 >= WEIR__NAMESPACE_TEXT_BYTES ||
        strcmp(candidate + length - tail, boot) != 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", candidate, search->directory);
    if (faccessat(base->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    snprintf(search->where, WEIR__NAMESPACE_TEXT_BYTES, "%.*s", (int)(length - tail - 4),
             candidate + 4);
    return 1;
}

bool weir__entry_elsewhere(const char *directory, char where[WEIR__NAMESPACE_TEXT_BYTES])
{
    struct weir__rundir base;
    struct weir__error_saved saved;
    struct search search = { .directory = directory, .where = where };
    bool is_found = false;
    weir__error_save(&saved);
    if (weir_run_directory(base.path, sizeof base.path) == 0) {
        char *own = strrchr(base.path, '/');
        *own = '\0';
        search.own = own + 1;
        base.fd = open(base.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        is_found = base.fd >= 0 && weir__entry_each(&base, visit, &search) == 1;
        if (base.fd >= 0)
            close(base.fd);
    }
    weir__error_restore(&saved);
    return is_found;
}
