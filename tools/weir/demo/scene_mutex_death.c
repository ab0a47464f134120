/* SPDX-License-Identifier: MIT */
/* The scene 'mutex-death': the holder of a mutex in shared memory is killed. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "puppet.h"
#include "scenes.h"

/* -- pthread's calls, told -------------------------------------------------------------------- */

static int told(const char *call, int error)
{
    scene_told(call, weir_strerror_name(error));
    return error;
}

static int told_lock(pthread_mutex_t *mutex)
{
    return told("pthread_mutex_lock(&account->mutex)", pthread_mutex_lock(mutex));
}

static int told_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    return told("pthread_mutex_timedlock(&account->mutex, 200 ms)",
                pthread_mutex_timedlock(mutex, until));
}

static int told_consistent(pthread_mutex_t *mutex)
{
    return told("pthread_mutex_consistent(&account->mutex)", pthread_mutex_consistent(mutex));
}

static int told_unlock(pthread_mutex_t *mutex)
{
    return told("pthread_mutex_unlock(&account->mutex)", pthread_mutex_unlock(mutex));
}

#define pthread_mutex_lock(mutex) told_lock(mutex)
#define pthread_mutex_timedlock(mutex, until) told_timedlock(mutex, until)
#define pthread_mutex_consistent(mutex) told_consistent(mutex)
#define pthread_mutex_unlock(mutex) told_unlock(mutex)

#define main mutex_death_main
static int mutex_death_main(void) __attribute__((unused));
#include "heart.h"

#include "../../../examples/textbook/mutex_death.c"

#include "heart_end.h"

#undef pthread_mutex_lock
#undef pthread_mutex_timedlock
#undef pthread_mutex_consistent
#undef pthread_mutex_unlock

_Static_assert(PATIENCE_MS == 200, "told_timedlock() says so");

enum { WITNESSES = 2, BEGIN_MS = 600000 }; /* with --step a reader may take his time in between */

/* What each part came to; the facts of the JSON document have the same names. */
static struct {
    struct outcome plain, robust;
    int waiting;
    int weir_next, weir_after_repair;
    int64_t weir_told_after_ms;
    bool weir_half_written, weir_repaired;
    int weir_heir, weir_given_up, weir_stranger;
} found;

/* -- 1: everybody waits ----------------------------------------------------------------------- */

/* Not told: told is what a call came to, and this one comes to nothing. */
static long wait_for_ever(int order, void *argument)
{
    struct account *account = argument;
    (void)order;
    return pthread_mutex_lock(&account->mutex);
}

static bool pthread_part(void)
{
    struct puppet witness[WITNESSES];
    scene_head("1. A mutex in shared memory");
    scene_say("A mutex is a lock: one holds it, the others wait. This one is the C library's, "
              "shared between processes (PTHREAD_PROCESS_SHARED), and guards an account. The rule: "
              "debit and credit are the same whenever nobody holds the lock. A child locks it, "
              "sets debit to 100, and is killed before it sets credit.");
    struct account *account = make_account(PTHREAD_MUTEX_STALLED);
    kill_the_holder(account);
    scene_say(
        "Two more processes, A and B, ask for the lock with pthread_mutex_lock(). This one asks "
        "too, but does not wait for more than %d ms.",
        PATIENCE_MS);
    int started = 0;
    while (started < WITNESSES &&
           puppet_start(&witness[started], started ? "B" : "A", wait_for_ever, account))
        puppet_begin(&witness[started++], 1);
    found.plain = try_next(account);
    for (int i = 0; i < started; i++)
        found.waiting +=
            scene_until(puppet_settled, &witness[i], BEGIN_MS) && puppet_sleeps(&witness[i]);
    scene_say(
        "Debit is %d, credit is %d, and %d processes wait. The mutex is a few bytes of memory "
        "in which the dead child is still the holder: nobody is told that it is dead, and "
        "nobody else may unlock it. We end A and B.",
        found.plain.debit, found.plain.credit, found.waiting);
    for (int i = 0; i < started; i++)
        puppet_kill(&witness[i]);
    scene_mute(true);
    scene_shmdt(account);
    scene_mute(false);
    return started == WITNESSES && found.waiting == WITNESSES && found.plain.lock == ETIMEDOUT;
}

/* -- 2: robust -------------------------------------------------------------------------------- */

