/* SPDX-License-Identifier: MIT */
/*
 * One round of one size. Every byte that is read is looked at: each word of a value is made of
 * its number, and a value whose words do not agree ends the program.
 */
#include "latest.h"

#include "seqlock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "../cpus.h"
#include "../lane/histogram.h"
#include "../lane/ticks.h"
#include "../share.h"

/* Values that come in a chunk of reads while the writer is at work, at least. */
enum { WRITTEN_MIN = 64, CHUNKS_MIN = 50 };

enum { BOUNCES = 2000, LINE_BYTES = 128, TIMED = 64 };

enum phase {
    WAIT,
    BOUNCE,
    SHARE,
    READ_AND_WRITE,
    READ_ALONE,
    WRITE_ALONE,
    BOTH_SEQLOCK,
    BOTH_TORN,
    END
};

struct board {
    _Alignas(LINE_BYTES) atomic_int phase; /* set by the reader, followed by the writer */
    _Alignas(LINE_BYTES) atomic_int ready; /* the writer is in it */
    _Alignas(LINE_BYTES) _Atomic uint64_t line;
    _Alignas(LINE_BYTES) double write_ns, write_alone_ns, seqlock_write_ns, share;
};

enum way { WEIR, SEQLOCK, TORN };

/* Where a value is read and written, and how. */
struct place {
    enum way way;
    struct weir_latest_writer *writer; /* of the process that writes, else NULL */
    struct weir_latest_reader *reader; /* of the other */
    struct seqlock *seqlock;           /* of the other ways */
    uint64_t size_bytes;
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "latest: %s: %s\n", what, errno ? strerror(errno) : weir_last_error());
    exit(1);
}

static void pin_to(int cpu)
{
    if (!cpus_pin(cpu))
        give_up("sched_setaffinity");
}

static void must(int result, const char *what)
{
    if (result < 0) {
        errno = 0; /* the sentence is weir's */
        give_up(what);
    }
}

static void await(atomic_int *word, int value)
{
    for (unsigned spins = 0; atomic_load_explicit(word, memory_order_acquire) != value; spins++)
        if (spins > 10000)
            sched_yield();
}

static unsigned char *buffer_of(uint64_t size_bytes)
{
    unsigned char *bytes = aligned_alloc(4096, (size_bytes + 4095) / 4096 * 4096);
    if (!bytes)
        give_up("memory");
    return bytes;
}

/* The first and the last word, and by weir's promise all between them. */
static void fill(unsigned char *bytes, uint64_t size_bytes, uint64_t number)
{
    for (uint64_t at = 0; at + 8 <= size_bytes; at += 8)
        memcpy(bytes + at, &number, 8);
}

typedef uint64_t pair __attribute__((vector_size(16)));

/* Every word of it: what differs from the first one; 0 if it is whole. */
static inline __attribute__((always_inline)) pair compare_words(const unsigned char *bytes,
                                                                uint64_t size_bytes)
{
    uint64_t at = 0, word;
    memcpy(&word, bytes, 8);
    const pair first = { word, word };
    pair wrong = { 0, 0 };
    for (; at + 16 <= size_bytes; at += 16) {
        pair two;
        memcpy(&two, bytes + at, 16);
        wrong |= two ^ first;
    }
    if (at + 8 <= size_bytes) {
        memcpy(&word, bytes + at, 8);
        wrong[0] |= word ^ first[0];
    }
    return wrong;
}

/* One for all: of one loop made twice, one took half as long again. */
static __attribute__((noinline)) pair compare_many_words(const unsigned char *bytes,
                                                         uint64_t size_bytes)
{
    return compare_words(bytes, size_bytes);
}

/*
 * Of a small value it is part of each loop of reads, and as short as may be: while a line comes, a
 * processor begins as many of the next reads as its window of instructions has room for, this look included.
 */
static inline __attribute__((always_inline)) pair differences(const unsigned char *bytes,
                                                              uint64_t size_bytes)
{
    return size_bytes <= 64 ? compare_words(bytes, size_bytes)
                            : compare_many_words(bytes, size_bytes);
}

static bool is_whole(pair wrong)
{
    return (wrong[0] | wrong[1]) == 0;
}

/* --- the writer --------------------------------------------------------------------------- */

static void write_one(const struct place *place, const unsigned char *source)
{
    if (place->way == SEQLOCK)
        seqlock_write(place->seqlock, source, place->size_bytes);
    else if (place->way == TORN)
        torn_write(place->seqlock, source, place->size_bytes);
    else
        must(weir_latest_write(place->writer, source, place->size_bytes), "write");
}

