/* SPDX-License-Identifier: MIT */
/*
 * Goal: nothing that was checked is loaded once more to be used: whatever a word of shared memory
 *       becomes between two loads of it, the call gives what is sound, or an error.
 * Method: a child makes one call, between guard pages, and is halted behind each load of a word of its
 *       directory, lane, page or ring, as the processor says (watch.h). There, and nowhere else, it
 *       matters what the word is: it is turned from the truth to a lie behind each load, and from a lie
 *       to the truth, and to a lie for one load alone. The calls, and the checks, are in fetcher.c.
 */
#include "fetcher.h"
#include "fixture.h"
#include "tracer.h"
#include "watch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* Of one word in one call; who waits loads it as often as there is time. */
enum { LOADS_MAX = 8, WAITER_LOADS_MAX = 3 };

static struct fetcher_board *board;
static pid_t child;
static unsigned rounds, turns;
static int reference; /* what the call gives without one */

/* --- the child, from one halt to the next -------------------------------------------------------- */

/* False: it was halted behind a load. Else it has halted itself, and stop says where. */
static bool go_on(void)
{
    int status = -1;
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    bool is_halted = WIFSTOPPED(status);
    if (is_halted && WSTOPSIG(status) == SIGTRAP)
        return false;
    if (is_halted && WSTOPSIG(status) == SIGSTOP)
        return true;
    if (is_halted)
        tracee_kill(child);
    child = 0;
    fail_msg("%s: %s %d", board->place, is_halted ? "it got signal" : "it ended with status",
             is_halted ? WSTOPSIG(status) : status);
    return true;
}

static void go_on_to(enum fetcher_stop stop)
{
    assert_true(go_on());
    assert_int_equal(board->stop, stop);
}

static void start_child(void)
{
    board->is_over = false;
    child = tracee_start(NULL, fetcher_live, NULL);
    go_on_to(FETCHER_READY);
}

static void end_child(void)
{
    board->is_over = true;
    int status = tracee_finish(child);
    child = 0;
    assert_int_equal(status, 0);
}

static uint64_t peek(const struct fetcher_word *word)
{
    uint64_t found = (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)word->written, NULL);
    return word->size_bytes == 4 ? (uint32_t)found : found;
}

static void poke(const struct fetcher_word *word, uint64_t value)
{
    if (word->size_bytes == 4) { /* what stands behind it stays */
        uint64_t both = (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)word->written, NULL);
        value = (both & ~(uint64_t)UINT32_MAX) | (uint32_t)value;
    }
    assert_int_equal(ptrace(PTRACE_POKEDATA, child, (void *)word->written, (void *)value), 0);
}

/* --- one call ------------------------------------------------------------------------------------ */

/* From the truth or a lie, to the other behind so many loads; and back behind so many. */
struct turn {
    bool is_lie_first;
    unsigned at, back_at; /* 0: never */
};

static unsigned loads_max(void)
{
    return fetcher_scene_waits(board->scene) ? WAITER_LOADS_MAX : LOADS_MAX;
}

/* Watches the words from first on, as far as they have an address. */
static void watch_words(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct fetcher_word *word = &board->words[first + i];
        watch_word(child, i, word->watched, word->watched ? word->size_bytes : 0);
    }
}

/* On to the next load of them: whose, as bits. 0: the call is over. */
static unsigned next_load(unsigned first, unsigned count)
{
    for (;;) {
        if (!go_on()) {
            unsigned seen = watch_seen(child);
            if (seen != 0)
                return seen;
        } else if (board->stop == FETCHER_ATTACHED) {
            watch_words(first, count);
        } else {
            assert_int_equal(board->stop, FETCHER_RETURNED);
            return 0;
        }
    }
}

/* From a child that is ready to one that is again. Without a lie; how often each word was loaded. */
static int count_loads(unsigned first, unsigned count, unsigned *loads)
{
    unsigned seen;
    board->is_lie = false;
    go_on_to(FETCHER_CALLS);
    if (first >= board->word_count)
        count = 0;
    else if (count > board->word_count - first)
        count = board->word_count - first;
    watch_words(first, count);
    while ((seen = next_load(first, count)) != 0)
        for (unsigned i = 0; i < count; i++)
            if (seen & 1u << i && ++loads[first + i] == loads_max())
                watch_word(child, i, 0, 0);
    watch_nothing(child);
    int result = board->result;
    go_on_to(FETCHER_READY);
    rounds++;
    return result;
}

/* Begins with FETCHER_CALLS. */
static int lie_in_between(const struct fetcher_word *word, struct turn turn)
{
    unsigned which = board->which, loads = 0;
    bool is_lying = turn.is_lie_first;
    if (is_lying)
        poke(word, board->lie);
    watch_words(which, 1);
    while ((turn.at > loads || turn.back_at > loads) && next_load(which, 1) != 0) {
        loads++;
        if (loads != turn.at && loads != turn.back_at)
            continue;
        is_lying = !is_lying;
        poke(word, is_lying ? board->lie : word->truth);
        turns++;
    }
    watch_nothing(child);
    while (board->stop != FETCHER_RETURNED)
        assert_true(go_on());
    if (peek(word) == board->lie) /* else the call has written something of its own */
        poke(word, word->truth);
    return board->result;
}

