/* SPDX-License-Identifier: MIT */
/* An order from its first to its last instruction: which of them are points. */
#include "round.h"

#include <string.h>
#include <sys/syscall.h>

/* Which instructions are points, between two stores or stops. */
enum grain {
    ENDS,    /* the first and the last */
    LIBRARY, /* all of the library's own; of a loop its first two turns, and the last */
    TURNS,   /* all, and of a loop the same */
    ALL,
};

/* An order of no more instructions than these is swept at each of them (TURNS). */
#define WHOLE_MOST 1000

/* How often each instruction was come to. */
#define CODE_PLACES 16384 /* a power of two */
#define UNCOUNTED UINT32_MAX
struct visits {
    struct {
        uintptr_t there;
        uint32_t in_gap, since_store;
        uint32_t gap, store; /* when that was */
    } place[CODE_PLACES];
};

struct tracker {
    struct survey *survey;
    enum grain grain;
    unsigned gap;          /* stops before */
    unsigned length;       /* instructions in it so far */
    unsigned planned;      /* instructions of the gap that are points, or 0 */
    struct point now, was; /* it stands, and stood an instruction before */
    struct visits *visits;
};

static void add_point(struct survey *survey, struct point point)
{
    if (survey->count < survey->most)
        survey->points[survey->count++] = point;
}

/* At a stop, or asleep behind one. */
static void add_stop(struct survey *survey, unsigned stops, bool is_blocked)
{
    add_point(survey, (struct point){ .stops = stops, .is_blocked = is_blocked });
}

/* Only what lies between two stores or stops, and is neither the first nor the last, is left out. */
static void add_step(struct tracker *tracker, struct point point)
{
    struct survey *survey = tracker->survey;
    if (point.steps == 0)
        return;
    if (point.steps == tracker->planned && !point.is_alike && survey->count > 0)
        survey->points[survey->count - 1].is_alike = false;
    if (point.steps <= tracker->planned)
        return;
    add_point(survey, point);
    tracker->planned = point.steps;
}

/* It has come to an instruction; which time since the last store that is. 0: not known. */
static uint32_t come_to(struct tracker *tracker, uintptr_t there, bool is_same)
{
    uint32_t store = tracker->survey->stores + 1, gap = tracker->gap + 1, tries = 0;
    size_t at = there % CODE_PLACES;
    while (tracker->visits->place[at].gap == gap && tracker->visits->place[at].there != there)
        if (at = (at + 1) % CODE_PLACES, ++tries == CODE_PLACES)
            return 0;
    if (tracker->visits->place[at].gap != gap)
        tracker->visits->place[at].in_gap = tracker->visits->place[at].store = 0;
    if (tracker->visits->place[at].store != store)
        tracker->visits->place[at].since_store = 0;
    tracker->visits->place[at].there = there;
    tracker->visits->place[at].gap = gap;
    tracker->visits->place[at].store = store;
    if (is_same) /* one that repeats itself: how often a breakpoint sees it is not said */
        tracker->visits->place[at].in_gap = UNCOUNTED;
    else if (tracker->visits->place[at].in_gap != UNCOUNTED)
        tracker->visits->place[at].in_gap++;
    tracker->now.there = there;
    tracker->now.visit =
        tracker->visits->place[at].in_gap == UNCOUNTED ? 0 : tracker->visits->place[at].in_gap;
    return ++tracker->visits->place[at].since_store;
}

/* Whether the instruction that it has come to is one of the library's, and not of libc's. */
static bool is_library(uintptr_t there)
{
    extern const char __executable_start, etext;
    return there >= (uintptr_t)&__executable_start && there < (uintptr_t)&etext;
}

static void end_gap(struct tracker *tracker)
{
    if (tracker->length > 0)
        add_step(tracker, tracker->now);
    tracker->gap++;
    tracker->length = tracker->planned = 0;
    tracker->now = (struct point){ .stops = tracker->gap };
}

static void track_instruction(struct tracker *tracker, uintptr_t from, uintptr_t to, bool is_store)
{
    struct survey *survey = tracker->survey;
    if (tracker->length == 0)
        come_to(tracker, from, false);
    tracker->was = tracker->now;
    survey->instructions++;
    survey->stores += is_store;
    tracker->now.steps = ++tracker->length;
    uint32_t turn = come_to(tracker, to, to == from);
    if (is_store)
        add_step(tracker, tracker->was);
    bool is_turn =
        turn <= 2 && (tracker->grain == TURNS || (tracker->grain == LIBRARY && is_library(to)));
    struct point point = tracker->now;
    point.is_alike = tracker->grain == LIBRARY && !is_store && tracker->length > 1;
    if (is_store || tracker->length == 1 || tracker->grain == ALL || is_turn)
        add_step(tracker, point);
}

