/* SPDX-License-Identifier: MIT */
/* weir send - a byte stream to 'weir recv'. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "transfer.h"

static const char help[] =
    "Usage: weir send [OPTION]... NAME [FILE]\n"
    "\n"
    "Sends FILE, or standard input, to the 'weir recv' that has the same NAME,\n"
    "through shared memory. Either side may start first; both must be run by the\n"
    "same user, with the same WEIR_DIR.\n"
    "\n"
    "It ends successfully only after the receiver has taken and written every byte.\n"
    "When the receiver fails or is killed, or FILE becomes shorter meanwhile, it says\n"
    "so and ends at once. A receiver that would write to FILE itself is refused.\n"
    "\n"
    "Meanwhile 'weir list' shows two channels: NAME, and NAME.back- with a number\n"
    "for what the receiver has to say.\n"
    "\n"
    "A progress bar is shown when standard error is a terminal, and before it, for\n"
    "whom it waits.\n"
    "\n"
    "Options:\n"
    "  -w, --wait=SECONDS  give up when no receiver has come by then; fractions are\n"
    "                      allowed; without it: wait for ever\n"
    "  -q, --quiet         no progress bar\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  weir send backup disk.img\n"
    "  tar -c src | weir send --wait 10 tree\n"
    "\n"
    "Exit status:\n"
    "  0 the receiver has every byte, 1 not all, 2 called wrongly; by the signal\n"
    "  when interrupted.\n";

/* Before anything is read. Of a regular file alone: of nothing else the size says what comes. */
static void note_file(struct transfer *transfer, const struct stat *found)
{
    if (!S_ISREG(found->st_mode))
        return;
    transfer->stream.file = (struct stream_file){ found->st_dev, found->st_ino };
    transfer->file_bytes = (uint64_t)found->st_size;
    off_t at = lseek(transfer->fd, 0, SEEK_CUR);
    if (at >= 0 && at < found->st_size)
        transfer->progress.expected = (uint64_t)(found->st_size - at);
}

/* At the end: whether it came too soon. Of files in /sys the size is no promise, and stays. */
static bool is_cut(const struct transfer *transfer)
{
    struct stat now;
    return transfer->done < transfer->progress.expected && fstat(transfer->fd, &now) == 0 &&
           (uint64_t)now.st_size < transfer->file_bytes;
}

static int open_input(struct transfer *transfer, const char *path)
{
    struct stat status;
    transfer->fd = STDIN_FILENO;
    transfer->file = "standard input";
    if (path) {
        transfer->file = path;
        /* A FIFO blocks here until somebody writes to it, as with cat. */
        transfer->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (transfer->fd < 0)
            return command_fail("cannot open %s: %s", path, strerror(errno));
    }
    if (fstat(transfer->fd, &status) != 0)
        return command_fail("cannot read %s: %s", transfer->file, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return command_fail("cannot read %s: %s", transfer->file, strerror(EISDIR));
    note_file(transfer, &status);
    return STATUS_OK;
}

/* Bytes read into the loan, 0 at the end; -1: *status is the end of it all. */
static ssize_t fill(struct transfer *transfer, void *loan, size_t bytes, int *status)
{
    for (;;) {
        ssize_t length = read(transfer->fd, loan, bytes);
        if (length >= 0)
            return length;
        int result = 0;
        if (errno == EINTR || errno == EAGAIN)
            result = transfer_retry(transfer, errno, POLLIN);
        else
            *status = transfer_fail_file(transfer, "read", errno);
        if (result != 0)
            *status = transfer_fail(transfer, result);
        if (*status != STATUS_OK)
            return -1;
    }
}

static int send_all(struct transfer *transfer)
{
    int result, status = STATUS_OK;
    for (;;) {
        void *loan;
        size_t bytes;
        result = stream_loan(&transfer->stream, &loan, &bytes);
        if (result != 0)
            return transfer_fail(transfer, result);
        ssize_t length = fill(transfer, loan, bytes, &status);
        if (length < 0)
            return status;
        if (length == 0)
            break;
        /* What a pipe or a terminal had, however little, goes at once. */
        result = stream_commit(&transfer->stream, (size_t)length);
        if (result != 0)
            return transfer_fail(transfer, result);
        transfer->done += (uint64_t)length;
        progress_step(&transfer->progress, transfer->done);
    }
    if (is_cut(transfer))
        return transfer_fail_with(transfer, STREAM_SHORT_FILE);
    result = stream_end(&transfer->stream);
    if (result == 0)
        result = transfer_verdict(transfer);
    if (result != 0)
        return transfer_fail(transfer, result);
    progress_end(&transfer->progress, transfer->done);
    return STATUS_OK;
}

static int run(int argc, char **argv)
{
    struct transfer_options options;
    struct transfer transfer = { .fd = -1 };
    int status;
    if (!transfer_options(argc, argv, &options, &status))
        return status;
    /* The file before the other side: what cannot be read shall not make anybody wait. */
    status = open_input(&transfer, options.file);
    if (status == STATUS_OK)
        status = transfer_begin(&transfer, STREAM_SENDER, &options);
    if (status != STATUS_OK)
        return status;
    status = send_all(&transfer);
    return command_finish(transfer_end(&transfer, status));
}

const struct command command_send = { "send", "send a file or standard input to 'weir recv'", help,
                                      run };
