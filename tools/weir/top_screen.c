/* SPDX-License-Identifier: MIT */
/* The live screen of weir top, by ncurses; a build without it has --once and --json. */
#include "top.h"

#include "command.h"

#ifdef WEIR_HAVE_NCURSES

#include <curses.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>
#undef lines /* a macro of that header's */

#include <weir/clock.h>

#include "stop.h"
#include "text.h"

/* Above the rows: the title, a summary, the headings. Below them: the keys. */
enum { TITLE, SUMMARY, HEADINGS, ROWS, BELOW = 1 };

enum { COLOR_TITLE = 1, COLOR_BLOCKED, COLOR_DEAD };

/* Of a key that is held down: no more than one look in so long. */
#define LEAST_NS INT64_C(50000000)

struct screen {
    const struct top_request *request;
    struct top_view view;
    struct sample sample;
    int64_t interval_ns;
    size_t first; /* row */
    bool is_stopped, has_ended, is_gone;
};

static size_t room(void)
{
    return LINES > ROWS + BELOW ? (size_t)(LINES - ROWS - BELOW) : 0;
}

static void scroll_to(struct screen *screen, int64_t row)
{
    int64_t most = (int64_t)screen->sample.row_count - (int64_t)room();
    if (row > most)
        row = most;
    screen->first = row > 0 ? (size_t)row : 0;
}

static int color(short pair)
{
    return has_colors() ? COLOR_PAIR(pair) : 0;
}

/* The beginning of a text; '?' for what the locale cannot show: curses would take two places. */
static char *beginning(const char *text, size_t places)
{
    char *line = text_format("%.*s", (int)text_beginning(text, places, NULL), text), *to = line;
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return line;
    for (const char *from = line; *from; from++)
        if (((unsigned char)*from & 0xc0) != 0x80)
            *to++ = (char)((unsigned char)*from < 0x80 ? *from : '?');
    *to = '\0';
    return line;
}

/*
 * A line, from the left edge to the right one; lines are cut there, not wrapped. Below it nothing
 * has been put yet: what characters of two places have pushed over the edge goes.
 */
static void put(int at, int attributes, const char *text)
{
    if (at < 0 || at >= LINES)
        return;
    attrset(attributes);
    move(at, 0);
    for (int i = 0; i < COLS; i++)
        addch(' ');
    char *line = beginning(text, (size_t)COLS);
    mvaddstr(at, 0, line);
    free(line);
    attrset(A_NORMAL);
    if (getcury(stdscr) > at && move(at + 1, 0) == OK)
        clrtoeol();
}

/* Where nothing else is to be shown: lines that end between words, as many as it takes. */
static void put_all(int at, int attributes, const char *text)
{
    while (*text && COLS > 0 && at < ROWS + (int)room()) {
        size_t bytes = text_beginning(text, (size_t)COLS, NULL), end = bytes;
        while (text[bytes] && end > 0 && text[end] != ' ')
            end--;
        if (end == 0) /* one word is longer */
            end = bytes;
        if (end == 0) /* so is one character */
            return;
        char *line = text_format("%.*s", (int)end, text);
        put(at++, attributes, line);
        free(line);
        text += end;
        while (*text == ' ')
            text++;
    }
}

/* Then what is wrong stands where the rows would be. */
static bool is_alone(const struct sample *sample)
{
    return sample->trouble && sample->row_count == 0 && room() > 0;
}

static void draw_title(const struct screen *screen)
{
    char *text =
        text_format("weir top  every %g s  by %s%s%s", (double)screen->interval_ns / 1e9,
                    top_sort_name(screen->view.sort), screen->view.is_reverse ? ", reversed" : "",
                    screen->is_stopped ? "  STOPPED: Space goes on" : "");
    char *summary = is_alone(&screen->sample) ? text_format("%s", "")
                    : screen->sample.trouble  ? text_format("%s", screen->sample.trouble)
                                              : top_summary(&screen->sample);
    put(TITLE, A_BOLD | color(COLOR_TITLE), text);
    put(SUMMARY, screen->sample.trouble ? A_BOLD | color(COLOR_BLOCKED) : A_NORMAL, summary);
    free(summary);
    free(text);
}

static void draw_keys(const struct screen *screen)
{
    size_t last = screen->first + room(), count = screen->sample.row_count;
    char *more = count > room() ? text_format("  rows %zu to %zu of %zu", screen->first + 1,
                                              last < count ? last : count, count)
                                : text_format("%s", "");
    char *text = text_format("q end  Left/Right sort  r reverse  Space stop  +/- interval%s", more);
    put(LINES - 1, A_REVERSE, text);
    free(text);
    free(more);
}

static int attributes_of(const struct sample_row *row)
{
    if (top_is_dead(row))
        return A_BOLD | color(COLOR_DEAD);
    return top_is_blocked(row) ? A_BOLD | color(COLOR_BLOCKED) : A_NORMAL;
}

