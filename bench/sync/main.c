/* SPDX-License-Identifier: MIT */
/*
 * sync - weir's locks and semaphores beside the C library's and System V's, in one run, as ratios
 *
 * Each side of a cell is used by so many processes for a while, in turns, round after round; the
 * bounce of a cache line before and after says how far the two cores were apart, and only rounds
 * that bear the same tag are taken. Times alone mean nothing on another machine.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

#include "bounce.h"
#include "cpus.h"
#include "sync.h"
#include "values.h"

static const struct cell cells[] = {
    { "mutex/alone",
      "lock and unlock, nobody else there",
      1,
      1 / 1.2,
      ANYWHERE,
      true,
      { &mutex_weir, &mutex_private, &mutex_robust, &mutex_semop } },
    { "mutex/2",
      "2 processes lock and unlock",
      2,
      1,
      APART,
      true,
      { &mutex_weir, &mutex_robust, &mutex_semop } },
    { "mutex/4",
      "4 processes",
      4,
      1,
      ANYWHERE,
      true,
      { &mutex_weir, &mutex_robust, &mutex_semop } },
    { "mutex/8",
      "8 processes",
      8,
      1,
      ANYWHERE,
      true,
      { &mutex_weir, &mutex_robust, &mutex_semop } },
    { "semaphore/alone",
      "post and wait, nobody else there",
      1,
      1,
      ANYWHERE,
      true,
      { &semaphore_weir, &semaphore_posix, &semaphore_semop } },
    { "semaphore/pair",
      "2 processes call each other",
      2,
      1,
      APART,
      true,
      { &pair_weir, &pair_posix, &pair_semop } },
    { "semaphore/core",
      "2 processes on one core call each other",
      2,
      1,
      TOGETHER,
      true,
      { &pair_weir, &pair_posix, &pair_semop } },
    { "semaphore/work",
      "2 processes call each other, with 4 µs of work before each call",
      2,
      1,
      APART,
      true,
      { &work_weir, &work_posix, &work_semop } },
    { "rwlock/1", "1 process reads", 1, 0, ANYWHERE, true, { &rwlock_weir, &rwlock_posix } },
    { "rwlock/2", "2 processes read", 2, 1, APART, true, { &rwlock_weir, &rwlock_posix } },
    { "rwlock/4", "4 processes", 4, 1, ANYWHERE, true, { &rwlock_weir, &rwlock_posix } },
    { "rwlock/8", "8 processes", 8, 1, ANYWHERE, true, { &rwlock_weir, &rwlock_posix } },
};

enum { CELLS = sizeof cells / sizeof *cells };

/* Shared by the processes of a run. */
struct board {
    _Atomic unsigned ready;
    _Atomic bool is_begun, is_over;
    _Alignas(128) _Atomic uint64_t uses[PROCESSES_MAX][16];
};

struct settings {
    unsigned rounds;
    int64_t run_ns;
    int cpus[2];
    const char *only;
    char output; /* t, m, j */
};

struct summary {
    const struct cell *cell;
    bool is_far;
    unsigned pairs, rounds;
    double bounce_ns, ratio, lowest, highest;
    double rate[SIDES_MAX]; /* uses a second, median */
};

_Noreturn void give_up(const char *what)
{
    fprintf(stderr, "sync: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        give_up("mmap");
    return memory;
}

static void *stand_by(void *argument)
{
    pause();
    return argument;
}

static void take_place(enum placement placement, const int cpus[2], unsigned number)
{
    if (placement != ANYWHERE && !cpus_pin(cpus[placement == APART ? number : 0]))
        give_up("sched_setaffinity");
}

static void play(const struct cell *cell, const struct side *side, void *memory,
                 struct board *board, unsigned number)
{
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cell->is_threaded && pthread_create(&thread, NULL, stand_by, NULL) != 0)
        give_up("pthread_create");
    if (side->enter)
        side->enter(memory);
    atomic_fetch_add(&board->ready, 1);
    while (!atomic_load_explicit(&board->is_begun, memory_order_acquire))
        sched_yield();
    uint64_t uses = 0;
    while (!atomic_load_explicit(&board->is_over, memory_order_relaxed)) {
        side->use(memory, number);
        uses += 64;
        atomic_store_explicit(&board->uses[number][0], uses, memory_order_relaxed);
    }
    /* Those that call each other: the last one that is over is let go by its parent. */
    pause();
}

static uint64_t uses_now(const struct cell *cell, struct board *board)
{
    uint64_t uses = 0;
    for (unsigned i = 0; i < cell->processes; i++)
        uses += atomic_load_explicit(&board->uses[i][0], memory_order_relaxed);
    return uses;
}

