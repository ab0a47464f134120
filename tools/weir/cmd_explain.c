/* SPDX-License-Identifier: MIT */
/* weir explain - the calls of the textbook, from docs/textbook.md inside of the command. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "explain/render.h"

#define WIDTH_LEAST 20
#define WIDTH_MOST 1000
#define WIDTH_OF_LIST 79

enum presentation {
    AS_PAGE,
    AS_EXAMPLE,
    AS_MAN,
};

struct request {
    enum presentation as;
    const char *topic; /* NULL: the summary */
    struct terminal terminal;
};

static struct textbook book;

/* The terminal's width if there is one, else 80; escapes on a terminal that wants them. */
static struct terminal look_at_terminal(void)
{
    struct terminal terminal = { .width = 80 };
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return terminal;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_LEAST)
        terminal.width = size.ws_col;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    terminal.styles = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    return terminal;
}

/* The day for a page's head: SOURCE_DATE_EPOCH, which makes builds repeatable, else today. */
static const char *man_date(void)
{
    static char date[32];
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch && *epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm day;
    if (!gmtime_r(&now, &day) || !strftime(date, sizeof date, "%Y-%m-%d", &day))
        return "1970-01-01";
    return date;
}

static void show_summary(const struct terminal *terminal)
{
    static const char hint[] = "`weir explain TOPIC` shows one of them, "
                               "`weir explain textbook` how they fit.";
    terminal_render(terminal, book.chapters[0].body);
    putchar('\n');
    terminal_render(terminal, (struct slice){ hint, sizeof hint - 1 });
}

static void show_chapters(const struct terminal *terminal)
{
    terminal_render(terminal, book.introduction);
    for (size_t i = 0; i < book.chapter_count; i++) {
        putchar('\n');
        terminal_title(terminal, book.chapters[i].title);
        terminal_render(terminal, book.chapters[i].body);
    }
}

static int show_textbook(const struct request *request)
{
    if (request->as == AS_EXAMPLE)
        return command_usage("--example needs the name of a function, or 'ipcs'");
    if (request->as == AS_MAN)
        man_textbook(&book, man_date());
    else if (request->topic)
        show_chapters(&request->terminal);
    else
        show_summary(&request->terminal);
    return command_finish(STATUS_OK);
}

static int show_topic(const struct request *request, const struct textbook_topic *topic)
{
    struct slice code = textbook_example(topic);
    switch (request->as) {
    case AS_PAGE:
        terminal_topic(&request->terminal, topic);
        break;
    case AS_EXAMPLE:
        fwrite(code.at, 1, code.length, stdout);
        break;
    case AS_MAN:
        man_topic(topic, man_date());
        break;
    }
    return command_finish(STATUS_OK);
}

static void list_topics(void)
{
    int column = fprintf(stderr, "Topics: textbook");
    for (size_t i = 0; i < book.topic_count; i++) {
        struct slice topic = book.topics[i].name;
        bool fits = column + 2 + (int)topic.length < WIDTH_OF_LIST;
        column = (fits ? column : 0) +
                 fprintf(stderr, "%s%.*s", fits ? ", " : ",\n  ", (int)topic.length, topic.at);
    }
    fputc('\n', stderr);
}

static int no_such_topic(const char *name)
{
    struct slice nearest;
    if (textbook_nearest(&book, name, &nearest))
        command_fail("there is no topic '%s'; did you mean '%.*s'?", name, (int)nearest.length,
                     nearest.at);
    else
        command_fail("there is no topic '%s'", name);
    list_topics();
    return STATUS_FAILURE;
}

static bool read_width(const char *text, size_t *width)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < WIDTH_LEAST || number > WIDTH_MOST)
        return false;
    *width = (size_t)number;
    return true;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        { "example", no_argument, NULL, 'e' },
        { "man", no_argument, NULL, 'm' },
        { "width", required_argument, NULL, 'w' },
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .terminal = look_at_terminal() };
    int option, status;
    while ((option = getopt_long(argc, argv, "emw:hq", options, NULL)) != -1) {
        if (option == 'e')
            request.as = AS_EXAMPLE;
        else if (option == 'm')
            request.as = AS_MAN;
        else if (option == 'w' && !read_width(optarg, &request.terminal.width))
            return command_usage("the width '%s' is not a number from %d to %d", optarg,
                                 WIDTH_LEAST, WIDTH_MOST);
        else if (option != 'w' && !command_option(option, &status))
            return status;
    }
    if (argc - optind > 1)
        return command_usage("one topic at a time");
    request.topic = argv[optind];

    char why[200];
    struct slice source = { (const char *)textbook_source, textbook_source_bytes };
    if (!textbook_read(&book, source, why, sizeof why))
        return command_fail("the textbook inside of the command is damaged: %s", why);
    if (!request.topic || strcmp(request.topic, "textbook") == 0)
        return show_textbook(&request);
    const struct textbook_topic *topic = textbook_find(&book, request.topic);
    return topic ? show_topic(&request, topic) : no_such_topic(request.topic);
}

const struct command command_explain = {
    .name = "explain",
    .summary = "explain the calls of the textbook, their faults and cures",
    .help = "Usage: weir explain [OPTION]... [TOPIC]\n"
            "\n"
            "Explain a call of the textbook: what it does, how it fails, and what weir does\n"
            "in its place. Without TOPIC, show a table of all of them. TOPIC is the name of\n"
            "a function, 'ipcs' or 'ipcrm', or 'textbook' for how they fit together.\n"
            "\n"
            "Options:\n"
            "  -e, --example     print only the topic's program: C that compiles alone\n"
            "  -m, --man         print the topic as the source of a manual page\n"
            "  -w, --width=COLS  break lines at COLS columns, not at the terminal's width\n"
            "  -q, --quiet       no remarks on stderr\n"
            "  -h, --help        this text\n"
            "\n"
            "Examples:\n"
            "  weir explain\n"
            "      the table of all topics\n"
            "  weir explain shmget | less\n"
            "      one function, page by page\n"
            "  weir explain --example semop >a.c && cc a.c && ./a.out\n"
            "      try it\n"
            "\n"
            "Environment:\n"
            "  NO_COLOR    when set and not empty: no bold and no colours on a terminal\n"
            "\n"
            "Exit status:\n"
            "  0 done, 1 no such topic or the output cannot be written, 2 called wrongly.\n",
    .run = run,
};
