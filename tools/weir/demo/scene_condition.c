/* SPDX-License-Identifier: MIT */
/* The scene 'condition': a wake-up that is lost, and one that never comes. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "puppet.h"
#include "scenes.h"

#define main condition_main
static int condition_main(void) __attribute__((unused));
#include "heart.h"

#include "../../../examples/textbook/condition.c"

#include "heart_end.h"

enum { BEGIN_MS = 600000 }; /* with --step a reader may take his time in between */

/* What each part came to; the facts of the JSON document have the same names. */
static struct {
    struct outcome lost, cured, killed;
    int64_t event_ms, event_killed_ms, condition_killed_ms;
    bool event_full, event_killed_full, condition_full;
    int condition_result;
} found;

/* -- Futex: the calls of the heart, one by one ------------------------------------------------ */

enum { PREPARE = 1, LOOK, SLEEP, FILL, RING };

static long futex_step(int order, void *argument)
{
    static int ticket; /* each process has its own */
    struct mailbox *mailbox = argument;
    char call[96], text[32];
    long result = 0;
    switch (order) {
    case PREPARE:
        ticket = atomic_load(&mailbox->bell);
        snprintf(call, sizeof call, "reads the bell: %d", ticket);
        scene_told(call, NULL);
        break;
    case LOOK:
        result = atomic_load(&mailbox->full);
        scene_told(result ? "looks: the mailbox is full" : "looks: the mailbox is empty", NULL);
        break;
    case SLEEP:
        snprintf(call, sizeof call, "futex(&bell, FUTEX_WAIT, %d, %d ms)", ticket, PATIENCE_MS);
        result = sleep_on(mailbox, ticket);
        scene_told(call, weir_strerror_name((int)result));
        break;
    case FILL:
        atomic_store(&mailbox->full, 1);
        scene_told("fills the mailbox", NULL);
        break;
    default:
        result = ring(mailbox);
        snprintf(call, sizeof call, "rings: bell = %d, futex(&bell, FUTEX_WAKE)",
                 atomic_load(&mailbox->bell));
        snprintf(text, sizeof text, "%ld", result);
        scene_told(call, text);
    }
    return result;
}

struct pair {
    struct puppet waiter, filler;
};

static bool start_pair(struct pair *pair, puppet_act *step, void *argument)
{
    return puppet_start(&pair->waiter, "waiter", step, argument) &&
           puppet_start(&pair->filler, "filler", step, argument);
}

static void end_pair(struct pair *pair, bool filler_lives)
{
    puppet_end(&pair->waiter);
    if (filler_lives)
        puppet_end(&pair->filler);
}

static bool lost_wake_up(struct mailbox *mailbox)
{
    struct pair pair;
    scene_head("1. Look, then sleep");
    scene_say(
        "One process waits until a mailbox in shared memory is full. It looks, and if the "
        "mailbox is empty it sleeps on a bell; who fills the mailbox rings. The bell is a "
        "number in shared memory, how often it rang, and the call futex(2): FUTEX_WAIT sleeps "
        "if the number is still the one that is passed, FUTEX_WAKE wakes those who sleep now, "
        "and returns how many. We let the kernel switch to the other process just after the "
        "look.");
    if (!start_pair(&pair, futex_step, mailbox))
        return false;
    puppet_do(&pair.waiter, LOOK);
    puppet_do(&pair.filler, FILL);
    found.lost.woken = (int)puppet_do(&pair.filler, RING);
    puppet_do(&pair.waiter, PREPARE);
    found.lost.wait = (int)puppet_do(&pair.waiter, SLEEP);
    found.lost.full = atomic_load(&mailbox->full);
    end_pair(&pair, true);
    scene_say("The bell rang when nobody slept, and is not remembered. Then the waiter slept, in "
              "front of a full mailbox; without its %d ms it would sleep for ever. This is a lost "
              "wake-up. It needs no kill and no fault, only a switch at the wrong moment.",
              PATIENCE_MS);
    return found.lost.wait == ETIMEDOUT && found.lost.woken == 0 && found.lost.full;
}

