/* SPDX-License-Identifier: MIT */
/* line - breaks styled text into lines and divides a table's width. */
#include "line.h"

#include <stdbool.h>
#include <stdlib.h>

#include "../text.h"

/* Code up to this length stands on one line. */
#define KEEP_COLUMNS 20

/* Blanks in short code are kept: the text is gone through once more, code by code. */
static void keep_short_code(struct line_text *text)
{
    size_t from = 0;
    for (size_t i = 0; i <= text->length; i++) {
        if (i < text->length && text->styles[i] & MARKDOWN_CODE_STYLE)
            continue;
        if (i - from <= KEEP_COLUMNS)
            for (size_t j = from; j < i; j++)
                text->styles[j] |= LINE_KEEP;
        from = i + 1;
    }
}

struct line_text line_text_make(struct slice source)
{
    struct line_text text = { .bytes = text_memory(malloc(2 * source.length + 1)) };
    struct markdown_inline walk = { source, 0 };
    unsigned style;
    text.styles = (unsigned char *)text.bytes + source.length;
    while (markdown_byte(&walk, &text.bytes[text.length], &style))
        text.styles[text.length++] = (unsigned char)style;
    keep_short_code(&text);
    return text;
}

void line_text_free(struct line_text *text)
{
    free(text->bytes);
    *text = (struct line_text){ 0 };
}

static bool inside_character(const struct line_text *text, size_t at)
{
    return at < text->length && ((unsigned char)text->bytes[at] & 0xc0) == 0x80;
}

static bool may_break(const struct line_text *text, size_t at)
{
    return text->bytes[at] == ' ' && !(text->styles[at] & LINE_KEEP);
}

size_t line_columns(const struct line_text *text, size_t from, size_t to)
{
    size_t columns = 0;
    for (size_t i = from; i < to; i++)
        columns += !inside_character(text, i);
    return columns;
}

size_t line_longest_word(const struct line_text *text)
{
    size_t longest = 0, from = 0;
    for (size_t i = 0; i <= text->length; i++) {
        if (i < text->length && !may_break(text, i))
            continue;
        size_t columns = line_columns(text, from, i);
        longest = columns > longest ? columns : longest;
        from = i + 1;
    }
    return longest;
}

size_t line_break(const struct line_text *text, size_t from, size_t width, size_t *next)
{
    size_t columns = 0, last_blank = from, at = from;
    for (; at < text->length; at++) {
        if (may_break(text, at))
            last_blank = at;
        if (inside_character(text, at))
            continue;
        if (columns == width)
            break;
        columns++;
    }
    *next = at;
    if (at == text->length)
        return at;
    if (last_blank > from) {
        *next = last_blank + 1;
        return last_blank;
    }
    return at;
}

/*
 * Columns that want no more than an equal share get it; this leaves more to the
 * others, so that it is looked at again. Says how many columns are open still.
 */
static size_t share_narrow(size_t *left, size_t count, const size_t *wanted, size_t *widths)
{
    size_t open = count;
    for (bool again = true; again && open;) {
        size_t share = *left / open;
        again = false;
        for (size_t i = 0; i < count; i++) {
            if (widths[i] || wanted[i] > share)
                continue;
            widths[i] = wanted[i] ? wanted[i] : 1;
            *left -= wanted[i];
            open--;
            again = true;
        }
    }
    return open;
}

void line_share(size_t width, size_t count, const size_t *wanted, const size_t *words,
                size_t *widths)
{
    size_t left = width, wanted_open = 0, words_open = 0;
    for (size_t i = 0; i < count; i++)
        widths[i] = 0;
    size_t open = share_narrow(&left, count, wanted, widths);
    for (size_t i = 0; i < count; i++) {
        wanted_open += widths[i] ? 0 : wanted[i];
        words_open += widths[i] ? 0 : words[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (widths[i])
            continue;
        /* In proportion, but no word broken, here or in the columns that follow. */
        size_t part = left * wanted[i] / wanted_open, equal = left / open;
        words_open -= words[i];
        size_t most = left > words_open ? left - words_open : 0;
        part = part > most ? most : part;
        part = part < words[i] ? words[i] : part;
        part = part > most ? equal : part;
        widths[i] = part ? part : 1;
        wanted_open -= wanted[i];
        left -= widths[i] < left ? widths[i] : left;
        open--;
    }
}
