/* SPDX-License-Identifier: MIT */
/*
 * The kill sweep: see docs/reliability.md.
 *
 * sweep [--quick] [--every] [--minutes N] [--seed N] [--workers N] [--table FILE]
 *       [--compiler NAME] [OPERATION]...
 *
 * Workers, each in an IPC namespace and with a /dev/shm of its own, take rounds from one
 * list: first the surveys, one a scenario, then the points that these found.
 */
#include "round.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCENARIOS_MAX 256
#define POINTS_MAX 400000 /* of one scenario; memory that is not used is not there */
#define FAILURES_SHOWN 20
#define SKIPPED 77

/* Of one scenario. Written by the worker that surveys it, and counted by all. */
struct row {
    struct survey survey;
    bool is_wanted, is_surveyed;
    atomic_uint done[MODES], failed, missed;
    atomic_llong took_ns;
};

static struct shared {
    atomic_uint next_survey, next_round, failures;
    _Atomic uint64_t longest;
    struct row row[SCENARIOS_MAX];
} * shared;

/* Messages of the victim's that arrived, by point; -1: not swept. */
static int32_t *seen[SCENARIOS_MAX];

static struct {
    bool is_quick, every;
    unsigned seed, workers;
    unsigned first; /* round */
    double minutes;
    const char *table, *compiler;
    int64_t end_ns;
} options = { .minutes = 60, .compiler = "cc" };

/* A round of the list. */
struct task {
    uint16_t scenario;
    uint16_t mode;
    uint32_t point;
};

static struct task *tasks;
static unsigned task_count;

/* All scenarios, subject by subject. */
static struct entry {
    const struct subject *subject;
    const struct scenario *scenario;
} entries[SCENARIOS_MAX];
static unsigned entry_count;

static void list_scenarios(void)
{
    static const struct subject *const subjects[] = {
        &channel_subject, &crowd_subject,   &sync_subject,  &rwlock_subject, &permits_subject,
        &barrier_subject, &segment_subject, &alloc_subject, &latest_subject, &named_subject
    };
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        for (unsigned k = 0; k < *subjects[i]->count && entry_count < SCENARIOS_MAX; k++)
            entries[entry_count++] = (struct entry){ subjects[i], &subjects[i]->scenarios[k] };
}

static void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("kill: mmap");
        exit(1);
    }
    return memory;
}

static const char *const modes[] = { "surveyed", "killed", "stopped" };

static void complain(const struct round *round)
{
    const struct scenario *scenario = round->scenario;
    atomic_fetch_add(&shared->row[round->number].failed, 1);
    if (atomic_fetch_add(&shared->failures, 1) >= FAILURES_SHOWN)
        return;
    fprintf(stderr, "FAILED: %s, %s, %s at stop %u, instruction %u%s, turn %u: %s\n",
            scenario->operation, scenario->variant, modes[round->mode], round->point.stops,
            round->point.steps, round->point.is_blocked ? ", asleep" : "", round->turn,
            round->failure);
}

/* With the round that it was in: milliseconds, scenario, mode, point. */
static void note_longest(const struct round *round, const struct task *task)
{
    uint64_t ms = (uint64_t)(round->accounts->longest_ns / 1000000);
    uint64_t mine =
        ms << 42 | (uint64_t)task->scenario << 34 | (uint64_t)task->mode << 32 | task->point;
    uint64_t known = shared->longest;
    while (mine > known && !atomic_compare_exchange_weak(&shared->longest, &known, mine))
        ;
}

static void print_longest(void)
{
    uint64_t longest = shared->longest;
    unsigned index = (longest >> 34) & 0xff, mode = (longest >> 32) & 3;
    struct point point = shared->row[index].survey.points[(uint32_t)longest];
    printf("longest wait %u ms (%s, %s, %s at stop %u, instruction %u)", (unsigned)(longest >> 42),
           entries[index].scenario->operation, entries[index].scenario->variant, modes[mode],
           point.stops, point.steps);
}

