/* SPDX-License-Identifier: MIT */
/* The scene 'init-race': a semaphore set exists before it has its first value. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../command.h"
#include "calls.h"
#include "kill_at.h"
#include "puppet.h"
#include "scenes.h"

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

enum { PATIENCE_MS = 600000 }; /* with --step a reader may take his time before a call is made */

/* What the creator and the opener can be told to do. */
enum { CREATE = 1, SET_ONE, SET_ZERO, POST, OPEN, TAKE };

static long step(int order, void *argument)
{
    static int sem = -1; /* each process has its own */
    const key_t key = *(key_t *)argument;
    struct sembuf post = { 0, +1, 0 }, take = { 0, -1, 0 };
    switch (order) {
    case CREATE:
        return sem = scene_semget(key, 1, IPC_CREAT | IPC_EXCL | 0600);
    case OPEN:
        return sem = scene_semget(key, 1, 0600);
    case SET_ONE:
        return scene_semctl(sem, 0, SETVAL, (union semun){ .val = 1 });
    case SET_ZERO:
        return scene_semctl(sem, 0, SETVAL, (union semun){ .val = 0 });
    case POST:
        return scene_semop(sem, &post, 1);
    default:
        return scene_semop(sem, &take, 1) == -1 ? -errno : 0;
    }
}

struct pair {
    struct puppet creator, opener;
    int sem;
};

/* Both processes, and the set as it is between the creator's two calls. */
static bool open_window(struct pair *pair, key_t *key)
{
    if (!puppet_start(&pair->creator, "creator", step, key))
        return false;
    if (!puppet_start(&pair->opener, "opener", step, key)) {
        puppet_kill(&pair->creator);
        return false;
    }
    pair->sem = (int)puppet_do(&pair->creator, CREATE);
    if (pair->sem != -1 && puppet_do(&pair->opener, OPEN) == pair->sem)
        return true;
    puppet_kill(&pair->creator);
    puppet_kill(&pair->opener);
    return false;
}

static long last_semop(int sem)
{
    struct semid_ds ds;
    return semctl(sem, 0, IPC_STAT, (union semun){ .buf = &ds }) == -1 ? -1 : ds.sem_otime;
}

/* Told or not, the set is gone afterwards. */
static void remove_set(int sem)
{
    scene_mute(true);
    scene_semctl(sem, 0, IPC_RMID);
    scene_mute(false);
}

/* What each part came to; the facts of the JSON document have the same names. */
static struct {
    int post_got;
    int waiting_for_dead_creator;
    long dead_creator_sem_otime;
    bool ready_early, ready_late, ready_after_death;
    bool weir_tried;
    int weir_value_by_name, weir_value_by_key;
    int leftovers_before, leftovers_after;
} found;

/* -- 1: work that is wiped out ---------------------------------------------------------------- */

static bool lost_post(key_t key)
{
    struct pair pair;
    scene_head("1. Somebody works on it in between");
    scene_say("semget() makes the set, semctl(SETVAL) gives it its first value, here 1. We let "
              "the kernel switch between the two, and the opener adds 1.");
    if (!open_window(&pair, &key))
        return false;
    puppet_do(&pair.opener, POST);
    puppet_do(&pair.creator, SET_ONE);
    found.post_got = scene_semctl(pair.sem, 0, GETVAL);
    puppet_end(&pair.creator);
    puppet_end(&pair.opener);
    remove_set(pair.sem);
    scene_say("A first value of 1 and one post make 2. The set says %d: SETVAL wiped the post "
              "out, and whoever waits for that unit waits for ever.",
              found.post_got);
    return found.post_got == 1;
}

/* -- 2: a creator that dies ------------------------------------------------------------------- */

static bool somebody_waits(void *argument)
{
    return semctl(*(int *)argument, 0, GETNCNT) == 1;
}

