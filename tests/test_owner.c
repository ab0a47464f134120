/* SPDX-License-Identifier: MIT */
/*
 * Goal: an owner is called dead only when its word and the name beside it are after the kernel's answer
 *       what they were before it: else the question may have been about another one.
 * Method: the word and name of a process that is dead; in place of the question to the kernel stands a
 *       function that changes one of them, as their next owner would, before it answers.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "sync/owner.h"

static struct weir__owned *owned; /* shared by fork */
static uint64_t dead_word, dead_name;
static uint64_t next_word, next_name; /* what stands there after the question; 0: as it was */

/* What the linker puts in place of weir__life(): see CMakeLists.txt. */
int __wrap_weir__life(uint64_t identity, uint64_t maker);
int __real_weir__life(uint64_t identity, uint64_t maker);

int __wrap_weir__life(uint64_t identity, uint64_t maker)
{
    int life = __real_weir__life(identity, maker);
    if (next_word != 0)
        atomic_store(&owned->word, next_word);
    if (next_name != 0)
        atomic_store(&owned->name, next_name);
    return life;
}

static void own_and_die(void *unused)
{
    uint64_t self;
    (void)unused;
    CHECK_RESULT(weir__owner_self(&self), 0);
    atomic_store(&owned->word, self);
    weir__owned_name(owned);
}

static bool is_dead_when(uint64_t name, uint64_t word_then, uint64_t name_then)
{
    atomic_store(&owned->word, dead_word);
    atomic_store(&owned->name, name);
    next_word = word_then;
    next_name = name_then;
    return weir__owned_is_dead(owned, dead_word);
}

static void test_what_changes_meanwhile(void **state)
{
    uint64_t self;
    (void)state;
    assert_int_equal(weir__owner_self(&self), 0);
    uint64_t own_name = weir__self()->name;
    assert_true(self != dead_word && own_name != dead_name);
    assert_true(is_dead_when(dead_name, 0, 0));
    assert_true(is_dead_when(dead_name, dead_word | 1, 0)); /* the 13 bits are nobody's */
    assert_true(is_dead_when(own_name, 0, 0));              /* killed before it wrote its name */
    assert_false(is_dead_when(dead_name, self, 0));
    assert_false(is_dead_when(dead_name, 0, own_name));
    assert_false(is_dead_when(own_name, 0, dead_name));
    assert_false(is_dead_when(dead_name, self, own_name));
}

static int own_start(void **state)
{
    owned = mmap(NULL, sizeof *owned, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int result = owned == MAP_FAILED ? -1 : fixture_start_alive(state);
    if (result != 0)
        return result;
    in_child(own_and_die, NULL);
    dead_word = atomic_load(&owned->word);
    dead_name = atomic_load(&owned->name);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_what_changes_meanwhile, fixture_check_alive),
    };
    return cmocka_run_group_tests(tests, own_start, fixture_end);
}
