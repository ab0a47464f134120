/* SPDX-License-Identifier: MIT */
/*
 * One cell: two processes that take turns through its sides, round after round, until
 * enough rounds bear one tag. It is opened several times, each time with other memory: which pages of
 * the machine's a ring lies in decides how well it fits a cache, and stays the same while it is open.
 */
#include "lane.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "histogram.h"
#include "ticks.h"

enum step { STEP_LOOK = -1, STEP_END = -2 };

/* Who takes longer than this has lost the other. */
enum { PATIENCE_S = 600 };

enum { MESSAGES_MIN = 50 };

/*
 * Asleep, the answering process waits in the kernel for each message. Should the machine keep the
 * driver from its pause, or that process from its wait, the run says nothing of wake-ups. So the
 * kernel's count of how often that process gave its processor up by itself decides, at both sides:
 * so many times a message at least. What was measured has no part in it.
 */
#define SLEEPS_MIN 0.9

static void *map(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        give_up("%zu bytes of memory: %s", size, strerror(errno));
    return memory;
}

static unsigned char *make_buffer(uint64_t size)
{
    const uint64_t word = PAYLOAD_WORD;
    unsigned char *buffer = aligned_alloc(LINE_BYTES, (size + LINE_BYTES - 1) & -LINE_BYTES);
    if (!buffer)
        give_up("no memory for a message");
    for (uint64_t at = 0; at + 8 <= size; at += 8)
        memcpy(buffer + at, &word, 8);
    return buffer;
}

/* How often this process waited in the kernel. */
static uint64_t sleep_count(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        give_up("getrusage: %s", strerror(errno));
    return (uint64_t)usage.ru_nvcsw;
}

/* One run of one side, by both; figures: the driver's, NULL in the answering process. */
static void run(struct player *player, const struct transport *transport, void *state,
                uint64_t messages, struct figures *figures)
{
    static struct histogram histogram;
    bool is_round_trip = player->work.kind == ROUND_TRIP || player->work.kind == ASLEEP;
    histogram_clear(&histogram);
    if (figures && transport->wake)
        transport->wake(state);
    meet(player);
    uint64_t sleeps = sleep_count(), start = ticks();
    if (player->role == 0 && is_round_trip)
        transport->ping(state, messages, &histogram);
    else if (player->role == 0)
        transport->send(state, messages);
    else if (is_round_trip)
        transport->pong(state, messages);
    else
        transport->receive(state, messages);
    if (player->role == 1)
        player->board->sleeps = sleep_count() - sleeps;
    meet(player);
    if (!figures)
        return;
    double ns = (double)(ticks() - start) / player->ticks_per_ns;
    if (transport->rest)
        transport->rest(state);
    double scale = 1 / player->ticks_per_ns;
    *figures = (struct figures){
        .p50_ns = scale * histogram_quantile(&histogram, 0.5),
        .p99_ns = scale * histogram_quantile(&histogram, 0.99),
        .p999_ns = scale * histogram_quantile(&histogram, 0.999),
        .max_ns = scale * (double)histogram.max,
        .messages_per_s = (double)messages / ns * 1e9,
        .sleeps = (double)player->board->sleeps / (double)messages,
    };
}

static void command(struct player *player, int next, uint64_t messages)
{
    player->board->next = next;
    player->board->messages = messages;
    meet(player);
}

static struct look command_look(struct player *player)
{
    command(player, STEP_LOOK, 0);
    return look(player);
}

/* A few at least, so that there are quantiles. */
static uint64_t messages_of(const struct cell *cell, unsigned side)
{
    unsigned slowness = cell->sides[side]->slowness;
    uint64_t messages = cell->work.messages / (slowness ? slowness : 1);
    return messages < MESSAGES_MIN ? cell->work.messages : messages;
}

/* Where its first two sides were, unless somebody hardly slept who should. */
static void count_round(const struct round *round, unsigned counts[TAGS])
{
    if (!round->is_awake)
        counts[tag_of_pair(round)]++;
}

/* Rounds until enough of them are near, or far, with whole cores for the first two sides, and asleep
 * where that is wanted. */
static void drive(struct player *player, const struct cell *cell, void **states)
{
    struct board *board = player->board;
    struct figures warm;
    unsigned counts[TAGS] = { 0 };
    for (unsigned side = 0; side < cell->side_count; side++) {
        uint64_t few = cell->work.messages / 8 + 1;
        command(player, (int)side, few);
        run(player, cell->sides[side], states[side], few, &warm);
    }
    while (board->round_count < player->most && counts[NEAR] < player->wanted &&
           counts[FAR] < player->wanted) {
        struct round *round = &board->rounds[board->round_count++];
        round->looks[0] = command_look(player);
        for (unsigned side = 0; side < cell->side_count; side++) {
            uint64_t messages = messages_of(cell, side);
            command(player, (int)side, messages);
            run(player, cell->sides[side], states[side], messages, &round->sides[side]);
            round->looks[side + 1] = command_look(player);
        }
        round->is_awake = cell->work.kind == ASLEEP && (round->sides[0].sleeps < SLEEPS_MIN ||
                                                        round->sides[1].sleeps < SLEEPS_MIN);
        count_round(round, counts);
    }
    board->is_whole = true;
    command(player, STEP_END, 0);
}

