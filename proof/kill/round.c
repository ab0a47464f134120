/* SPDX-License-Identifier: MIT */
#include "round.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const verbs[] = {
    "open publisher",
    "open subscriber",
    "send",
    "fill",
    "loan",
    "commit",
    "batch",
    "wait_subscriber",
    "wait_taken",
    "end",
    "close",
    "take",
    "receive",
    "release",
    "read",
    "read what is there",
    "read to the end",
    "fd",
    "send_many",
    "loan_many",
    "commit_many",
    "take_many",
    "release_many",
    "receive_many",
    "collect",
    "quit",
    "lock",
    "unlock",
    "repair",
    "condition wait",
    "change",
    "signal",
    "event wait",
    "notify",
    "semaphore wait",
    "semaphore post",
    "once begin",
    "once end",
    "once abandon",
};
static const char *const names[] = { "the victim",          "the survivor", "the next publisher",
                                     "the next subscriber", "a rival",      "the one before" };

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
    require(round, peer_start(&round->peer[who], round->accounts), "no process: %s",
            strerror(errno));
    round->is_busy[who] = false;
}

void tell(struct round *round, enum who who, struct order order)
{
    round->doing = verbs[order.verb];
    require(round, peer_tell(&round->peer[who], order), "%s takes no order (%s)", names[who],
            round->doing);
    round->is_busy[who] = true;
}

struct reply answer(struct round *round, enum who who)
{
    struct reply reply;
    require(round, peer_answer(&round->peer[who], &reply),
            "%s is blocked past its bound, or has ended (last order: %s)", names[who],
            round->doing);
    round->is_busy[who] = false;
    require(round, reply.result != BROKEN, "%s: %s: %s", names[who], round->doing, reply.sentence);
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
    require(round, reply->result == expected, "%s: %s gives %s%d instead of %d: %s", names[who],
            round->doing, weir_strerror_name(reply->result), reply->result, expected,
            reply->sentence);
}

void must(struct round *round, enum who who, struct order order)
{
    struct reply reply = ask(round, who, order);
    must_be(round, who, &reply, 0);
}

void see_asleep(struct round *round, enum who who)
{
    const struct timespec nap = { 0, 100000 };
    char path[40], text[16];
    int64_t until_ns = weir_now_ns() + BOUND_NS;
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)round->peer[who].pid);
    for (;;) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
        if (file >= 0)
            close(file);
        text[length > 0 ? length : 0] = 0;
        if (length > 0 && text[0] >= '0' && text[0] <= '9' && strtol(text, NULL, 10) == SYS_futex)
            return;
        require(round, weir_now_ns() < until_ns, "%s does not fall asleep: %s", names[who], text);
        nanosleep(&nap, NULL);
    }
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
    pid_t found = waitpid(peer->pid, &status, 0);
    bool is_well = found == peer->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    peer_forget(peer);
    require(round, is_well, "%s ended with wait status 0x%x", names[who], (unsigned)status);
}

void exchange(struct round *round, enum who writer, enum who reader, unsigned count,
              unsigned unread)
{
    struct stream *stream = &round->accounts->stream[round->stream[writer]];
    tell(round, reader,
         (struct order){ .verb = READ,
                         .count = count + unread,
                         .size_bytes = round->stream[writer],
                         .wait_ns = BOUND_NS });
    must(round, writer, (struct order){ .verb = WAIT_SUBSCRIBER, .wait_ns = BOUND_NS });
    tell(round, writer, (struct order){ .verb = SEND, .count = count, .wait_ns = BOUND_NS });
    struct reply reply = answer(round, reader); /* first: what it has seen explains the other's */
    must_be(round, reader, &reply, 0);
    reply = answer(round, writer);
    must_be(round, writer, &reply, 0);
    require(round, stream->next == stream->committed, "%s has %u messages of %u", names[reader],
            stream->next, stream->committed);
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

void nothing_is_left(struct round *round)
{
    struct shm_info segments;
    struct seminfo sets;
    /* shmctl(2): the address is of the type that the command says. */
    shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&segments);
    semctl(0, 0, SEM_INFO, &sets);
    entries_left = 0;
    nftw(round->directory, count_entry, 8, FTW_PHYS);
    require(round, segments.used_ids == 0 && sets.semusz == 0 && entries_left == 0,
            "left behind: %d segments, %d sets, %u entries of the run directory", segments.used_ids,
            sets.semusz, entries_left);
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
}