static bool prepared(struct mailbox *mailbox)
{
    struct pair pair;
    scene_head("2. Prepare, look, sleep");
    scene_say("The cure is the order. The waiter reads the bell first (it prepares to sleep), then "
              "looks, and sleeps only if the bell is still what it read. The same switch at the "
              "same place:");
    atomic_store(&mailbox->full, 0);
    if (!start_pair(&pair, futex_step, mailbox))
        return false;
    puppet_do(&pair.waiter, PREPARE);
    puppet_do(&pair.waiter, LOOK);
    puppet_do(&pair.filler, FILL);
    found.cured.woken = (int)puppet_do(&pair.filler, RING);
    found.cured.wait = (int)puppet_do(&pair.waiter, SLEEP);
    found.cured.full = (int)puppet_do(&pair.waiter, LOOK);
    end_pair(&pair, true);
    scene_say("EAGAIN: the bell has rung since, so the kernel does not let it sleep. A semaphore "
              "has this built in: a unit that is given stays until it is taken. But it counts; "
              "\"wait until the mailbox is full, or closed, or an hour old\" is no count.");
    return found.cured.wait == EAGAIN && found.cured.full;
}

static bool killed_filler(struct mailbox *mailbox)
{
    struct pair pair;
    scene_head("3. Killed before it rings");
    scene_say(
        "Filling and ringing are two steps. Who is killed in between has changed the mailbox, "
        "and told nobody.");
    atomic_store(&mailbox->full, 0);
    if (!start_pair(&pair, futex_step, mailbox))
        return false;
    puppet_do(&pair.waiter, PREPARE);
    puppet_do(&pair.waiter, LOOK);
    puppet_do(&pair.filler, FILL);
    puppet_kill(&pair.filler);
    found.killed.wait = (int)puppet_do(&pair.waiter, SLEEP);
    found.killed.full = atomic_load(&mailbox->full);
    end_pair(&pair, false);
    scene_say("The right order does not help here: the bell did not ring, and nobody will ring it "
              "any more.");
    return found.killed.wait == ETIMEDOUT && found.killed.full;
}

/* -- weir's event ----------------------------------------------------------------------------- */

struct box {
    struct weir_event event;
    struct weir_mutex mutex;
    struct weir_condition filled;
    atomic_int full;
    _Atomic int64_t result_ns; /* when the waiter got its result */
};

static long event_step(int order, void *argument)
{
    static uint32_t ticket; /* each process has its own */
    struct box *box = argument;
    long result = 0;
    int64_t begun_ns, slept_ns;
    switch (order) {
    case PREPARE:
        result = weir_event_prepare(&box->event, &ticket);
        scene_told_weir("weir_event_prepare(&event, &ticket)", (int)result);
        break;
    case LOOK:
        result = atomic_load(&box->full);
        scene_told(result ? "looks: the mailbox is full" : "looks: the mailbox is empty", NULL);
        break;
    case SLEEP:
        begun_ns = weir_now_ns();
        result = weir_event_wait(&box->event, ticket);
        slept_ns = weir_now_ns() - begun_ns; /* before others run, told */
        scene_told_weir("weir_event_wait(&event, ticket)", (int)result);
        return result ? result : slept_ns / 1000000;
    case FILL:
        atomic_store(&box->full, 1);
        scene_told("fills the mailbox", NULL);
        break;
    default:
        result = weir_event_notify_all(&box->event);
        scene_told_weir("weir_event_notify_all(&event)", (int)result);
    }
    return result;
}

