/* SPDX-License-Identifier: MIT */
/* weir recv - a byte stream from 'weir send'. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "text.h"
#include "transfer.h"

static const char help[] =
    "Usage: weir recv [OPTION]... NAME [FILE]\n"
    "\n"
    "Receives what the 'weir send' of the same NAME sends, through shared memory,\n"
    "and writes it to FILE or standard output. Either side may start first; both\n"
    "must be run by the same user, with the same WEIR_DIR.\n"
    "\n"
    "FILE is written in place: it is opened, and emptied, once a sender has come. If\n"
    "it is the very file that is sent, both sides refuse, and it stays as it is.\n"
    "It ends successfully only when everything that the sender had is written. When\n"
    "the sender fails or is killed, it says so and ends; what had come is in FILE.\n"
    "A FILE that cannot be written is told before it waits, and no sender is met.\n"
    "\n"
    "A progress bar is shown when standard error is a terminal, and before it, for\n"
    "whom it waits.\n"
    "\n"
    "Options:\n"
    "  -w, --wait=SECONDS  give up when no sender has come by then; fractions are\n"
    "                      allowed; without it: wait for ever\n"
    "  -q, --quiet         no progress bar\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  weir recv backup copy.img\n"
    "  weir recv tree | tar -x\n"
    "\n"
    "Exit status:\n"
    "  0 every byte is written, 1 not all, 2 called wrongly; by the signal\n"
    "  when interrupted.\n";

static bool may_write(const char *path)
{
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

/* Whether a file of this name could be made, as far as its folder can tell: 0, or the errno. */
static int check_new(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = text_format("%.*s.", slash ? (int)(slash + 1 - path) : 0, path);
    int error = may_write(folder) ? 0 : errno;
    free(folder);
    return error;
}

/* Before it waits for anybody, and without a trace; what cannot be known yet, the open finds. */
static int check_output(const char *path)
{
    struct stat found;
    int error = 0;
    if (!path)
        return STATUS_OK;
    if (*path == '\0')
        error = ENOENT; /* no name of a file; its folder would be this one */
    else if (stat(path, &found) == 0)
        error = S_ISDIR(found.st_mode) ? EISDIR : may_write(path) ? 0 : errno;
    else if (errno != ENOENT)
        error = errno;
    else if (lstat(path, &found) != 0) /* else it is a link, and the file is made elsewhere */
        error = check_new(path);
    return error ? command_fail("cannot open %s: %s", path, strerror(error)) : STATUS_OK;
}

/* Not by O_TRUNC: what is emptied cannot be sent any more. Standard output stays as it is. */
static int prepare_output(struct transfer *transfer, bool is_emptied)
{
    const struct stream_file *sent = &transfer->stream.file;
    struct stat found;
    if (fstat(transfer->fd, &found) != 0 || !S_ISREG(found.st_mode))
        return STATUS_OK;
    if (sent->inode != 0 && found.st_dev == sent->device && found.st_ino == sent->inode)
        return transfer_fail_with(transfer, STREAM_SAME_FILE);
    while (is_emptied && ftruncate(transfer->fd, 0) != 0) {
        if (errno != EINTR)
            return transfer_fail_file(transfer, "empty", errno);
        int result = transfer_retry(transfer, EINTR, POLLOUT);
        if (result != 0)
            return transfer_fail(transfer, result);
    }
    return STATUS_OK;
}

static int open_output(struct transfer *transfer, const char *path)
{
    transfer->fd = STDOUT_FILENO;
    transfer->file = path ? path : "standard output";
    while (path) {
        transfer->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (transfer->fd >= 0)
            break;
        if (errno != EINTR)
            return transfer_fail_file(transfer, "open", errno);
        int result = transfer_retry(transfer, EINTR, POLLOUT);
        if (result != 0)
            return transfer_fail(transfer, result);
    }
    return prepare_output(transfer, path != NULL);
}

static int write_out(struct transfer *transfer, const void *data, size_t bytes)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t written = write(transfer->fd, next, bytes);
        int error = written < 0 ? errno : EINTR;
        if (written > 0) {
            next += written;
            bytes -= (size_t)written;
            transfer->done += (uint64_t)written;
        }
        if (bytes == 0)
            break;
        if (error != EINTR && error != EAGAIN)
            return transfer_fail_file(transfer, "write", error);
        /* Less than asked for: perhaps the watcher interrupted a reader that does not read. */
        int result = transfer_retry(transfer, error, POLLOUT);
        if (result != 0)
            return transfer_fail(transfer, result);
    }
    return STATUS_OK;
}

static int receive_all(struct transfer *transfer)
{
    for (;;) {
        const void *data;
        size_t bytes;
        int result = stream_next(&transfer->stream, &data, &bytes);
        if (result == 0)
            return STATUS_OK;
        if (result < 0)
            return transfer_fail(transfer, result);
        int status = write_out(transfer, data, bytes);
        if (status != STATUS_OK)
            return status;
        result = stream_release(&transfer->stream); /* only what is written */
        if (result != 0)
            return transfer_fail(transfer, result);
        progress_step(&transfer->progress, transfer->done);
    }
}

/* A full disk may be told as late as at the close; only then the sender may believe us. */
static int close_output(struct transfer *transfer)
{
    if (close(transfer->fd) != 0 && errno != EINTR)
        return transfer_fail_file(transfer, "write", errno);
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
    status = check_output(options.file);
    if (status == STATUS_OK)
        status = transfer_begin(&transfer, STREAM_RECEIVER, &options);
    if (status != STATUS_OK)
        return status;
    status = open_output(&transfer, options.file);
    if (status == STATUS_OK)
        status = receive_all(&transfer);
    if (status == STATUS_OK)
        status = close_output(&transfer);
    return command_finish(transfer_end(&transfer, status));
}

const struct command command_recv = { "recv", "receive what 'weir send' sends", help, run };
