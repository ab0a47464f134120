/* SPDX-License-Identifier: MIT */
/*
 * Goal: of two publishers and two subscribers, whatever is written into the directory, a slot, a
 *       lane or a page disturbs those alone whose word it is: the others get, and send, all they
 *       should; while one joins, one leaves, one is overtaken, and the place of a dead one is taken.
 * Method: every word of all of them is set to each of a row of values, between guard pages; books
 *       say for each pair what must come, in its order, byte for byte.
 */
#include "fixture.h"
#include "guard.h"
#include "quartet.h"

static unsigned lies;

/* One lie, while a message of the first publisher is held, others are read, and some come and go. */
static bool lie_in_use(unsigned which, unsigned index)
{
    quartet_open(0);
    quartet_publish(1, 40);
    quartet_hold();
    quartet_drain();
    quartet_publish(2, 40);
    bool is_more = quartet_lie(which, index, false, "in use");
    quartet_drain();
    quartet_publish(2, 40);
    quartet_drain();
    quartet_join(WEIR__SUBSCRIBER);
    quartet_join(WEIR__PUBLISHER);
    quartet_drain();              /* who was there attaches who has come */
    for (int i = 0; i < 9; i++) { /* more than a ring */
        quartet_publish(1, CAPACITY / 8);
        quartet_drain();
    }
    quartet_let_go();
    quartet_leave(WEIR__PUBLISHER, index % 2);
    quartet_leave(WEIR__SUBSCRIBER, index % 2);
    quartet_publish(2, 40);
    quartet_drain();
    quartet_close();
    return is_more;
}

/* While nobody reads, and the publishers wait for nobody. */
static bool lie_to_evicting(unsigned which, unsigned index)
{
    quartet_open(CAPACITY / 4);
    quartet_publish(2, 40);
    bool is_more = quartet_lie(which, index, false, "evicting");
    quartet_publish(20, CAPACITY / 8);
    quartet_drain();
    quartet_publish(2, 40);
    quartet_drain();
    quartet_close();
    return is_more;
}

/* About what the dead have left, while others take their places. */
static bool lie_about_dead(unsigned which, unsigned index)
{
    quartet_open(0);
    quartet_show_dead();
    bool is_more = quartet_lie(which, index, true, "dead");
    quartet_publish(2, 40);
    quartet_drain();
    quartet_join(WEIR__PUBLISHER);
    quartet_join(WEIR__SUBSCRIBER);
    quartet_drain();
    for (int i = 0; i < 9; i++) {
        quartet_publish(1, CAPACITY / 8);
        quartet_drain();
    }
    quartet_close();
    return is_more;
}

/* Every word, every value: how many words there were. */
static unsigned tell_all(bool (*tell)(unsigned, unsigned))
{
    unsigned words = 0;
    lies = 0;
    for (; tell(words, 0); words++)
        for (unsigned index = 0; tell(words, index); index++)
            lies++;
    print_message("           %u lies\n", lies);
    assert_int_equal(lies, words * liar_value_count());
    return words;
}

/* 20 of the head; of each pair two slots of 3, 21 of the lane, 11 of the page and 2 entries of 6. */
enum { WORDS = 20 + 2 * (2 * 3 + 21 + 11 + 2 * 6), WORDS_OF_DEAD = 2 * 3 + 21 + 11 + 2 * 6 };

static void test_lies_in_use(void **state)
{
    (void)state;
    assert_int_equal(tell_all(lie_in_use), WORDS);
}

static void test_lies_to_the_evicting(void **state)
{
    (void)state;
    assert_int_equal(tell_all(lie_to_evicting), WORDS);
}

static void test_lies_about_the_dead(void **state)
{
    (void)state;
    quartet_kill_two();
    assert_int_equal(tell_all(lie_about_dead), WORDS_OF_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUARTET_TEST(test_lies_in_use),
        QUARTET_TEST(test_lies_to_the_evicting),
        QUARTET_TEST(test_lies_about_the_dead),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
