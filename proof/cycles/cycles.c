/* SPDX-License-Identifier: MIT */
/*
 * Random kills in a running channel: see docs/reliability.md.
 *
 * cycles [--cycles N] [--seed N] [--table FILE]
 *
 * A member is killed at a random moment; the others must go on; what it had committed must arrive;
 * another one takes its place. At the end there are as many objects as before.
 */
#include "cycles.h"

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

#define MOST_BETWEEN_NS 10000000 /* from one kill, and what follows it, to the next */

struct board *board;

static struct {
    unsigned cycles;
    uint64_t seed;
    const char *table;
} options = { .cycles = 10000 };

static uint64_t seed;
static pid_t pids[MEMBERS];
static unsigned lives;                         /* so many publishers there have been */
static unsigned life_of[PUBLISHERS];           /* of those that are there */
static unsigned from[SUBSCRIBERS][PUBLISHERS]; /* what of that life must have come: from here on */
static char directory[] = "/dev/shm/cycles-XXXXXX"; /* WEIR_DIR */

/* By kind of the killed: how long until the slowest survivor had gone on, in ns. */
enum kind { PUBLISHER, RELIABLE_ONE, LOSSY_ONE, KINDS };
static const char *const kind_names[] = { "a publisher", "a reliable subscriber",
                                          "a lossy subscriber", "any" };
static int64_t *took_ns[KINDS + 1];
static unsigned kills[KINDS + 1];

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "cycles: FAILED (seed %llu, kill %u): ", (unsigned long long)options.seed,
            kills[KINDS]);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    members_clear(pids, MEMBERS, directory);
    exit(1);
}

static void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("cycles: mmap");
        exit(1);
    }
    return memory;
}

/* Before each look again. */
static void wait_on(int64_t since_ns, const char *what, unsigned member)
{
    const struct timespec nap = { 0, 50000 };
    if (board->is_broken)
        fail("a member has seen what must not be");
    if (weir_now_ns() - since_ns > BOUND_NS)
        fail("member %u: %s for 5 s", member, what);
    nanosleep(&nap, NULL);
}

/* --- who is there ---------------------------------------------------------------------------- */

/* Returns when it has opened. */
static void bring(unsigned member)
{
    uint64_t its_seed = draw(&seed, UINT64_MAX) | 1;
    int64_t since_ns = weir_now_ns();
    if (member < PUBLISHERS)
        life_of[member] = lives++;
    board->member[member].identity = 0;
    fflush(NULL);
    pids[member] = fork();
    if (pids[member] < 0)
        fail("fork: %s", strerror(errno));
    if (pids[member] == 0) {
        char name[20];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(name, sizeof name, "member %u", member);
        member_begin("cycles", name, &board->is_broken);
        if (member < PUBLISHERS)
            publish(member, life_of[member], its_seed);
        else
            subscribe(member, lives, its_seed);
        _exit(0);
    }
    while (board->member[member].identity == 0)
        wait_on(since_ns, "it has not opened", member);
    /* Who is there before has all; who comes has what is begun from now on. */
    for (unsigned i = 0; i < SUBSCRIBERS && member < PUBLISHERS; i++)
        from[i][member] = 0;
    for (unsigned i = 0; i < PUBLISHERS && member >= PUBLISHERS; i++)
        from[member - PUBLISHERS][i] = board->life[life_of[i]].at_most;
}

/*
 * A subscriber has all of a life that is over that it must have; a lossy one with what it missed,
 * unless the publisher was killed before it had attached.
 */
static bool has_all(unsigned subscriber, unsigned publisher)
{
    const struct seen *seen = &board->seen[subscriber][life_of[publisher]];
    const struct life *life = &board->life[life_of[publisher]];
    if (subscriber >= RELIABLE && !board->is_over && !seen->first)
        return true;
    return life->sure <= from[subscriber][publisher] || (seen->first && seen->next >= life->sure);
}