/* How many milliseconds the waiter slept; negative when weir refused. */
static int64_t meet_with_event(struct box *box, bool is_killed, bool *full)
{
    struct pair pair;
    atomic_store(&box->full, 0);
    if (!start_pair(&pair, event_step, box))
        return -EAGAIN;
    puppet_do(&pair.waiter, PREPARE);
    puppet_do(&pair.waiter, LOOK);
    puppet_do(&pair.filler, FILL);
    if (is_killed)
        puppet_kill(&pair.filler);
    else
        puppet_do(&pair.filler, RING);
    int64_t slept_ms = puppet_do(&pair.waiter, SLEEP);
    *full = puppet_do(&pair.waiter, LOOK) == 1;
    end_pair(&pair, !is_killed);
    return slept_ms;
}

static bool with_event(struct box *box)
{
    scene_head("4. weir's event");
    scene_say("The three steps are the calls of <weir/event.h>, around a state that is yours. "
              "First the switch at the wrong moment:");
    found.event_ms = meet_with_event(box, false, &found.event_full);
    scene_say("It slept %" PRId64 " ms. Now the kill before the notification:", found.event_ms);
    found.event_killed_ms = meet_with_event(box, true, &found.event_killed_full);
    scene_say("It slept %" PRId64 " ms, with nobody to wake it: a wait of weir's ends five times a "
              "second, so that the waiter looks again. So the loop around it must stay.",
              found.event_killed_ms);
    return found.event_ms >= 0 && found.event_killed_ms >= 0 && found.event_full &&
           found.event_killed_full;
}

/* -- weir's condition ------------------------------------------------------------------------- */

enum { LOCK = 1, WAIT, CHANGE };

static long condition_step(int order, void *argument)
{
    struct box *box = argument;
    int result = 0;
    switch (order) {
    case LOCK:
        result = weir_mutex_lock(&box->mutex);
        scene_told_weir("weir_mutex_lock(&mutex)", result);
        break;
    case WAIT:
        while (result == 0 && !atomic_load(&box->full))
            result = weir_condition_wait(&box->filled, &box->mutex);
        atomic_store(&box->result_ns, weir_now_ns());
        scene_told_weir("weir_condition_wait(&filled, &mutex)", result);
        break;
    default:
        atomic_store(&box->full, 1);
        scene_told("fills the mailbox", NULL);
    }
    return result;
}

static bool with_condition(struct box *box)
{
    struct pair pair;
    scene_head("5. weir's condition: the same with a lock");
    scene_say("Most states are guarded by a mutex. A condition lets it go, sleeps, and takes it "
              "again, and between the first two no wake-up is lost. Here the filler is killed "
              "with the mutex, and before the signal.");
    atomic_store(&box->full, 0);
    if (!start_pair(&pair, condition_step, box))
        return false;
    puppet_do(&pair.waiter, LOCK);
    puppet_begin(&pair.waiter, WAIT);
    puppet_do(&pair.filler, LOCK);
    puppet_do(&pair.filler, CHANGE);
    int64_t killed_ns = weir_now_ns();
    puppet_kill(&pair.filler);
    found.condition_result = (int)puppet_answer(&pair.waiter);
    found.condition_killed_ms = (atomic_load(&box->result_ns) - killed_ns) / 1000000;
    found.condition_full = atomic_load(&box->full);
    end_pair(&pair, false);
    scene_say("After %" PRId64 " ms the waiter has the mutex, knows that its holder died, and sees "
              "the full mailbox. See weir demo mutex-death for what it does then.",
              found.condition_killed_ms);
    return found.condition_result == WEIR_OWNER_DIED && found.condition_full;
}

/* -- The scene -------------------------------------------------------------------------------- */

