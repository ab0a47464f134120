/* SPDX-License-Identifier: MIT */
#include "round.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const who_names[PEERS] = {
    "the victim",   "the survivor",        "the next publisher", "the next subscriber",
    "a rival",      "the one before",      "a publisher",        "the other publisher",
    "a subscriber", "the other subscriber"
};

void require(struct round *round, bool condition, const char *format, ...)
{
    va_list arguments;
    if (condition)
        return;
    va_start(arguments, format);
    vsnprintf(round->failure, sizeof round->failure, format, arguments);
    va_end(arguments);
    longjmp(round->out, 1);
}

void start(struct round *round, enum who who)
{
    require(round, peer_start(&round->peer[who], round->accounts, who), "no process: %s",
            strerror(errno));
    round->is_busy[who] = false;
}

struct order within(enum verb verb, int64_t wait_ns)
{
    return (struct order){ .verb = verb, .wait_ns = wait_ns };
}

void simply(struct round *round, enum who who, enum verb verb)
{
    must(round, who, within(verb, 0));
}

void give_identity(struct round *round, enum who who)
{
    if (round->peer[who].pid == 0)
        start(round, who);
    must(round, who, within(LOCK, BOUND_NS));
    simply(round, who, UNLOCK);
}

void tell(struct round *round, enum who who, struct order order)
{
    round->doing = verb_names[order.verb];
    require(round, peer_tell(&round->peer[who], order), "%s takes no order (%s)", who_names[who],
            round->doing);
    round->is_busy[who] = true;
}

struct reply answer(struct round *round, enum who who)
{
    struct reply reply;
    require(round, peer_answer(&round->peer[who], &reply),
            "%s is blocked past its bound, or has ended (last order: %s)", who_names[who],
            round->doing);
    round->is_busy[who] = false;
    require(round, reply.result != BROKEN, "%s: %s: %s", who_names[who], round->doing,
            reply.sentence);
    return reply;
}

struct reply ask(struct round *round, enum who who, struct order order)
{
    tell(round, who, order);
    struct reply reply = answer(round, who);
    if (order.verb == OPEN_PUBLISHER)
        round->stream[who] = reply.stream;
    return reply;
}

void must_be(struct round *round, enum who who, const struct reply *reply, int expected)
{
    require(round, reply->result == expected, "%s: %s gives %s%d instead of %d: %s", who_names[who],
            round->doing, weir_strerror_name(reply->result), reply->result, expected,
            reply->sentence);
}

void must(struct round *round, enum who who, struct order order)
{
    struct reply reply = ask(round, who, order);
    must_be(round, who, &reply, 0);
}

/* Asleep on a word. */
static bool is_asleep(const struct round *round, enum who who, char text[16])
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)round->peer[who].pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, 15) : -1;
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0 && text[0] >= '0' && text[0] <= '9' && strtol(text, NULL, 10) == SYS_futex;
}

void see_asleep(struct round *round, enum who who)
{
    const struct timespec nap = { 0, 100000 };
    char text[16];
    int64_t until_ns = weir_now_ns() + BOUND_NS;
    while (!is_asleep(round, who, text)) {
        require(round, weir_now_ns() < until_ns, "%s does not fall asleep: %s", who_names[who],
                text);
        nanosleep(&nap, NULL);
    }
}

void see_settled(struct round *round, enum who who)
{
    struct pollfd wait = { .fd = round->peer[who].replies, .events = POLLIN };
    char text[16];
    int64_t until_ns = weir_now_ns() + BOUND_NS;
    while (poll(&wait, 1, 1) == 0 && !is_asleep(round, who, text))
        require(round, weir_now_ns() < until_ns, "%s does neither answer nor sleep: %s",
                who_names[who], text);
}

void slay(struct round *round, enum who who)
{
    int status;
    struct peer *peer = &round->peer[who];
    kill(peer->pid, SIGKILL);
    while (waitpid(peer->pid, &status, 0) == peer->pid && WIFSTOPPED(status))
        ;
    peer_forget(peer);
    round->is_busy[who] = false;
}

void quit(struct round *round, enum who who)
{
    int status = -1;
    struct peer *peer = &round->peer[who];
    if (peer->pid == 0)
        return;
    tell(round, who, (struct order){ .verb = QUIT });
    round->is_busy[who] = false;
    pid_t found = waitpid(peer->pid, &status, 0);
    bool is_well = found == peer->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    peer_forget(peer);
    require(round, is_well, "%s ended with wait status 0x%x", who_names[who], (unsigned)status);
}

/* --- what is left --------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    return walk->level > 0 ? remove(path) : 0;
}

static unsigned entries_left;

/* Directories of a namespace may stay, empty. */
static int count_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    const char *name = path + walk->base;
    if (walk->level > 0 && !(walk->level == 1 && strncmp(name, "ipc-", 4) == 0))
        entries_left++;
    return 0;
}