static void draw(struct screen *screen)
{
    struct top_sheet sheet;
    top_sheet_make(&sheet, &screen->sample, &screen->view, COLS > 0 ? (size_t)COLS : 1);
    scroll_to(screen, (int64_t)screen->first);
    erase();
    draw_title(screen);
    put(HEADINGS, A_REVERSE, sheet.lines[0]);
    if (sheet.sort_width > 0 && HEADINGS < LINES)
        mvchgat(HEADINGS, (int)sheet.sort_at, (int)sheet.sort_width, A_BOLD | A_UNDERLINE, 0, NULL);
    for (size_t i = 0; i < room() && screen->first + i < screen->sample.row_count; i++)
        put(ROWS + (int)i, attributes_of(&screen->sample.rows[screen->first + i]),
            sheet.lines[screen->first + i + 1]);
    if (is_alone(&screen->sample))
        put_all(ROWS, A_BOLD | color(COLOR_BLOCKED), screen->sample.trouble);
    else if (screen->sample.row_count == 0 && !screen->sample.trouble)
        put(ROWS, A_DIM,
            screen->sample.channel_count > 0
                ? "Nobody is a member."
                : "There is no channel: 'weir pub NAME' or 'weir sub NAME' makes one.");
    draw_keys(screen);
    top_sheet_free(&sheet);
    refresh();
}

static void look(struct screen *screen)
{
    struct sample now;
    const struct sample *before = screen->sample.at_ns != 0 ? &screen->sample : NULL;
    sample_take(&now, screen->request->channels, screen->request->channel_count, before);
    sample_free(&screen->sample);
    screen->sample = now;
}

static void change_interval(struct screen *screen, bool is_shorter)
{
    int64_t interval_ns = is_shorter ? screen->interval_ns / 2 : screen->interval_ns * 2;
    if (interval_ns >= LEAST_NS && interval_ns <= 3600 * WEIR_SECOND_NS)
        screen->interval_ns = interval_ns;
}

static void take_key(struct screen *screen, int key)
{
    int64_t first = (int64_t)screen->first, page = (int64_t)room();
    switch (key) {
    case 'q':
    case 'Q':
        screen->has_ended = true;
        break;
    case 'r':
    case 'R':
        screen->view.is_reverse = !screen->view.is_reverse;
        break;
    case ' ':
        screen->is_stopped = !screen->is_stopped;
        break;
    case '+':
    case '-':
        change_interval(screen, key == '+');
        break;
    case KEY_LEFT:
    case KEY_RIGHT:
        screen->view.sort = top_sort_step(screen->view.sort, key == KEY_RIGHT);
        break;
    case KEY_UP:
        scroll_to(screen, first - 1);
        break;
    case KEY_DOWN:
        scroll_to(screen, first + 1);
        break;
    case KEY_PPAGE:
        scroll_to(screen, first - page);
        break;
    case KEY_NPAGE:
        scroll_to(screen, first + page);
        break;
    case KEY_HOME:
        scroll_to(screen, 0);
        break;
    case KEY_END:
        scroll_to(screen, INT64_MAX);
        break;
    default:
        break; /* KEY_RESIZE: it is drawn anew */
    }
}

/* No key: has the time come, or the terminal gone? Who has SIGHUP ignored is not told otherwise. */
static bool is_terminal_gone(void)
{
    struct pollfd keys = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&keys, 1, 0) > 0 && (keys.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Keys until then, each of which is answered at once. */
static void wait_until(struct screen *screen, int64_t until_ns)
{
    while (!screen->has_ended && stop_signal() == 0) {
        int64_t left_ns = until_ns - weir_now_ns();
        if (left_ns <= 0 && !screen->is_stopped)
            return;
        timeout(screen->is_stopped ? -1 : (int)((left_ns + 999999) / 1000000));
        int key = getch();
        if (key == ERR) {
            screen->has_ended = screen->is_gone = is_terminal_gone();
            continue;
        }
        take_key(screen, key);
        draw(screen);
    }
}

static void go_on(struct screen *screen)
{
    while (!screen->has_ended && stop_signal() == 0) {
        look(screen);
        draw(screen);
        /* The rates of the first look are known after a short while. */
        bool has_rates = screen->sample.seconds > 0;
        int64_t wait_ns = has_rates || screen->interval_ns < WEIR_SECOND_NS / 4
                              ? screen->interval_ns
                              : WEIR_SECOND_NS / 4;
        wait_until(screen, screen->sample.at_ns + wait_ns);
    }
}

static void choose_colors(void)
{
    const char *none = getenv("NO_COLOR");
    if (!(none && *none) && start_color() == OK && has_colors()) {
        use_default_colors();
        init_pair(COLOR_TITLE, COLOR_CYAN, -1);
        init_pair(COLOR_BLOCKED, COLOR_YELLOW, -1);
        init_pair(COLOR_DEAD, COLOR_RED, -1);
    }
}

int top_screen(const struct top_request *request)
{
    struct screen screen = { .request = request,
                             .view = request->view,
                             .interval_ns = (int64_t)(request->interval * (double)WEIR_SECOND_NS) };
    int status = stop_catch();
    if (status != STATUS_OK)
        return status;
    stop_catch_too(SIGQUIT); /* the terminal is not left as it is */
    SCREEN *terminal = newterm(NULL, stdout, stdin);
    if (!terminal)
        return command_fail("this terminal is not known (TERM): --once prints one look");
    if (!tigetstr("cup")) { /* as TERM=dumb */
        endwin();
        delscreen(terminal);
        return command_fail("this terminal cannot show a screen (TERM): --once prints one look");
    }
    choose_colors();
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    go_on(&screen);
    endwin();
    delscreen(terminal);
    sample_free(&screen.sample);
    return screen.is_gone ? command_fail("the terminal is gone") : STATUS_OK;
}

#else

int top_screen(const struct top_request *request)
{
    (void)request;
    return command_fail("this weir was built without ncurses: it has --once and --json");
}

#endif
