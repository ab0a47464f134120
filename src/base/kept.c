/* SPDX-License-Identifier: MIT */
#include "base/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int weir__kept(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return kept;
}