static void set_scenario(struct round *round, unsigned number)
{
    round->number = number;
    round->subject = entries[number].subject;
    round->scenario = entries[number].scenario;
}

static void survey_one(struct round *round, unsigned index)
{
    struct row *row = &shared->row[index];
    int64_t before_ns = weir_now_ns();
    set_scenario(round, index);
    round->mode = SURVEY;
    round->point = (struct point){ .stops = 0 };
    row->is_surveyed = round_survey(round, &row->survey, options.every);
    if (!row->is_surveyed)
        complain(round);
    row->took_ns += weir_now_ns() - before_ns;
}

static void run_task(struct round *round, const struct task *task)
{
    struct row *row = &shared->row[task->scenario];
    int64_t before_ns = weir_now_ns();
    set_scenario(round, task->scenario);
    round->mode = (enum mode)task->mode;
    round->point = row->survey.points[task->point];
    round->turn = task->point + options.seed;
    int result = round_run(round);
    atomic_fetch_add(&row->done[task->mode], 1);
    if (result < 0)
        complain(round);
    else if (result == 0)
        atomic_fetch_add(&row->missed, 1);
    else if (task->mode == KILL)
        seen[task->scenario][task->point] = round->seen;
    note_longest(round, task);
    atomic_fetch_add(&row->took_ns, weir_now_ns() - before_ns);
}

static bool is_time_left(void)
{
    return weir_now_ns() < options.end_ns;
}

#define RUN_DIRECTORY "/dev/shm/run"

static void work(bool is_survey)
{
    static struct round round;
    unsigned next;
    /* An IPC namespace and a /dev/shm of its own; the run directory is there, too. */
    if (unshare(CLONE_NEWIPC | CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "mode=1777") != 0 ||
        mkdir(RUN_DIRECTORY, 0700) != 0 || setenv("WEIR_DIR", RUN_DIRECTORY, 1) != 0)
        _exit(SKIPPED);
    round.directory = RUN_DIRECTORY;
    round.accounts = share(sizeof *round.accounts);
    if (is_survey) {
        while ((next = atomic_fetch_add(&shared->next_survey, 1)) < entry_count)
            if (shared->row[next].is_wanted)
                survey_one(&round, next);
    } else {
        while (is_time_left() && (next = atomic_fetch_add(&shared->next_round, 1)) < task_count)
            run_task(&round, &tasks[next]);
    }
    _exit(0);
}

#define PROGRESS_NS INT64_C(15000000000)

/* A line now and then, while the workers work. */
static void show_progress(bool is_survey)
{
    static int64_t shown_ns;
    const struct timespec nap = { 0, 20000000 };
    nanosleep(&nap, NULL);
    if (shown_ns == 0)
        shown_ns = weir_now_ns();
    if (weir_now_ns() - shown_ns < PROGRESS_NS)
        return;
    shown_ns = weir_now_ns();
    if (is_survey)
        fprintf(stderr, "kill (%s): surveying, %u of %u begun\n", options.compiler,
                shared->next_survey, entry_count);
    else
        fprintf(stderr, "kill (%s): %u rounds of %u, %u failures\n", options.compiler,
                shared->next_round, task_count, shared->failures);
}

static void judge_worker(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        fprintf(stderr, "kill: skipped, no namespaces of its own are allowed here\n");
        exit(SKIPPED);
    }
    fprintf(stderr, "kill: a worker ended with wait status 0x%x\n", (unsigned)status);
    shared->failures++;
}

/* All workers through one phase. */
static void run_workers(bool is_survey)
{
    int status;
    fflush(NULL);
    for (unsigned i = 0; i < options.workers; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(is_survey);
        }
        if (pid < 0) {
            perror("kill: fork");
            exit(1);
        }
    }
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) >= 0;) {
        if (pid == 0)
            show_progress(is_survey);
        else
            judge_worker(status);
    }
}

/*
 * Of a long order the instructions that change nothing for anyone are stopped at, one in so many,
 * others for each seed: there are some ten thousand in an open.
 */
