/* SPDX-License-Identifier: MIT */
#include "segment/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/segment.h>

#include "base/error.h"

/* Linux 5.14; older headers lack the names. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Whether transparent huge pages may come for shared memory that madvise(2) asks them for. */
static bool is_transparent_allowed(void)
{
    char text[128] = "";
    int file = open("/sys/kernel/mm/transparent_hugepage/shmem_enabled", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    /* The setting in force stands in brackets: "always within_size [advise] never deny force". */
    return length > 0 && !strstr(text, "[never]") && !strstr(text, "[deny]");
}

/* The size of the pages of the mapping that begins at memory, in bytes; 0: not to be had. */
static size_t kernel_page_size(const void *memory)
{
    char line[512];
    size_t size = 0;
    bool inside = false;
    FILE *file = fopen("/proc/self/smaps", "re");
    while (file && size == 0 && fgets(line, sizeof line, file)) {
        uintptr_t start, end;
        size_t kib;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
            inside = start == (uintptr_t)memory;
        else if (inside && sscanf(line, "KernelPageSize: %zu kB", &kib) == 1)
            size = kib * 1024;
    }
    if (file)
        fclose(file);
    return size;
}

/*
 * The kernel takes advice for whole pages only, and those of a huge mapping may
 * be of any size: who attaches is not told. EINVAL changes nothing.
 */
static int advise(void *memory, size_t length, int advice)
{
    int result = madvise(memory, length, advice);
    for (size_t unit = 8192; result != 0 && errno == EINVAL && unit <= (size_t)1 << 30; unit *= 2)
        result = madvise(memory, (length + unit - 1) / unit * unit, advice);
    return result;
}

static int explain_advice(int error, size_t length)
{
    return weir__fail(error, "madvise of %zu bytes: %s", length, strerror(error));
}

static size_t whole_pages(uint64_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size_t)(size_bytes + page - 1) / page * page;
}

static void read_each(const void *memory, size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < length; at += page)
        (void)*((const volatile unsigned char *)memory + at);
}

/*
 * A page that was only read has nothing in it that the kernel would have to keep: short of memory, it
 * may drop it. So each is written, a 0 over the 0 that is there.
 */
static void write_each(void *memory, size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < length; at += page)
        *((volatile unsigned char *)memory + at) = 0;
}

/*
 * Memory that nobody else has yet is brought in as if it were read, and written then: on x86-64 a page
 * of shared memory that is mapped to be read can be written without a fault, and both together take
 * 0.8 of the time of bringing it in as if it were written.
 */
static int prefault(void *memory, size_t length, uint32_t flags)
{
    bool is_new = flags & WEIR__PAGES_NEW, is_read = is_new || (flags & WEIR_SEGMENT_READ_ONLY);
    bool is_done = madvise(memory, length, is_read ? MADV_POPULATE_READ : MADV_POPULATE_WRITE) == 0;
    if (!is_done && errno != EINVAL) {
        int error = errno;
        return weir__fail(ENOMEM,
                          "cannot bring %zu bytes into memory: %s: see 'free -h' and the "
                          "memory limit of the control group",
                          length, strerror(error));
    }
    /* Before Linux 5.14: a touch of each page brings it in. What lacks memory is killed here. */
    if (is_new)
        write_each(memory, length);
    else if (!is_done)
        read_each(memory, length);
    return 0;
}

static int lock(void *memory, size_t length)
{
    if (mlock(memory, length) == 0)
        return 0;
    int error = errno;
    struct rlimit limit = { 0, 0 };
    getrlimit(RLIMIT_MEMLOCK, &limit);
    return weir__fail(EPERM,
                      "cannot lock %zu bytes in memory: %s: RLIMIT_MEMLOCK is %" PRIu64
                      " bytes: raise it with 'ulimit -l', LimitMEMLOCK= or CAP_IPC_LOCK",
                      length, strerror(error), (uint64_t)limit.rlim_cur);
}

int weir__pages_hide(void *memory, uint64_t size_bytes, uint32_t flags)
{
    if (!(flags & WEIR_SEGMENT_NO_FORK))
        return 0;
    size_t length = whole_pages(size_bytes);
    return advise(memory, length, MADV_DONTFORK) == 0 ? 0 : explain_advice(errno, length);
}

int weir__pages_apply(void *memory, uint64_t size_bytes, uint32_t flags, uint32_t *pages)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), length = whole_pages(size_bytes);
    bool is_large = size_bytes > WEIR_SEGMENT_DUMP_LIMIT_BYTES;
    int result = 0;
    if ((flags & WEIR_SEGMENT_NO_DUMP) || (is_large && !(flags & WEIR_SEGMENT_DUMP)))
        result = advise(memory, length, MADV_DONTDUMP);
    if (result != 0)
        return explain_advice(errno, length);
    if ((flags & WEIR_SEGMENT_HUGE_PAGES) && *pages == WEIR_PAGES_NORMAL &&
        kernel_page_size(memory) > page)
        *pages = WEIR_PAGES_HUGETLB;
    if ((flags & WEIR_SEGMENT_HUGE_PAGES) && *pages == WEIR_PAGES_NORMAL &&
        is_transparent_allowed() && madvise(memory, length, MADV_HUGEPAGE) == 0)
        *pages = WEIR_PAGES_TRANSPARENT;
    if (flags & WEIR_SEGMENT_PREFAULT)
        result = prefault(memory, length, flags);
    if (result == 0 && (flags & WEIR_SEGMENT_LOCK))
        result = lock(memory, length);
    return result;
}