static bool robust_part(void)
{
    scene_head("2. The same with a robust mutex");
    scene_mute(true);
    struct account *account = make_account(PTHREAD_MUTEX_ROBUST);
    scene_mute(false);
    kill_the_holder(account);
    found.robust = try_next(account);
    scene_say("EOWNERDEAD means: you have the lock, and its former holder died with it. Debit is "
              "%d, credit is %d: the next one repairs that, says so, and unlocks.",
              found.robust.debit, found.robust.credit);
    if (found.robust.lock == EOWNERDEAD)
        repair(account);
    scene_say("Each thread keeps a list of the robust mutexes that it holds; when the thread ends, "
              "by whatever way, the kernel goes through the list and marks each of them. What that "
              "does not give: the end of a thread counts, though its process may live on; the "
              "list's pointers lie in the shared memory, where a faulty neighbour can overwrite "
              "them and bring your process down; and the holder is named by a thread number, which "
              "in another container (a PID namespace) may be somebody else's.");
    scene_mute(true);
    scene_shmdt(account);
    scene_mute(false);
    return found.robust.lock == EOWNERDEAD;
}

/* -- 3 and 4: weir ---------------------------------------------------------------------------- */

struct ledger {
    struct weir_mutex mutex;
    volatile int debit, credit;
    volatile int64_t told_ns; /* when weir_mutex_lock() returned last */
};

enum { LOCK = 1, HALF, REPAIR, CONSISTENT, UNLOCK };

static long weir_step(int order, void *argument)
{
    struct ledger *ledger = argument;
    int result = 0;
    switch (order) {
    case LOCK:
        result = weir_mutex_lock(&ledger->mutex);
        ledger->told_ns = weir_now_ns();
        scene_told_weir("weir_mutex_lock(&account->mutex)", result);
        break;
    case HALF:
        ledger->debit += 100;
        scene_told("account->debit += 100", NULL);
        break;
    case REPAIR:
        ledger->credit = ledger->debit;
        scene_told("account->credit = account->debit", NULL);
        break;
    case CONSISTENT:
        result = weir_mutex_consistent(&ledger->mutex);
        scene_told_weir("weir_mutex_consistent(&account->mutex)", result);
        break;
    default:
        result = weir_mutex_unlock(&ledger->mutex);
        scene_told_weir("weir_mutex_unlock(&account->mutex)", result);
    }
    return result;
}

/* One of the three has it and is killed; next waits for it already. What next gets, and when. */
static int kill_under(struct ledger *ledger, struct puppet *holder, struct puppet *next,
                      int64_t *after_ms)
{
    puppet_do(holder, LOCK);
    puppet_do(holder, HALF);
    puppet_begin(next, LOCK);
    scene_until(puppet_settled, next, BEGIN_MS);
    int64_t killed_ns = weir_now_ns();
    puppet_kill(holder);
    int result = (int)puppet_answer(next);
    *after_ms = (ledger->told_ns - killed_ns) / 1000000;
    return result;
}

static void play_weir(struct ledger *ledger, struct puppet *holder, struct puppet *next,
                      struct puppet *third)
{
    scene_head("3. The same with weir's mutex");
    scene_say("It lies in shared memory as well; bytes of 0 are a mutex that is free. It names its "
              "holder by an object of the kernel's that ends with the process, by whatever way "
              "(<weir/identity.h>). The next one waits already when the holder is killed.");
    found.weir_next = kill_under(ledger, holder, next, &found.weir_told_after_ms);
    found.weir_half_written = ledger->debit != ledger->credit;
    scene_say("The wait ended %" PRId64
              " ms after the kill: who waits asks the kernel, five times a "
              "second and more, whether the holder lives. The next one repairs the account and "
              "says so; then the lock is as good as new.",
              found.weir_told_after_ms);
    puppet_do(next, REPAIR);
    puppet_do(next, CONSISTENT);
    puppet_do(next, UNLOCK);
    found.weir_after_repair = (int)puppet_do(third, LOCK);
    found.weir_repaired = ledger->debit == ledger->credit;
    puppet_do(third, UNLOCK);

    scene_head("4. And when nobody repairs?");
    scene_say("Another death. Who gets the lock now unlocks it, and has neither repaired the "
              "account nor called weir_mutex_consistent().");
    int64_t after_ms;
    found.weir_heir = kill_under(ledger, next, third, &after_ms);
    puppet_do(third, UNLOCK);
    found.weir_given_up = (int)puppet_do(third, LOCK);
}

