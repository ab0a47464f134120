/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum { SEGMENTS_MAX = 256 };

/* Larger ones have no guards: a sanitizer notes each page that is reserved. */
#define GUARDED_MAX ((size_t)1 << 32)

static struct guarded {
    char *reserved; /* the pages around it, and it */
    size_t reserved_bytes;
    char *memory;
    size_t size_bytes;  /* the segment's */
    size_t whole_bytes; /* up to a page */
    int flags;          /* of shmat(2) */
} segments[SEGMENTS_MAX];

static size_t segment_count;

void (*guard_attached)(void *memory, size_t size_bytes);

static size_t up_to(size_t size_bytes, size_t unit)
{
    return (size_bytes + unit - 1) / unit * unit;
}

/* Pages that nobody may touch, with room for the segment in their midst. */
static int reserve(struct guarded *guarded, size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), unit = (size_t)SHMLBA;
    guarded->size_bytes = size_bytes;
    guarded->whole_bytes = up_to(size_bytes, page);
    guarded->reserved_bytes = page + unit + guarded->whole_bytes + page;
    guarded->reserved = mmap(NULL, guarded->reserved_bytes, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (guarded->reserved == MAP_FAILED)
        return -1;
    uintptr_t first = (uintptr_t)guarded->reserved + page;
    guarded->memory = guarded->reserved + page + (up_to(first, unit) - first);
    return 0;
}

void *__wrap_shmat(int id, const void *address, int flags)
{
    struct shmid_ds found;
    struct guarded guarded;
    if (address || segment_count == SEGMENTS_MAX || shmctl(id, SHM_STAT_ANY, &found) != id ||
        found.shm_segsz > GUARDED_MAX || reserve(&guarded, found.shm_segsz) != 0)
        return __real_shmat(id, address, flags);
    void *memory = __real_shmat(id, guarded.memory, flags | SHM_REMAP);
    if (memory == (void *)-1) {
        int error = errno;
        munmap(guarded.reserved, guarded.reserved_bytes);
        errno = error;
        return memory;
    }
    ASAN_POISON_MEMORY_REGION(guarded.memory + guarded.size_bytes,
                              guarded.whole_bytes - guarded.size_bytes);
    guarded.flags = flags;
    segments[segment_count++] = guarded;
    if (guard_attached)
        guard_attached(memory, guarded.size_bytes);
    return memory;
}

int __wrap_shmdt(const void *address)
{
    for (size_t i = 0; i < segment_count; i++) {
        struct guarded guarded = segments[i];
        if (guarded.memory != address)
            continue;
        ASAN_UNPOISON_MEMORY_REGION(guarded.memory, guarded.whole_bytes);
        segments[i] = segments[--segment_count];
        /* What the kernel detaches with the pages around it leaves no hole in their midst, into
         * which another thread could map something before the rest is unmapped. */
        return munmap(guarded.reserved, guarded.reserved_bytes);
    }
    return __real_shmdt(address);
}

static bool is_mapped(const struct guarded *guarded)
{
    unsigned char resident;
    return mincore(guarded->memory, 1, &resident) == 0;
}

/* In a child of fork: what the kernel has left out of it leaves a hole, and a sanitizer's notes for a child
 * are its parent's. Whatever is mapped there next would lie between our pages, with an end that nobody may touch. */
static void forget_unforked(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < segment_count; i++) {
        struct guarded guarded = segments[i];
        if (is_mapped(&guarded)) {
            segments[kept++] = guarded;
            continue;
        }
        ASAN_UNPOISON_MEMORY_REGION(guarded.memory, guarded.whole_bytes);
        munmap(guarded.reserved, guarded.reserved_bytes);
    }
    segment_count = kept;
}

static __attribute__((constructor)) void forget_unforked_in_children(void)
{
    if (pthread_atfork(NULL, NULL, forget_unforked) != 0)
        abort();
}

/* The segment that the address lies in, or ends; NULL: none. */
static const struct guarded *find(const void *at)
{
    uintptr_t address = (uintptr_t)at;
    for (size_t i = 0; i < segment_count; i++) {
        uintptr_t memory = (uintptr_t)segments[i].memory;
        if (memory <= address && address - memory <= segments[i].size_bytes)
            return &segments[i];
    }
    return NULL;
}

bool guard_holds(const void *at, size_t size_bytes)
{
    const struct guarded *segment = find(at);
    return segment &&
           size_bytes <= segment->size_bytes - ((uintptr_t)at - (uintptr_t)segment->memory);
}

size_t guard_size(const void *at)
{
    const struct guarded *segment = find(at);
    return segment ? segment->size_bytes : 0;
}

size_t guard_writable_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < segment_count; i++)
        count += (segments[i].flags & SHM_RDONLY) == 0;
    return count;
}

size_t guard_count(void)
{
    return segment_count;
}

void *guard_new(size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = up_to(size_bytes, page);
    char *memory =
        mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + whole, page, PROT_NONE) != 0)
        abort();
    return memory + whole - size_bytes;
}
