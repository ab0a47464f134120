/* SPDX-License-Identifier: MIT */
/*
 * Places for the live parts of handles, in pages that the kernel wipes in a child of fork
 * (MADV_WIPEONFORK).
 *
 *   what        | who writes it | under what
 *   ------------+---------------+--------------------------------------------------
 *   page->at    | any thread    | compare-and-swap, once: NULL -> a page, for good
 *   page->taken | any thread    | compare-and-swap: a bit for each place
 *   a place     | its handle    | as the handle is
 *
 * What says which places are taken is no part of a page, so it is as true in a child as it was
 * in the parent: there each place is its handle's until that is closed.
 */
#include "base/live.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomics.h"

#define PAGES 2048
#define PLACES 32 /* in each: all that the smallest page has */

static struct page {
    _Atomic(unsigned char *) at;
    weir__atomic_u32 taken;
} pages[PAGES];

/* NULL: it is not made yet. */
static unsigned char *find_page(struct page *page)
{
    /* Acquire [live.page]. Pairs with make_page(). */
    return atomic_load_explicit(&page->at, memory_order_acquire);
}

/* In a child of fork, where an emulator of another processor took the advice and did nothing. */
static void wipe_in_child(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned char *at = find_page(&pages[i]);
        if (!at)
            return;
        memset(at, 0, (size_t)PLACES * WEIR__LIVE_BYTES);
    }
}

static void wipe_also_by_hand(void)
{
    pthread_atfork(NULL, NULL, wipe_in_child);
}

/* NULL: none is to be had. */
static unsigned char *make_page(struct page *page)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *former = NULL;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    if (madvise(at, size, MADV_WIPEONFORK) != 0) {
        munmap(at, size);
        return NULL;
    }
    pthread_once(&once, wipe_also_by_hand);
    /* Release [live.page]: the mapping, and its advice, before it is found. Pairs with find_page().
     * Acquire: likewise of another thread's. */
    if (atomic_compare_exchange_strong_explicit(&page->at, &former, at, memory_order_release,
                                                memory_order_acquire))
        return at;
    munmap(at, size); /* another thread was first */
    return former;
}

/* A free place of the page; NULL: it has none. */
static void *take_place(struct page *page, unsigned char *at)
{
    uint32_t taken = atomic_load_explicit(&page->taken, memory_order_relaxed);
    while (taken != UINT32_MAX) {
        int bit = __builtin_ctz(~taken);
        /* Acquire [live.place]: what its former handle wrote comes before. Pairs with
         * weir__live_free(). */
        if (atomic_compare_exchange_weak_explicit(&page->taken, &taken, taken | UINT32_C(1) << bit,
                                                  memory_order_acquire, memory_order_relaxed))
            return memset(at + (size_t)bit * WEIR__LIVE_BYTES, 0, WEIR__LIVE_BYTES);
    }
    return NULL;
}

void *weir__live_new(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned char *at = find_page(&pages[i]);
        if (!at)
            at = make_page(&pages[i]);
        if (!at)
            return NULL;
        void *place = take_place(&pages[i], at);
        if (place)
            return place;
    }
    return NULL;
}

void weir__live_free(void *live)
{
    for (unsigned i = 0; live && i < PAGES; i++) {
        const unsigned char *at = find_page(&pages[i]);
        uintptr_t offset = (uintptr_t)live - (uintptr_t)at;
        if (offset >= (uintptr_t)PLACES * WEIR__LIVE_BYTES)
            continue;
        /* Release [live.place]: the next handle there writes behind us. Pairs with take_place(). */
        atomic_fetch_and_explicit(&pages[i].taken, ~(UINT32_C(1) << offset / WEIR__LIVE_BYTES),
                                  memory_order_release);
        return;
    }
}