bool is_cue_due(const struct round *round)
{
    return round->scenario->cue && !round->stepper.has_cued;
}

void other_sleeps(struct round *round, enum verb verb)
{
    tell(round, OLD, within(verb, PATIENT_NS));
    see_asleep(round, OLD);
}

struct reply resume_victim(struct round *round, bool is_due, bool is_before)
{
    if (is_before)
        round->scenario->cue(round);
    stepper_release(&round->stepper);
    if (is_due && !is_before)
        round->scenario->cue(round);
    return answer(round, VICTIM);
}

static int segments_left(void)
{
    struct shm_info info;
    /* shmctl(2): the address is of the type that the command says. */
    shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    return info.used_ids;
}

/* What is left stays left. Whoever looks at a process in /proc keeps its memory for a moment. */
#define LEFT_NS INT64_C(1000000000)

void nothing_is_left(struct round *round)
{
    const struct timespec nap = { 0, 1000000 };
    int64_t until_ns = weir_now_ns() + LEFT_NS;
    struct seminfo sets;
    while (segments_left() > 0 && weir_now_ns() < until_ns)
        nanosleep(&nap, NULL);
    int segments = segments_left();
    semctl(0, 0, SEM_INFO, &sets);
    entries_left = 0;
    nftw(round->directory, count_entry, 8, FTW_PHYS);
    require(round, segments == 0 && sets.semusz == 0 && entries_left == 0,
            "left behind: %d segments, %d sets, %u entries of the run directory", segments,
            sets.semusz, entries_left);
}

void quit_all(struct round *round)
{
    for (unsigned who = 0; who < PEERS; who++)
        quit(round, (enum who)who);
    nothing_is_left(round);
}

void clear_everything(struct round *round)
{
    struct shm_info info;
    struct shmid_ds found;
    for (unsigned who = 0; who < PEERS; who++)
        if (round->peer[who].pid > 0)
            slay(round, who);
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int index = 0; index <= last && info.used_ids > 0; index++) {
        int id = shmctl(index, SHM_STAT, &found);
        if (id >= 0)
            shmctl(id, IPC_RMID, NULL);
    }
    nftw(round->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    shm_unlink(SEGMENT_NAME);
}

/* One that waits since before the kill: its bound counts from there. */
void note_wait(struct round *round, int64_t killed_ns)
{
    int64_t took_ns = weir_now_ns() - killed_ns;
    require(round, took_ns < BOUND_NS, "the survivor learns of the death after %lld ms",
            (long long)took_ns / 1000000);
    if (took_ns > round->accounts->longest_ns)
        round->accounts->longest_ns = took_ns;
}

/* --- the round ------------------------------------------------------------------------------ */

void begin_round(struct round *round)
{
    static const struct accounts none;
    memcpy((void *)round->accounts, (const void *)&none, sizeof none);
    round->accounts->streams = 1;
    memset(round->peer, 0, sizeof round->peer);
    memset(round->is_busy, 0, sizeof round->is_busy);
    memset(round->stream, 0, sizeof round->stream);
    round->seen = -1;
    round->failure[0] = 0;
    round->doing = "starting";
    if (round->subject->begin)
        round->subject->begin(round);
}

static void give_cue(void *argument)
{
    struct round *round = argument;
    round->scenario->cue(round);
}

/* All that comes before the first instruction of the order. */
void set_up(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    struct order order = scenario->order;
    order.is_marked = true;
    start(round, VICTIM);
    scenario->stage(round);
    require(round, stepper_begin(&round->stepper, &round->peer[VICTIM], round->accounts),
            "it cannot be traced: %s", strerror(errno));
    if (scenario->cue) {
        round->stepper.cue = give_cue;
        round->stepper.argument = round;
    }
    tell(round, VICTIM, order);
    require(round, stepper_enter(&round->stepper), "it does not begin");
}

static void after_kill(struct round *round)
{
    if (round->subject->before_kill)
        round->subject->before_kill(round);
    slay(round, VICTIM);
    round->subject->after_kill(round);
}

static void after_stop(struct round *round)
{
    require(round, stepper_halt(&round->stepper), "it cannot be stopped");
    round->subject->after_stop(round);
}

int round_run(struct round *round)
{
    volatile int result = -1;
    begin_round(round);
    if (setjmp(round->out) == 0) {
        set_up(round);
        bool is_reached = stepper_reach(&round->stepper, round->point);
        require(round, is_reached || stepper_is_over(&round->stepper), "the victim is lost");
        if (is_reached && round->mode == KILL)
            after_kill(round);
        else if (is_reached)
            after_stop(round);
        result = is_reached;
    }
    clear_everything(round);
    return result;
}
