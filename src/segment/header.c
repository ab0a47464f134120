/* SPDX-License-Identifier: MIT */
#include "segment/header.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"

static_assert(sizeof(struct weir__header_shm) == 112, "no padding");
static_assert(offsetof(struct weir__header_shm, segsz) == 32, "the layout is fixed");
static_assert(offsetof(struct weir__header_shm, nonce) == 40, "the layout is fixed");
static_assert(offsetof(struct weir__header_shm, reserved) == 52, "the layout is fixed");
static_assert(sizeof(struct weir__header_shm) <= WEIR__HEADER_BYTES, "fits its page");

/* 128: arm64 servers and the pairs of lines that x86 fetches; a layout keyed to it is one build. */
#define CACHE_LINE_BYTES 128
#define FINGERPRINT ((uint32_t)sizeof(void *) << 16 | (uint32_t)CACHE_LINE_BYTES)

static uint64_t swapped(uint64_t word)
{
    return __builtin_bswap64(word);
}

void weir__header_write(void *memory, uint64_t segsz, uint64_t nonce, uint32_t creator)
{
    struct weir__header_shm header = {
        .magic = WEIR__HEADER_MAGIC,
        .layout = WEIR__HEADER_LAYOUT,
        .header_size_bytes = WEIR__HEADER_BYTES,
        .fingerprint = FINGERPRINT,
        .segsz = segsz,
        .nonce = nonce,
        .creator = creator,
    };
    memcpy(memory, &header, sizeof header);
}

/* Where a filter forbids the call below: a pipe's end takes the bytes as any file does. False: they
 * are not there. */
static bool copy_by_pipe(struct weir__header_shm *header, const void *memory)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        memcpy(header, memory, sizeof *header);
        return true;
    }
    bool is_there = write(ends[1], memory, sizeof *header) == (ssize_t)sizeof *header &&
                    read(ends[0], header, sizeof *header) == (ssize_t)sizeof *header;
    close(ends[0]);
    close(ends[1]);
    return is_there;
}

/*
 * One copy: a peer that changes words under us changes none of those we look at.
 * Through the kernel, because a segment of huge pages that are not there, which
 * anybody can make with SHM_NORESERVE, kills with SIGBUS who touches it. False:
 * it is such a one.
 */
static bool copy_header(struct weir__header_shm *header, const void *memory)
{
    struct iovec to = { header, sizeof *header };
    struct iovec from = { (void *)(uintptr_t)memory, sizeof *header };
    int saved_errno = errno;
    bool is_there = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof *header ||
                    (errno != EFAULT && copy_by_pipe(header, memory));
    errno = saved_errno;
    return is_there;
}

/* What only another release or another machine's build writes. */
static int check_build(const struct weir__header_shm *header, bool read_only, const char *what)
{
    if (header->magic == swapped(WEIR__HEADER_MAGIC))
        return weir__fail(EPROTONOSUPPORT, "%s was made by a build of the other byte order", what);
    if (header->magic != WEIR__HEADER_MAGIC)
        return weir__fail(EPROTO,
                          "%s is foreign: no header of weir's is in front (0x%016" PRIx64 ")", what,
                          header->magic);
    if (header->layout != WEIR__HEADER_LAYOUT)
        return weir__fail(EPROTONOSUPPORT,
                          "%s has layout %u, this weir knows %u: use one version on both sides",
                          what, header->layout, WEIR__HEADER_LAYOUT);
    if (header->incompat & ~WEIR__INCOMPAT_KNOWN)
        return weir__fail(EPROTONOSUPPORT,
                          "%s uses features 0x%x that this weir does not know: use the newer one",
                          what, header->incompat & ~WEIR__INCOMPAT_KNOWN);
    if ((header->ro_compat & ~WEIR__RO_COMPAT_KNOWN) && !read_only)
        return weir__fail(EPROTONOSUPPORT,
                          "%s uses features 0x%x that this weir can only read: open it read-only",
                          what, header->ro_compat & ~WEIR__RO_COMPAT_KNOWN);
    if (header->fingerprint != FINGERPRINT)
        return weir__fail(EPROTONOSUPPORT,
                          "%s was made by a build with %u-byte words and %u-byte lines, this one "
                          "has %u and %u",
                          what, header->fingerprint >> 16, header->fingerprint & 0xffff,
                          FINGERPRINT >> 16, FINGERPRINT & 0xffff);
    return 0;
}

int weir__header_check(const void *memory, const struct weir__header_expected *expected,
                       const char *what)
{
    static const uint32_t zeros[sizeof((struct weir__header_shm *)0)->reserved / 4];
    struct weir__header_shm header;
    if (!copy_header(&header, memory))
        return weir__fail(EUCLEAN,
                          "%s: its first page cannot be read: it is of huge pages that this "
                          "machine has not got",
                          what);
    int result = check_build(&header, expected->read_only, what);
    if (result != 0)
        return result;
    if (header.header_size_bytes != WEIR__HEADER_BYTES ||
        memcmp(header.reserved, zeros, sizeof zeros) != 0)
        return weir__fail(EUCLEAN, "%s: its header is corrupt", what);
    if (header.segsz != expected->segsz)
        return weir__fail(EUCLEAN,
                          "%s: its header says %" PRIu64 " bytes, the kernel says %" PRIu64, what,
                          header.segsz, expected->segsz);
    if (header.creator != expected->creator)
        return weir__fail(EUCLEAN, "%s: its header names uid %u as creator, the kernel uid %u",
                          what, header.creator, expected->creator);
    if (header.nonce != expected->nonce)
        return weir__fail(EUCLEAN, "%s: its nonce is not the one that its name carries", what);
    return 0;
}

enum weir__header_trace weir__header_trace(const void *memory, uint64_t nonce)
{
    static const struct weir__header_shm unwritten;
    struct weir__header_shm header;
    if (!copy_header(&header, memory))
        return WEIR__HEADER_ABSENT;
    if (memcmp(&header, &unwritten, sizeof header) == 0)
        return WEIR__HEADER_ZERO;
    return header.magic == WEIR__HEADER_MAGIC && header.nonce == nonce ? WEIR__HEADER_NONCE
                                                                       : WEIR__HEADER_FOREIGN;
}
