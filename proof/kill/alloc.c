/* SPDX-License-Identifier: MIT */
/* Pool and arena: who stands where before each order, and what must hold when the victim is gone. */
#include "round.h"

#include <errno.h>

/* How many words have changed, the mutex's included, when the one before dies: see the tables in
 * src/alloc/. */
enum steps {
    ALLOC_UNLISTED = 5,
    ALLOC_PLACED = 7,
    FREE_LEFT = 4,
    FREE_LINKED,
    ARENA_UNPLACED = 8,
    ARENA_PLACED,
};

static struct order one(enum verb verb, unsigned place, unsigned what)
{
    return (struct order){ .verb = verb, .count = place, .size_bytes = what };
}

/* --- who stands where ----------------------------------------------------------------------------- */

static void nobody_knows_it(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, VICTIM);
}

/* One block is in the free list, one is given, and some of the arena. The victim has the views. */
static void some_are_given(struct round *round)
{
    nobody_knows_it(round);
    for (unsigned place = 0; place < 2; place++)
        must(round, OLD, one(POOL_ALLOC, place, 0));
    must(round, OLD, one(POOL_FREE, 0, OLD));
    must(round, OLD, one(ARENA_ALLOC, 0, 24));
    simply(round, VICTIM, POOL_RECOVER);
}

static void none_is_in_the_list(struct round *round)
{
    some_are_given(round);
    must(round, OLD, one(POOL_ALLOC, 0, 0));
}

static void all_are_given(struct round *round)
{
    none_is_in_the_list(round);
    for (unsigned place = 2; place < OWN_PLACES; place++)
        must(round, OLD, one(POOL_ALLOC, place, 0));
    give_identity(round, NEXT);
    must(round, NEXT, one(POOL_ALLOC, 0, 0));
}

static void victim_has_one(struct round *round)
{
    some_are_given(round);
    must(round, VICTIM, one(POOL_ALLOC, 0, 0));
}

/* One before is killed in an order, after so many changes of what all share. */
static void die_in(struct round *round, struct order order)
{
    struct stepper stepper;
    struct memory memory = { .shared = &round->accounts->alloc,
                             .shared_bytes = sizeof round->accounts->alloc };
    unsigned changes = 0;
    order.is_marked = true;
    require(round, stepper_begin(&stepper, &round->peer[DEAD], round->accounts),
            "it cannot be traced");
    tell(round, DEAD, order);
    require(round, stepper_enter(&stepper), "it does not begin");
    memory_changed(&memory, stepper.pid);
    while (changes < round->scenario->dead_at && stepper_next(&stepper) == STEP_INSTRUCTION &&
           !stepper_is_over(&stepper))
        changes += memory_changed(&memory, stepper.pid);
    memory_free(&memory);
    require(round, changes == round->scenario->dead_at, "the one before ends after %u changes",
            changes);
    slay(round, DEAD);
    round->accounts->place = BEFORE;
}

static void one_comes_to_die(struct round *round)
{
    some_are_given(round);
    give_identity(round, DEAD);
    simply(round, DEAD, POOL_RECOVER);
}

static void died_in_alloc(struct round *round)
{
    one_comes_to_die(round);
    die_in(round, one(POOL_ALLOC, 0, 0));
}

static void died_in_free(struct round *round)
{
    one_comes_to_die(round);
    must(round, DEAD, one(POOL_ALLOC, 0, 0));
    die_in(round, one(POOL_FREE, 0, DEAD));
}

static void died_in_arena(struct round *round)
{
    one_comes_to_die(round);
    die_in(round, one(ARENA_ALLOC, 0, 40));
}

/* --- afterwards ----------------------------------------------------------------------------------- */

/* What one died in is finished once. */
static void recover(struct round *round, enum verb verb)
{
    struct reply reply = ask(round, FRESH, within(verb, 0));
    require(round, reply.result == 0 || reply.result == WEIR_OWNER_DIED, "%s gives %s%d: %s",
            verb_names[verb], weir_strerror_name(reply.result), reply.result, reply.sentence);
    simply(round, FRESH, verb);
}

static void free_all_of(struct round *round, enum who by, enum who whose)
{
    for (unsigned place = 0; place < OWN_PLACES; place++)
        must(round, by, one(POOL_FREE, place, whose));
}