/* --- after the kill ------------------------------------------------------------------------- */

/* One that waits since before the kill: its bound counts from there. */
void note_wait(struct round *round, int64_t killed_ns)
{
    int64_t took_ns = weir_now_ns() - killed_ns;
    require(round, took_ns < BOUND_NS, "the survivor learns of the death after %lld ms",
            (long long)took_ns / 1000000);
    if (took_ns > round->accounts->longest_ns)
        round->accounts->longest_ns = took_ns;
}

/* The survivor reads the dead one's stream to its end: what was committed, and only that. */
static void read_dead_stream(struct round *round)
{
    struct stream *stream = &round->accounts->stream[round->stream[VICTIM]];
    struct reply reply = { .result = 0 };
    int64_t killed_ns = weir_now_ns();
    if (round->is_busy[OLD])
        reply = answer(round, OLD);
    note_wait(round, killed_ns);
    if (reply.result != -EPIPE && reply.result != -ENODATA)
        reply = ask(round, OLD,
                    (struct order){ .verb = READ_END, .wait_ns = round->turn & 1 ? BOUND_NS : 0 });
    require(round, reply.result == -EPIPE || (reply.result == -ENODATA && stream->ends),
            "the dead one's stream ends with %s%d: %s", weir_strerror_name(reply.result),
            reply.result, reply.sentence);
    unsigned next = stream->next;
    bool is_part =
        (round->scenario->flags & WHOLE) && next != stream->committed && next != stream->begun;
    require(round, next >= stream->committed && next <= stream->begun && !is_part,
            "%u messages arrived; %u calls had returned, %u had been entered", next,
            stream->committed, stream->begun);
    round->seen = next;
}

/* The one before, if one was killed before, had everything delivered. */
static void check_one_before(struct round *round, bool has_reader)
{
    struct stream *stream = &round->accounts->stream[round->stream[DEAD]];
    if (round->stream[DEAD] == 0 || !has_reader)
        return;
    require(round, stream->next == stream->committed, "%u messages of the one before, of %u",
            stream->next, stream->committed);
}

