/* SPDX-License-Identifier: MIT */
/*
 * The target without libFuzzer:
 *
 *   plain --seeds FOLDER                write the seeds there, a file each
 *   plain [--seconds N] [--random N]    the seeds, then inputs made from them and from nothing,
 *                                       for N seconds (5); N begins the row of numbers (1)
 *   plain FILE...                       these inputs
 *
 * Exit status: 0; abort() when the target finds something.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>

#include "input.h"
#include "seeds.h"

static struct seed seeds[SEEDS_MAX];

/* What the fuzzer once found, as steps: each is run first. */
static const uint8_t found[][16] = {
    /* A message above the longest was sent where there was room for it. */
    { FUZZ_OPEN, 1, 0, 0, FUZZ_OPEN, 0, 0, 0, FUZZ_SEND, 8, 0, 0, FUZZ_SEND, 64 | 61, 0, 0 },
};

/* The input in hand, for whoever looks for what made it abort. */
static uint8_t input[FUZZ_INPUT_MAX];
static size_t input_bytes;

static uint64_t random_state;

static unsigned below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 16) % limit);
}

static void say_input(int signal)
{
    char text[8];
    (void)signal;
    (void)!write(STDERR_FILENO, "input:", 6);
    for (size_t i = 0; i < input_bytes; i++) {
        int length = snprintf(text, sizeof text, "%s%02x", i % 4 == 0 ? " " : "", input[i]);
        (void)!write(STDERR_FILENO, text, (size_t)length);
    }
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(1);
}

static void run(void)
{
    alarm(20); /* of one that hangs */
    LLVMFuzzerTestOneInput(input, input_bytes);
}

static void random_step(uint8_t step[4])
{
    step[0] = (uint8_t)below(FUZZ_STEPS);
    for (int i = 1; i < 4; i++)
        step[i] = (uint8_t)(below(2) ? below(256) : below(16));
    if (below(16) != 0 && step[0] != FUZZ_RAW)
        step[3] &= 127; /* waits are dear */
}

/* A seed, changed here and there; or steps of any kind. */
static void make_input(unsigned count)
{
    const struct seed *seed = &seeds[below(count)];
    input_bytes = 0;
    if (below(4) != 0) {
        input_bytes = seed->size_bytes;
        memcpy(input, seed->bytes, input_bytes);
    }
    unsigned changes = 1 + below(input_bytes ? 8 : 60);
    for (unsigned i = 0; i < changes; i++) {
        size_t at = 4 * (size_t)below((unsigned)(input_bytes / 4 + 1));
        uint8_t step[4];
        random_step(step);
        if (input_bytes + 4 > sizeof input)
            break;
        if (below(3) == 0 && at < input_bytes) { /* a byte of one */
            input[at + below(4)] = (uint8_t)below(256);
            continue;
        }
        memmove(input + at + 4, input + at, input_bytes - at);
        memcpy(input + at, step, sizeof step);
        input_bytes += 4;
    }
}

static int run_for(unsigned count, int64_t seconds)
{
    int64_t begin_ns = weir_now_ns(), until_ns = begin_ns + seconds * 1000000000;
    unsigned long executions = 0;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        input_bytes = sizeof *found;
        memcpy(input, found[i], input_bytes);
        run();
    }
    for (; executions < count; executions++) {
        input_bytes = seeds[executions].size_bytes;
        memcpy(input, seeds[executions].bytes, input_bytes);
        run();
    }
    for (; weir_now_ns() < until_ns; executions++) {
        make_input(count);
        run();
    }
    printf("fuzz: %lu executions, %u of them seeds, in %lld ms\n", executions, count,
           (long long)((weir_now_ns() - begin_ns) / 1000000));
    return 0;
}

static int write_seeds(unsigned count, const char *folder)
{
    for (unsigned i = 0; i < count; i++) {
        char path[4096];
        int length = snprintf(path, sizeof path, "%s/%.40s", folder, seeds[i].name);
        FILE *file = length < (int)sizeof path ? fopen(path, "we") : NULL;
        if (!file || fwrite(seeds[i].bytes, seeds[i].size_bytes, 1, file) != 1 ||
            fclose(file) != 0) {
            fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
            return 1;
        }
    }
    return 0;
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
        return 1;
    }
    input_bytes = fread(input, 1, sizeof input, file);
    fclose(file);
    run();
    return 0;
}

int main(int argument_count, char **arguments)
{
    int64_t seconds = 5;
    int at = 1, status = 0;
    random_state = UINT64_C(0x9e3779b97f4a7c15);
    LLVMFuzzerInitialize(&argument_count, &arguments);
    signal(SIGABRT, say_input);
    signal(SIGALRM, say_input);
    unsigned count = seeds_make(seeds);
    if (argument_count == 3 && strcmp(arguments[1], "--seeds") == 0)
        return write_seeds(count, arguments[2]);
    for (; at + 1 < argument_count && arguments[at][0] == '-'; at += 2) {
        if (strcmp(arguments[at], "--seconds") == 0)
            seconds = strtoll(arguments[at + 1], NULL, 10);
        else
            random_state *= 2 * strtoull(arguments[at + 1], NULL, 10) + 1;
    }
    if (at == argument_count)
        return run_for(count, seconds);
    for (; at < argument_count; at++)
        status |= run_file(arguments[at]);
    return status;
}
