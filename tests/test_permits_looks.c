/* SPDX-License-Identifier: MIT */
/*
 * Goal: who looks for a permit is not told that all are held while one is free at every moment, however
 *       the free one moves; and a wait for one of many looks at all of them a few times, not a hundred.
 * Method: of the two pages that a free permit moves between, one can be touched at a time. So each look
 *       at all of them is seen as it comes to the next page, and there the free permit is moved: free
 *       where the look has been, then held where it is about to be.
 */
#include "fixture.h"
#include "peers.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sync/permits.h"

/* Of a wait: each look is counted where it comes to the second page. Of glances alone there would be 100. */
enum { LOOKS_MAX = 40 };

#define SHORT_NS (5 * WEIR_MILLISECOND_NS)

static struct weir_permits permits;

/* On the first page that is watched, and on the second; and who holds the one that is not free. */
enum { HOLDERS = 3 };
static uint32_t count, places[2];
static uint64_t holders[HOLDERS];
static size_t page_bytes;
static volatile sig_atomic_t moves, moves_max, looks;

struct peers_reply peers_serve(const struct peers_order *order)
{
    struct peers_reply reply = { 0, 0 };
    CHECK_RESULT(weir_permits_open(&permits, peers_memory, peers_bytes), 0);
    reply.result = weir_permits_try_take(&permits, &reply.value);
    (void)order;
    return reply;
}

static weir__atomic_u64 *word(uint32_t index)
{
    return &((struct weir__permits_shm *)peers_memory)->permit[index].word;
}

static char *page(unsigned number)
{
    return (char *)peers_memory + (number + 1) * page_bytes;
}

static void protect(unsigned number, int rights)
{
    if (mprotect(page(number), page_bytes, rights) != 0)
        _exit(3);
}

/* Someone looks at the page for the first time since it has looked at the other. */
static void on_touch(int signal, siginfo_t *info, void *context)
{
    unsigned at = (char *)info->si_addr >= page(1);
    (void)signal;
    (void)context;
    if ((char *)info->si_addr < page(0) || (char *)info->si_addr >= page(2))
        _exit(4);
    looks += at == 1;
    protect(0, PROT_READ | PROT_WRITE);
    protect(1, PROT_READ | PROT_WRITE);
    if (moves < moves_max) {
        *word(places[1 - at]) = WEIR_IDENTITY_NOBODY;
        *word(places[at]) = holders[moves % HOLDERS];
        moves++;
    }
    protect(1 - at, PROT_NONE);
}

static void watch(int so_many_moves)
{
    struct sigaction action = { .sa_sigaction = on_touch, .sa_flags = SA_SIGINFO };
    moves = looks = 0;
    moves_max = so_many_moves;
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
    protect(0, PROT_NONE);
    protect(1, PROT_NONE);
}

static void watch_no_more(void)
{
    protect(0, PROT_READ | PROT_WRITE);
    protect(1, PROT_READ | PROT_WRITE);
    signal(SIGSEGV, SIG_DFL);
}

/* All are held, by this process and by two others; and a look begins at the first of them. */
static void hold_all(struct peer *others)
{
    struct weir__permits *handle = (struct weir__permits *)(void *)&permits;
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    count = (uint32_t)(2 * page_bytes / sizeof(struct weir__owned)) + 100;
    places[0] = (uint32_t)(page_bytes / sizeof(struct weir__owned)) + 50;
    places[1] = (uint32_t)(2 * page_bytes / sizeof(struct weir__owned)) + 50;
    peers_share(weir_permits_bytes(count));
    assert_result(weir_permits_init(peers_memory, peers_bytes, count), 0);
    assert_result(weir_permits_open(&permits, peers_memory, peers_bytes), 0);
    assert_result(weir_identity(&holders[0]), 0);
    for (int i = 1; i < HOLDERS; i++) {
        peer_start(&others[i]);
        struct peers_reply reply = peer_ask(&others[i], 0, 0, 0);
        assert_int_equal(reply.result, 0);
        holders[i] = *word(reply.value);
    }
    for (uint32_t i = 0; i < count; i++)
        *word(i) = holders[i % HOLDERS];
    handle->hint = 1;
}

static void end(struct peer *others)
{
    for (int i = 1; i < HOLDERS; i++)
        peer_end(&others[i]);
}

/* Through every look of the first two times at all of them, and then it stays. */
static void test_one_is_free_at_every_moment(void **state)
{
    struct peer others[HOLDERS];
    uint32_t index = UINT32_MAX;
    (void)state;
    hold_all(others);
    *word(places[0]) = WEIR_IDENTITY_NOBODY;
    watch(2 * 4);
    int result = weir_permits_try_take(&permits, &index);
    watch_no_more();
    assert_result(result, 0);
    assert_int_equal(moves, 2 * 4);
    assert_true(index == places[0] || index == places[1]);
    end(others);
}

/* It ends, too, when the free one never stays. */
static void test_it_moves_for_ever(void **state)
{
    struct peer others[HOLDERS];
    uint32_t index;
    (void)state;
    hold_all(others);
    *word(places[0]) = WEIR_IDENTITY_NOBODY;
    watch(1000000);
    int result = weir_permits_try_take(&permits, &index);
    watch_no_more();
    assert_result(result, -EAGAIN);
    assert_true(looks <= 4 + 3 * WEIR__OWNERS_LOOKS);
    end(others);
}

static void test_a_wait_looks_at_all_a_few_times(void **state)
{
    struct peer others[HOLDERS];
    uint32_t index;
    (void)state;
    hold_all(others);
    watch(0);
    int result = weir_permits_take_until(&permits, &index, weir_deadline_ns(SHORT_NS));
    watch_no_more();
    print_message("           %d looks at all of them\n", (int)looks);
    assert_result(result, -ETIMEDOUT);
    assert_true(looks >= 3 && looks <= LOOKS_MAX);
    end(others);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_is_free_at_every_moment),
        cmocka_unit_test(test_it_moves_for_ever),
        cmocka_unit_test(test_a_wait_looks_at_all_a_few_times),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
