/* SPDX-License-Identifier: MIT */
/*
 * Members stopped for a minute: see docs/reliability.md.
 *
 * stopped [--seconds N] [--table FILE]
 *
 * A publisher, a lossy subscriber, a reliable one that holds messages and one that waits are stopped
 * while others go on, and then go on, too: nothing is lost, nothing is left, and nobody had to wait
 * but the one publisher whose ring is full.
 */
#include "stopped.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../members.h"
#include "../objects.h"

struct board *board;

const struct role roles[MEMBERS] = {
    [SENDER] = { "publisher", "traffic", true, false, false },
    [STOPPED_SENDER] = { "publisher", "traffic", true, true, false },
    [READER] = { "reliable subscriber", "traffic", false, false, false },
    [STOPPED_LOSSY] = { "lossy subscriber, a message in hand", "traffic", false, true, true },
    [HELD_SENDER] = { "publisher, waits for the holder", "held", true, false, false },
    [HELD_READER] = { "reliable subscriber", "held", false, false, false },
    [STOPPED_HOLDER] = { "reliable subscriber, holds 4", "held", false, true, false },
    [SLOW_SENDER] = { "publisher, slow", "waits", true, false, false },
    [WAITER] = { "reliable subscriber, asleep", "waits", false, false, false },
    [STOPPED_WAITER] = { "reliable subscriber, asleep", "waits", false, true, false },
};

/* The slow one's whole time has room in its ring, with as much again before and after. */
#define SLOW_MESSAGES 1000
#define SLOW_LEAST_NS 2000000

static unsigned seconds = 60;
static const char *table_path;
static pid_t pids[MEMBERS];
static unsigned long long then[MEMBERS]; /* messages, when they were stopped */
static int64_t resumed_ns[MEMBERS];      /* until the next message after that */
static unsigned long long sent_meanwhile;
static int64_t continued_ns[MEMBERS];
static char directory[] = "/dev/shm/stopped-XXXXXX"; /* WEIR_DIR */

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "stopped: FAILED: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    members_clear(pids, MEMBERS, directory);
    exit(1);
}

/* Before each look again. */
static void wait_on(int64_t since_ns, unsigned member, const char *what)
{
    const struct timespec nap = { 0, 200000 };
    if (board->is_broken)
        fail("a member has seen what must not be");
    if (weir_now_ns() - since_ns > BOUND_NS)
        fail("%s of \"%s\": %s for 5 s", roles[member].name, roles[member].channel, what);
    nanosleep(&nap, NULL);
}

static unsigned long long messages_of(unsigned member)
{
    return board->member[member].messages;
}

static void await_messages(unsigned member, unsigned long long least)
{
    int64_t since_ns = weir_now_ns();
    while (messages_of(member) < least)
        wait_on(since_ns, member, "it does not go on");
}

static char state_of(unsigned member)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pids[member]);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        fail("%s: %s", path, strerror(errno));
    fclose(file);
    return state;
}

/* --- before ---------------------------------------------------------------------------------- */