static void check_life(unsigned publisher, int64_t since_ns)
{
    const struct life *life = &board->life[life_of[publisher]];
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        const struct seen *seen = &board->seen[i][life_of[publisher]];
        if (pids[PUBLISHERS + i] == 0)
            continue;
        while (!has_all(i, publisher))
            wait_on(since_ns, "it lacks what was committed", PUBLISHERS + i);
        if (life->sure > from[i][publisher] && seen->first - 1 > from[i][publisher])
            fail("subscriber %u began with %u instead of %u", i, seen->first - 1,
                 from[i][publisher]);
        if (seen->first && seen->next > life->at_most)
            fail("subscriber %u has %u messages of %u", i, seen->next, life->at_most);
    }
}

/* --- a kill ---------------------------------------------------------------------------------- */

/*
 * The last time at which it was certainly there: what is measured from there on is, if anything,
 * too long.
 */
static int64_t slay(unsigned member)
{
    int status;
    uint64_t identity = board->member[member].identity;
    int64_t killed_ns = weir_now_ns(), alive_ns = killed_ns;
    if (kill(pids[member], SIGKILL) != 0)
        fail("kill: %s", strerror(errno));
    for (;;) {
        int64_t now_ns = weir_now_ns();
        int life = weir_life(identity, (uint32_t)geteuid());
        if (life == WEIR_LIFE_DEAD)
            break;
        if (life != WEIR_LIFE_ALIVE || now_ns - killed_ns > BOUND_NS)
            fail("member %u was killed, and is %s", member, weir_life_name(life));
        alive_ns = now_ns;
    }
    board->cycle++;
    if (waitpid(pids[member], &status, 0) != pids[member] || !WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGKILL)
        fail("member %u ended by itself", member);
    pids[member] = 0;
    return alive_ns;
}

static enum kind kind_of(unsigned member)
{
    return member < PUBLISHERS              ? PUBLISHER
           : member < PUBLISHERS + RELIABLE ? RELIABLE_ONE
                                            : LOSSY_ONE;
}

/* The slowest of the survivors. */
static int64_t see_them_go_on(int64_t since_ns)
{
    int64_t slowest_ns = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct member *member = &board->member[i];
        if (pids[i] == 0)
            continue;
        while (member->answered != board->cycle)
            wait_on(since_ns, "it has not gone on", i);
        if (member->answered_ns - since_ns > slowest_ns)
            slowest_ns = member->answered_ns - since_ns;
    }
    return slowest_ns;
}

static void one_cycle(void)
{
    unsigned member = (unsigned)draw(&seed, MEMBERS);
    const struct timespec nap = { 0, (long)draw(&seed, MOST_BETWEEN_NS) };
    enum kind kind = kind_of(member);
    nanosleep(&nap, NULL);
    int64_t dead_ns = slay(member), slowest_ns = see_them_go_on(dead_ns);
    took_ns[kind][kills[kind]++] = slowest_ns;
    took_ns[KINDS][kills[KINDS]++] = slowest_ns;
    if (member < PUBLISHERS)
        check_life(member, dead_ns);
    bring(member);
}

/* The publishers leave; the subscribers read to the end. */
static void end_all(void)
{
    int status;
    int64_t since_ns = weir_now_ns();
    board->is_over = 1;
    for (unsigned i = 0; i < MEMBERS; i++) {
        pid_t found;
        while ((found = waitpid(pids[i], &status, WNOHANG)) == 0)
            wait_on(since_ns, "it has not ended", i);
        if (found != pids[i] || status != 0)
            fail("member %u ended with wait status 0x%x", i, (unsigned)status);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++)
        check_life(i, since_ns);
    memset(pids, 0, sizeof pids);
}

/* --- what it was ----------------------------------------------------------------------------- */