#define LONG 20000
#define LONG_STRIDE 16

static bool is_left_out(const struct survey *survey, unsigned point)
{
    return survey->points[point].is_alike && survey->instructions > LONG &&
           (point + options.seed) % LONG_STRIDE != 0;
}

/*
 * Each point of each scenario, killed and stopped; mixed, so that what fits in the time is
 * spread over all. --quick takes a few of each, others for each seed.
 */
static void list_tasks(void)
{
    size_t most = 0;
    for (unsigned i = 0; i < entry_count; i++)
        most += (size_t)2 * shared->row[i].survey.count;
    tasks = share((most + 1) * sizeof *tasks);
    for (unsigned i = 0; i < entry_count; i++) {
        const struct row *row = &shared->row[i];
        unsigned stride = options.is_quick ? row->survey.count / 5 + 1 : 1;
        for (unsigned point = options.seed % stride; row->is_surveyed && point < row->survey.count;
             point += stride) {
            if (!row->survey.points[point].is_alike)
                tasks[task_count++] = (struct task){ (uint16_t)i, KILL, point };
            if (!is_left_out(&row->survey, point))
                tasks[task_count++] = (struct task){ (uint16_t)i, STOP, point };
        }
    }
    srandom(options.seed);
    for (unsigned i = task_count; i > 1; i--) {
        unsigned other = (unsigned)random() % i;
        struct task turn = tasks[i - 1];
        tasks[i - 1] = tasks[other];
        tasks[other] = turn;
    }
}

/* A message is there from one instruction on: what is killed later shows no fewer. */
static void check_commits(unsigned index)
{
    const struct survey *survey = &shared->row[index].survey;
    int32_t most = -1;
    for (unsigned i = 0; i < survey->count; i++) {
        int32_t found = seen[index][i];
        if (found >= 0 && found < most) {
            fprintf(stderr, "FAILED: %s, %s: %d messages at point %u, %d before\n",
                    entries[index].scenario->operation, entries[index].scenario->variant, found, i,
                    most);
            atomic_fetch_add(&shared->row[index].failed, 1);
            shared->failures++;
        }
        most = found > most ? found : most;
    }
}

static void print_row(FILE *table, unsigned index)
{
    const struct scenario *scenario = entries[index].scenario;
    const struct row *row = &shared->row[index];
    bool is_recovery = scenario->flags & RECOVERY;
    unsigned kills = row->done[KILL];
    fprintf(table, "| %s%s%s | %s | %u | %u | %u | %u | %u | %u | %u | %u | %.1f s |\n",
            scenario->operation, scenario->variant[0] ? ": " : "", scenario->variant,
            options.compiler, row->survey.instructions, row->survey.stops, row->survey.count,
            row->survey.collapsed, is_recovery ? 0 : kills, is_recovery ? kills : 0,
            row->done[STOP], row->failed, (double)row->took_ns / 1e9);
}