static bool dead_creator(key_t key)
{
    struct pair pair;
    scene_head("2. The creator dies in between");
    if (!open_window(&pair, &key))
        return false;
    puppet_kill(&pair.creator);
    scene_say("Now the opener takes a unit, as it should.");
    puppet_begin(&pair.opener, TAKE);
    bool waits = scene_until(somebody_waits, &pair.sem, PATIENCE_MS);
    found.waiting_for_dead_creator = scene_semctl(pair.sem, 0, GETNCNT);
    found.dead_creator_sem_otime = last_semop(pair.sem);
    scene_say("One process waits (GETNCNT). The only one that would have given the set its value "
              "is dead, and semget() of everybody who comes now succeeds as well: they all wait "
              "for ever. We end it with semctl(IPC_RMID), under the one that waits:");
    remove_set(pair.sem);
    long result = puppet_answer(&pair.opener);
    puppet_end(&pair.opener);
    return waits && result == -EIDRM && found.dead_creator_sem_otime == 0;
}

/* -- 3: the known cure ------------------------------------------------------------------------ */

static bool is_ready(void *argument)
{
    return last_semop(*(int *)argument) > 0;
}

static bool stevens(key_t key)
{
    struct pair pair;
    scene_head("3. The known cure, and its weakness");
    scene_say("W. R. Stevens: sem_otime of a new set is 0, and the first semop() sets it. So the "
              "creator sets 0, and adds the first value with a semop(); who opens the set looks "
              "at it with semctl(IPC_STAT) until sem_otime is not 0.");
    if (!open_window(&pair, &key))
        return false;
    found.ready_early = is_ready(&pair.sem);
    puppet_do(&pair.creator, SET_ZERO);
    puppet_do(&pair.creator, POST);
    found.ready_late = is_ready(&pair.sem);
    puppet_end(&pair.creator);
    puppet_end(&pair.opener);
    remove_set(pair.sem);
    scene_say("sem_otime was %s when the opener came, and is %s now: the opener may begin.",
              found.ready_early ? "set" : "0", found.ready_late ? "set" : "0");
    return !found.ready_early && found.ready_late;
}

static bool stevens_dead_creator(key_t key)
{
    struct pair pair;
    scene_say("And when the creator dies in between?");
    if (!open_window(&pair, &key))
        return false;
    puppet_kill(&pair.creator);
    found.ready_after_death = scene_until(is_ready, &pair.sem, 100);
    puppet_end(&pair.opener);
    remove_set(pair.sem);
    scene_say("sem_otime %s. A dead creator and a slow one look the same: all that the opener can "
              "do is to give up after a time, and the key stays spoilt until somebody removes the "
              "set by hand.",
              found.ready_after_death ? "is set" : "was 0 for 100 ms, and will stay 0");
    return !found.ready_after_death;
}

/* -- 4: weir ---------------------------------------------------------------------------------- */

static struct weir_ref ref_of_creator;

static int weir_creator(void)
{
    struct weir_semset *set;
    const uint16_t one = 1;
    return weir_semset_create(&set, ref_of_creator, 1, &one, NULL) == 0 ? 0 : 1;
}

/* The set's value after the next one has created it; negative when that failed. */
static int value_of(struct weir_semset *set, const char *call, int result)
{
    char text[96];
    int value = result < 0 ? result : weir_semset_value(set, 0);
    if (result < 0)
        snprintf(text, sizeof text, "%s", weir_strerror_name(result));
    else
        snprintf(text, sizeof text, "%s; its value is %d",
                 result == WEIR_CREATED ? "WEIR_CREATED" : "0", value);
    scene_told(call, text);
    if (result >= 0) {
        weir_semset_close(set);
        weir_semset_remove(ref_of_creator);
    }
    return value;
}

static bool killed_by_name(const char *name)
{
    struct weir_semset *set = NULL;
    const uint16_t one = 1;
    ref_of_creator = weir_by_name(name);
    if (!kill_at(SYS_semget, "creator", weir_creator))
        return false;
    found.leftovers_before = weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL);
    int opened = weir_semset_open(&set, ref_of_creator, 1, NULL);
    scene_told("weir_semset_open(name)", weir_strerror_name(opened));
    if (opened == 0)
        return false;
    int created = weir_semset_create(&set, ref_of_creator, 1, &one, NULL);
    found.weir_value_by_name = value_of(set, "weir_semset_create(name, 1, &one)", created);
    found.leftovers_after = weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL);
    return found.weir_value_by_name == 1 && found.leftovers_after == 0;
}

