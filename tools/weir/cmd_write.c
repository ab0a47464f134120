/* SPDX-License-Identifier: MIT */
/* weir write - standard input into a segment. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/segment.h>

#include "bytes.h"
#include "command.h"
#include "object.h"

/* Room for a piece of hexadecimal input, with what the piece before it held back. */
#define PIECE_BYTES 4200

static const char help[] =
    "Usage: weir write [OPTION]... OBJECT\n"
    "\n"
    "Copies standard input into a segment, from its first byte on, until the input\n"
    "ends. What is behind stays as it was. Input that is longer than the segment has\n"
    "room is an error: what fits is written, and the message says how much. Nothing\n"
    "is locked.\n"
    "\n"
    "OBJECT is NAME (the user's bytes, behind weir's header), id:N, key:0x1234,\n"
    "ftok:PATH:PROJ or posix:/NAME (every byte). A segment of another user is\n"
    "refused, unless that is root or --any-owner is given: under a key lies what\n"
    "somebody made there first. Under NAME it is taken as far as those who may write\n"
    "into the run directory (WEIR_DIR) are trusted.\n"
    "\n"
    "Options:\n"
    "  -o, --offset=SIZE  from this byte on; 0 unless said\n"
    "  -l, --length=SIZE  exactly so many bytes: fewer on standard input is an\n"
    "                     error, more are not read\n"
    "  -x, --hex          the input is pairs of hexadecimal digits; blanks are\n"
    "                     skipped, and so are the offsets and the text beside\n"
    "                     them that 'weir read --hex' prints (not with --length)\n"
    "      --any-owner    also into what another user made\n"
    "  -q, --quiet        no remarks\n"
    "  -h, --help         this text\n"
    "\n"
    "Examples:\n"
    "  printf 'Hello' | weir write greeting\n"
    "  echo 'de ad be ef' | weir write id:42 --hex --offset 0x10\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, 2 called wrongly.\n";

/* Reads from stdin; what a read(2) says, with EINTR taken care of. */
static ssize_t get(void *buffer, uint64_t room)
{
    ssize_t count;
    do
        count = read(STDIN_FILENO, buffer, room < (1 << 20) ? room : (1 << 20));
    while (count < 0 && errno == EINTR);
    return count;
}

/*
 * What 'weir read --hex' prints beside the bytes: an offset (8 digits or more, two blanks)
 * at a line's start, and the text behind '|'. Piece by piece they become blanks, so that
 * each byte keeps its place in the input.
 */
struct dump {
    enum { LINE_START, BODY, TEXT } where;
    char token[24]; /* held back: digits at a line's start, perhaps a blank */
    size_t held;
};

static size_t flush_token(struct dump *dump, char *out, bool is_offset)
{
    size_t length = dump->held;
    if (is_offset)
        memset(out, ' ', length);
    else
        memcpy(out, dump->token, length);
    dump->held = 0;
    dump->where = BODY;
    return length;
}

/* Room in out: length and sizeof dump->token. Returns how many it wrote. */
static size_t strip_dump(struct dump *dump, const char *text, size_t length, char *out)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool has_blank = dump->held > 0 && dump->token[dump->held - 1] == ' ';
        if (dump->where == LINE_START) {
            bool is_digit = isxdigit((unsigned char)c) && !has_blank && dump->held < 16;
            if (is_digit || (c == ' ' && !has_blank && dump->held >= 8)) {
                dump->token[dump->held++] = c;
                continue;
            }
            count += flush_token(dump, out + count, has_blank && c == ' ');
        }
        if (c == '|')
            dump->where = TEXT;
        out[count++] = dump->where == TEXT && c != '\n' ? ' ' : c;
        if (c == '\n')
            dump->where = LINE_START;
    }
    return count;
}

/* The state between pieces of hexadecimal input: a pair may be cut in two. */
struct pairs {
    int high; /* the first digit of a pair, or -1 */
    uint64_t read;
};

/* Takes text apart into at most room bytes. NULL, or why not. */
static const char *take_pairs(struct pairs *pairs, const char *text, size_t length,
                              unsigned char *data, uint64_t room, uint64_t *count)
{
    *count = 0;
    for (size_t i = 0; i < length; i++, pairs->read++) {
        unsigned char c = (unsigned char)text[i];
        if (isspace(c) && pairs->high < 0)
            continue;
        if (!isxdigit(c))
            return "pairs of hexadecimal digits are wanted";
        int digit = isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
        if (pairs->high < 0) {
            pairs->high = digit;
            continue;
        }
        if (*count == room)
            return ""; /* too long */
        data[(*count)++] = (unsigned char)(pairs->high << 4 | digit);
        pairs->high = -1;
    }
    return NULL;
}

static int too_long(uint64_t done)
{
    return command_fail("the input is longer than the room: %" PRIu64 " bytes were written, the "
                        "rest is dropped",
                        done);
}

static int input_failed(uint64_t done)
{
    if (errno == EFAULT) /* the buffer is at fault, and that is the segment */
        return command_fail("the segment cannot be written: its pages are not there (somebody cut "
                            "it off, or /dev/shm is full), after %" PRIu64 " bytes",
                            done);
    return command_fail("cannot read standard input: %s, after %" PRIu64 " bytes were written",
                        strerror(errno), done);
}

