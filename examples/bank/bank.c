/* SPDX-License-Identifier: MIT */
/*
 * bank [--seconds S] [--clerks N] [--table FILE] - a bank whose clerks are shot
 *
 * The textbook's shared struct, with what the textbook leaves out: the processes that write it are
 * killed, at any instruction, and nothing is lost. N clerks (8) move money between the accounts of
 * one bank in shared memory. Every few milliseconds one of them gets SIGKILL, wherever it is just
 * then, and another one is hired in its place. In between an auditor counts: the sum must always be
 * what it was at first, and nobody may ever be stuck: not all together, and not one alone. After S seconds (5) everybody goes home.
 *
 * Two things make that work:
 *
 *   1 A lock that tells of deaths. weir_mutex_lock() returns WEIR_OWNER_DIED to the next one when
 *     the holder is dead. It has the lock then, and knows that what it guards may be half done.
 *
 *   2 An intent. A transfer changes two balances, and a kill may come between the two. So before
 *     the first is touched, what BOTH shall be in the end is written down beside them, and then
 *     that it counts. Whoever finds an intent that counts carries it out: writing a balance down
 *     twice does no harm. So it does not matter how far the dead one had come; nor if the one who
 *     repairs is shot as well.
 *
 * Read in this order: struct bank, transfer(), repair(), enter().
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

enum { ACCOUNTS = 32, CLERKS_MAX = 64, FIRST_CENTS = 100000, LINES = 16 };

/*
 * What all share. The memory of a fresh segment is zero, and so is a mutex that nobody holds: there
 * is nothing to initialise but the money.
 */
struct bank {
    struct weir_mutex mutex; /* guards all of the rest, but is_closing */
    int64_t cents[ACCOUNTS];

    struct intent {
        atomic_bool counts;
        uint32_t from, to;
        int64_t from_after, to_after; /* the balances, when it is done */
    } intent;

    uint64_t transfers; /* done */
    atomic_ullong
        by[CLERKS_MAX];      /* of these, by whoever has that desk: looked at without the lock */
    char journal[LINES][64]; /* the last ones, for people */
    uint64_t repairs;        /* deaths with the lock ... */
    uint64_t redone;         /* ... and those in the midst of a transfer */
    atomic_bool is_closing;
};

/* --- the money -------------------------------------------------------------------------------- */

/*
 * Carries out what the intent says, once or once more. The line in the journal takes a hundred times
 * as long as the balances do: that is where most of those are shot who have the lock.
 */
static void carry_out(struct bank *bank)
{
    const struct intent *intent = &bank->intent;
    char *line = bank->journal[bank->transfers % LINES];
    bank->cents[intent->from] = intent->from_after;
    snprintf(line, sizeof bank->journal[0], "%llu: account %u has %lld cents, account %u has %lld",
             (unsigned long long)bank->transfers, intent->from, (long long)intent->from_after,
             intent->to, (long long)intent->to_after);
    bank->cents[intent->to] = intent->to_after;
    /* Release: the compiler must not move the balances behind this. (Another processor cannot see
     * them in another order: whoever looks has the lock, or the kernel's word that we are dead.) */
    atomic_store_explicit(&bank->intent.counts, false, memory_order_release);
}

/* With the lock. Killed before `counts = true`: nothing has happened. After it: it will. */
static void transfer(struct bank *bank, uint32_t from, uint32_t to, int64_t cents)
{
    bank->intent.from = from;
    bank->intent.to = to;
    bank->intent.from_after = bank->cents[from] - cents;
    bank->intent.to_after = bank->cents[to] + cents;
    atomic_store_explicit(&bank->intent.counts, true, memory_order_release);
    carry_out(bank);
    bank->transfers++;
}

/* With the lock of one that died. Does nothing that could not be done again from its begin. */
static void repair(struct bank *bank)
{
    bool was_counting = atomic_load_explicit(&bank->intent.counts, memory_order_acquire);
    if (was_counting)
        carry_out(bank);
    bank->redone += was_counting;
    bank->repairs++;
}

/* 0, or what weir says: then the lock is not held. */
static int enter(struct bank *bank, int64_t deadline_ns)
{
    int result = weir_mutex_lock_until(&bank->mutex, deadline_ns);
    if (result != WEIR_OWNER_DIED)
        return result;
    repair(bank);
    /* Only now is it an ordinary lock again. Killed before, and the next one repairs once more. */
    return weir_mutex_consistent(&bank->mutex);
}

static void leave(struct bank *bank)
{
    weir_mutex_unlock(&bank->mutex);
}

/* With the lock. */
static int64_t sum(const struct bank *bank)
{
    int64_t cents = 0;
    for (int i = 0; i < ACCOUNTS; i++)
        cents += bank->cents[i];
    return cents;
}

/* --- a clerk ---------------------------------------------------------------------------------- */

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % below;
}