/* The rest of a long order, for a sample: its stops alone. */
static bool hurry(struct stepper *stepper, struct tracker *tracker)
{
    struct survey *survey = tracker->survey;
    stepper->at = (struct point){ .stops = 0 };
    while (stepper_reach(stepper, (struct point){ .stops = stepper->at.stops + 1 })) {
        tracker->gap++;
        survey->stops++;
        add_stop(survey, tracker->gap, false);
        if (!stepper->is_entered)
            add_point(survey, (struct point){ .stops = tracker->gap, .steps = 1 });
    }
    return stepper_is_over(stepper);
}

/*
 * It sleeps, or would: stepped through, one turn of its loop may take longer than the slice for which
 * it would have slept, and so it never does.
 */
static void see_asleep_at(struct stepper *stepper, const struct tracker *tracker)
{
    add_stop(tracker->survey, tracker->gap, true);
    if (stepper->cue && !stepper->has_cued)
        stepper->cue(stepper->argument);
    stepper->has_cued = true;
}

static bool follow(struct round *round, struct survey *survey, enum grain grain)
{
    struct stepper *stepper = &round->stepper;
    static struct visits visits;
    struct tracker tracker = { .survey = survey, .grain = grain, .visits = &visits };
    struct memory memory = { .count = 0 };
    if (round->subject->is_in_accounts) {
        memory.shared = round->accounts;
        memory.shared_bytes = sizeof *round->accounts;
    }
    memset(&visits, 0, sizeof visits);
    memory_changed(&memory, stepper->pid);
    while (!stepper_is_over(stepper)) {
        if (survey->is_sample && survey->instructions > WHOLE_MOST && !stepper->is_entered)
            return memory_free(&memory), hurry(stepper, &tracker);
        enum step step = stepper_next(stepper);
        if (step == STEP_LOST)
            break;
        if (step == STEP_INSTRUCTION) {
            track_instruction(&tracker, stepper->from, stepper_where(stepper),
                              memory_changed(&memory, stepper->pid));
            continue;
        }
        bool is_too_slow = step == STEP_EXIT && !stepper->has_cued && stepper_timed_out(stepper);
        if (step == STEP_BLOCKED || is_too_slow)
            see_asleep_at(stepper, &tracker);
        if (step == STEP_BLOCKED)
            continue;
        if (step == STEP_EXIT && (stepper->call == SYS_shmat || stepper->call == SYS_shmdt))
            memory_forget(&memory);
        if (step == STEP_EXIT) /* what the call itself stored is the call's */
            memory_changed(&memory, stepper->pid);
        end_gap(&tracker);
        survey->stops++;
        add_stop(survey, tracker.gap, false);
    }
    end_gap(&tracker);
    memory_free(&memory);
    return stepper_is_over(stepper);
}

static bool survey_at(struct round *round, struct survey *survey, enum grain grain)
{
    volatile bool is_well = false;
    begin_round(round);
    survey->count = survey->instructions = survey->stops = survey->stores = 0;
    if (setjmp(round->out) == 0) {
        set_up(round);
        require(round, follow(round, survey, grain), "the victim is lost");
        stepper_release(&round->stepper);
        struct reply reply = answer(round, VICTIM);
        must_be(round, VICTIM, &reply, round->scenario->expected);
        is_well = true;
    }
    clear_everything(round);
    return is_well;
}

/*
 * An order may take another way each time: where a search begins hangs on an identity, and a clock that
 * is stepped through while it ticks is read again. One that takes the short way most often does not come
 * to the points of the long one: so the short one it is, if that comes.
 */
#define SURVEYS 4

static bool survey_shortest(struct round *round, struct survey *survey, enum grain grain,
                            unsigned shortest)
{
    for (unsigned i = 0; i < SURVEYS; i++) {
        if (!survey_at(round, survey, grain))
            return false;
        if (survey->instructions <= shortest + shortest / 50)
            break;
    }
    return true;
}

bool round_survey(struct round *round, struct survey *survey, bool every)
{
    enum grain grain = every ? ALL : ENDS;
    bool is_well = survey_at(round, survey, grain);
    unsigned shortest = survey->instructions;
    bool is_deep = !survey->is_sample;
    bool may_be_short = shortest <= WHOLE_MOST || is_deep;
    for (unsigned i = 1; i < SURVEYS && is_well && !every && may_be_short; i++) {
        is_well = survey_at(round, survey, grain);
        if (survey->instructions < shortest)
            shortest = survey->instructions;
    }
    bool is_short = shortest <= WHOLE_MOST;
    if (is_well && !every && (is_short || is_deep)) {
        grain = is_short ? TURNS : LIBRARY;
        is_well = survey_shortest(round, survey, grain, shortest);
    }
    survey->is_whole = grain != ENDS;
    unsigned blocked = 0;
    for (unsigned i = 0; i < survey->count; i++)
        blocked += survey->points[i].is_blocked;
    survey->collapsed = survey->instructions - (survey->count - survey->stops - blocked);
    return is_well;
}
