/* SPDX-License-Identifier: MIT */
/*
 * The textbook inside of the command: its parser, its rules, its line breaks.
 * Goal: a textbook that lacks anything is refused with its line; lines are cut
 * between characters only.
 * Method: docs/textbook.md read as it is, then damaged in one place after the other.
 */
#include "unit/cmocka.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/weir/explain/line.h"
#include "../tools/weir/explain/textbook.h"
#include "../tools/weir/text.h"

/* The command's own ends the command. */
void *text_memory(void *memory)
{
    assert_non_null(memory);
    return memory;
}

/* How many the textbook has. */
#define TOPICS 20

static char *source;
static char why[200];
static struct textbook book;

static struct slice slice_of(const char *text)
{
    return (struct slice){ text, strlen(text) };
}

static int read_source(void **state)
{
    char path[4096];
    (void)state;
    snprintf(path, sizeof path, "%s/docs/textbook.md", getenv("WEIR_SOURCE"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    source = calloc(1, 1 << 20);
    assert_non_null(source);
    assert_true(fread(source, 1, (1 << 20) - 1, file) > 10000);
    fclose(file);
    return 0;
}

static int free_source(void **state)
{
    (void)state;
    free(source);
    return 0;
}

/* Reads the textbook with `length` bytes at `at` replaced; true when it was accepted. */
static bool accepted_with(const char *at, size_t length, const char *by)
{
    size_t before = (size_t)(at - source), size = strlen(source) + strlen(by) + 1;
    char *damaged = malloc(size);
    assert_non_null(damaged);
    snprintf(damaged, size, "%.*s%s%s", (int)before, source, by, at + length);
    bool accepted = textbook_read(&book, slice_of(damaged), why, sizeof why);
    free(damaged);
    return accepted;
}

static void test_accepts_the_textbook(void **state)
{
    (void)state;
    if (!textbook_read(&book, slice_of(source), why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(book.topic_count, TOPICS);
    assert_int_equal(book.chapter_count, 4);
    assert_true(slice_is(book.chapters[0].title, "Summary"));
    for (size_t i = 0; i < book.topic_count; i++) {
        struct slice program = textbook_example(&book.topics[i]);
        assert_true(program.length > 100);
        assert_memory_equal(program.at, "#", 1);
    }
}

/* Each part of each topic in turn loses its heading, and then its contents. */
static void test_refuses_a_missing_part(void **state)
{
    (void)state;
    size_t parts = 0;
    for (char *at = strstr(source, "\n### "); at; at = strstr(at + 1, "\n### ")) {
        const char *end = strchr(at + 1, '\n');
        const char *next = strstr(end, "\n##");
        next = next ? next : source + strlen(source);
        parts++;
        if (accepted_with(at + 1, (size_t)(end - at - 1), ""))
            fail_msg("accepted without %.*s", (int)(end - at - 1), at + 1);
        if (accepted_with(at + 1, (size_t)(next - at), ""))
            fail_msg("accepted without the whole of %.*s", (int)(end - at - 1), at + 1);
        if (accepted_with(end, (size_t)(next - end), "\n"))
            fail_msg("accepted with nothing under %.*s", (int)(end - at - 1), at + 1);
        if (accepted_with(at + 1, 0, "### Prototype\n\n"))
            fail_msg("accepted with a part too many before %.*s", (int)(end - at - 1), at + 1);
    }
    assert_int_equal(parts, TOPICS * PART_COUNT);
}

static void test_refuses_what_is_wrong_inside(void **state)
{
    static const struct {
        const char *inside, *find, *by, *says;
    } cases[] = {
        { "## shmget", "Find or make", "Find or\nmake", "summary of one line" },
        { "## shmget", "| --- | --- |\n", "", "no line of dashes" },
        { "## shmget", "| `key` | ", "| ", "number of cells" },
        { "## shmget", "`size` |", "`size |", "unclosed mark" },
        { "## shmget", "- **There is no owner that cleans up.**", "- There is no owner.",
          "begin in bold" },
        { "## shmget", "**There is no owner that cleans up.**", "**There is no", "not closed" },
        { "## shmget", "error | when | cure", "error | when", "number of cells" },
        { "## shmget", "int main(void)\n", "\n\n\n\n\n\n\n\n\n\n\n\n\n", "too long" },
        { "## shmget", "int main(void)",
          "int a_line_of_code_that_no_terminal_of_eighty_columns_can_show_on_one_single_line;",
          "too long" },
        { "## shmget", "$ cc -o", "cc -o", "how it is run" },
        { "## shmget", "\n```\n\n### With weir", "\n```\n\n```c\nint one;\n```\n\n### With weir",
          "how it is run" },
        { "## semop", "Also: semtimedop.", "See semtimedop.", "Also" },
        { "## semop", "### Flags\n", "#### Flags\n", "no heading" },
        { "## sem_open", "int sem_post(sem_t *sem);", "```\n\n```c", "one piece of code" },
        { "## sem_open", "### Purpose\n\n", "### Purpose\n", "empty line" },
        { "## How the pieces fit", "   that belongs", "that belongs", "indented wrongly" },
        { "## How the pieces fit", "1. **Create.**", "> **Create.**", "outside of the subset" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *at = strstr(source, cases[i].inside);
        assert_non_null(at);
        at = strstr(at, cases[i].find);
        if (!at)
            fail_msg("case %zu does not fit the textbook any more", i);
        if (accepted_with(at, strlen(cases[i].find), cases[i].by))
            fail_msg("case %zu was accepted", i);
        if (!strstr(why, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, why, cases[i].says);
        assert_int_equal(strncmp(why, "line ", 5), 0);
    }
}

/* Cut off anywhere, it is never read past its end. The sanitizers watch. */
static void test_survives_any_end(void **state)
{
    (void)state;
    size_t length = strlen(source);
    for (size_t end = 0; end < length; end += 97) {
        char *part = malloc(end ? end : 1);
        assert_non_null(part);
        memcpy(part, source, end);
        textbook_read(&book, (struct slice){ part, end }, why, sizeof why);
        free(part);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *typed, *meant;
    } cases[] = {
        { "shmgett", "shmget" }, { "SHMGET", NULL },
        { "shmgte", "shmget" },  { "semwait", "sem_wait" },
        { "forkk", "fork" },     { "waitpd", "waitpid" },
        { "msgrvc", "msgrcv" },  { "ipcrn", "ipcrm" },
        { "bicycle", NULL },     { "", NULL },
    };
    struct slice nearest;
    (void)state;
    assert_true(textbook_read(&book, slice_of(source), why, sizeof why));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool found = textbook_nearest(&book, cases[i].typed, &nearest);
        assert_int_equal(found, cases[i].meant != NULL);
        if (found)
            assert_true(slice_is(nearest, cases[i].meant));
    }
    assert_ptr_equal(textbook_find(&book, "munmap"), textbook_find(&book, "mmap"));
    assert_ptr_equal(textbook_find(&book, "sem_unlink"), textbook_find(&book, "sem_open"));
    assert_ptr_equal(textbook_find(&book, "ipcrm"), textbook_find(&book, "ipcs"));
    assert_null(textbook_find(&book, "sem"));
    assert_null(textbook_find(&book, ""));
}

static void test_styles(void **state)
{
    struct line_text text = line_text_make(slice_of("a *b* **c `d*`** \\*e\n   f"));
    (void)state;
    assert_int_equal(text.length, strlen("a b c d* *e f"));
    assert_memory_equal(text.bytes, "a b c d* *e f", text.length);
    assert_int_equal(text.styles[0], MARKDOWN_PLAIN);
    assert_int_equal(text.styles[2], MARKDOWN_EMPHASIS);
    assert_int_equal(text.styles[4], MARKDOWN_BOLD);
    assert_int_equal(text.styles[6] & ~LINE_KEEP, MARKDOWN_BOLD | MARKDOWN_CODE_STYLE);
    assert_int_equal(text.styles[9], MARKDOWN_PLAIN);
    line_text_free(&text);
}

/* Characters of two to four bytes, in all widths: never cut, never counted twice. */
static void test_breaks_between_characters(void **state)
{
    static const char *const words = "\xc3\xa4\xc3\xb6\xc3\xbc \xe2\x82\xac\xe2\x82\xac "
                                     "\xf0\x9f\x90\x9f\xf0\x9f\x90\x9f\xf0\x9f\x90\x9f end";
    (void)state;
    struct line_text text = line_text_make(slice_of(words));
    assert_int_equal(line_columns(&text, 0, text.length), 3 + 1 + 2 + 1 + 3 + 1 + 3);
    assert_int_equal(line_longest_word(&text), 3);
    for (size_t width = 1; width < 20; width++) {
        size_t next, lines = 0;
        for (size_t from = 0; from < text.length; from = next, lines++) {
            size_t to = line_break(&text, from, width, &next);
            assert_true(next > from && to <= next);
            assert_true(line_columns(&text, from, to) <= width);
            assert_int_not_equal((unsigned char)text.bytes[from] & 0xc0, 0x80);
        }
        assert_int_equal(lines, width >= 14 ? 1 : lines);
        assert_true(width > 2 || lines >= 6);
    }
    line_text_free(&text);
}

static void test_keeps_short_code_together(void **state)
{
    struct line_text text = line_text_make(slice_of("is `(void *)-1` here"));
    size_t next;
    (void)state;
    assert_int_equal(line_break(&text, 0, 10, &next), 2);
    assert_int_equal(next, 3);
    line_text_free(&text);
}

static void test_shares_the_width(void **state)
{
    size_t widths[3];
    (void)state;
    line_share(30, 3, (size_t[]){ 5, 6, 7 }, (size_t[]){ 5, 6, 7 }, widths);
    assert_true(widths[0] == 5 && widths[1] == 6 && widths[2] == 7);
    line_share(30, 3, (size_t[]){ 5, 60, 60 }, (size_t[]){ 5, 6, 7 }, widths);
    assert_int_equal(widths[0], 5);
    assert_int_equal(widths[1] + widths[2], 25);
    line_share(60, 2, (size_t[]){ 90, 900 }, (size_t[]){ 29, 12 }, widths); /* no word is broken */
    assert_true(widths[0] == 29 && widths[1] == 31);
    for (size_t width = 0; width < 100; width++) {
        line_share(width, 3, (size_t[]){ 50, 9, 70 }, (size_t[]){ 8, 9, 10 }, widths);
        assert_true(widths[0] && widths[1] && widths[2]);
        assert_true(width < 3 || widths[0] + widths[1] + widths[2] <= width);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_the_textbook),
        cmocka_unit_test(test_refuses_a_missing_part),
        cmocka_unit_test(test_refuses_what_is_wrong_inside),
        cmocka_unit_test(test_survives_any_end),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_breaks_between_characters),
        cmocka_unit_test(test_keeps_short_code_together),
        cmocka_unit_test(test_shares_the_width),
    };
    return cmocka_run_group_tests(tests, read_source, free_source);
}
