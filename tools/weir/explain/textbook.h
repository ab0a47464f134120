/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TEXTBOOK_H
#define WEIR_TOOL_TEXTBOOK_H

/*
 * docs/textbook.md as the command carries it: an introduction, chapters (their
 * titles begin with a capital letter), and one topic for each function, and for the
 * commands ipcs and ipcrm, all of the same parts in the same order.
 */

#include <stdbool.h>
#include <stddef.h>

#include "markdown.h"

/* Made of docs/textbook.md by embed.cmake. */
extern const unsigned char textbook_source[];
extern const size_t textbook_source_bytes;

enum textbook_part {
    PART_PROTOTYPE,
    PART_PURPOSE,
    PART_ARGUMENTS,
    PART_FLAGS,
    PART_RESULT,
    PART_ERRORS,
    PART_PITFALLS,
    PART_EXAMPLE,
    PART_WEIR,
    PART_COUNT,
};
extern const char *const textbook_part_titles[PART_COUNT];

/* Longest example, in lines. */
#define TEXTBOOK_EXAMPLE_LINES 40

/* Longest line of code: with its indentation it fits a terminal of 80 columns. */
#define TEXTBOOK_CODE_COLUMNS 76

struct textbook_chapter {
    struct slice title, body;
};

struct textbook_topic {
    struct slice name;
    struct slice summary; /* one sentence */
    struct slice also;    /* "semtimedop, ...": what else the topic explains; may be empty */
    struct slice body;    /* all parts, with their headings */
    struct slice parts[PART_COUNT];
};

#define TEXTBOOK_CHAPTERS_MAX 8
#define TEXTBOOK_TOPICS_MAX 32

struct textbook {
    struct slice introduction;
    struct textbook_chapter chapters[TEXTBOOK_CHAPTERS_MAX];
    size_t chapter_count;
    struct textbook_topic topics[TEXTBOOK_TOPICS_MAX];
    size_t topic_count;
};

/*
 * Reads a textbook and checks it: every topic has every part, each with what
 * belongs in it. false: why tells the line and what is wrong with it.
 */
bool textbook_read(struct textbook *book, struct slice source, char *why, size_t why_bytes);

/* The topic that has this name, or explains it among others; NULL if none does. */
const struct textbook_topic *textbook_find(const struct textbook *book, const char *name);

/* The name that is most like this one, into nearest; false when none is. */
bool textbook_nearest(const struct textbook *book, const char *name, struct slice *nearest);

/* The program of a topic's example. */
struct slice textbook_example(const struct textbook_topic *topic);

#endif
