/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/channel.h>

#include "command.h"
#include "size.h"
#include "stop.h"
#include "text.h"

#define PIECE_BYTES ((size_t)64 << 10)
#define LENGTH_BYTES 4
#define MOMENT_MS 200                      /* in which the rest of what is too long may come */
#define LENGTH_OF_TEXT ((size_t)256 << 20) /* from where on a length may be one by mistake */

bool input_is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

static const char *name_of(const char *path)
{
    return input_is_standard(path) ? "standard input" : path;
}

/* at_least: so many were read, and more may follow. */
static int tell_too_long(const char *what, uint64_t size, bool at_least, uint64_t ring, size_t most)
{
    const char *about = at_least ? "at least " : "";
    char *has = size_format(ring);
    uint64_t enough = 2 * ring;
    while (enough < UINT64_MAX / 4 && enough / 4 - 8 < size)
        enough *= 2;
    char *wanted = size_format(enough);
    if (size > UINT32_MAX - 16)
        command_fail("%s has %s%llu bytes: no message has more than 4 GiB less 16 bytes", what,
                     about, (unsigned long long)size);
    else
        command_fail("%s has %s%llu bytes; with a ring of %s a message has %zu at most: give "
                     "--ring=%s%s",
                     what, about, (unsigned long long)size, has, most, wanted,
                     at_least ? ", or more" : "");
    free(has);
    free(wanted);
    return STATUS_FAILURE;
}

static int fail_too_long(const struct input *input, uint64_t size, bool at_least)
{
    static const char *const nouns[] = { [INPUT_LINES] = "line", [INPUT_LENGTHS] = "message" };
    char *shown = text_escape(input->name, false);
    char *what = input->form == INPUT_WHOLE
                     ? text_format("%s", shown)
                     : text_format("%s %llu of %s", nouns[input->form],
                                   (unsigned long long)input->number + 1, shown);
    tell_too_long(what, size, at_least, input->ring, input->most);
    free(what);
    free(shown);
    return -1;
}

static int fail_file(const char *verb, const char *path, int error)
{
    char *shown = text_escape(name_of(path), false);
    int status = command_fail("cannot %s %s: %s", verb, shown, strerror(error));
    free(shown);
    return status;
}

int input_check_whole(const char *path, uint64_t ring, size_t most)
{
    struct stat found;
    if (input_is_standard(path))
        return STATUS_OK;
    if (stat(path, &found) != 0 || access(path, R_OK) != 0)
        return fail_file("read", path, errno);
    if (S_ISDIR(found.st_mode))
        return fail_file("read", path, EISDIR);
    if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size <= most)
        return STATUS_OK;
    char *shown = text_escape(path, false);
    int status = tell_too_long(shown, (uint64_t)found.st_size, false, ring, most);
    free(shown);
    return status;
}

int input_open(struct input *input, const char *path, enum input_form form, uint64_t ring,
               size_t most)
{
    *input = (struct input){
        .form = form, .fd = STDIN_FILENO, .name = name_of(path), .ring = ring, .most = most
    };
    while (!input_is_standard(path)) {
        /* A FIFO blocks here until somebody writes to it, as with cat. */
        input->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (input->fd >= 0)
            break;
        if (errno != EINTR)
            return fail_file("open", path, errno);
        if (stop_signal())
            return STATUS_FAILURE;
    }
    return STATUS_OK;
}

void input_close(struct input *input)
{
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    free(input->bytes);
    input->bytes = NULL;
}

/* Room for at least one byte more behind what is there. */
static void make_room(struct input *input)
{
    size_t used = input->end - input->begin;
    if (input->begin > 0 && input->end == input->capacity) {
        memmove(input->bytes, input->bytes + input->begin, used);
        input->begin = 0;
        input->end = used;
    }
    if (input->end < input->capacity)
        return;
    input->capacity = input->capacity ? 2 * input->capacity : PIECE_BYTES;
    input->bytes = text_memory(realloc(input->bytes, input->capacity));
}

/* Reads once, what is there. False: failed, and told, or stopped. */
static bool read_more(struct input *input)
{
    make_room(input);
    for (;;) {
        ssize_t length = read(input->fd, input->bytes + input->end, input->capacity - input->end);
        if (length >= 0) {
            input->end += (size_t)length;
            input->is_at_end = length == 0;
            return true;
        }
        struct pollfd in = { .fd = input->fd, .events = POLLIN };
        if (errno == EAGAIN) /* somebody made it non-blocking: wait here instead */
            poll(&in, 1, -1);
        else if (errno != EINTR)
            return fail_file("read", input->name, errno) == STATUS_OK;
        if (stop_signal())
            return false;
    }
}