/* A process of its own, which finds the bank by its name. Ends when the bank closes, or is shot. */
static int work(const char *name, unsigned number, uint32_t seed)
{
    struct weir_segment *segment;
    int result = weir_segment_open(&segment, weir_by_name(name), sizeof(struct bank), NULL);
    if (result != 0) {
        fprintf(stderr, "bank: a clerk finds no bank: %s\n", weir_last_error());
        return 1;
    }
    struct bank *bank = weir_segment_data(segment);
    while (!atomic_load(&bank->is_closing)) {
        uint32_t from = draw(&seed, ACCOUNTS), to = draw(&seed, ACCOUNTS);
        if (from == to)
            continue;
        result = enter(bank, WEIR_NEVER);
        if (result != 0) {
            fprintf(stderr, "bank: a clerk cannot lock: %s\n", weir_last_error());
            return 1;
        }
        transfer(bank, from, to, draw(&seed, 5000));
        bank->by[number]++;
        leave(bank);
    }
    weir_segment_close(segment);
    return 0;
}

/* A death costs a fifth of a second. The rest is for a machine that has other things to do. */
#define PATIENCE_NS (5 * WEIR_SECOND_NS)

/* --- the director: hires, shoots, and has the books audited -------------------------------------- */

struct director {
    struct bank *bank;
    const char *name;
    const char *table; /* NULL: none */
    unsigned clerk_count;
    pid_t clerks[CLERKS_MAX];
    uint32_t seed;
    unsigned killed, audits;
    uint64_t transfers_before;

    struct watch {
        unsigned number; /* of the clerk who is watched, and not shot meanwhile */
        uint64_t before; /* its transfers then */
        int64_t since_ns, longest_ns;
        unsigned count; /* that have ended well */
    } watch;
};

static bool hire(struct director *director, unsigned number)
{
    uint32_t seed = draw(&director->seed, UINT32_MAX - 1) + 1;
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody works for a bank whose director is dead */
        _exit(getppid() == parent ? work(director->name, number, seed) : 1);
    }
    director->clerks[number] = child;
    return child > 0;
}

/* Wherever it is just then: in its first instruction, in the lock, in the midst of a transfer. */
static bool shoot_and_hire(struct director *director)
{
    int status;
    unsigned number = draw(&director->seed, director->clerk_count);
    if (number == director->watch.number && director->clerk_count > 1)
        return true; /* this time nobody */
    kill(director->clerks[number], SIGKILL);
    waitpid(director->clerks[number], &status, 0);
    if (!WIFSIGNALED(status)) {
        fprintf(stderr, "bank: a clerk went home in the middle of the day\n");
        return false;
    }
    director->killed++;
    return hire(director, number);
}

static void watch_another(struct director *director)
{
    struct watch *watch = &director->watch;
    watch->number = draw(&director->seed, director->clerk_count);
    watch->before = director->bank->by[watch->number];
    watch->since_ns = weir_now_ns();
}

/*
 * A clerk who is stuck while all others work would be shot before anybody sees it. So one is watched, and
 * spared, until it has moved money, which it must do in time; then it is another one's turn.
 */
static bool watch_one(struct director *director)
{
    struct watch *watch = &director->watch;
    int64_t took_ns = weir_now_ns() - watch->since_ns;
    if (director->clerk_count == 1 || director->bank->by[watch->number] != watch->before) {
        watch->longest_ns = took_ns > watch->longest_ns ? took_ns : watch->longest_ns;
        watch->count++;
        watch_another(director);
        return true;
    }
    if (took_ns < PATIENCE_NS)
        return true;
    fprintf(stderr, "bank: clerk %u is stuck, all others work\n", watch->number);
    return false;
}

/* In time, whoever was shot with the lock; and since the last audit work was done. */
static bool audit(struct director *director)
{
    struct bank *bank = director->bank;
    int result = enter(bank, weir_deadline_ns(PATIENCE_NS));
    if (result != 0) {
        fprintf(stderr, "bank: stuck: %s\n", weir_last_error());
        return false;
    }
    int64_t cents = sum(bank);
    bool has_moved = bank->transfers != director->transfers_before;
    director->transfers_before = bank->transfers;
    director->audits++;
    leave(bank);
    if (cents != (int64_t)ACCOUNTS * FIRST_CENTS)
        fprintf(stderr, "bank: %lld cents are missing\n",
                (long long)ACCOUNTS * FIRST_CENTS - (long long)cents);
    if (!has_moved)
        fprintf(stderr, "bank: nobody has worked since the last audit\n");
    return has_moved && cents == (int64_t)ACCOUNTS * FIRST_CENTS;
}

#define AUDIT_NS (WEIR_SECOND_NS / 2)

static bool run_day(struct director *director, unsigned seconds)
{
    int64_t evening_ns = weir_deadline_ns(seconds * WEIR_SECOND_NS);
    int64_t audit_ns = weir_deadline_ns(AUDIT_NS);
    watch_another(director);
    while (weir_now_ns() < evening_ns) {
        /* Not to wait for something: this is how seldom somebody is shot. */
        struct timespec pause = { 0, 1000000 + (long)draw(&director->seed, 15000000) };
        nanosleep(&pause, NULL);
        if (!watch_one(director) || !shoot_and_hire(director))
            return false;
        if (weir_now_ns() < audit_ns)
            continue;
        if (!audit(director))
            return false;
        audit_ns = weir_deadline_ns(AUDIT_NS);
    }
    return true;
}

