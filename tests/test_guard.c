/* SPDX-License-Identifier: MIT */
/*
 * Goal: what the tests of lies trust (guard.h). A byte outside a segment is no byte; in a child of
 *       fork a segment that is left out of it leaves nothing in the way of what is mapped there next.
 * Method: a child that touches such a byte is killed, or ended by the sanitizer; one that maps
 *       pages where the segment was writes all of them.
 */
#include "fixture.h"
#include "guard.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

enum { SIZE_BYTES = 3000 }; /* less than a page */

static unsigned char *attach(void)
{
    int id = shmget(IPC_PRIVATE, SIZE_BYTES, 0600);
    assert_true(id >= 0);
    unsigned char *memory = shmat(id, NULL, 0);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    assert_ptr_not_equal(memory, (void *)-1);
    assert_true(guard_holds(memory, SIZE_BYTES));
    return memory;
}

static void touch(void *at)
{
    struct rlimit none = { 0 };
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the tests in the child */
    *(volatile unsigned char *)at = 1;
}

static void test_outside(void **state)
{
    (void)state;
    unsigned char *memory = attach();
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_not_equal(status_in_child(touch, memory - 1), 0);
    assert_int_equal(status_in_child(touch, memory), 0);
    assert_int_equal(status_in_child(touch, memory + SIZE_BYTES - 1), 0);
    assert_int_not_equal(status_in_child(touch, memory + page), 0);
    assert_int_equal(shmdt(memory), 0);
}

static void map_there(void *at)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(guard_count() == 0);
    void *there = mmap(at, page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(there == at);
    memset(there, 1, page);
}

static void test_unforked(void **state)
{
    (void)state;
    unsigned char *memory = attach();
    assert_int_equal(madvise(memory, SIZE_BYTES, MADV_DONTFORK), 0);
    in_child(map_there, memory);
    assert_true(guard_holds(memory, SIZE_BYTES));
    assert_int_equal(shmdt(memory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_unforked),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
