/* SPDX-License-Identifier: MIT */
/*
 * words [SECONDS] - four processes push and pop words; every few milliseconds one of them, chosen
 * at random, is killed and started again. Each finds the memory by its name, and has it at an address of
 * its own. Now and then, and at the end, list, table and memory must agree.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "list.h"

#define WORKERS 4
#define NAP_NS 3000000
#define CHECK_EVERY 16 /* kills */

static char name[40];

static int fail(const char *what)
{
    fprintf(stderr, "words: %s: %s\n", what, weir_last_error());
    return 1;
}

/*
 * The segment at an address that nobody else has it at: not where the parent has it, whose mapping a child
 * inherits; and behind a gap, as large as the number says.
 */
static int find(struct view *view, struct view *parents, struct weir_segment *inherited,
                unsigned number)
{
    struct weir_segment *segment;
    weir_segment_close(inherited);
    mmap(parents->space.base, parents->space.size_bytes, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    mmap(NULL, (size_t)(number % 1000 + 1) << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (weir_segment_open(&segment, weir_by_name(name), view_bytes(), NULL) != 0 ||
        view_open(view, segment) != 0)
        return fail("a worker finds nothing");
    return view->space.base == parents->space.base ? fail("a worker has its parent's address") : 0;
}

/* Until it is killed. */
static int work(struct view *view, unsigned seed)
{
    for (;;) {
        uint32_t word = (uint32_t)rand_r(&seed) % WORDS;
        int result = rand_r(&seed) % 2 ? list_push(view, word) : list_pop(view, &word);
        if (result != 0 && result != -ENOENT && result != -ENOMEM)
            return fail("worker");
    }
}

static pid_t start(struct view *parents, struct weir_segment *inherited, unsigned seed)
{
    struct view view;
    pid_t pid = fork();
    if (pid == 0)
        _exit(find(&view, parents, inherited, seed) != 0 || work(&view, seed));
    return pid;
}

/* True: it was killed. False: it had ended by itself, which it should not. */
static int end(pid_t pid)
{
    int status = 0;
    kill(pid, SIGKILL);
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    int64_t end_ns = weir_now_ns() + (int64_t)(seconds * (double)WEIR_SECOND_NS);
    const struct timespec nap = { 0, NAP_NS };
    unsigned seed = (unsigned)weir_now_ns(), kills = 0;
    struct weir_segment *segment;
    struct view view;
    pid_t worker[WORKERS];

    snprintf(name, sizeof name, "words-%ld", (long)getpid());
    int is_well = 1;

    if (weir_segment_create(&segment, weir_by_name(name), view_bytes(), NULL) != 0 ||
        view_open(&view, segment) != 0)
        return fail("start");
    for (unsigned i = 0; i < WORKERS; i++)
        worker[i] = start(&view, segment, seed + i);
    while (is_well && weir_now_ns() < end_ns) {
        unsigned victim = (unsigned)rand_r(&seed) % WORKERS;
        nanosleep(&nap, NULL);
        is_well = end(worker[victim]);
        worker[victim] = start(&view, segment, seed + ++kills);
        if (kills % CHECK_EVERY == 0)
            is_well &= list_check(&view) == 0;
    }
    for (unsigned i = 0; i < WORKERS; i++)
        is_well &= end(worker[i]);
    if (list_check(&view) != 0)
        return fail("check");
    printf(
        "%u workers killed, %llu of them while they held the lock; %llu changes; list, table and "
        "memory agree, %u times\n",
        kills + WORKERS, (unsigned long long)view.shared->repairs,
        (unsigned long long)view.shared->changes, kills / CHECK_EVERY + 1);
    weir_segment_close(segment);
    /* Who is killed while its identity is made leaves a few bytes of files: the next process that
     * uses weir takes them away, or whoever asks for it. */
    weir_collect(0, NULL, NULL);
    return is_well ? 0 : fail("a worker ended by itself, or a check beside them failed");
}
