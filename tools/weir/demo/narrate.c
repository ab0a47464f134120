/* SPDX-License-Identifier: MIT */
/*
 * How a scene tells: text is put together, then written at once, so that the
 * lines of several processes never mix and no buffer is doubled by fork.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../command.h"
#include "stage.h"

static void add_bytes(struct text *text, const char *bytes, size_t length)
{
    size_t room = sizeof text->bytes - text->length;
    if (length > room)
        length = room;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

__attribute__((format(printf, 2, 0))) static void add_list(struct text *text, const char *format,
                                                           va_list arguments)
{
    char line[2048];
    int length = vsnprintf(line, sizeof line, format, arguments);
    if (length > 0)
        add_bytes(text, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_list(text, format, arguments);
    va_end(arguments);
}

/* The column in which the text goes on; "\033[1m" and its like take no place. */
static size_t column_of(const struct text *text)
{
    size_t start = text->length, column = 0;
    while (start > 0 && text->bytes[start - 1] != '\n')
        start--;
    for (size_t i = start; i < text->length; i++) {
        if (text->bytes[i] != '\033') {
            column++;
            continue;
        }
        while (i + 1 < text->length && text->bytes[i] != 'm')
            i++;
    }
    return column;
}

void text_fold(struct text *text, unsigned indent, const char *words)
{
    size_t column = column_of(text);
    bool first = true;
    while (*words) {
        size_t length = strcspn(words, " \n");
        if (!first && column + 1 + length > STAGE_WIDTH) {
            text_add(text, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            add_bytes(text, " ", 1);
            column++;
        }
        add_bytes(text, words, length);
        column += length;
        first = false;
        words += length;
        words += strspn(words, " \n");
    }
    add_bytes(text, "\n", 1);
}

static bool is_styled(void)
{
    static int styled = -1;
    if (styled < 0) {
        const char *no_color = getenv("NO_COLOR");
        const char *terminal = getenv("TERM");
        styled = isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal &&
                 strcmp(terminal, "dumb") != 0;
    }
    return styled;
}

const char *text_bold(void)
{
    return is_styled() ? "\033[1m" : "";
}

const char *text_plain(void)
{
    return is_styled() ? "\033[0m" : "";
}

void text_write(const struct text *text)
{
    size_t done = 0;
    if (text->length >= 2)
        stage->blank = memcmp(text->bytes + text->length - 2, "\n\n", 2) == 0;
    while (done < text->length && stage->write_failure == 0) {
        ssize_t n = write(STDOUT_FILENO, text->bytes + done, text->length - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);
        else if (n == 0 || errno != EINTR)
            stage->write_failure = n == 0 ? EIO : errno;
    }
    stage->written++;
}

static void write_locked(const struct text *text)
{
    stage_lock();
    text_write(text);
    stage_unlock();
}

void stage_wait_for_enter(void)
{
    static const char prompt[] = "-- Enter --";
    /* The terminal has shown the Enter: the prompt stands one line up. */
    static const char erase[] = "\033[A\033[2K";
    if (!stage->step)
        return;
    stage->at_prompt = true;
    (void)!write(STDERR_FILENO, prompt, sizeof prompt - 1);
    char byte = 0;
    while (byte != '\n') {
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            stage->step = false;
            break;
        }
    }
    stage->at_prompt = false;
    if (is_styled() && isatty(STDERR_FILENO))
        (void)!write(STDERR_FILENO, erase, sizeof erase - 1);
}

void scene_head(const char *format, ...)
{
    static bool is_first = true;
    if (stage_settings.mode != SCENE_EXPLAIN)
        return;
    char words[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    struct text text = { 0 };
    text_add(&text, "%s%s", stage->blank ? "" : "\n", text_bold());
    text_fold(&text, 0, words);
    text_add(&text, "%s\n", text_plain());
    stage_lock();
    if (!is_first)
        stage_wait_for_enter();
    is_first = false;
    text_write(&text);
    stage_unlock();
}

void scene_say(const char *format, ...)
{
    if (stage_settings.mode != SCENE_EXPLAIN)
        return;
    struct text words = { 0 };
    va_list arguments;
    va_start(arguments, format);
    add_list(&words, format, arguments);
    va_end(arguments);
    add_bytes(&words, "", 1);
    words.bytes[sizeof words.bytes - 1] = '\0';
    struct text text = { 0 };
    text_fold(&text, 0, words.bytes);
    add_bytes(&text, "\n", 1);
    write_locked(&text);
}

static void add_quote(struct text *text, const char *prefix, const char *quoted)
{
    while (*quoted) {
        size_t length = strcspn(quoted, "\n");
        text_add(text, "%s", length > 0 ? prefix : "");
        add_bytes(text, quoted, length);
        add_bytes(text, "\n", 1);
        quoted += length + (quoted[length] == '\n');
    }
}

void scene_quote(const char *quoted)
{
    if (stage_settings.mode != SCENE_EXPLAIN)
        return;
    struct text text = { 0 };
    add_quote(&text, "    ", quoted);
    add_bytes(&text, "\n", 1);
    write_locked(&text);
}

void scene_result(const char *format, ...)
{
    if (stage_settings.mode == SCENE_JSON)
        return;
    struct text text = { 0 };
    va_list arguments;
    va_start(arguments, format);
    add_list(&text, format, arguments);
    va_end(arguments);
    add_bytes(&text, "\n", 1);
    write_locked(&text);
}

int scene_skip(const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    facts_skip(reason);
    scene_result("skipped: %s", reason);
    return STATUS_OK;
}

void scene_fault(const struct scene_fault *fault)
{
    facts_fault(fault);
    struct text text = { 0 };
    if (stage_settings.mode == SCENE_BRIEF) {
        text_add(&text, "  - ");
        text_fold(&text, 4, fault->title);
        text_add(&text, "    ");
        text_fold(&text, 4, fault->happened);
    } else if (stage_settings.mode == SCENE_EXPLAIN) {
        text_add(&text, "  %-10s", "It does");
        text_fold(&text, 12, fault->does);
        text_add(&text, "  %sJust now%s  ", text_bold(), text_plain());
        text_fold(&text, 12, fault->happened);
        text_add(&text, "  %-10s", "Why");
        text_fold(&text, 12, fault->why);
        text_add(&text, "  %-10s", "Cure");
        text_fold(&text, 12, fault->cure);
    }
    write_locked(&text);
}

void scene_instead(const char *code, const char *format, ...)
{
    if (stage_settings.mode != SCENE_EXPLAIN)
        return;
    char words[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    scene_head("What weir does instead");
    scene_say("%s", words);
    scene_quote(code);
}