static bool weir_part(void)
{
    struct weir_segment *segment;
    struct puppet holder, next, third;
    if (weir_segment_create(&segment, weir_private(), sizeof(struct ledger), NULL) != 0)
        return false;
    struct ledger *ledger = weir_segment_data(segment);
    if (!puppet_start(&holder, "holder", weir_step, ledger) ||
        !puppet_start(&next, "next", weir_step, ledger) ||
        !puppet_start(&third, "third", weir_step, ledger))
        return false; /* what was started ends with the scene */
    play_weir(ledger, &holder, &next, &third);
    found.weir_stranger = (int)weir_step(LOCK, ledger);
    scene_say("-ENOTRECOVERABLE, for that one and for everybody who comes: the account breaks its "
              "rule, and nobody has said that it is right again. So half a change is never taken "
              "for a whole one. Whoever rebuilds the account from nothing calls weir_mutex_init() "
              "when nobody uses it.");
    puppet_end(&third);
    weir_segment_close(segment);
    return found.weir_half_written && found.weir_repaired && found.weir_next == WEIR_OWNER_DIED &&
           found.weir_after_repair == 0 && found.weir_heir == WEIR_OWNER_DIED &&
           found.weir_given_up == -ENOTRECOVERABLE && found.weir_stranger == -ENOTRECOVERABLE;
}

/* -- The scene -------------------------------------------------------------------------------- */

static void report_all(void)
{
    scene_head("The result");
    scene_result("pthread mutex         %s after %d ms, %d more wait for ever; half written",
                 weir_strerror_name(found.plain.lock), PATIENCE_MS, found.waiting);
    scene_result("pthread robust mutex  %s: the next one has it, is told, repairs",
                 weir_strerror_name(found.robust.lock));
    scene_result("weir's mutex          WEIR_OWNER_DIED after %" PRId64
                 " ms; repaired, and the third gets 0",
                 found.weir_told_after_ms);
    scene_result("... not repaired      %s for everybody, until it is made anew",
                 weir_strerror_name(found.weir_stranger));
    scene_fact_text("plain_lock", weir_strerror_name(found.plain.lock));
    scene_fact_int("plain_waiting", found.waiting);
    scene_fact_bool("plain_half_written", found.plain.debit != found.plain.credit);
    scene_fact_text("robust_lock", weir_strerror_name(found.robust.lock));
    scene_fact_bool("robust_half_written", found.robust.debit != found.robust.credit);
    scene_fact_bool("weir_owner_died", found.weir_next == WEIR_OWNER_DIED);
    scene_fact_int("weir_told_after_ms", found.weir_told_after_ms);
    scene_fact_bool("weir_half_written", found.weir_half_written);
    scene_fact_bool("weir_repaired", found.weir_repaired);
    scene_fact_int("weir_after_repair", found.weir_after_repair);
    scene_fact_text("weir_not_repaired", weir_strerror_name(found.weir_given_up));
    scene_fact_text("weir_not_repaired_stranger", weir_strerror_name(found.weir_stranger));
}

static int run_mutex_death(void)
{
    scene_name_process("parent");
    if (!pthread_part() || !robust_part())
        return command_fail("this system did not behave as the scene describes");
    if (!weir_part())
        return command_fail("weir did not keep its promise: %s", weir_last_error());
    report_all();
    scene_instead("int result = weir_mutex_lock(&account->mutex);\n"
                  "if (result < 0)\n"
                  "    return result;\n"
                  "if (result == WEIR_OWNER_DIED) {\n"
                  "    repair(account);\n"
                  "    weir_mutex_consistent(&account->mutex);\n"
                  "}\n"
                  "...\n"
                  "weir_mutex_unlock(&account->mutex);\n",
                  "A lock that survives its holder: nobody waits for the dead, and nobody is told "
                  "that all is well when it is not. A holder that is only stopped (SIGSTOP, a "
                  "debugger) is alive, and is waited for. From the shell: weir lock NAME -- "
                  "COMMAND.");
    return STATUS_OK;
}

const struct scene scene_mutex_death = {
    .name = "mutex-death",
    .summary = "the holder of a mutex is killed: all wait, or the next one is told",
    .heart = "examples/textbook/mutex_death.c",
    .run = run_mutex_death,
};