static bool killed_by_key(key_t key)
{
    struct weir_semset *set = NULL;
    const uint16_t one = 1;
    ref_of_creator = weir_by_key((uint32_t)key);
    int place = scene_making_semset(key);
    bool killed = kill_at(SYS_semget, "creator", weir_creator);
    int sem = semget(key, 0, 0);
    scene_making_end(place, sem);
    if (!killed || sem == -1)
        return false;
    int result = weir_semset_create_or_open(&set, ref_of_creator, 1, &one, NULL);
    found.weir_value_by_key = value_of(set, "weir_semset_create_or_open(key, 1, &one)", result);
    return found.weir_value_by_key == 1;
}

static bool with_weir(key_t key)
{
    char name[64];
    scene_head("4. The same death, with weir");
    found.weir_tried = kill_at_possible();
    if (!found.weir_tried) {
        scene_say(
            "To kill weir's creator just there takes ptrace(2), which is not permitted here.");
        return true;
    }
    scene_say("A creator calls weir_semset_create() and is killed at the same place: its semget() "
              "has just returned. By name, nobody has seen anything, and the next one creates "
              "it:");
    snprintf(name, sizeof name, SCENE_SET_NAME, scene_named_set_begin());
    if (!killed_by_name(name))
        return false;
    scene_named_set_end();
    scene_say("The dead one's set had no name yet, so nobody could find it. The next one collected "
              "it on its way (found left behind: %d before, %d after).",
              found.leftovers_before, found.leftovers_after);
    scene_say("By key everybody sees the set at once, as the kernel has it. One more semaphore in "
              "it says whether the values are set, and the kernel hands the creator's part to the "
              "next one:");
    return killed_by_key(key);
}

/* -- The scene -------------------------------------------------------------------------------- */

static void report(void)
{
    scene_head("The result");
    scene_result("a post before SETVAL     2 expected, %d there", found.post_got);
    scene_result("creator killed           %d waits, and nobody will come",
                 found.waiting_for_dead_creator);
    scene_result("the sem_otime rule       waits for the value; a dead creator's never comes");
    if (found.weir_tried)
        scene_result("weir, creator killed     the next one sets it: %d by name, %d by key",
                     found.weir_value_by_name, found.weir_value_by_key);
    else
        scene_result("weir, creator killed     not tried: ptrace(2) is not permitted here");
    scene_fact_int("post_expected", 2);
    scene_fact_int("post_got", found.post_got);
    scene_fact_int("waiting_for_dead_creator", found.waiting_for_dead_creator);
    scene_fact_int("dead_creator_sem_otime", found.dead_creator_sem_otime);
    scene_fact_bool("ready_early", found.ready_early);
    scene_fact_bool("ready_late", found.ready_late);
    scene_fact_bool("ready_after_death", found.ready_after_death);
    scene_fact_bool("weir_tried", found.weir_tried);
    scene_fact_int("weir_value_by_name", found.weir_value_by_name);
    scene_fact_int("weir_value_by_key", found.weir_value_by_key);
    scene_fact_int("weir_leftovers_before", found.leftovers_before);
    scene_fact_int("weir_leftovers_after", found.leftovers_after);
}

static int run_init_race(void)
{
    key_t key = scene_private() ? 0x1234 : scene_fresh_key();
    if (!lost_post(key) || !dead_creator(key) || !stevens(key) || !stevens_dead_creator(key))
        return command_fail("this system did not behave as the scene describes");
    if (!with_weir(key))
        return command_fail("weir did not keep its promise: %s", weir_last_error());
    report();
    scene_instead("const uint16_t one = 1;\n"
                  "weir_semset_create_or_open(&set, weir_by_name(\"shop/door\"), 1, &one, NULL);\n"
                  "weir_semset_wait(set, 0, WEIR_SEM_UNDO);\n",
                  "weir_semset_create() takes the first values with it, and the set is never seen "
                  "without them. Exactly one of several creators sets them, also when one dies "
                  "meanwhile.");
    return STATUS_OK;
}

const struct scene scene_init_race = {
    .name = "init-race",
    .summary = "a semaphore set exists before it has its first value",
    .heart = "examples/textbook/init_race.c",
    .run = run_init_race,
};
