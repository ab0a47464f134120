/* SPDX-License-Identifier: MIT */
/* An order from its first to its last instruction: which of them are points. */
#include "round.h"

#include <sys/syscall.h>

struct tracker {
    struct survey *survey;
    bool every;
    unsigned gap;     /* stops before */
    unsigned length;  /* instructions in it so far */
    unsigned planned; /* instructions of the gap that are points, or 0 */
};

static void add_point(struct survey *survey, unsigned stops, unsigned steps, bool is_blocked)
{
    if (survey->count < survey->most)
        survey->points[survey->count++] = (struct point){ stops, steps, is_blocked };
}

/* An order of no more instructions than these is swept at each of them. */
#define WHOLE_MOST 1000

/* Only what lies between two stores or stops, and is neither the first nor the last, is left out. */
static void add_step(struct tracker *tracker, unsigned steps)
{
    if (steps <= tracker->planned)
        return;
    add_point(tracker->survey, tracker->gap, steps, false);
    tracker->planned = steps;
}

static void end_gap(struct tracker *tracker)
{
    if (tracker->length > 0)
        add_step(tracker, tracker->length);
    tracker->gap++;
    tracker->length = tracker->planned = 0;
}

static void track_instruction(struct tracker *tracker, bool is_store)
{
    struct survey *survey = tracker->survey;
    unsigned steps = ++tracker->length;
    survey->instructions++;
    survey->stores += is_store;
    if (is_store && steps > 1)
        add_step(tracker, steps - 1);
    if (tracker->every || is_store || steps == 1)
        add_step(tracker, steps);
}

/* The rest of a long order, for a sample: its stops alone. */
static bool hurry(struct stepper *stepper, struct tracker *tracker)
{
    struct survey *survey = tracker->survey;
    stepper->at = (struct point){ 0, 0, 0 };
    while (stepper_reach(stepper, (struct point){ stepper->at.stops + 1, 0, 0 })) {
        tracker->gap++;
        survey->stops++;
        add_point(survey, tracker->gap, 0, false);
        if (!stepper->is_entered)
            add_point(survey, tracker->gap, 1, false);
    }
    return stepper_is_over(stepper);
}

static bool follow(struct round *round, struct survey *survey, bool every)
{
    struct stepper *stepper = &round->stepper;
    struct tracker tracker = { .survey = survey, .every = every };
    struct memory memory = { .count = 0 };
    memory_changed(&memory, stepper->pid);
    while (!stepper_is_over(stepper)) {
        if (survey->is_sample && survey->instructions > WHOLE_MOST && !stepper->is_entered)
            return memory_free(&memory), hurry(stepper, &tracker);
        enum step step = stepper_next(stepper);
        if (step == STEP_LOST)
            break;
        if (step == STEP_INSTRUCTION) {
            track_instruction(&tracker, memory_changed(&memory, stepper->pid));
            continue;
        }
        if (step == STEP_BLOCKED) {
            add_point(survey, tracker.gap, 0, true);
            if (stepper->cue && !stepper->has_cued)
                stepper->cue(stepper->argument);
            stepper->has_cued = true;
            continue;
        }
        if (step == STEP_EXIT && (stepper->call == SYS_shmat || stepper->call == SYS_shmdt))
            memory_forget(&memory);
        if (step == STEP_EXIT) /* what the call itself stored is the call's */
            memory_changed(&memory, stepper->pid);
        end_gap(&tracker);
        survey->stops++;
        add_point(survey, tracker.gap, 0, false);
    }
    end_gap(&tracker);
    memory_free(&memory);
    return stepper_is_over(stepper);
}

bool round_survey(struct round *round, struct survey *survey, bool every)
{
    volatile bool is_well = false;
    begin_round(round);
    survey->count = survey->instructions = survey->stops = survey->stores = 0;
    if (setjmp(round->out) == 0) {
        set_up(round);
        require(round, follow(round, survey, every), "the victim is lost");
        stepper_release(&round->stepper);
        struct reply reply = answer(round, VICTIM);
        must_be(round, VICTIM, &reply, round->scenario->expected);
        is_well = true;
    }
    clear_everything(round);
    /* What floor 2 works on is no segment, whose bytes could be compared. */
    bool is_whole = survey->instructions <= WHOLE_MOST ||
                    (round->subject->is_in_accounts && !survey->is_sample);
    if (is_well && !every && is_whole)
        return round_survey(round, survey, true);
    survey->is_whole = every;
    unsigned blocked = 0;
    for (unsigned i = 0; i < survey->count; i++)
        blocked += survey->points[i].is_blocked;
    survey->collapsed = survey->instructions - (survey->count - survey->stops - blocked);
    return is_well;
}
