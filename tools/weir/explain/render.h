/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_EXPLAIN_RENDER_H
#define WEIR_TOOL_EXPLAIN_RENDER_H

/* The two presentations of the textbook: a terminal's and a manual page's. */

#include <stdbool.h>
#include <stddef.h>

#include "textbook.h"

struct terminal {
    size_t width; /* columns, 20 at least */
    bool styles;  /* bold and colours */
};

void terminal_render(const struct terminal *terminal, struct slice source);

/* The topic's name and summary, then all of its parts. */
void terminal_topic(const struct terminal *terminal, const struct textbook_topic *topic);

/* A title as terminal_render() shows that of a chapter. */
void terminal_title(const struct terminal *terminal, struct slice title);

/* weir-TOPIC(7). date: "2026-01-31". */
void man_topic(const struct textbook_topic *topic, const char *date);

/* weir-textbook(7): the introduction and the chapters. */
void man_textbook(const struct textbook *book, const char *date);

#endif
