/* SPDX-License-Identifier: MIT */
/*
 * A memfd over a Unix socket: one message of one byte, with one descriptor.
 *
 * A byte is taken whole or not at all, on a stream too, so neither side has ever
 * half a message in hand. What comes is a stranger's: each descriptor that came
 * with the message is ours from then on, and is closed unless it becomes the handle's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kept.h"
#include "segment/mapped.h"
#include "segment/memfd.h"

/* The kernel sends no more than 253 descriptors at once. */
#define MOST_DESCRIPTORS 253

/* Linux 6.5: a receiver that asked for it (SO_PASSPIDFD) also gets one of the sender. */
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* Other sockets take the byte and drop the descriptor without a word. */
static int check_socket(int fd)
{
    int domain;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) {
        int error = errno;
        return weir__fail(error, "descriptor %d is no socket: %s", fd, strerror(error));
    }
    return domain == AF_UNIX ? 0
                             : weir__fail(EINVAL,
                                          "socket %d is no Unix socket: descriptors go "
                                          "through those alone",
                                          fd);
}

static int explain(int error, const char *what)
{
    switch (error) {
    case EAGAIN:
        return weir__fail(EAGAIN, "%s: not now: the socket does not wait, or not any longer", what);
    case EINTR:
        return weir__fail(EINTR, "%s: interrupted, as by a signal: call again", what);
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED: /* a datagram socket whose other end is closed */
        return weir__fail(EPIPE, "%s: the other side has closed the socket", what);
    case ETOOMANYREFS:
        return weir__fail(ETOOMANYREFS,
                          "%s: too many descriptors are on their way and not received yet "
                          "(RLIMIT_NOFILE): the other side must take some first",
                          what);
    default:
        return weir__fail(error, "%s: %s", what, strerror(error));
    }
}

int weir_segment_send(int socket, const struct weir_segment *segment)
{
    union { /* aligned for the header that stands in it */
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = { 0 } };
    char byte = 'w';
    struct iovec payload = { &byte, 1 };
    struct msghdr message = { .msg_iov = &payload,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    if (segment->backend->number != WEIR_BACKEND_MEMFD)
        return weir__fail(EOPNOTSUPP,
                          "only a memfd is sent over a socket (weir_memfd()): the other "
                          "side opens this segment by its name, key or id");
    int result = check_socket(socket);
    if (result != 0)
        return result;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &segment->fd, sizeof(int));
    if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0)
        return 0;
    return explain(errno, "the segment was not sent");
}

/*
 * What a stranger has sent may be a socket that lingers (SO_LINGER), with bytes that nobody fetches: its
 * close would wait for as long as they like. Others are not asked, and say ENOTSOCK. Of a file there
 * is no such way: what its close does, a flush and the end of our record locks on it, the kernel does
 * at the close of each descriptor, and there is none that takes a descriptor away without a close.
 */
static void do_not_linger(int fd)
{
    static const struct linger none;
    int saved_errno = errno;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    errno = saved_errno;
}

/* The descriptors of a message: how many there are; the first is kept, the others are closed. */
static int sort_descriptors(struct msghdr *message, int *kept)
{
    int count = 0;
    *kept = -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        bool is_right = header->cmsg_type == SCM_RIGHTS;
        if (header->cmsg_level != SOL_SOCKET || (!is_right && header->cmsg_type != SCM_PIDFD))
            continue;
        size_t length = header->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= length; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            do_not_linger(fd);
            if (is_right && count++ == 0)
                *kept = fd;
            else if (fd >= 0) /* SCM_PIDFD may say an error instead */
                close(fd);
        }
    }
    return count;
}

/* One message. *fd: its one descriptor, or -1 with the failure told. */
static int take_message(int socket, int *fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) +
                   CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec payload = { &byte, 1 };
    struct msghdr message = { .msg_iov = &payload,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    *fd = -1;
    ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (length < 0) /* EINVAL: how a stream says that it has no other end */
        return explain(errno == EINVAL ? ENOTCONN : errno, "no segment was received");
    int count = sort_descriptors(&message, fd);
    if (length == 1 && count == 1 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return 0;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    if (length == 0 && count == 0)
        return weir__fail(EPIPE, "no segment was received: the other side has closed the socket");
    if ((message.msg_flags & MSG_CTRUNC) && count == 0)
        return weir__mapped_no_descriptor(EMFILE, "the segment's descriptor was lost");
    return weir__fail(EPROTO,
                      "what was received is no segment: %s%d descriptors instead of one byte with "
                      "one descriptor",
                      length == 0                     ? "no byte and "
                      : message.msg_flags & MSG_TRUNC ? "several bytes and "
                                                      : "",
                      count);
}

int weir_segment_receive(struct weir_segment **segment, int socket, uint64_t size_bytes,
                         const struct weir_segment_options *options)
{
    struct weir__segment_ask ask;
    struct weir__error_saved saved;
    struct weir_segment *made = NULL;
    int fd = -1;
    weir__error_save(&saved);
    /* All that can be refused before the message is taken. */
    int result = weir__segment_ask(&ask, weir_by_fd(0), size_bytes, options, WEIR__ASK_OPEN);
    if (result == 0)
        result = check_socket(socket);
    if (result == 0)
        result = weir__segment_new(&made);
    if (result != 0)
        return result;
    made->backend = &weir__backend_memfd;
    snprintf(ask.what, sizeof ask.what, "what was received");
    result = take_message(socket, &fd);
    if (result == 0 && (fd = weir__kept(fd)) < 0)
        result = weir__mapped_no_descriptor(errno, ask.what);
    if (result == 0)
        result = weir__memfd_take(made, &ask, fd);
    return weir__segment_finish(segment, made, ask.options.flags, result, &saved);
}