/* Of chunks: one that the scheduler interrupted does not count for more than itself. */
static double write_until(const struct place *place, struct board *board, unsigned char *source,
                          int phase)
{
    static struct histogram histogram;
    uint64_t count = 0;
    unsigned chunk = place->size_bytes < 4096 ? 64 : 1;
    double per_ns = ticks_per_ns();
    histogram_clear(&histogram);
    while (atomic_load_explicit(&board->phase, memory_order_relaxed) == phase) {
        uint64_t start = ticks();
        for (unsigned i = 0; i < chunk; i++) {
            fill(source, place->size_bytes, ++count);
            write_one(place, source);
        }
        histogram_add(&histogram, ticks() - start);
    }
    return (double)histogram_quantile(&histogram, 0.5) / chunk / per_ns;
}

static void bounce_back(struct board *board)
{
    for (uint64_t turn = 0; turn < 2 * (uint64_t)BOUNCES; turn += 2) {
        while (atomic_load_explicit(&board->line, memory_order_acquire) != turn + 1)
            ;
        atomic_store_explicit(&board->line, turn + 2, memory_order_release);
    }
}

static void play_phase(struct board *board, const struct place places[], unsigned char *source,
                       int phase)
{
    if (phase == BOUNCE)
        bounce_back(board);
    else if (phase == SHARE)
        board->share = share_probe();
    else if (phase == READ_AND_WRITE)
        board->write_ns = write_until(&places[WEIR], board, source, phase);
    else if (phase == WRITE_ALONE)
        board->write_alone_ns = write_until(&places[WEIR], board, source, phase);
    else if (phase == BOTH_SEQLOCK)
        board->seqlock_write_ns = write_until(&places[SEQLOCK], board, source, phase);
    else if (phase == BOTH_TORN)
        write_until(&places[TORN], board, source, phase);
}

static void play_writer(struct board *board, const struct place places[])
{
    const struct place *place = &places[WEIR];
    unsigned char *source = buffer_of(place->size_bytes);
    fill(source, place->size_bytes, 1);
    must(weir_latest_write(place->writer, source, place->size_bytes), "write");
    for (int done = WAIT, phase; done != END; done = phase) {
        for (unsigned spins = 0; (phase = atomic_load(&board->phase)) == done; spins++)
            if (spins > 10000)
                sched_yield();
        atomic_store(&board->ready, phase);
        play_phase(board, places, source, phase);
    }
    weir_latest_writer_close(place->writer);
    free(source);
}

/* --- the reader --------------------------------------------------------------------------- */

static void enter(struct board *board, enum phase phase)
{
    atomic_store(&board->phase, phase);
    await(&board->ready, phase);
}

static double bounce(struct board *board, double per_ns)
{
    static struct histogram histogram;
    histogram_clear(&histogram);
    enter(board, BOUNCE);
    for (uint64_t turn = 0; turn < 2 * (uint64_t)BOUNCES; turn += 2) {
        uint64_t start = ticks();
        atomic_store_explicit(&board->line, turn + 1, memory_order_release);
        while (atomic_load_explicit(&board->line, memory_order_acquire) != turn + 2)
            ;
        histogram_add(&histogram, ticks() - start);
    }
    atomic_store(&board->line, 0);
    return (double)histogram_quantile(&histogram, 0.5) / per_ns;
}

/* Both cores at once. next: what the writer goes on with; what it found stands on the board then. */
static void probe_share(struct board *board, enum phase next, struct figures *figures)
{
    enter(board, SHARE);
    double share = share_probe();
    enter(board, next);
    if (board->share < share)
        share = board->share;
    if (figures->share == 0 || share < figures->share)
        figures->share = share;
}

/* Its version. wrong: what is added to for each word, or another size. */
static inline __attribute__((always_inline)) uint64_t
read_one(const struct place *place, enum way way, unsigned char *sink, pair *wrong)
{
    const uint64_t size_bytes = place->size_bytes;
    struct weir_latest_value value;
    if (way == SEQLOCK) {
        value.version = seqlock_read(place->seqlock, sink, size_bytes);
    } else if (way == TORN) {
        value.version = torn_read(place->seqlock, sink, size_bytes);
    } else {
        must(weir_latest_read(place->reader, sink, size_bytes, &value), "read");
        (*wrong)[0] |= value.size_bytes ^ size_bytes;
    }
    *wrong |= differences(sink, size_bytes);
    return value.version;
}