/* Everybody goes home by himself, in time; who does not was stuck. */
static bool close_bank(struct director *director)
{
    unsigned stuck = 0, angry = 0;
    int64_t until_ns = weir_deadline_ns(PATIENCE_NS);
    atomic_store(&director->bank->is_closing, true);
    for (unsigned i = 0; i < director->clerk_count; i++) {
        int status = 0;
        pid_t found;
        while ((found = waitpid(director->clerks[i], &status, WNOHANG)) == 0 &&
               weir_now_ns() < until_ns)
            nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        if (found == 0) {
            stuck++;
            kill(director->clerks[i], SIGKILL);
            waitpid(director->clerks[i], &status, 0);
        } else {
            angry += status != 0;
        }
    }
    if (stuck || angry)
        fprintf(stderr, "bank: at the end %u clerks were stuck, %u had failed\n", stuck, angry);
    return stuck == 0 && angry == 0;
}

/* With the lock: what the day was, for people; and as the row of a table. */
static void report(const struct director *director, unsigned seconds, const char *sum_is)
{
    const struct bank *bank = director->bank;
    unsigned long long transfers = bank->transfers, repairs = bank->repairs, redone = bank->redone;
    int longest_ms = (int)(director->watch.longest_ns / 1000000);
    printf(
        "bank: %llu transfers by %u clerks in %u s; %u were shot, %llu of them with the lock,\n"
        "      %llu in the midst of a transfer; %u audits; %u clerks watched until they worked,\n"
        "      for %d ms at most; the sum is %s\n",
        transfers, director->clerk_count, seconds, director->killed, repairs, redone,
        director->audits, director->watch.count, longest_ms, sum_is);
    printf("      last line: %s\n", bank->journal[(bank->transfers - 1) % LINES]);
    FILE *table = director->table ? fopen(director->table, "we") : NULL;
    if (!table)
        return;
    fprintf(table,
            "| clerks | seconds | transfers | shot | with the lock | in the midst of a transfer | "
            "audits | watched | longest watch | sum |\n|---|---|---|---|---|---|---|---|---|---|\n"
            "| %u | %u | %llu | %u | %llu | %llu | %u | %u | %d ms | %s |\n",
            director->clerk_count, seconds, transfers, director->killed, repairs, redone,
            director->audits, director->watch.count, longest_ms, sum_is);
    fclose(table);
}

static int open_for_business(struct director *director, unsigned seconds)
{
    struct weir_segment *segment;
    /* Ephemeral: when the last process is gone, by any way, the kernel frees it. */
    int result =
        weir_segment_create(&segment, weir_by_name(director->name), sizeof(struct bank), NULL);
    if (result != 0) {
        fprintf(stderr, "bank: %s\n", weir_last_error());
        return 1;
    }
    struct bank *bank = director->bank = weir_segment_data(segment);
    for (int i = 0; i < ACCOUNTS; i++)
        bank->cents[i] = FIRST_CENTS;
    bool is_well = true;
    for (unsigned i = 0; i < director->clerk_count; i++)
        is_well = hire(director, i) && is_well;
    is_well = is_well && run_day(director, seconds);
    is_well = close_bank(director) && is_well;
    is_well = is_well && enter(bank, weir_deadline_ns(PATIENCE_NS)) == 0;
    if (is_well) {
        is_well = sum(bank) == (int64_t)ACCOUNTS * FIRST_CENTS;
        report(director, seconds, is_well ? "right" : "WRONG");
        leave(bank);
    }
    weir_segment_close(segment);
    weir_collect(0, NULL, NULL); /* what those left who were shot while they took their places */
    return is_well ? 0 : 1;
}

static bool take_number(const char *text, unsigned least, unsigned most, unsigned *number)
{
    char *end;
    errno = 0;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text || *end != 0 || end == text || errno != 0 || value < least || value > most)
        return false;
    *number = (unsigned)value;
    return true;
}

int main(int argc, char **argv)
{
    static struct director director = { .clerk_count = 8 };
    unsigned seconds = 5;
    bool is_well = true;
    for (int i = 1; i < argc && is_well; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            is_well = take_number(argv[i + 1], 1, 100000, &seconds);
        else if (strcmp(argv[i], "--table") == 0)
            is_well = (director.table = argv[i + 1]) != NULL;
        else
            is_well = strcmp(argv[i], "--clerks") == 0 &&
                      take_number(argv[i + 1], 1, CLERKS_MAX, &director.clerk_count);
    }
    if (!is_well) {
        fprintf(stderr, "Usage: bank [--seconds S] [--clerks N] [--table FILE]\n");
        return 2;
    }
    char name[40];
    snprintf(name, sizeof name, "bank-%ld", (long)getpid());
    director.name = name;
    director.seed = (uint32_t)weir_now_ns() | 1;
    return open_for_business(&director, seconds);
}
