/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_SYNC_H
#define WEIR_PROOF_SYNC_H

/* The scenarios of floor 2, as rows of the table in scenario.c. */

#include "round.h"

void all_know_it(struct round *round);
void other_holds(struct round *round);
void holder_died(struct round *round);
void victim_holds(struct round *round);
void victim_holds_other_sleeps(struct round *round);
void victim_inherits(struct round *round);
void victim_inherits_other_sleeps(struct round *round);
void other_waits_for_condition(struct round *round);
void other_waits_for_event(struct round *round);
void other_waits_for_unit(struct round *round);
void unit_is_there(struct round *round);
void builder_died(struct round *round);
void victim_builds_other_waits(struct round *round);

void other_unlocks(struct round *round);
void other_signals(struct round *round);
void other_notifies(struct round *round);
void other_posts(struct round *round);

#define SYNC_SHORT_NS INT64_C(30000000)

/* A macro's argument has no commas: an order is a verb, a count and a time. */
#define SYNC_ROW(operation, variant, flags, stage, verb, count, wait, expected, cue)               \
    { operation, variant, SYNC, flags, stage, { verb, count, 0, wait, false }, expected, cue, 0 },

/* clang-format off */
#define SYNC_SCENARIOS \
    SYNC_ROW("lock", "free", 0, all_know_it, LOCK, 0, BOUND_NS, 0, NULL) \
    SYNC_ROW("lock", "try, held", 0, other_holds, LOCK, 0, 0, -EAGAIN, NULL) \
    SYNC_ROW("lock", "in vain", 0, other_holds, LOCK, 0, SYNC_SHORT_NS, -ETIMEDOUT, NULL) \
    SYNC_ROW("lock", "woken", 0, other_holds, LOCK, 0, PATIENT_NS, 0, other_unlocks) \
    SYNC_ROW("lock", "inherited", RECOVERY, holder_died, LOCK, 0, BOUND_NS, WEIR_OWNER_DIED, NULL) \
    SYNC_ROW("lock", "try, inherited", RECOVERY, holder_died, LOCK, 0, 0, WEIR_OWNER_DIED, NULL) \
    SYNC_ROW("unlock", "nobody waits", 0, victim_holds, UNLOCK, 0, 0, 0, NULL) \
    SYNC_ROW("unlock", "one sleeps", 0, victim_holds_other_sleeps, UNLOCK, 0, 0, 0, NULL) \
    SYNC_ROW("unlock", "gives up", GIVING_UP, victim_inherits, UNLOCK, 0, 0, 0, NULL) \
    SYNC_ROW("unlock", "gives up, one sleeps", GIVING_UP, victim_inherits_other_sleeps, UNLOCK, 0, 0, 0, NULL) \
    SYNC_ROW("consistent", "", RECOVERY, victim_inherits_other_sleeps, REPAIR, 0, 0, 0, NULL) \
    SYNC_ROW("condition wait", "in vain", 0, victim_holds, CONDITION_WAIT, 0, SYNC_SHORT_NS, -ETIMEDOUT, NULL) \
    SYNC_ROW("condition wait", "signalled", 0, victim_holds, CONDITION_WAIT, 0, PATIENT_NS, 0, other_signals) \
    SYNC_ROW("signal", "one sleeps", 0, other_waits_for_condition, SIGNAL, 0, 0, 0, NULL) \
    SYNC_ROW("broadcast", "one sleeps", 0, other_waits_for_condition, SIGNAL, 1, 0, 0, NULL) \
    SYNC_ROW("event wait", "notified", 0, all_know_it, EVENT_WAIT, 0, PATIENT_NS, 0, other_notifies) \
    SYNC_ROW("notify", "one sleeps", 0, other_waits_for_event, NOTIFY, 0, 0, 0, NULL) \
    SYNC_ROW("notify all", "one sleeps", 0, other_waits_for_event, NOTIFY, 1, 0, 0, NULL) \
    SYNC_ROW("semaphore wait", "there is one", 0, unit_is_there, SEMAPHORE_WAIT, 0, BOUND_NS, 0, NULL) \
    SYNC_ROW("semaphore wait", "in vain", 0, all_know_it, SEMAPHORE_WAIT, 0, SYNC_SHORT_NS, -ETIMEDOUT, NULL) \
    SYNC_ROW("semaphore wait", "posted", 0, all_know_it, SEMAPHORE_WAIT, 0, PATIENT_NS, 0, other_posts) \
    SYNC_ROW("semaphore post", "nobody waits", 0, all_know_it, SEMAPHORE_POST, 0, 0, 0, NULL) \
    SYNC_ROW("semaphore post", "one sleeps", 0, other_waits_for_unit, SEMAPHORE_POST, 0, 0, 0, NULL) \
    SYNC_ROW("once begin", "first", 0, all_know_it, ONCE_BEGIN, 0, BOUND_NS, WEIR_ONCE_BEGUN, NULL) \
    SYNC_ROW("once begin", "inherited", RECOVERY, builder_died, ONCE_BEGIN, 0, BOUND_NS, WEIR_OWNER_DIED, NULL) \
    SYNC_ROW("once end", "one waits", 0, victim_builds_other_waits, ONCE_END, 0, 0, 0, NULL) \
    SYNC_ROW("once abandon", "one waits", 0, victim_builds_other_waits, ONCE_ABANDON, 0, 0, 0, NULL)
/* clang-format on */

#endif