/* Those who are left, and new ones, have full traffic; then all leave. */
static void go_on(struct round *round)
{
    enum role role = round->scenario->role;
    bool has_old = round->peer[OLD].pid > 0;
    enum who writer = role == SUBSCRIBER && has_old ? OLD : NEXT;
    enum who reader = role == PUBLISHER && has_old ? OLD : FRESH;
    if (writer == OLD) {
        if (round->is_busy[OLD]) {
            int64_t killed_ns = weir_now_ns();
            struct reply late = answer(round, OLD);
            must_be(round, OLD, &late, 0);
            note_wait(round, killed_ns);
        }
        must(round, OLD, (struct order){ .verb = SEND, .count = 200, .wait_ns = BOUND_NS });
    } else {
        start(round, NEXT);
        must(round, NEXT, (struct order){ .verb = OPEN_PUBLISHER });
    }
    if (reader == FRESH) {
        start(round, FRESH);
        must(round, FRESH, (struct order){ .verb = OPEN_SUBSCRIBER });
    }
    exchange(round, writer, reader, 150, 0);
    check_one_before(round, reader == OLD);
    if (reader == OLD) {
        must(round, OLD, (struct order){ .verb = CLOSE });
        start(round, reader = FRESH);
        must(round, FRESH, (struct order){ .verb = OPEN_SUBSCRIBER });
        exchange(round, writer, FRESH, 30, 0);
    } else if (writer == OLD) {
        must(round, OLD, (struct order){ .verb = CLOSE });
        struct reply reply =
            ask(round, FRESH, (struct order){ .verb = READ_END, .wait_ns = BOUND_NS });
        must_be(round, FRESH, &reply, -ENODATA);
        start(round, writer = NEXT);
        must(round, NEXT, (struct order){ .verb = OPEN_PUBLISHER });
        exchange(round, NEXT, FRESH, 30, 0);
    }
    must(round, writer, (struct order){ .verb = WAIT_TAKEN, .wait_ns = BOUND_NS });
    must(round, writer, (struct order){ .verb = END });
    struct reply reply =
        ask(round, reader, (struct order){ .verb = READ_END, .wait_ns = BOUND_NS });
    must_be(round, reader, &reply, -ENODATA);
    must(round, writer, (struct order){ .verb = CLOSE });
    must(round, reader, (struct order){ .verb = CLOSE });
    must(round, reader, (struct order){ .verb = COLLECT });
    for (unsigned who = 0; who < PEERS; who++)
        quit(round, who);
    nothing_is_left(round);
}

static void after_kill(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    slay(round, VICTIM);
    if (scenario->role == SYNC)
        return sync_go_on(round);
    if (scenario->role == PUBLISHER && round->peer[OLD].pid > 0 && !(scenario->flags & OPENING))
        read_dead_stream(round);
    go_on(round);
}

/* --- while it is stopped, and after ---------------------------------------------------------- */

