/* SPDX-License-Identifier: MIT */
/* An order from its first to its last instruction: which of them are points. */
#include "round.h"

#include <string.h>
#include <sys/syscall.h>

/* Which instructions are points, between two stores or stops. */
enum grain {
    ENDS,  /* the first and the last */
    TURNS, /* all; of a loop its first two turns, and the last */
    ALL,
};

#define PLACES 4096 /* of instructions; a power of two */

struct tracker {
    struct survey *survey;
    enum grain grain;
    unsigned gap;     /* stops before */
    unsigned length;  /* instructions in it so far */
    unsigned planned; /* instructions of the gap that are points, or 0 */
    unsigned char visits[PLACES];
};

static void add_point(struct survey *survey, unsigned stops, unsigned steps, bool is_blocked)
{
    if (survey->count < survey->most)
        survey->points[survey->count++] = (struct point){ stops, steps, is_blocked };
}

/* An order of no more instructions than these is swept at each of them (TURNS). */
#define WHOLE_MOST 1000

/* Only what lies between two stores or stops, and is neither the first nor the last, is left out. */
static void add_step(struct tracker *tracker, unsigned steps)
{
    if (steps <= tracker->planned)
        return;
    add_point(tracker->survey, tracker->gap, steps, false);
    tracker->planned = steps;
}

/* Two places of code that meet in one count make a point of a later turn less, never of a first one. */
static bool is_first_turn(struct tracker *tracker, uintptr_t from)
{
    return tracker->grain == ALL ||
           (tracker->grain == TURNS && tracker->visits[from % PLACES]++ < 2);
}

static void end_gap(struct tracker *tracker)
{
    memset(tracker->visits, 0, sizeof tracker->visits);
    if (tracker->length > 0)
        add_step(tracker, tracker->length);
    tracker->gap++;
    tracker->length = tracker->planned = 0;
}

static void track_instruction(struct tracker *tracker, uintptr_t from, bool is_store)
{
    struct survey *survey = tracker->survey;
    unsigned steps = ++tracker->length;
    survey->instructions++;
    survey->stores += is_store;
    if (is_store && steps > 1)
        add_step(tracker, steps - 1);
    if (is_store)
        memset(tracker->visits, 0, sizeof tracker->visits);
    if (is_first_turn(tracker, from) || is_store || steps == 1)
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

static bool follow(struct round *round, struct survey *survey, enum grain grain)
{
    struct stepper *stepper = &round->stepper;
    struct tracker tracker = { .survey = survey, .grain = grain };
    struct memory memory = { .count = 0 };
    if (round->subject->is_in_accounts) {
        memory.shared = round->accounts;
        memory.shared_bytes = sizeof *round->accounts;
    }
    memory_changed(&memory, stepper->pid);
    while (!stepper_is_over(stepper)) {
        if (survey->is_sample && survey->instructions > WHOLE_MOST && !stepper->is_entered)
            return memory_free(&memory), hurry(stepper, &tracker);
        enum step step = stepper_next(stepper);
        if (step == STEP_LOST)
            break;
        if (step == STEP_INSTRUCTION) {
            track_instruction(&tracker, stepper->from, memory_changed(&memory, stepper->pid));
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

bool round_survey(struct round *round, struct survey *survey, bool every)
{
    enum grain grain = every ? ALL : ENDS;
    bool is_well = survey_at(round, survey, grain);
    bool is_short = survey->instructions <= WHOLE_MOST ||
                    (round->subject->is_in_accounts && !survey->is_sample);
    if (is_well && !every && is_short)
        is_well = survey_at(round, survey, grain = TURNS);
    survey->is_whole = grain != ENDS;
    unsigned blocked = 0;
    for (unsigned i = 0; i < survey->count; i++)
        blocked += survey->points[i].is_blocked;
    survey->collapsed = survey->instructions - (survey->count - survey->stops - blocked);
    return is_well;
}
