/* SPDX-License-Identifier: MIT */
/*
 * Floor 0, the thread that waits for bells where there is no io_uring.
 * Goal: of as many bells as the kernel waits for at once, and of more, each is told; and the kernel is
 *       never asked for more words than it takes, which is what there is room for.
 * Method: in place of syscall(2) stands a function that notes how many words FUTEX_WAITV is given;
 *       around the bound, the last bell of all rings.
 */
#include "unit/cmocka.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bells_thread.h"
#include "base/futex.h"

#define SYS_WAITV 449
#define WORDS_MAX 128 /* of one call of the kernel's; the first is the thread's own */
#define BELLS_MAX 300

static atomic_long most_words; /* that one call was given */

/* What the linker puts in place of syscall(2): see CMakeLists.txt. */
long __wrap_syscall(long number, ...);
long __real_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    long given[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        given[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_WAITV && given[1] > atomic_load(&most_words))
        atomic_store(&most_words, given[1]);
    return __real_syscall(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}

static void expect_last_is_told(uint32_t count)
{
    static weir__atomic_u32 words[BELLS_MAX];
    struct weir__bell bells[BELLS_MAX];
    struct weir__bells_thread *thread;
    int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct pollfd entry = { told, POLLIN, 0 };
    assert_true(told >= 0);
    atomic_store(&most_words, 0);
    for (uint32_t i = 0; i < count; i++)
        bells[i] = (struct weir__bell){ .word = &words[i], .value = atomic_load(&words[i]) };
    assert_int_equal(weir__bells_thread_start(&thread, told), 0);
    assert_int_equal(weir__bells_thread_wait(thread, bells, count), 0);
    assert_int_equal(poll(&entry, 1, 0), 0);
    atomic_fetch_add(&words[count - 1], 1);
    weir__futex_wake(&words[count - 1]);
    assert_int_equal(poll(&entry, 1, 10000), 1);
    weir__bells_thread_end(thread, true);
    close(told);
}

static void *wait_cancelled(void *thread)
{
    pthread_cancel(pthread_self());
    assert_int_equal(weir__bells_thread_wait(thread, NULL, 0), 0);
    pthread_testcancel();
    return NULL;
}

/* Who is cancelled in the midst of it keeps nobody else, and not the thread, from the list. */
static void test_cancelled(void **state)
{
    static weir__atomic_u32 word;
    const struct weir__bell bell = { .word = &word };
    struct weir__bells_thread *thread;
    pthread_t other;
    int told = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    struct pollfd entry = { told, POLLIN, 0 };
    (void)state;
    assert_int_equal(weir__bells_thread_start(&thread, told), 0);
    assert_int_equal(pthread_create(&other, NULL, wait_cancelled, thread), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_int_equal(weir__bells_thread_wait(thread, &bell, 1), 0);
    atomic_fetch_add(&word, 1);
    weir__futex_wake(&word);
    assert_int_equal(poll(&entry, 1, 10000), 1);
    weir__bells_thread_end(thread, true);
    close(told);
}

static void test_as_many_as_the_kernel_takes(void **state)
{
    (void)state;
    expect_last_is_told(1);
    assert_int_equal(atomic_load(&most_words), 2);
    expect_last_is_told(WORDS_MAX - 1);
    assert_int_equal(atomic_load(&most_words), WORDS_MAX);
}

static void test_more_than_the_kernel_takes(void **state)
{
    static const uint32_t counts[] = { WORDS_MAX, WORDS_MAX + 1, BELLS_MAX };
    (void)state;
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        expect_last_is_told(counts[i]);
        assert_in_range(atomic_load(&most_words), 0, WORDS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_as_many_as_the_kernel_takes),
        cmocka_unit_test(test_more_than_the_kernel_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