/* A stopped side is alive: its place is its own. */
static void try_rival(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    static const enum verb opens[] = { OPEN_PUBLISHER, OPEN_SUBSCRIBER, COLLECT };
    bool may_get_in = scenario->role == COLLECTOR || (scenario->flags & (OPENING | CLOSING));
    start(round, RIVAL);
    struct reply reply = ask(round, RIVAL, (struct order){ .verb = opens[scenario->role] });
    require(round, reply.result == -EBUSY || (reply.result == 0 && may_get_in),
            "a rival's open gives %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
    must(round, RIVAL, (struct order){ .verb = CLOSE });
    quit(round, RIVAL);
}

/* The reader beside a stopped publisher: gets what is committed, then waits and is not held up. */
static void read_beside(struct round *round)
{
    struct stream *stream = &round->accounts->stream[round->stream[VICTIM]];
    bool is_opening = round->scenario->flags & OPENING;
    for (int i = 0; i < 2; i++) {
        struct reply reply =
            ask(round, OLD, (struct order){ .verb = READ_THERE, .wait_ns = i * INT64_C(3000000) });
        require(round,
                reply.result == -EAGAIN || reply.result == -ETIMEDOUT ||
                    (reply.result == -ENODATA && (stream->ends || is_opening)) ||
                    (reply.result == -EPIPE && is_opening),
                "beside a stopped publisher: %s%d: %s", weir_strerror_name(reply.result),
                reply.result, reply.sentence);
        require(round,
                is_opening || (stream->next >= stream->committed && stream->next <= stream->begun),
                "%u messages arrived; %u calls had returned, %u had been entered", stream->next,
                stream->committed, stream->begun);
    }
}

/* The writer beside a stopped subscriber: fills the ring, then waits and is not held up. */
static void write_beside(struct round *round)
{
    struct reply reply = ask(round, OLD, (struct order){ .verb = FILL, .count = 400 });
    require(round, reply.result == -EAGAIN || reply.result == 0,
            "beside a stopped subscriber: %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
    reply = ask(round, OLD, (struct order){ .verb = SEND, .count = 1, .wait_ns = 3000000 });
    require(round, reply.result == -ETIMEDOUT || reply.result == 0,
            "beside a stopped subscriber: %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
}

/* The publisher that was stopped sends the rest, and the end. */
static void finish_publisher(struct round *round)
{
    unsigned flags = round->scenario->flags;
    bool has_old = round->peer[OLD].pid > 0;
    struct stream *stream = &round->accounts->stream[round->stream[VICTIM]];
    if (flags & LOANING)
        must(round, VICTIM, (struct order){ .verb = COMMIT });
    if (has_old && !round->is_busy[OLD] && !(flags & (CLOSING | ENDING)))
        exchange(round, VICTIM, OLD, 5, stream->committed - stream->next);
    if (!(flags & (CLOSING | ENDING)))
        must(round, VICTIM, (struct order){ .verb = END });
    must(round, VICTIM, (struct order){ .verb = CLOSE });
    if (has_old && round->is_busy[OLD]) {
        struct reply reply = answer(round, OLD);
        must_be(round, OLD, &reply, -ENODATA);
    } else if (has_old && stream->end == 0) {
        struct reply reply =
            ask(round, OLD, (struct order){ .verb = READ_END, .wait_ns = BOUND_NS });
        must_be(round, OLD, &reply, -ENODATA);
    }
    require(round, !has_old || (stream->next == stream->committed && stream->end == -ENODATA),
            "%u messages arrived of %u, end %d", stream->next, stream->committed, stream->end);
}

/* The subscriber that was stopped reads the rest. */
static void finish_subscriber(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool has_old = round->peer[OLD].pid > 0;
    struct stream *stream = &round->accounts->stream[round->stream[OLD]];
    if (scenario->flags & CLOSING)
        return;
    must(round, VICTIM, (struct order){ .verb = RELEASE, .count = WEIR_HOLDS_MAX });
    if (has_old) {
        struct reply reply = ask(round, VICTIM, (struct order){ .verb = READ_THERE });
        must_be(round, VICTIM, &reply, -EAGAIN);
        if (round->is_busy[OLD]) {
            reply = answer(round, OLD);
            must_be(round, OLD, &reply, 0);
            reply = ask(round, VICTIM, (struct order){ .verb = READ_THERE });
        }
        require(round, stream->next == stream->committed || (scenario->flags & OPENING),
                "%u messages arrived of %u", stream->next, stream->committed);
        exchange(round, OLD, VICTIM, 5, 0);
    }
    must(round, VICTIM, (struct order){ .verb = CLOSE });
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool has_old = round->peer[OLD].pid > 0;
    require(round, stepper_halt(&round->stepper), "it cannot be stopped");
    if (scenario->role == SYNC)
        return sync_after_stop(round);
    try_rival(round);
    bool is_cue_due = scenario->cue && !round->stepper.has_cued;
    if (is_cue_due && (round->turn & 1))
        scenario->cue(round); /* it finds, when it goes on, what it has not slept for yet */
    else if (!is_cue_due && has_old && !round->is_busy[OLD] && scenario->role == PUBLISHER)
        read_beside(round);
    else if (!is_cue_due && has_old && !round->is_busy[OLD])
        write_beside(round);
    stepper_release(&round->stepper);
    if (is_cue_due && !(round->turn & 1))
        scenario->cue(round);
    struct reply reply = answer(round, VICTIM);
    /* What it waits for may have come while it stood. */
    bool has_changed = scenario->expected == -ETIMEDOUT && reply.result == 0;
    if (!has_changed)
        must_be(round, VICTIM, &reply, scenario->expected);
    if (scenario->order.verb == OPEN_PUBLISHER)
        round->stream[VICTIM] = reply.stream;
    if (scenario->role == PUBLISHER)
        finish_publisher(round);
    else if (scenario->role == SUBSCRIBER)
        finish_subscriber(round);
    quit(round, VICTIM);
    go_on(round);
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
    round->seen = 0;
    round->failure[0] = 0;
    round->doing = "starting";
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