/*
 * Bytes into a segment that somebody else made: by the kernel, because pages that
 * are not there would kill us with SIGBUS. False with errno set.
 */
static bool store(unsigned char *data, unsigned char *bytes, size_t length)
{
    struct iovec from = { bytes, length }, to = { data, length };
    ssize_t count = process_vm_writev(getpid(), &from, 1, &to, 1, 0);
    if (count == (ssize_t)length)
        return true;
    if (count < 0 && errno != EFAULT) { /* a filter forbids the call */
        memcpy(data, bytes, length);
        return true;
    }
    errno = EFAULT;
    return false;
}

/* One piece of input, as pairs; STATUS_OK, or the status of the failure that it told. */
static int put_pairs(struct pairs *pairs, const char *text, size_t length, unsigned char *data,
                     const struct bytes_range *range, uint64_t *done)
{
    unsigned char bytes[PIECE_BYTES];
    uint64_t count, room = range->length - *done;
    const char *why = take_pairs(pairs, text, length, bytes, room, &count);
    if (count > 0 && !store(data + *done, bytes, (size_t)count))
        return input_failed(*done);
    *done += count;
    if (why && *why == '\0')
        return too_long(*done);
    if (why)
        return command_fail("byte %" PRIu64 " of the input: %s; %" PRIu64 " bytes were written",
                            pairs->read + 1, why, *done);
    return STATUS_OK;
}

static int write_hex(unsigned char *data, const struct bytes_range *range, uint64_t *done)
{
    struct pairs pairs = { .high = -1 };
    struct dump dump = { .where = LINE_START };
    /* Whether digits are an offset shows only behind them, and with a length no more is read. */
    bool may_be_dump = !range->has_length;
    char text[4096], plain[PIECE_BYTES];
    static_assert(sizeof plain >= sizeof text + sizeof dump.token, "strip_dump() needs room");
    int status = STATUS_OK;
    while (status == STATUS_OK && (!range->has_length || *done < range->length)) {
        /* With a length no more is read than it needs: the rest is somebody else's. */
        uint64_t wanted = range->has_length ? range->length - *done : sizeof text;
        ssize_t got = get(text, wanted < sizeof text ? wanted : sizeof text);
        if (got < 0)
            return input_failed(*done);
        size_t length = !may_be_dump ? (size_t)got
                        : got > 0    ? strip_dump(&dump, text, (size_t)got, plain)
                                     : flush_token(&dump, plain, false);
        status = put_pairs(&pairs, may_be_dump ? plain : text, length, data, range, done);
        if (got == 0)
            break;
    }
    if (status == STATUS_OK && pairs.high >= 0)
        return command_fail("the input ends in half a pair; %" PRIu64 " bytes were written", *done);
    return status;
}

static int write_raw(unsigned char *data, const struct bytes_range *range, uint64_t *done)
{
    while (*done < range->length) {
        ssize_t got = get(data + *done, range->length - *done);
        if (got < 0)
            return input_failed(*done);
        if (got == 0)
            return STATUS_OK;
        *done += (uint64_t)got;
    }
    char more;
    ssize_t got = range->has_length ? 0 : get(&more, 1);
    if (got < 0)
        return input_failed(*done);
    return got > 0 ? too_long(*done) : STATUS_OK;
}

static int write_segment(const struct object *object, struct bytes_range *range, bool any_owner)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.trust = any_owner                        ? WEIR_TRUST_ANYONE
                    : object->ref.by == WEIR_BY_NAME ? WEIR_TRUST_DIRECTORY
                                                     : WEIR_TRUST_SELF;
    struct weir_segment *segment;
    int result = weir_segment_open(&segment, object->ref, 0, &options);
    if (result < 0)
        return object_fail(object, result);
    int status = bytes_fit(range, object->argument, weir_segment_size(segment));
    uint64_t done = 0;
    unsigned char *data = (unsigned char *)weir_segment_data(segment) + range->offset;
    if (status == STATUS_OK)
        status = range->hex ? write_hex(data, range, &done) : write_raw(data, range, &done);
    if (status == STATUS_OK && range->has_length && done < range->length)
        status = command_fail("the input ended after %" PRIu64 " of %" PRIu64 " bytes", done,
                              range->length);
    weir_segment_close(segment);
    return status;
}

enum { OPTION_ANY_OWNER = 256 };

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "any-owner", no_argument, NULL, OPTION_ANY_OWNER },
        BYTES_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct bytes_range range = { .hex = false };
    struct object object;
    bool any_owner = false;
    int option, status;
    while ((option = getopt_long(argc, argv, "hq" BYTES_SHORT_OPTIONS, long_options, NULL)) != -1) {
        int taken = bytes_option(&range, option, optarg);
        if (taken < 0)
            return STATUS_USAGE;
        if (option == OPTION_ANY_OWNER)
            any_owner = true;
        else if (taken == 0 && !command_option(option, &status))
            return status;
    }
    if (!object_take_one(&object, argc, argv))
        return STATUS_USAGE;
    object_collect_leftovers();
    if (object.type == WEIR_OBJECT_SEMSET)
        status = command_usage("'%s': a semaphore set has no bytes", object.argument);
    else
        status = write_segment(&object, &range, any_owner);
    object_free(&object);
    return command_finish(status);
}

const struct command command_write = {
    .name = "write",
    .summary = "copy standard input into a segment",
    .help = help,
    .run = run,
};
