/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROBES_URING_H
#define WEIR_PROBES_URING_H

/* As much of io_uring as a probe needs, by plain system calls: one futex wait in flight. */

#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#define OP_FUTEX_WAIT 51
#define FUTEX2_OF_32_BITS 0x02
#define MATCH_ANY 0xffffffffu

struct uring {
    int fd;
    struct io_uring_params params;
    unsigned char *rings;
    struct io_uring_sqe *entries;
};

/* 0, or -errno. */
static inline int uring_open(struct uring *uring, unsigned flags)
{
    memset(uring, 0, sizeof *uring);
    uring->params.flags = flags;
    uring->fd = (int)syscall(SYS_io_uring_setup, 4, &uring->params);
    if (uring->fd < 0)
        return -errno;
    size_t bytes =
        uring->params.cq_off.cqes + uring->params.cq_entries * sizeof(struct io_uring_cqe);
    size_t others = uring->params.sq_off.array + uring->params.sq_entries * sizeof(uint32_t);
    uring->rings = mmap(NULL, bytes > others ? bytes : others, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, uring->fd, IORING_OFF_SQ_RING);
    uring->entries =
        mmap(NULL, uring->params.sq_entries * sizeof *uring->entries, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_POPULATE, uring->fd, IORING_OFF_SQES);
    return uring->rings == MAP_FAILED || (void *)uring->entries == MAP_FAILED ? -errno : 0;
}

static inline _Atomic uint32_t *uring_word(const struct uring *uring, uint32_t offset)
{
    return (_Atomic uint32_t *)(void *)(uring->rings + offset);
}

static inline int uring_enter(const struct uring *uring, unsigned submit, unsigned wait,
                              unsigned flags)
{
    int result = (int)syscall(SYS_io_uring_enter, uring->fd, submit, wait, flags, NULL, 0);
    return result < 0 ? -errno : result;
}

static inline struct io_uring_sqe *uring_next(struct uring *uring)
{
    uint32_t tail = atomic_load(uring_word(uring, uring->params.sq_off.tail));
    uint32_t index = tail & (uring->params.sq_entries - 1);
    atomic_store(uring_word(uring, uring->params.sq_off.array + 4 * index), index);
    memset(&uring->entries[index], 0, sizeof uring->entries[index]);
    atomic_store(uring_word(uring, uring->params.sq_off.tail), tail + 1);
    return &uring->entries[index];
}

/* Waits, in the kernel, while *word is value; the ring's descriptor is readable afterwards. */
static inline int uring_arm(struct uring *uring, const void *word, uint32_t value)
{
    struct io_uring_sqe *entry = uring_next(uring);
    entry->opcode = OP_FUTEX_WAIT;
    entry->fd = FUTEX2_OF_32_BITS;
    entry->addr = (uint64_t)(uintptr_t)word;
    entry->addr2 = value;
    entry->addr3 = MATCH_ANY;
    return uring_enter(uring, 1, 0, 0);
}

/* Whether a completion is there; takes it, and its result. */
static inline int uring_take(const struct uring *uring, int *result)
{
    _Atomic uint32_t *head = uring_word(uring, uring->params.cq_off.head);
    const struct io_uring_cqe *all =
        (const struct io_uring_cqe *)(const void *)(uring->rings + uring->params.cq_off.cqes);
    uint32_t first = atomic_load(head);
    if (first == atomic_load(uring_word(uring, uring->params.cq_off.tail)))
        return 0;
    *result = all[first & (uring->params.cq_entries - 1)].res;
    atomic_store(head, first + 1);
    return 1;
}

static inline void uring_close(const struct uring *uring)
{
    close(uring->fd);
}

#endif