static const uint64_t header_lies[] = {
    0,
    UINT64_MAX,
    (uint64_t)UINT32_MAX << 32 | 1,
    (CAPACITY / 4 - 7) << 32 | 1,
    (CAPACITY / 4 - 8) << 32 | 1,
    (uint64_t)9 << 32 | 3, /* pads */
    (uint64_t)UINT32_MAX << 32 | UINT64_C(0xffff0000) | 3,
    (uint64_t)8 << 32 | 3,
    (uint64_t)33 << 32 | 77 << 16 | 1, /* one that may be true */
    (uint64_t)3 << 32 | 1,
    (uint64_t)8 << 32 | 5,
};

static bool find_lie(const struct fetcher_word *word, unsigned index, uint64_t *lie)
{
    const uint64_t lies[] = { 0,
                              UINT64_MAX,
                              word->truth + 8,
                              word->truth - 8,
                              word->truth + CAPACITY,
                              word->truth ^ 1,
                              word->truth ^ UINT64_C(1) << 63,
                              word->truth + (UINT64_C(1) << 32) };
    if (index >= (word->is_header ? ARRAY_SIZE(header_lies) : ARRAY_SIZE(lies)))
        return false;
    *lie = word->is_header ? header_lies[index] : lies[index];
    if (word->size_bytes == 4)
        *lie = (uint32_t)*lie;
    return true;
}

/* False: there are no more lies about it. */
static bool tell_one(unsigned which, unsigned index, struct turn turn, unsigned loads)
{
    const struct fetcher_word *word = &board->words[which];
    board->is_lie = true;
    board->which = which;
    go_on_to(FETCHER_CALLS);
    assert_true(which < board->word_count);
    bool is_more = find_lie(word, index, &board->lie);
    if (!is_more)
        board->lie = word->truth;
    snprintf(board->place, sizeof board->place, "%s; %s: 0x%llx in place of 0x%llx, %s load %u, %u",
             fetcher_scene_what(board->scene), word->what, (unsigned long long)board->lie,
             (unsigned long long)word->truth, turn.is_lie_first ? "until" : "from", turn.at,
             turn.back_at);
    int result = lie_in_between(word, turn);
    /* All that it loads of it was true: it knows of no lie. */
    bool is_same = !turn.is_lie_first && turn.at >= loads && loads < loads_max() &&
                   !fetcher_scene_waits(board->scene);
    if (is_same && result != reference)
        fail_msg("%s: %d, and %d without it", board->place, result, reference);
    go_on_to(FETCHER_READY);
    rounds++;
    return is_more;
}

/* Behind the last load nobody sees it any more: one lie shows that. */
static bool is_seen(unsigned index, unsigned at, unsigned loads)
{
    return at < loads || index == 0 || fetcher_scene_waits(board->scene);
}

static void tell_all(unsigned which, unsigned loads)
{
    for (unsigned index = 0; tell_one(which, index, (struct turn){ true, 1, 0 }, loads); index++)
        for (unsigned at = 1; at <= loads; at++) {
            if (at > 1)
                tell_one(which, index, (struct turn){ true, at, 0 }, loads);
            if (is_seen(index, at, loads))
                tell_one(which, index, (struct turn){ false, at, 0 }, loads);
            if (at + 1 < loads)
                tell_one(which, index, (struct turn){ false, at, at + 1 }, loads);
        }
}

static unsigned play(unsigned scene)
{
    unsigned loads[LIAR_WORDS_MAX] = { 0 };
    unsigned first = 0, words = 0;
    board->scene = scene;
    snprintf(board->place, sizeof board->place, "%s", fetcher_scene_what(scene));
    do
        reference = count_loads(first, WATCHED_MAX, loads);
    while ((first += WATCHED_MAX) < board->word_count);
    for (unsigned i = 0; i < board->word_count; i++) {
        words += loads[i] > 0;
        if (loads[i] > 0)
            tell_all(i, loads[i]);
    }
    if (words == 0)
        fail_msg("%s: it loads nothing", board->place);
    return words;
}

static void play_all(enum fetcher_part part)
{
    unsigned words = 0, before = rounds, turns_before = turns;
    if (SANITIZED || !watch_works()) {
        print_message(
            "nobody may trace here, or no word can be watched, or sanitizers load more\n");
        skip();
    }
    start_child();
    for (unsigned scene = 0; scene < fetcher_scene_count(); scene++)
        if (fetcher_scene_part(scene) == part)
            words += play(scene);
    end_child();
    print_message("           %u words, turned %u times in %u calls\n", words, turns - turns_before,
                  rounds - before);
    assert_true(turns - turns_before > words);
}

static void test_a_reliable_subscriber(void **state)
{
    (void)state;
    play_all(FETCHER_RELIABLE);
}

static void test_a_lossy_subscriber(void **state)
{
    (void)state;
    play_all(FETCHER_LOSSY);
}

static void test_a_publisher(void **state)
{
    (void)state;
    play_all(FETCHER_PUBLISHER);
}

static int end_tracee(void **state)
{
    (void)state;
    if (child > 0) /* the test has failed */
        tracee_kill(child);
    child = 0;
    return 0;
}

int main(void)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    fetcher_board = board;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_reliable_subscriber, end_tracee),
        cmocka_unit_test_teardown(test_a_lossy_subscriber, end_tracee),
        cmocka_unit_test_teardown(test_a_publisher, end_tracee),
    };
    /* Not alive: the child's segments are all that the guards know. */
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