/* Uses a second. */
static double run_side(const struct cell *cell, const struct side *side,
                       const struct settings *settings)
{
    void *memory = shared_memory(MEMORY_BYTES);
    struct board *board = shared_memory(sizeof *board);
    pid_t pids[PROCESSES_MAX];
    side->make(memory);
    fflush(NULL);
    for (unsigned i = 0; i < cell->processes; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            give_up("fork");
        if (pids[i] == 0) {
            take_place(cell->placement, settings->cpus, i);
            play(cell, side, memory, board, i);
            _exit(0);
        }
    }
    while (atomic_load(&board->ready) < cell->processes)
        sched_yield();
    int64_t begin_ns = weir_now_ns();
    atomic_store(&board->is_begun, true);
    struct timespec nap = { settings->run_ns / WEIR_SECOND_NS, settings->run_ns % WEIR_SECOND_NS };
    nanosleep(&nap, NULL);
    uint64_t uses = uses_now(cell, board);
    int64_t took_ns = weir_now_ns() - begin_ns;
    atomic_store(&board->is_over, true);
    for (unsigned i = 0; i < cell->processes; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    if (side->end)
        side->end(memory);
    munmap(memory, MEMORY_BYTES);
    munmap(board, sizeof *board);
    return (double)uses * 1e9 / (double)took_ns;
}

struct round {
    double before_ns, after_ns;
    double rate[SIDES_MAX];
};

static bool is_far(const struct round *round)
{
    return round->after_ns >= BOUNCE_NEAR_BELOW_NS;
}

static bool is_mixed(const struct round *round)
{
    return is_far(round) != (round->before_ns >= BOUNCE_NEAR_BELOW_NS);
}

static void summarize(struct summary *summary, const struct round *rounds, unsigned count)
{
    double values[SIDES_MAX + 2][ROUNDS_MAX];
    unsigned near = 0, far = 0, taken = 0;
    for (unsigned i = 0; i < count; i++) {
        near += !is_mixed(&rounds[i]) && !is_far(&rounds[i]);
        far += !is_mixed(&rounds[i]) && is_far(&rounds[i]);
    }
    summary->is_far = far > near;
    summary->rounds = count;
    for (unsigned i = 0; i < count; i++) {
        if (is_mixed(&rounds[i]) || is_far(&rounds[i]) != summary->is_far)
            continue;
        for (unsigned side = 0; side < SIDES_MAX; side++)
            values[side][taken] = rounds[i].rate[side];
        values[SIDES_MAX][taken] = rounds[i].rate[0] / rounds[i].rate[1];
        values[SIDES_MAX + 1][taken++] = rounds[i].after_ns;
    }
    summary->pairs = taken;
    if (taken == 0)
        return;
    for (unsigned side = 0; side < SIDES_MAX; side++)
        summary->rate[side] = values_median(values[side], taken);
    summary->ratio = values_median(values[SIDES_MAX], taken);
    summary->lowest = values[SIDES_MAX][0];
    summary->highest = values[SIDES_MAX][taken - 1];
    summary->bounce_ns = values_median(values[SIDES_MAX + 1], taken);
}

static void run_cell(const struct cell *cell, const struct settings *settings,
                     struct summary *summary)
{
    struct round rounds[ROUNDS_MAX];
    unsigned count = 0;
    *summary = (struct summary){ .cell = cell };
    while (count < settings->rounds) {
        struct round *round = &rounds[count++];
        memset(round, 0, sizeof *round);
        round->before_ns = bounce_probe(settings->cpus[0], settings->cpus[1]);
        for (unsigned side = 0; side < SIDES_MAX && cell->sides[side]; side++)
            round->rate[side] = run_side(cell, cell->sides[side], settings);
        round->after_ns = bounce_probe(settings->cpus[0], settings->cpus[1]);
    }
    summarize(summary, rounds, count);
}

static const char *verdict(const struct summary *summary)
{
    return summary->cell->aim <= 0                ? "beside the others alone"
           : summary->pairs == 0                  ? "no round between the same cores"
           : summary->ratio >= summary->cell->aim ? "reached"
                                                  : "missed";
}

static void print_text(const struct summary *summary)
{
    const struct cell *cell = summary->cell;
    printf("%-16s %s; %s (bounce %.0f ns), %u of %u rounds\n", cell->name, cell->what,
           summary->is_far ? "far" : "near", summary->bounce_ns, summary->pairs, summary->rounds);
    for (unsigned side = 0; side < SIDES_MAX && cell->sides[side]; side++)
        printf("  %-8s %12.3f M/s %10.1f ns each\n", cell->sides[side]->name,
               summary->rate[side] / 1e6, 1e9 / summary->rate[side]);
    printf("  ratio    %.2f (%.2f to %.2f), at least %.2f: %s\n", summary->ratio, summary->lowest,
           summary->highest, cell->aim, verdict(summary));
}

static void print_markdown(const struct summary *summary)
{
    const struct cell *cell = summary->cell;
    printf("| %s: %s | %s, %.0f ns | %u of %u | ÷ %s %.2f | %.2f to %.2f | %.2f | %s |", cell->name,
           cell->what, summary->is_far ? "far" : "near", summary->bounce_ns, summary->pairs,
           summary->rounds, cell->sides[1]->name, summary->ratio, summary->lowest, summary->highest,
           cell->aim, verdict(summary));
    for (unsigned side = 2; side < SIDES_MAX && cell->sides[side]; side++)
        printf(" %s%s %.2f", side > 2 ? "; " : "÷ ", cell->sides[side]->name,
               summary->rate[0] / summary->rate[side]);
    puts(" |");
}

static void print_json(const struct summary *summary)
{
    const struct cell *cell = summary->cell;
    printf("{\"cell\":\"%s\",\"cores\":\"%s\",\"bounce_ns\":%.1f,\"pairs\":%u,\"rounds\":%u,"
           "\"ratio\":%.4f,\"lowest\":%.4f,\"highest\":%.4f,\"aim\":%.4f",
           cell->name, summary->is_far ? "far" : "near", summary->bounce_ns, summary->pairs,
           summary->rounds, summary->ratio, summary->lowest, summary->highest, cell->aim);
    for (unsigned side = 0; side < SIDES_MAX && cell->sides[side]; side++)
        printf(",\"%s_per_s\":%.0f", cell->sides[side]->name, summary->rate[side]);
    puts("}");
}

static const char usage[] =
    "Usage: sync [OPTION]...\n"
    "\n"
    "Measures weir's mutex, semaphore and read-write lock beside the C library's and System V's.\n"
    "\n"
    "Options:\n"
    "  -c, --cell NAME    only the cells whose names begin so: mutex, semaphore/pair\n"
    "  -q, --quick        a few seconds, to see that it works: no figures to keep\n"
    "  -j, --json         a line of JSON a cell\n"
    "  -m, --markdown     the table of docs/performance.md\n"
    "  -r, --rounds N     1 to 31 (9)\n"
    "  -C, --cpus A,B     the two processors whose distance is probed\n"
    "  -h, --help         show this\n";

static const struct option options[] = {
    { "cell", required_argument, NULL, 'c' },   { "quick", no_argument, NULL, 'q' },
    { "json", no_argument, NULL, 'j' },         { "markdown", no_argument, NULL, 'm' },
    { "rounds", required_argument, NULL, 'r' }, { "cpus", required_argument, NULL, 'C' },
    { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
};

static void read_options(int argc, char **argv, struct settings *settings)
{
    int option;
    bool is_good = true;
    while (is_good && (option = getopt_long(argc, argv, "c:qjmr:C:h", options, NULL)) != -1) {
        if (option == 'c')
            settings->only = optarg;
        else if (option == 'q')
            settings->rounds = 1, settings->run_ns = 5 * WEIR_MILLISECOND_NS;
        else if (option == 'j' || option == 'm')
            settings->output = (char)option;
        else if (option == 'r')
            is_good =
                (settings->rounds = (unsigned)atoi(optarg)) >= 1 && settings->rounds <= ROUNDS_MAX;
        else if (option == 'C')
            is_good = sscanf(optarg, "%d,%d", &settings->cpus[0], &settings->cpus[1]) == 2;
        else if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        } else
            is_good = false;
    }
    if (!is_good || optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct settings settings = { 9, 50 * WEIR_MILLISECOND_NS, { 0, 0 }, NULL, 't' };
    unsigned found = 0;
    if (!cpus_choose(settings.cpus)) {
        fputs("sync: two processors are needed\n", stderr);
        return 77;
    }
    read_options(argc, argv, &settings);
    if (settings.output == 'm')
        puts("| cell | cores | rounds | weir, rate | lowest to highest | at least | | beside |\n"
             "|---|---|---|---|---|---|---|---|");
    for (unsigned i = 0; i < CELLS; i++) {
        struct summary summary;
        if (settings.only && strncmp(cells[i].name, settings.only, strlen(settings.only)) != 0)
            continue;
        found++;
        run_cell(&cells[i], &settings, &summary);
        if (settings.output == 'j')
            print_json(&summary);
        else if (settings.output == 'm')
            print_markdown(&summary);
        else
            print_text(&summary);
        fflush(stdout);
    }
    if (found == 0) {
        fputs("sync: there is no such cell\n", stderr);
        return 2;
    }
    return 0;
}