static void answer(struct player *player, const struct cell *cell, void **states)
{
    struct board *board = player->board;
    for (;;) {
        meet(player);
        if (board->next == STEP_END)
            return;
        if (board->next == STEP_LOOK)
            look(player);
        else
            run(player, cell->sides[board->next], states[board->next], board->messages, NULL);
    }
}

static _Noreturn void play(struct player *player, const struct cell *cell,
                           const struct settings *settings)
{
    void *states[SIDES_MAX];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(PATIENCE_S);
    pin_to(settings->cpus[player->role]);
    uint64_t buffer_bytes = burst_of(player->work.size_bytes) * player->work.size_bytes;
    player->source = make_buffer(buffer_bytes);
    player->sink = make_buffer(buffer_bytes);
    for (unsigned i = 0; i < cell->side_count; i++) {
        unsigned side = player->is_reversed ? cell->side_count - 1 - i : i;
        states[side] = cell->sides[side]->open(player);
    }
    if (player->role == 0)
        drive(player, cell, states);
    else
        answer(player, cell, states);
    for (unsigned side = 0; side < cell->side_count; side++)
        cell->sides[side]->close(states[side]);
    exit(0);
}

/* Waits for both; the other of one that fails is killed. */
static bool reap(const pid_t pids[2])
{
    bool is_good = true;
    for (int left = 2; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);
        if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        if (is_good && left == 2)
            kill(pid == pids[0] ? pids[1] : pids[0], SIGKILL);
        is_good = false;
    }
    return is_good;
}

/* The memory of the bare rings, of one opening. */
struct rings {
    struct ring_shm *there, *back, *readonly_there, *readonly_back;
};

static size_t ring_size(const struct cell *cell)
{
    return sizeof(struct ring_shm) + cell->work.ring_bytes;
}

static struct rings make_rings(const struct cell *cell)
{
    size_t size = ring_size(cell);
    return (struct rings){ map(size), map(size), map(size), map(size) };
}

static void free_rings(const struct rings *rings, const struct cell *cell)
{
    size_t size = ring_size(cell);
    munmap(rings->there, size);
    munmap(rings->back, size);
    munmap(rings->readonly_there, size);
    munmap(rings->readonly_back, size);
}

/* The rounds of one opening, behind those that there are. */
static void take_rounds(struct board *board, const struct board *from)
{
    memcpy(&board->rounds[board->round_count], from->rounds,
           from->round_count * sizeof *from->rounds);
    board->round_count += from->round_count;
}

/* So many rounds of one tag, and so many at most. */
static bool run_opening(const struct cell *cell, const struct settings *settings,
                        const struct rings *rings, unsigned wanted, unsigned most, bool is_reversed,
                        struct board *board)
{
    char channel[32];
    struct player player = { .work = cell->work,
                             .is_default_wait = settings->is_default_wait,
                             .wanted = wanted,
                             .most = most,
                             .is_reversed = is_reversed,
                             .channel = channel,
                             .board = map(sizeof *board),
                             .there = rings->there,
                             .back = rings->back,
                             .readonly_there = rings->readonly_there,
                             .readonly_back = rings->readonly_back,
                             .ticks_per_ns = settings->ticks_per_ns,
                             .whole = settings->whole };
    pid_t pids[2];
    snprintf(channel, sizeof channel, "bench/%d", (int)getpid());
    if (pipe(player.pipe_there) != 0 || pipe(player.pipe_back) != 0)
        give_up("pipe: %s", strerror(errno));
    fflush(NULL);
    for (unsigned role = 0; role < 2; role++) {
        player.role = role;
        pids[role] = fork();
        if (pids[role] < 0)
            give_up("fork: %s", strerror(errno));
        if (pids[role] == 0)
            play(&player, cell, settings);
    }
    bool is_good = reap(pids) && player.board->is_whole;
    take_rounds(board, player.board);
    for (int end = 0; end < 2; end++) {
        close(player.pipe_there[end]);
        close(player.pipe_back[end]);
    }
    munmap(player.board, sizeof *board);
    return is_good;
}

/* Rounds so far of the tag that most of them bear. */
static unsigned count_alike(const struct board *board)
{
    unsigned counts[TAGS] = { 0 };
    for (unsigned i = 0; i < board->round_count; i++)
        count_round(&board->rounds[i], counts);
    return counts[NEAR] > counts[FAR] ? counts[NEAR] : counts[FAR];
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/*
 * Each opening has its part of the rounds; three times as many as are wanted at most, of all. What one
 * had its rings in stays taken until the last is over, so that the next is given other pages.
 */
bool cell_run(const struct cell *cell, const struct settings *settings, struct board *board)
{
    struct rings rings[ROUNDS_MAX];
    unsigned most = least(3 * settings->rounds, ROUNDS_MAX), opened = 0, alike = 0;
    unsigned openings = settings->openings ? settings->openings : 1;
    unsigned part = (settings->rounds + openings - 1) / openings;
    bool is_good = true;
    board->round_count = 0;
    while (is_good && board->round_count < most && alike < settings->rounds) {
        rings[opened] = make_rings(cell);
        unsigned wanted = least(part, settings->rounds - alike);
        is_good = run_opening(cell, settings, &rings[opened], wanted,
                              least(3 * wanted, most - board->round_count), opened % 2, board);
        opened++;
        alike = count_alike(board);
    }
    while (opened > 0)
        free_rings(&rings[--opened], cell);
    if (!is_good)
        fprintf(stderr, "lane: %s failed\n", cell->name);
    return is_good;
}
