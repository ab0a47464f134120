/* SPDX-License-Identifier: MIT */
/*
 * Goal: large copies to and from shared memory (base/copy_large.h): all bytes, and only these, are
 *       read and written, at any size and any alignment.
 * Method: copies that begin at each offset of a line, or end at one, with a page that nobody may touch
 *         before the source and behind it, before the target and behind it.
 */
#include "unit/cmocka.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/copy_large.h"

#define LINE 64
#define MOST_BYTES ((size_t)WEIR__COPY_LARGE_MAX + 4096)

typedef void copy_function(unsigned char *to, const unsigned char *from, size_t size);

static unsigned char *source, *target;

/* Between two pages that nobody may touch. */
static unsigned char *guarded_new(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (MOST_BYTES + page - 1) / page * page;
    unsigned char *all =
        mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    assert_int_equal(mprotect(all + page, bytes, PROT_READ | PROT_WRITE), 0);
    return all + page;
}

static int make_buffers(void **state)
{
    (void)state;
    source = guarded_new();
    target = guarded_new();
    uint64_t word = 1;
    for (size_t i = 0; i < MOST_BYTES; i++) {
        word = word * UINT64_C(6364136223846793005) + 1442695040888963407;
        source[i] = (unsigned char)(word >> 56);
    }
    return 0;
}

static void assert_all(const unsigned char *from, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(from[i], value);
}

/* Of the bytes around the copy 256 are looked at. */
static void assert_copies(copy_function *copy, size_t to, size_t from, size_t size)
{
    size_t before = to < 256 ? to : 256;
    size_t behind = MOST_BYTES - to - size < 256 ? MOST_BYTES - to - size : 256;
    memset(target + to - before, 0xA5, before + size + behind);
    copy(target + to, source + from, size);
    assert_memory_equal(target + to, source + from, size);
    assert_all(target + to - before, before, 0xA5);
    assert_all(target + to + size, behind, 0xA5);
}

static void assert_copies_at_any(copy_function *copy, size_t size)
{
    size_t end = MOST_BYTES - size;
    for (size_t i = 0; i<LINE; i += size> 70000 ? 21 : 1) {
        assert_copies(copy, i, (i * 7) % LINE, size);
        assert_copies(copy, end - i, end - (i * 7) % LINE, size);
    }
}

static void assert_copies_all(copy_function *copy)
{
    static const size_t sizes[] = { 0,    1,    63,   1023,  1024,  1025,  2047,
                                    2048, 2049, 3071, 3072,  3073,  4095,  4096,
                                    4097, 8191, 8200, 65535, 65536, 65543, WEIR__COPY_LARGE_MAX };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_copies_at_any(copy, sizes[i]);
}

static void test_to(void **state)
{
    (void)state;
    assert_copies_all(weir__copy_large_to);
}

static void test_from(void **state)
{
    (void)state;
    assert_copies_all(weir__copy_large_from);
}

/* As memmove() does: who sends out of a loan that it has abandoned has the bytes that it wrote. */
static void test_to_itself(void **state)
{
    (void)state;
    static const size_t sizes[] = { WEIR__COPY_LARGE_MIN, 4096, 70001 };
    static const size_t moves[] = { 0, 1, 64, 1023, 1024, 2048 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof moves / sizeof *moves; j++) {
            memcpy(target, source, sizes[i] + moves[j]);
            weir__copy_large_to(target + moves[j], target, sizes[i]);
            assert_memory_equal(target + moves[j], source, sizes[i]);
            memcpy(target, source, sizes[i] + moves[j]);
            weir__copy_large_to(target, target + moves[j], sizes[i]);
            assert_memory_equal(target, source + moves[j], sizes[i]);
        }
}

static void to_shared(unsigned char *to, const unsigned char *from, size_t size)
{
    weir__copy_to_shared(to, from, size);
}

static void from_shared(unsigned char *to, const unsigned char *from, size_t size)
{
    weir__copy_from_shared(to, from, size);
}

/* Whatever way a size takes; these begin where another does. */
static void test_each_size(void **state)
{
    (void)state;
    static const size_t edges[] = { WEIR__AHEAD_MIN, WEIR__COPY_LARGE_MIN, WEIR__COPY_LARGE_MAX };
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        for (size_t size = edges[i] - 2; size <= edges[i] + 2; size++) {
            assert_copies_at_any(to_shared, size);
            assert_copies_at_any(from_shared, size);
        }
}

static void test_which_are_large(void **state)
{
    (void)state;
    assert_false(weir__is_copy_large(0));
    assert_false(weir__is_copy_large(WEIR__COPY_LARGE_MIN - 1));
    assert_true(weir__is_copy_large(WEIR__COPY_LARGE_MIN));
    assert_true(weir__is_copy_large(WEIR__COPY_LARGE_MAX));
    assert_false(weir__is_copy_large(WEIR__COPY_LARGE_MAX + 1));
    assert_false(weir__is_copy_large(SIZE_MAX));
}

/* What is read may be memory that cannot be written. */
static void test_from_what_is_read_only(void **state)
{
    (void)state;
    assert_int_equal(mprotect(source, MOST_BYTES, PROT_READ), 0);
    assert_copies_all(weir__copy_large_from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_to_itself),
        cmocka_unit_test(test_each_size),
        cmocka_unit_test(test_which_are_large),
        cmocka_unit_test(test_from_what_is_read_only),
    };
    return cmocka_run_group_tests(tests, make_buffers, NULL);
}
