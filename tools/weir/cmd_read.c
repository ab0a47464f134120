/* SPDX-License-Identifier: MIT */
/* weir read - the bytes of a segment on stdout. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/error.h>
#include <weir/segment.h>

#include "bytes.h"
#include "command.h"
#include "object.h"

static const char help[] =
    "Usage: weir read [OPTION]... OBJECT\n"
    "\n"
    "Writes the bytes of a segment to standard output, of anybody's that its mode\n"
    "lets you read. The segment is attached read-only for that time; nothing is\n"
    "locked, so bytes that somebody writes meanwhile may come out half old, half\n"
    "new.\n"
    "\n"
    "OBJECT is NAME (the user's bytes, behind weir's header), id:N, key:0x1234 or\n"
    "ftok:PATH:PROJ (every byte), or posix:/NAME.\n"
    "\n"
    "Options:\n"
    "  -o, --offset=SIZE  from this byte on; 0 unless said\n"
    "  -l, --length=SIZE  so many bytes; to the end unless said\n"
    "  -x, --hex          offsets, bytes in hexadecimal and as text, 16 a line\n"
    "  -q, --quiet        no remarks\n"
    "  -h, --help         this text\n"
    "\n"
    "Examples:\n"
    "  weir read camera/left --length 64 --hex\n"
    "  weir read id:42 > segment.bin\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, 2 called wrongly; by SIGPIPE when the reader of a pipe went\n"
    "  away.\n";

/* One line of the dump. offset: of its first byte in the object. */
static void dump_line(uint64_t offset, const unsigned char *bytes, size_t count)
{
    printf("%08" PRIx64 " ", offset);
    for (size_t i = 0; i < 16; i++) {
        if (i == 8)
            putchar(' ');
        if (i < count)
            printf(" %02x", bytes[i]);
        else
            fputs("   ", stdout);
    }
    fputs("  |", stdout);
    for (size_t i = 0; i < count; i++)
        putchar(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
    fputs("|\n", stdout);
}

/* Shows a piece; false when stdout takes no more, with errno set. */
static bool put(const struct bytes_range *range, uint64_t done, const void *data, uint64_t length)
{
    if (!range->hex)
        return bytes_put(STDOUT_FILENO, data, length);
    const unsigned char *bytes = data;
    for (uint64_t at = 0; at < length; at += 16) {
        unsigned char line[16]; /* a copy: both halves of the line show the same bytes */
        size_t count = length - at < 16 ? (size_t)(length - at) : 16;
        memcpy(line, bytes + at, count);
        errno = 0;
        dump_line(range->offset + done + at, line, count);
        if (ferror(stdout))
            return false;
    }
    return true;
}

static int output_failed(const struct object *object)
{
    if (errno == EFAULT) /* the buffer is at fault, and that is the segment */
        return command_fail("'%s' cannot be read: its pages are not there (huge pages that this "
                            "machine has not got)",
                            object->argument);
    return command_fail_output(errno);
}

/* pread instead of the mapping: who cuts the file off meanwhile cannot kill us with SIGBUS. */
static int copy_file(const struct object *object, const struct bytes_range *range, int file)
{
    static unsigned char buffer[1 << 16];
    for (uint64_t done = 0; done < range->length;) {
        uint64_t rest = range->length - done;
        ssize_t count = pread(file, buffer, rest < sizeof buffer ? rest : sizeof buffer,
                              (off_t)(range->offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return command_fail("'%s': %s", object->argument, strerror(errno));
        if (count == 0)
            return command_fail("'%s' was cut off under us, after %" PRIu64 " bytes",
                                object->argument, done);
        if (!put(range, done, buffer, (uint64_t)count))
            return output_failed(object);
        done += (uint64_t)count;
    }
    return STATUS_OK;
}

/*
 * Shows memory that somebody else made: not touched by us, because pages that
 * are not there would kill us with SIGBUS, but copied by the kernel.
 */
static bool put_attached(const struct bytes_range *range, const unsigned char *data)
{
    static unsigned char buffer[1 << 16];
    if (!range->hex)
        return put(range, 0, data, range->length);
    for (uint64_t done = 0; done < range->length; done += sizeof buffer) {
        uint64_t rest = range->length - done;
        size_t piece = rest < sizeof buffer ? (size_t)rest : sizeof buffer;
        struct iovec to = { buffer, piece };
        struct iovec from = { (void *)(uintptr_t)(data + done), piece };
        ssize_t count = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
        if (count < 0 && errno != EFAULT) /* a filter forbids the call */
            memcpy(buffer, data + done, piece);
        else if (count != (ssize_t)piece) {
            errno = EFAULT;
            return false;
        }
        if (!put(range, done, buffer, piece))
            return false;
    }
    return true;
}

static int read_segment(const struct object *object, struct bytes_range *range)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    options.trust = WEIR_TRUST_ANYONE; /* only shown, so its mode decides alone */
    struct weir_segment *segment;
    int result = weir_segment_open(&segment, object->ref, 0, &options);
    if (result < 0)
        return object_fail(object, result);
    int status = bytes_fit(range, object->argument, weir_segment_size(segment));
    const unsigned char *data = weir_segment_data(segment);
    if (status == STATUS_OK && object->ref.by == WEIR_BY_POSIX)
        status = copy_file(object, range, weir_segment_fd(segment));
    else if (status == STATUS_OK && !put_attached(range, data + range->offset))
        status = output_failed(object);
    weir_segment_close(segment);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        BYTES_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct bytes_range range = { .hex = false };
    struct object object;
    int option, status;
    while ((option = getopt_long(argc, argv, "hq" BYTES_SHORT_OPTIONS, long_options, NULL)) != -1) {
        int taken = bytes_option(&range, option, optarg);
        if (taken < 0)
            return STATUS_USAGE;
        if (taken == 0 && !command_option(option, &status))
            return status;
    }
    if (!object_take_one(&object, argc, argv))
        return STATUS_USAGE;
    object_collect_leftovers();
    if (object.type == WEIR_OBJECT_SEMSET)
        status = command_usage("'%s': a semaphore set has no bytes: 'weir info' shows it",
                               object.argument);
    else
        status = read_segment(&object, &range);
    object_free(&object);
    return command_finish(status);
}

const struct command command_read = {
    .name = "read",
    .summary = "copy the bytes of a segment to standard output",
    .help = help,
    .run = run,
};
