/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <weir/clock.h>

#include "command.h"

#define REDRAW_NS 100000000
#define BAR_MAX 40
#define BAR_MIN 8 /* shorter than that it says nothing */

const char *progress_bytes(double bytes, char text[16])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, 16, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

static const char *duration(double seconds, char text[16])
{
    /* A rate near nothing makes it endless: say so rather than overflow. */
    if (seconds > 359999)
        return "--:--";
    unsigned whole = (unsigned)seconds;
    if (whole >= 3600)
        snprintf(text, 16, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, 16, "%u:%02u", whole / 60, whole % 60);
    return text;
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* " 38% [####      ] 21.5 MiB of 57.2 MiB  11.7 MiB/s  0:03 left", as much of it as fits. */
static void put_share(char *line, size_t room, double part, const char *sizes, const char *speed)
{
    char bar[BAR_MAX + 1];
    int width = columns() - 1 - (int)strlen("100% [] ") - (int)strlen(sizes) - (int)strlen(speed);
    width = width > BAR_MAX ? BAR_MAX : width;
    if (width < BAR_MIN) {
        bool fits = width + (int)strlen("[] ") >= 0;
        snprintf(line, room, "%3.0f%% %s%s", part * 100, fits ? sizes : "", speed);
        return;
    }
    memset(bar, ' ', (size_t)width);
    memset(bar, '#', (size_t)(part * width));
    bar[width] = '\0';
    snprintf(line, room, "%3.0f%% [%s] %s%s", part * 100, bar, sizes, speed);
}

static void draw(struct progress *progress, uint64_t done, bool is_last)
{
    char have[16], all[16], rate[16], time[16], sizes[48], speed[64], line[160];
    int64_t now_ns = weir_now_ns();
    double seconds = (double)(now_ns - progress->start_ns) / 1e9;
    double per_second = seconds > 0 ? (double)done / seconds : 0;
    progress->drawn_ns = now_ns;
    progress_bytes((double)done, have);
    progress_bytes(per_second, rate);
    if (progress->expected && done <= progress->expected) {
        double part = (double)done / (double)progress->expected;
        double left = per_second > 0 ? (double)(progress->expected - done) / per_second : 1e9;
        snprintf(sizes, sizeof sizes, "%s of %s  ", have,
                 progress_bytes((double)progress->expected, all));
        snprintf(speed, sizeof speed, "%s/s  %s %s", rate, duration(is_last ? seconds : left, time),
                 is_last ? "in all" : "left");
        put_share(line, sizeof line, part, sizes, speed);
    } else {
        snprintf(line, sizeof line, "%s  %s/s  %s", have, rate, duration(seconds, time));
    }
    /* Back to the line's start; what the former drawing had more is cleared. */
    fprintf(stderr, "\r%.*s\033[K%s", columns() - 1, line, is_last ? "\n" : "");
    fflush(stderr);
}

static bool is_shown(void)
{
    return !command_quiet && isatty(STDERR_FILENO);
}

void progress_wait(struct progress *progress, const char *line)
{
    progress->is_waiting = is_shown();
    if (progress->is_waiting)
        fprintf(stderr, "%.*s", columns() - 1, line);
}

void progress_wait_end(struct progress *progress)
{
    if (progress->is_waiting)
        fputs("\r\033[K", stderr);
    progress->is_waiting = false;
}

void progress_start(struct progress *progress)
{
    progress_wait_end(progress);
    progress->on = is_shown();
    progress->start_ns = progress->drawn_ns = weir_now_ns();
}

void progress_step(struct progress *progress, uint64_t done)
{
    if (progress->on && weir_now_ns() - progress->drawn_ns >= REDRAW_NS)
        draw(progress, done, false);
}

void progress_end(struct progress *progress, uint64_t done)
{
    if (progress->on)
        draw(progress, done, true);
    progress->on = false;
}