static void report_all(void)
{
    scene_head("The result");
    scene_result("look, sleep             slept in front of a full mailbox: the wake-up was lost");
    scene_result("prepare, look, sleep    did not sleep; saw the mailbox at the second look");
    scene_result("... killed, no wake-up  slept in front of a full mailbox");
    scene_result("weir's event            slept %3" PRId64 " ms, saw it", found.event_ms);
    scene_result("... killed, no wake-up  slept %3" PRId64 " ms, saw it", found.event_killed_ms);
    scene_result("weir's condition        WEIR_OWNER_DIED %" PRId64 " ms after the kill, saw it",
                 found.condition_killed_ms);
    scene_fact_int("patience_ms", PATIENCE_MS);
    scene_fact_text("lost_wait", weir_strerror_name(found.lost.wait));
    scene_fact_int("lost_woken", found.lost.woken);
    scene_fact_bool("lost_full", found.lost.full);
    scene_fact_text("prepared_wait", weir_strerror_name(found.cured.wait));
    scene_fact_int("prepared_woken", found.cured.woken);
    scene_fact_bool("prepared_full", found.cured.full);
    scene_fact_text("killed_wait", weir_strerror_name(found.killed.wait));
    scene_fact_bool("killed_full", found.killed.full);
    scene_fact_int("event_slept_ms", found.event_ms);
    scene_fact_bool("event_full", found.event_full);
    scene_fact_int("event_killed_slept_ms", found.event_killed_ms);
    scene_fact_bool("event_killed_full", found.event_killed_full);
    scene_fact_bool("condition_owner_died", found.condition_result == WEIR_OWNER_DIED);
    scene_fact_int("condition_killed_ms", found.condition_killed_ms);
    scene_fact_bool("condition_full", found.condition_full);
}

static bool plain_parts(void)
{
    scene_mute(true);
    int id = scene_shmget(IPC_PRIVATE, sizeof(struct mailbox), 0600);
    struct mailbox *mailbox = id == -1 ? (void *)-1 : scene_shmat(id, NULL, 0);
    scene_shmctl(id, IPC_RMID, NULL);
    scene_mute(false);
    if (mailbox == (void *)-1)
        return false;
    bool shown = lost_wake_up(mailbox) && prepared(mailbox) && killed_filler(mailbox);
    scene_mute(true);
    scene_shmdt(mailbox);
    scene_mute(false);
    return shown;
}

static int run_condition(void)
{
    struct weir_segment *segment;
    scene_name_process("parent");
    if (!plain_parts())
        return command_fail("this system did not behave as the scene describes");
    if (weir_segment_create(&segment, weir_private(), sizeof(struct box), NULL) != 0)
        return command_fail_weir();
    struct box *box = weir_segment_data(segment);
    bool shown = with_event(box) && with_condition(box);
    weir_segment_close(segment);
    if (!shown)
        return command_fail("weir did not keep its promise: %s", weir_last_error());
    report_all();
    scene_instead(
        "while (!atomic_load(&full)) {             /* who fills it: */\n"
        "    weir_event_prepare(&event, &ticket);  /* atomic_store(&full, 1); */\n"
        "    if (atomic_load(&full))               /* weir_event_notify_all(&event); */\n"
        "        break;\n"
        "    weir_event_wait(&event, ticket);\n"
        "}\n"
        "\n"
        "int result = weir_mutex_lock(&mutex);     /* the same with a mutex */\n"
        "for (;;) {\n"
        "    if (result == WEIR_OWNER_DIED) {      /* held, and left by a dead one */\n"
        "        repair();\n"
        "        result = weir_mutex_consistent(&mutex);\n"
        "    }\n"
        "    if (result != 0 || count > 0)\n"
        "        break;\n"
        "    result = weir_condition_wait(&filled, &mutex);\n"
        "}\n",
        "An event for a state of atomics, a condition for a state that a mutex guards. "
        "Neither loses a wake-up, and a killed waker costs a fifth of a second. Both have "
        "a form with a deadline: weir_event_wait_until(), weir_condition_wait_until().");
    return STATUS_OK;
}

const struct scene scene_condition = {
    .name = "condition",
    .summary = "a wake-up is lost between the look and the sleep, and the cure",
    .heart = "examples/textbook/condition.c",
    .run = run_condition,
};