/* All blocks go to two, and none to a third; then they come back. */
static void use_all(struct round *round)
{
    for (unsigned place = 0; place < OWN_PLACES; place++)
        must(round, place < 2 ? OLD : FRESH, one(POOL_ALLOC, place, 0));
    must(round, FRESH, one(POOL_ALLOC, 0, 0));
    struct reply reply = ask(round, FRESH, one(POOL_ALLOC, 1, 0));
    must_be(round, FRESH, &reply, -ENOMEM);
    must(round, FRESH, one(ARENA_ALLOC, 0, 100));
    must(round, OLD, one(ARENA_ALLOC, 1, 50));
    simply(round, FRESH, COUNT_BLOCKS);
    free_all_of(round, OLD, OLD);
    free_all_of(round, FRESH, FRESH);
    simply(round, OLD, ARENA_RESET);
    round->accounts->alloc.is_reset = false;
    simply(round, FRESH, COUNT_BLOCKS);
}

static void go_on(struct round *round)
{
    start(round, FRESH);
    recover(round, POOL_RECOVER);
    recover(round, ARENA_RECOVER);
    simply(round, FRESH, COUNT_BLOCKS);
    free_all_of(round, OLD, OLD);
    if (round->peer[NEXT].pid > 0)
        free_all_of(round, NEXT, NEXT);
    free_all_of(round, FRESH, VICTIM); /* as who inherits their places does */
    free_all_of(round, FRESH, DEAD);
    simply(round, FRESH, ARENA_RESET);
    round->accounts->alloc.is_reset = false;
    simply(round, FRESH, COUNT_BLOCKS);
    use_all(round);
    quit_all(round);
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool is_arena = scenario->order.verb >= ARENA_ALLOC;
    start(round, RIVAL);
    tell(round, RIVAL, is_arena ? one(ARENA_ALLOC, 0, 30) : one(POOL_ALLOC, 0, 0));
    see_settled(round, RIVAL);
    stepper_release(&round->stepper);
    struct reply reply = answer(round, VICTIM);
    struct reply rival = answer(round, RIVAL);
    require(round, rival.result == 0 || (rival.result == -ENOMEM && scenario->expected == -ENOMEM),
            "beside a stopped one, a rival gets %s%d: %s", weir_strerror_name(rival.result),
            rival.result, rival.sentence);
    /* The rival was faster, and has finished what the dead one began. */
    bool is_late = (scenario->flags & RECOVERY) && reply.result == 0;
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    free_all_of(round, RIVAL, RIVAL);
    free_all_of(round, VICTIM, VICTIM);
    quit(round, RIVAL);
    quit(round, VICTIM);
    go_on(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, place, what, expected, dead)                   \
    { operation, variant, 0, flags, stage, { verb, place, what, 0, false }, expected, NULL, dead },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("pool alloc", "made and opened", 0, nobody_knows_it, POOL_ALLOC, 0, 0, 0, 0)
    ROW("pool alloc", "from the free list", 0, some_are_given, POOL_ALLOC, 0, 0, 0, 0)
    ROW("pool alloc", "one never given", 0, none_is_in_the_list, POOL_ALLOC, 0, 0, 0, 0)
    ROW("pool alloc", "in vain", 0, all_are_given, POOL_ALLOC, 0, 0, -ENOMEM, 0)
    ROW("pool free", "", 0, victim_has_one, POOL_FREE, 0, VICTIM, 0, 0)
    ROW("pool recover", "one died in alloc, unlisted", RECOVERY, died_in_alloc, POOL_RECOVER, 0, 0, WEIR_OWNER_DIED, ALLOC_UNLISTED)
    ROW("pool recover", "the same, placed", RECOVERY, died_in_alloc, POOL_RECOVER, 0, 0, WEIR_OWNER_DIED, ALLOC_PLACED)
    ROW("pool recover", "one died in free, left", RECOVERY, died_in_free, POOL_RECOVER, 0, 0, WEIR_OWNER_DIED, FREE_LEFT)
    ROW("pool alloc", "one died in free, linked", RECOVERY, died_in_free, POOL_ALLOC, 0, 0, 0, FREE_LINKED)
    ROW("arena alloc", "", 0, some_are_given, ARENA_ALLOC, 0, 40, 0, 0)
    ROW("arena alloc", "in vain", 0, some_are_given, ARENA_ALLOC, 0, 2 * ARENA_BYTES, -ENOMEM, 0)
    ROW("arena recover", "one died in alloc, unplaced", RECOVERY, died_in_arena, ARENA_RECOVER, 0, 0, WEIR_OWNER_DIED, ARENA_UNPLACED)
    ROW("arena recover", "the same, placed", RECOVERY, died_in_arena, ARENA_RECOVER, 0, 0, WEIR_OWNER_DIED, ARENA_PLACED)
    ROW("arena reset", "", 0, some_are_given, ARENA_RESET, 0, 0, 0, 0)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject alloc_subject = { scenarios, &count, true, NULL, NULL, go_on, after_stop };