static void start(unsigned member)
{
    fflush(NULL);
    pids[member] = fork();
    if (pids[member] < 0)
        fail("fork: %s", strerror(errno));
    if (pids[member] > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    member_begin("stopped", roles[member].name, &board->is_broken);
    if (roles[member].is_sender)
        send_on(member);
    else
        receive_on(member);
    _exit(0);
}

static void start_all(void)
{
    int64_t since_ns = weir_now_ns();
    for (unsigned i = 0; i < MEMBERS; i++)
        start(i);
    for (unsigned i = 0; i < MEMBERS; i++)
        while (!board->member[i].is_there)
            wait_on(since_ns, i, "it has not opened");
    for (unsigned i = 0; i < MEMBERS; i++)
        await_messages(i, 30);
}

/* Each where it is to be stopped: it holds, sleeps; the publisher anywhere. */
static void stop_all(void)
{
    int64_t since_ns = weir_now_ns();
    int status;
    board->phase = STOPPING;
    while (!board->member[STOPPED_LOSSY].held || board->member[STOPPED_HOLDER].held != HELD)
        wait_on(since_ns, STOPPED_LOSSY, "it, or the holder, holds nothing");
    while (messages_of(STOPPED_WAITER) != messages_of(SLOW_SENDER) ||
           state_of(STOPPED_WAITER) != 'S')
        wait_on(since_ns, STOPPED_WAITER, "it does not sleep");
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (roles[i].is_stopped && kill(pids[i], SIGSTOP) != 0)
            fail("kill: %s", strerror(errno));
        if (roles[i].is_stopped &&
            (waitpid(pids[i], &status, WUNTRACED) != pids[i] || !WIFSTOPPED(status)))
            fail("%s has ended by itself", roles[i].name);
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        then[i] = messages_of(i);
    board->phase = STOPPED;
}

/* --- meanwhile ------------------------------------------------------------------------------- */

/* Who waits for a stopped one, or for who does. */
static bool may_wait(unsigned member)
{
    return member == HELD_SENDER || member == HELD_READER;
}

/* All others go on all the time; nothing of the stopped ones moves. */
static void watch(void)
{
    const struct timespec nap = { 0, 5000000 };
    int64_t until_ns = weir_deadline_ns(seconds * INT64_C(1000000000));
    while (weir_now_ns() < until_ns) {
        for (unsigned i = 0; i < MEMBERS; i++) {
            if (roles[i].is_stopped && messages_of(i) != then[i])
                fail("%s is stopped, and goes on", roles[i].name);
            if (!roles[i].is_stopped && !may_wait(i))
                wait_on(board->member[i].beat_ns, i, "it has not gone on");
        }
        nanosleep(&nap, NULL);
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        if (!roles[i].is_stopped && !may_wait(i))
            await_messages(i, messages_of(i) + 1); /* also to the end */
    for (unsigned i = 0; i < MEMBERS; i++)
        if (roles[i].is_stopped && state_of(i) != 'T')
            fail("%s was not stopped to the end", roles[i].name);
}

/* The ring of the one that waits is full, but for what is too short for its next message. */
static void see_who_waits(void)
{
    const struct member *sender = &board->member[HELD_SENDER];
    unsigned long long sent = sender->messages;
    int64_t since_ns = weir_now_ns();
    sent_meanwhile = sent - then[HELD_SENDER];
    if (!sender->was_refused || since_ns - sender->beat_ns < 50000000)
        fail("who must wait for the holder does not: %llu messages", sent_meanwhile);
    if (sent - messages_of(STOPPED_HOLDER) < 64)
        fail("the publisher waits with %llu messages in its ring",
             sent - messages_of(STOPPED_HOLDER));
    while (messages_of(HELD_READER) != sender->messages)
        wait_on(since_ns, HELD_READER, "it has not all that was sent");
    /* Who waits for a stopped one stays refused; a reader that was not run for 50 ms goes on. */
    for (unsigned i = 0; i < MEMBERS; i++)
        while (i != HELD_SENDER && !roles[i].is_stopped && board->member[i].was_refused)
            wait_on(since_ns, i, "it has no room");
}

/* --- after ----------------------------------------------------------------------------------- */

static void resume_all(void)
{
    int64_t since_ns = weir_now_ns();
    unsigned left = MEMBERS;
    unsigned long long held_sent = messages_of(HELD_SENDER);
    board->phase = RESUMED;
    for (unsigned i = 0; i < MEMBERS; i++) {
        continued_ns[i] = weir_now_ns();
        if (roles[i].is_stopped && kill(pids[i], SIGCONT) != 0)
            fail("kill: %s", strerror(errno));
    }
    continued_ns[HELD_SENDER] = continued_ns[STOPPED_HOLDER];
    while (left > 0) {
        left = 0;
        for (unsigned i = 0; i < MEMBERS; i++) {
            if ((!roles[i].is_stopped && i != HELD_SENDER) || resumed_ns[i] != 0)
                continue;
            if (messages_of(i) > (i == HELD_SENDER ? held_sent : then[i]))
                resumed_ns[i] = board->member[i].beat_ns - continued_ns[i];
            else
                left = i + 1;
        }
        if (left > 0)
            wait_on(since_ns, left - 1, "it was resumed, and has not gone on");
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        await_messages(i, messages_of(i) + 30);
}

/* The publishers leave; the subscribers read to the end. */
static void end_all(void)
{
    int status;
    int64_t since_ns = weir_now_ns();
    board->phase = OVER;
    for (unsigned i = 0; i < MEMBERS; i++) {
        pid_t found;
        while ((found = waitpid(pids[i], &status, WNOHANG)) == 0)
            wait_on(since_ns, i, "it has not ended");
        if (found != pids[i] || status != 0)
            fail("%s of \"%s\" ended with wait status 0x%x", roles[i].name, roles[i].channel,
                 (unsigned)status);
        pids[i] = 0;
    }
}

/* What each subscriber has, with what it was told that it missed, is what was sent. */
static void check_counts(void)
{
    const struct member *lossy = &board->member[STOPPED_LOSSY];
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct member *member = &board->member[i];
        for (unsigned from = 0; from < MEMBERS && !roles[i].is_sender; from++) {
            if (!roles[from].is_sender || strcmp(roles[from].channel, roles[i].channel) != 0)
                continue;
            if (member->received[from] + member->missed[from] != messages_of(from) ||
                (!roles[i].is_lossy && member->missed[from] != 0))
                fail("%s of \"%s\": %llu received and %llu missed of %llu", roles[i].name,
                     roles[i].channel, (unsigned long long)member->received[from],
                     (unsigned long long)member->missed[from], messages_of(from));
        }
    }
    if (lossy->missed[SENDER] == 0 || !lossy->overwritten)
        fail("the lossy subscriber has missed nothing");
}

static struct objects count_objects(void)
{
    struct objects objects;
    if (!objects_count(&objects, directory))
        fail("objects cannot be counted: %s", strerror(errno));
    return objects;
}

/* --- what it was ----------------------------------------------------------------------------- */

static void print_row(FILE *table, unsigned i, const unsigned long long *after)
{
    const struct member *member = &board->member[i];
    unsigned long long missed = 0;
    for (unsigned from = 0; from < MEMBERS; from++)
        missed += member->missed[from];
    fprintf(table, "| %s | %s | %s | %llu | %llu | %llu |", roles[i].channel, roles[i].name,
            roles[i].is_stopped ? "yes" : "", then[i], after[i] - then[i],
            messages_of(i) - after[i]);
    if (roles[i].is_lossy)
        fprintf(table, " %llu |", missed);
    else
        fprintf(table, "%s", roles[i].is_sender ? " |" : " 0 |");
    if (roles[i].is_stopped || i == HELD_SENDER)
        fprintf(table, " | %.2f ms |\n", (double)resumed_ns[i] / 1e6);
    else if (may_wait(i))
        fprintf(table, " | |\n");
    else
        fprintf(table, " %.2f ms | |\n", (double)member->longest_ns / 1e6);
}

static void print_table(FILE *table, const unsigned long long *after, struct objects before,
                        struct objects most, struct objects now)
{
    fprintf(table, "Stopped for %u s.\n\n", seconds);
    fprintf(table, "| channel | member | stopped | messages before | meanwhile | after | missed | "
                   "longest time between two | went on, after SIGCONT, in |\n"
                   "|---|---|---|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < MEMBERS; i++)
        print_row(table, i, after);
    objects_print(table, before, "while they were stopped", most, now);
}

static int run(void)
{
    uint64_t identity;
    unsigned long long after[MEMBERS];
    if (weir_identity(&identity) != 0) /* its beacon is there before all */
        fail("%s", weir_last_error());
    struct objects before = count_objects();
    start_all();
    stop_all();
    watch();
    see_who_waits();
    struct objects most = count_objects();
    for (unsigned i = 0; i < MEMBERS; i++)
        after[i] = messages_of(i);
    resume_all();
    end_all();
    check_counts();
    struct objects now = count_objects();
    FILE *table = table_path ? fopen(table_path, "we") : stdout;
    if (!table)
        fail("%s: %s", table_path, strerror(errno));
    print_table(table, after, before, most, now);
    if (table_path)
        fclose(table);
    if (memcmp(&before, &now, sizeof before) != 0)
        fail("there are other objects after than before");
    return 0;
}

static bool take_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "seconds", required_argument, NULL, 's' },
        { "table", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 's')
            seconds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't')
            table_path = optarg;
        else
            return false;
    }
    return optind == argc && seconds > 0 && seconds <= 3600;
}

int main(int argc, char **argv)
{
    if (!take_options(argc, argv)) {
        fprintf(stderr, "Usage: stopped [--seconds N] [--table FILE], 1 to 3600\n");
        return 2;
    }
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED || !mkdtemp(directory) || setenv("WEIR_DIR", directory, 1) != 0) {
        perror("stopped: memory, or a run directory");
        return 1;
    }
    board->slow_ns = seconds * INT64_C(1000000000) / SLOW_MESSAGES;
    if (board->slow_ns < SLOW_LEAST_NS)
        board->slow_ns = SLOW_LEAST_NS;
    int result = run();
    rmdir(directory);
    return result;
}
