/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#define WORDS_NAME "tutorial/words"

enum { WRITTEN, TAKEN, SEMAPHORES };

struct word {
    uint32_t next; /* offset of the next word from the start of the memory; 0: the last */
    char text[28];
};

static void check(int result)
{
    if (result < 0) {
        fprintf(stderr, "%s\n", weir_last_error());
        exit(EXIT_FAILURE);
    }
}

/* A wait at a semaphore ends with -EINTR when a signal handler has run, and also when the process
 * was stopped and goes on (Ctrl-Z, then fg). Nothing is taken then: wait again. */
static void wait_for(struct weir_semset *semaphores, uint32_t index)
{
    int result;

    do
        result = weir_semset_wait(semaphores, index, 0);
    while (result == -EINTR);
    check(result);
}

/* An offset becomes a pointer, here, after a look at its bounds. */
static struct word *word_at(const struct weir_segment *segment, uint32_t offset)
{
    if (offset % sizeof(struct word) != 0 || offset >= weir_segment_size(segment)) {
        fprintf(stderr, "the offset %u leads nowhere\n", (unsigned)offset);
        exit(EXIT_FAILURE);
    }
    return (struct word *)((char *)weir_segment_data(segment) + offset);
}

static void put(int count, char **texts)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    uint64_t size = (uint64_t)count * sizeof(struct word);

    options.semaphores = SEMAPHORES;
    check(weir_segment_create(&segment, weir_by_name(WORDS_NAME), size, &options));
    for (int i = 0; i < count; i++) {
        struct word *word = word_at(segment, (uint32_t)i * sizeof(struct word));
        snprintf(word->text, sizeof word->text, "%s", texts[i]);
        word->next = i + 1 < count ? (uint32_t)(i + 1) * sizeof(struct word) : 0;
    }
    check(weir_semset_post(weir_segment_semset(segment), WRITTEN, 0));
    printf("put: %d words at %p\n", count, weir_segment_data(segment));
    fflush(stdout);
    wait_for(weir_segment_semset(segment), TAKEN);
    weir_segment_close(segment);
}

static void take(void)
{
    struct weir_segment *segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    uint32_t offset = 0;

    options.semaphores = SEMAPHORES;
    check(weir_segment_open(&segment, weir_by_name(WORDS_NAME), sizeof(struct word), &options));
    wait_for(weir_segment_semset(segment), WRITTEN);
    printf("take: at %p:", weir_segment_data(segment));
    do {
        struct word word = *word_at(segment, offset); /* a copy that nobody changes under us */
        printf(" %.*s", (int)sizeof word.text, word.text);
        if (word.next <= offset)
            break; /* the last one, or a circle */
        offset = word.next;
    } while (1);
    printf("\n");
    check(weir_semset_post(weir_segment_semset(segment), TAKEN, 0));
    weir_segment_close(segment);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "put") == 0)
        put(argc - 2, argv + 2);
    else
        take();
    return EXIT_SUCCESS;
}