static struct objects count_objects(void)
{
    struct objects objects;
    if (!objects_count(&objects, directory))
        fail("objects cannot be counted: %s", strerror(errno));
    return objects;
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static double part_ms(unsigned kind, unsigned per_mille)
{
    unsigned count = kills[kind];
    return count ? (double)took_ns[kind][(uint64_t)(count - 1) * per_mille / 1000] / 1e6 : 0;
}

static unsigned long long sum(unsigned first, unsigned end, bool is_missed)
{
    unsigned long long total = 0;
    for (unsigned i = first; i < end; i++)
        total += is_missed ? board->member[i].missed : board->member[i].messages;
    return total;
}

static void print_table(FILE *table, struct objects before, struct objects most,
                        struct objects after, double seconds)
{
    fprintf(table,
            "| killed | kills | until all survivors had gone on: half within | 99 %% within | "
            "worst |\n|---|---|---|---|---|\n");
    for (unsigned kind = 0; kind <= KINDS; kind++) {
        if (kills[kind] > 0)
            qsort(took_ns[kind], kills[kind], sizeof *took_ns[kind], compare);
        fprintf(table, "| %s | %u | %.2f ms | %.2f ms | %.2f ms |\n", kind_names[kind], kills[kind],
                part_ms(kind, 500), part_ms(kind, 990), part_ms(kind, 1000));
    }
    objects_print(table, before, "at most, between two kills", most, after);
    fprintf(table,
            "\n%llu messages sent; the reliable subscribers received %llu, the lossy one %llu, and "
            "missed %llu. Seed %llu, %.0f s.\n",
            sum(0, PUBLISHERS, false), sum(PUBLISHERS, PUBLISHERS + RELIABLE, false),
            sum(PUBLISHERS + RELIABLE, MEMBERS, false), sum(PUBLISHERS + RELIABLE, MEMBERS, true),
            (unsigned long long)options.seed, seconds);
}

static unsigned greater(unsigned one, unsigned other)
{
    return one > other ? one : other;
}

static int run(void)
{
    uint64_t identity;
    int64_t began_ns = weir_now_ns(), shown_ns = began_ns;
    if (weir_identity(&identity) != 0) /* its beacon is there before all */
        fail("%s", weir_last_error());
    struct objects before = count_objects(), most = before;
    for (unsigned i = MEMBERS; i > 0; i--)
        bring(i - 1);
    while (kills[KINDS] < options.cycles) {
        one_cycle();
        struct objects now = count_objects();
        most = (struct objects){ greater(most.segments, now.segments), greater(most.sets, now.sets),
                                 greater(most.names, now.names) };
        if (weir_now_ns() - shown_ns < 15 * BOUND_NS / 5)
            continue;
        shown_ns = weir_now_ns();
        fprintf(stderr, "cycles: %u kills of %u\n", kills[KINDS], options.cycles);
    }
    end_all();
    struct objects after = count_objects();
    FILE *table = options.table ? fopen(options.table, "we") : stdout;
    if (!table)
        fail("%s: %s", options.table, strerror(errno));
    print_table(table, before, most, after, (double)(weir_now_ns() - began_ns) / 1e9);
    if (options.table)
        fclose(table);
    if (memcmp(&before, &after, sizeof before) != 0)
        fail("there are other objects after than before");
    return 0;
}

static bool take_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "cycles", required_argument, NULL, 'c' },
        { "seed", required_argument, NULL, 's' },
        { "table", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    options.seed = (uint64_t)weir_now_ns() % 1000000;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options.cycles = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            options.table = optarg;
            break;
        default:
            return false;
        }
    }
    return optind == argc && options.cycles > 0 && options.cycles <= CYCLES_MAX;
}

int main(int argc, char **argv)
{
    if (!take_options(argc, argv)) {
        fprintf(stderr, "Usage: cycles [--cycles N] [--seed N] [--table FILE]\n");
        return 2;
    }
    seed = options.seed * 2654435761 + 1;
    board = share(sizeof *board);
    for (unsigned kind = 0; kind <= KINDS; kind++)
        took_ns[kind] = share(options.cycles * sizeof *took_ns[kind]);
    if (!mkdtemp(directory) || setenv("WEIR_DIR", directory, 1) != 0) {
        perror("cycles: a run directory");
        return 1;
    }
    int result = run();
    rmdir(directory);
    return result;
}