static void print_table(FILE *table)
{
    fprintf(table,
            "| operation | compiler | instructions | system call stops | points | collapsed | "
            "killed | recoverer killed | stopped | failures | time |\n"
            "|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < entry_count; i++)
        if (shared->row[i].is_wanted)
            print_row(table, i);
}

/* What the library promises. In a sample, beside other tests, who waits has BOUND_NS. */
#define PROMISED_MS 1000

static int report(int64_t began_ns)
{
    unsigned rounds = 0, missed = 0;
    for (unsigned i = 0; i < entry_count; i++) {
        if (shared->row[i].is_surveyed)
            check_commits(i);
        rounds += shared->row[i].done[KILL] + shared->row[i].done[STOP];
        missed += shared->row[i].missed;
    }
    FILE *table = options.table ? fopen(options.table, "we") : stdout;
    if (!table) {
        perror(options.table);
        return 1;
    }
    print_table(table);
    if (options.table)
        fclose(table);
    printf("kill (%s): %u rounds of %u, %u of them over before their point, %u failures; ",
           options.compiler, rounds, task_count, missed, shared->failures);
    print_longest();
    printf("; seed %u; %.0f s\n", options.seed, (double)(weir_now_ns() - began_ns) / 1e9);
    if (rounds > 0 && missed > rounds / 50 + 2) {
        fprintf(stderr, "kill: too many rounds did not reach their point\n");
        return 1;
    }
    if (shared->next_round < task_count)
        fprintf(stderr, "kill: the time is over; the rest: --seed %u --from %u\n", options.seed,
                shared->next_round);
    if (!options.is_quick && shared->longest >> 42 > PROMISED_MS) {
        fprintf(stderr, "kill: somebody has waited for longer than %d ms\n", PROMISED_MS);
        return 1;
    }
    return shared->failures == 0 ? 0 : 1;
}

static bool wants(const struct scenario *scenario, char **operations)
{
    if (!*operations)
        return true;
    for (; *operations; operations++)
        if (strstr(scenario->operation, *operations))
            return true;
    return false;
}

static void prepare(char **operations)
{
    bool is_any = false;
    list_scenarios();
    shared = share(sizeof *shared);
    for (unsigned i = 0; i < entry_count; i++) {
        struct survey *survey = &shared->row[i].survey;
        shared->row[i].is_wanted = wants(entries[i].scenario, operations);
        is_any |= shared->row[i].is_wanted;
        survey->most = POINTS_MAX;
        survey->is_sample = options.is_quick;
        survey->points = share(POINTS_MAX * sizeof *survey->points);
        seen[i] = share(POINTS_MAX * sizeof *seen[i]);
    }
    if (!is_any) {
        fprintf(stderr, "kill: there is no such operation\n");
        exit(2);
    }
}

static int usage(void)
{
    fprintf(stderr, "Usage: sweep [--quick] [--every] [--minutes N] [--seed N] [--workers N]\n"
                    "             [--table FILE] [--compiler NAME] [OPERATION]...\n"
                    "--every kills at each instruction of long operations, too.\n");
    return 2;
}

static bool take_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "quick", no_argument, NULL, 'q' },
        { "every", no_argument, NULL, 'e' },
        { "minutes", required_argument, NULL, 'm' },
        { "seed", required_argument, NULL, 's' },
        { "from", required_argument, NULL, 'f' },
        { "workers", required_argument, NULL, 'w' },
        { "table", required_argument, NULL, 't' },
        { "compiler", required_argument, NULL, 'c' },
        { NULL, 0, NULL, 0 },
    };
    options.seed = (unsigned)(weir_now_ns() / 1000000) % 100000;
    options.workers = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) * 5;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'q':
            options.is_quick = true;
            options.minutes = 0.3;
            break;
        case 'e':
            options.every = true;
            break;
        case 'm':
            options.minutes = atof(optarg);
            break;
        case 's':
            options.seed = (unsigned)atoi(optarg);
            break;
        case 'f':
            options.first = (unsigned)atoi(optarg);
            break;
        case 'w':
            options.workers = (unsigned)atoi(optarg);
            break;
        case 't':
            options.table = optarg;
            break;
        case 'c':
            options.compiler = optarg;
            break;
        default:
            return false;
        }
    }
    return options.workers > 0 && options.minutes > 0;
}

int main(int argc, char **argv)
{
    if (!take_options(argc, argv))
        return usage();
    if (!stepper_works()) {
        fprintf(stderr, "kill: skipped, processes cannot be stepped here (ptrace is refused, or "
                        "this is no x86-64)\n");
        return SKIPPED;
    }
    int64_t began_ns = weir_now_ns();
    options.end_ns = began_ns + (int64_t)(options.minutes * 60e9);
    prepare(argv + optind);
    run_workers(true);
    for (unsigned i = 0; i < entry_count; i++)
        memset(seen[i], 0xff, (shared->row[i].survey.count + 1) * sizeof *seen[i]);
    list_tasks();
    shared->next_round = options.first;
    run_workers(false);
    return report(began_ns);
}