/* Of several reads; of torn copies it is looked at, too, and nothing follows. */
static void judge(enum way way, pair wrong)
{
    static volatile bool was_torn;
    was_torn = !is_whole(wrong);
    if (was_torn && way != TORN) {
        errno = 0;
        give_up("a value is torn");
    }
}

/* So many: how many of them found another version than the one before; last: that of the last one. */
static inline __attribute__((always_inline)) uint64_t read_some(const struct place *place,
                                                                enum way way, unsigned char *sink,
                                                                unsigned count, uint64_t *last)
{
    uint64_t found = 0, before = *last;
    pair wrong = { 0, 0 };
    for (unsigned i = 0; i < count; i++) {
        uint64_t version = read_one(place, way, sink, &wrong);
        found += version != before;
        before = version;
    }
    judge(way, wrong);
    *last = before;
    return found;
}

static uint64_t read_chunk(const struct place *place, unsigned char *sink, unsigned count,
                           uint64_t *last)
{
    if (place->way == SEQLOCK)
        return read_some(place, SEQLOCK, sink, count, last);
    if (place->way == TORN)
        return read_some(place, TORN, sink, count, last);
    return read_some(place, WEIR, sink, count, last);
}

/*
 * Reads, in chunks; if is_written, those in which enough values came: the writer was at work then.
 * The median chunk's time ÷ reads; the mean of all of them, and the share of reads that found another
 * version, as well.
 */
static double read_for(const struct place *place, unsigned char *sink, uint64_t budget_ns,
                       bool is_written, double per_ns, struct figures *figures)
{
    static struct histogram histogram;
    uint64_t count = 0, news = 0, last = 0, all_ticks = 0;
    unsigned chunk = place->size_bytes < 4096 ? 256 : 1;
    unsigned chunks_min = place->way == SEQLOCK ? 1 : CHUNKS_MIN; /* its reader may starve */
    int64_t start_ns = weir_now_ns(), now_ns;
    histogram_clear(&histogram);
    do {
        uint64_t before = last, start = ticks();
        uint64_t found = read_chunk(place, sink, chunk, &last);
        uint64_t took = ticks() - start;
        now_ns = weir_now_ns();
        if (is_written && last - before < (chunk > 1 ? WRITTEN_MIN : 1))
            continue;
        news += found;
        histogram_add(&histogram, took);
        all_ticks += took;
        count += chunk;
    } while ((uint64_t)(now_ns - start_ns) < budget_ns ||
             (count < chunks_min * chunk && (uint64_t)(now_ns - start_ns) < 50 * budget_ns));
    if (count == 0)
        give_up("the writer is not at work");
    if (is_written && figures) {
        figures->read_mean_ns = (double)all_ticks / (double)count / per_ns;
        figures->new_share = (double)news / (double)count;
    }
    return (double)histogram_quantile(&histogram, 0.5) / chunk / per_ns;
}

static double clock_ticks(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t start = ticks(), took = ticks() - start;
        least = took < least ? took : least;
    }
    return (double)least;
}

/* Each read by itself, of chunks in which enough values came. */
static void read_timed(const struct place *place, unsigned char *sink, uint64_t budget_ns,
                       double per_ns, struct figures *figures)
{
    static struct histogram histogram;
    uint64_t took[TIMED], version = 0;
    unsigned least = place->size_bytes < 4096 ? WRITTEN_MIN : 1;
    double own = clock_ticks();
    histogram_clear(&histogram);
    int64_t start_ns = weir_now_ns();
    do {
        uint64_t before = weir_latest_version(place->reader);
        pair wrong = { 0, 0 };
        for (unsigned i = 0; i < TIMED; i++) {
            uint64_t start = ticks();
            version = read_one(place, WEIR, sink, &wrong);
            took[i] = ticks() - start;
        }
        judge(WEIR, wrong);
        for (unsigned i = 0; version - before >= least && i < TIMED; i++)
            histogram_add(&histogram, took[i]);
    } while ((uint64_t)(weir_now_ns() - start_ns) < budget_ns);
    figures->read_p50_ns = ((double)histogram_quantile(&histogram, 0.5) - own) / per_ns;
    figures->read_p99_ns = ((double)histogram_quantile(&histogram, 0.99) - own) / per_ns;
}