/* At least so many bytes of one message, or the end: false as read_more(). */
static bool read_bytes(struct input *input, size_t count)
{
    while (!input->is_at_end && input->end - input->begin < count)
        if (!read_more(input))
            return false;
    return true;
}

static int give(struct input *input, size_t skip, size_t size, size_t behind,
                const unsigned char **data, size_t *given)
{
    static const unsigned char nothing[1];
    *data = input->bytes ? input->bytes + input->begin + skip : nothing;
    *given = size;
    input->begin += skip + size + behind;
    input->number++;
    return 1;
}

/* Whether there is something to read, or its end, within a moment. */
static bool has_more(const struct input *input)
{
    struct pollfd in = { .fd = input->fd, .events = POLLIN };
    return poll(&in, 1, MOMENT_MS) > 0;
}

/*
 * A message that is too long, and not read to its end. How long it is says which ring suffices: the rest
 * is read and forgotten, as long as it comes.
 */
static int fail_unmeasured(struct input *input)
{
    uint64_t length = input->end - input->begin;
    const unsigned char *end = NULL;
    while (!input->is_at_end && !end && length <= UINT32_MAX && has_more(input)) {
        input->begin = input->end = 0;
        if (!read_more(input))
            return -1;
        end = input->form == INPUT_LINES ? memchr(input->bytes, '\n', input->end) : NULL;
        length += end ? (size_t)(end - input->bytes) : input->end;
    }
    return fail_too_long(input, length, !input->is_at_end && !end);
}

static int next_line(struct input *input, const unsigned char **data, size_t *size)
{
    size_t searched = 0;
    for (;;) {
        size_t there = input->end - input->begin;
        const unsigned char *from = input->bytes ? input->bytes + input->begin : NULL;
        const unsigned char *end =
            there > searched ? memchr(from + searched, '\n', there - searched) : NULL;
        size_t length = end ? (size_t)(end - from) : there;
        if (length > input->most)
            return end ? fail_too_long(input, length, false) : fail_unmeasured(input);
        if (end)
            return give(input, 0, length, 1, data, size);
        if (input->is_at_end)
            return there > 0 ? give(input, 0, there, 0, data, size) : 0;
        searched = there;
        if (!read_more(input))
            return -1;
    }
}

static int fail_cut(const struct input *input)
{
    char *shown = text_escape(input->name, false);
    command_fail("%s ends in the midst of message %llu", shown,
                 (unsigned long long)input->number + 1);
    free(shown);
    return -1;
}

/* So long a message is rare, and four characters of a text make such a length. */
static bool is_of_text(const unsigned char *at, size_t length)
{
    if (length <= LENGTH_OF_TEXT)
        return false;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        if ((at[i] < ' ' || at[i] > '~') && !memchr("\t\n\r", at[i], 3))
            return false;
    return true;
}

static int fail_text(const struct input *input, const unsigned char *at, size_t length)
{
    char head[LENGTH_BYTES + 1] = "";
    memcpy(head, at, LENGTH_BYTES);
    char *shown = text_escape(input->name, false), *start = text_escape(head, false);
    command_fail("message %llu of %s begins with '%s', which as a length is %zu bytes: is this "
                 "--length-prefixed?",
                 (unsigned long long)input->number + 1, shown, start, length);
    free(shown);
    free(start);
    return -1;
}

static int next_length(struct input *input, const unsigned char **data, size_t *size)
{
    if (!read_bytes(input, LENGTH_BYTES))
        return -1;
    if (input->end == input->begin)
        return 0;
    if (input->end - input->begin < LENGTH_BYTES)
        return fail_cut(input);
    const unsigned char *at = input->bytes + input->begin;
    size_t length = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (length > input->most && is_of_text(at, length))
        return fail_text(input, at, length);
    if (length > input->most)
        return fail_too_long(input, length, false);
    if (!read_bytes(input, LENGTH_BYTES + length))
        return -1;
    if (input->end - input->begin < LENGTH_BYTES + length)
        return fail_cut(input);
    return give(input, LENGTH_BYTES, length, 0, data, size);
}

static int next_whole(struct input *input, const unsigned char **data, size_t *size)
{
    if (input->number > 0)
        return 0;
    if (!read_bytes(input, input->most + 1))
        return -1;
    size_t there = input->end - input->begin;
    if (there > input->most)
        return fail_unmeasured(input);
    return give(input, 0, there, 0, data, size);
}

int input_next(struct input *input, const unsigned char **data, size_t *size)
{
    switch (input->form) {
    case INPUT_LINES:
        return next_line(input, data, size);
    case INPUT_LENGTHS:
        return next_length(input, data, size);
    default:
        return next_whole(input, data, size);
    }
}