/* The same bytes, from private memory, which lies as near as it may, with the same look at each. */
static double copy_for(unsigned char *sink, uint64_t size_bytes, uint64_t budget_ns, double per_ns)
{
    static struct histogram histogram;
    unsigned char *source = buffer_of(size_bytes);
    unsigned chunk = size_bytes < 4096 ? 256 : 1;
    fill(source, size_bytes, 1);
    histogram_clear(&histogram);
    int64_t start_ns = weir_now_ns();
    do {
        pair wrong = { 0, 0 };
        uint64_t start = ticks();
        for (unsigned i = 0; i < chunk; i++) {
            __asm__ volatile("" : "+r"(source)::"memory");
            memcpy(sink, source, size_bytes);
            wrong |= differences(sink, size_bytes);
        }
        histogram_add(&histogram, ticks() - start);
        judge(WEIR, wrong);
    } while ((uint64_t)(weir_now_ns() - start_ns) < budget_ns);
    free(source);
    return (double)histogram_quantile(&histogram, 0.5) / chunk / per_ns;
}

static void play_reader(struct board *board, const struct place places[], uint64_t budget_ns,
                        struct figures *figures)
{
    const struct place *place = &places[WEIR];
    const struct timespec alone = { 0, (long)(budget_ns / 2) };
    unsigned char *sink = buffer_of(place->size_bytes);
    double per_ns = ticks_per_ns();
    memset(sink, 1, place->size_bytes);
    figures->bounce_ns = bounce(board, per_ns);
    figures->share = 0;
    probe_share(board, READ_AND_WRITE, figures);
    figures->read_ns = read_for(place, sink, budget_ns, true, per_ns, figures);
    read_timed(place, sink, budget_ns / 2, per_ns, figures);
    probe_share(board, BOTH_SEQLOCK, figures);
    figures->seqlock_ns = read_for(&places[SEQLOCK], sink, budget_ns, true, per_ns, NULL);
    enter(board, BOTH_TORN);
    figures->torn_ns = read_for(&places[TORN], sink, budget_ns, true, per_ns, NULL);
    enter(board, READ_ALONE);
    figures->still_ns = read_for(place, sink, budget_ns / 2, false, per_ns, NULL);
    figures->memcpy_ns = copy_for(sink, place->size_bytes, budget_ns / 2, per_ns);
    enter(board, WRITE_ALONE);
    nanosleep(&alone, NULL);
    probe_share(board, WAIT, figures);
    figures->bounce_after_ns = bounce(board, per_ns);
    figures->torn_ratio = figures->read_ns / figures->torn_ns;
    enter(board, END);
    weir_latest_reader_close(place->reader);
    free(sink);
}

static void *shared(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        give_up("mmap");
    return memory;
}

static _Noreturn void be_writer(struct board *board, struct place places[], int cpu)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    options.value_bytes_max = places[WEIR].size_bytes;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to(cpu);
    must(weir_latest_create(&places[WEIR].writer, weir_by_name("bench/latest"), &options),
         "create");
    atomic_store(&board->ready, END + 1);
    play_writer(board, places);
    _exit(0);
}

bool cell_run(uint64_t size_bytes, uint64_t budget_ns, const int cpus[2], struct figures *figures)
{
    int status;
    uint64_t seqlock_bytes = sizeof(struct seqlock) + size_bytes;
    struct board *board = shared(sizeof *board);
    struct seqlock *seqlock = shared(seqlock_bytes);
    struct place places[] = { { .way = WEIR, .size_bytes = size_bytes },
                              { .way = SEQLOCK, .seqlock = seqlock, .size_bytes = size_bytes },
                              { .way = TORN, .seqlock = seqlock, .size_bytes = size_bytes } };
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0)
        be_writer(board, places, cpus[1]);
    pin_to(cpus[0]);
    await(&board->ready, END + 1);
    struct weir_latest_reader **reader = &places[WEIR].reader;
    must(weir_latest_open(reader, weir_by_name("bench/latest"), NULL), "open");
    must(weir_latest_wait_until(*reader, 0, weir_deadline_ns(10 * WEIR_SECOND_NS)), "wait");
    play_reader(board, places, budget_ns, figures);
    waitpid(pid, &status, 0);
    figures->write_ns = board->write_ns;
    figures->write_alone_ns = board->write_alone_ns;
    figures->seqlock_write_ns = board->seqlock_write_ns;
    munmap(board, sizeof *board);
    munmap(seqlock, seqlock_bytes);
    return status == 0;
}
