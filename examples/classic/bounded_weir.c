/* SPDX-License-Identifier: MIT */
/*
 * The producer and the consumer once more, with weir: the same slots and the
 * same two semaphores in bounded_buffer.c, under a name.
 *
 *   bounded_weir <file >copy            as bounded_sysv: one program, two processes
 *   bounded_weir produce NAME <file     or two programs that know nothing of each
 *   bounded_weir consume NAME >copy     other, started in either order
 *
 * Kill whichever you like, both at once: the other one says so and ends, and
 * nothing stays behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "bounded_buffer.h"

enum { SLOTS = 4, SLOT_BYTES = 512 * 1024 };

/* A signal, or being stopped and continued, is no reason to give up. */
#define RETRY(result, call)                                                                        \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) == -EINTR)

/* file_error: an errno of the input or output, 0: the buffer's result says what happened. */
static int complain(const char *who, int result, int file_error, int peer_error)
{
    const char *sentence = file_error ? strerror(file_error) : weir_strerror(result);
    const char *whose = "";
    if (file_error == 0 && result == -EPIPE) {
        sentence = "the other side is gone";
    } else if (file_error == 0 && result == -ECANCELED) {
        sentence = strerror(peer_error);
        whose = "the other side failed: ";
    }
    fprintf(stderr, "%s: %s%s\n", who, whose, sentence);
    return 1;
}

static int produce(const char *name)
{
    struct bounded_buffer *buffer;
    void *slot;
    ssize_t length = 1;
    int result;
    RETRY(result,
          bounded_buffer_join(&buffer, name, BOUNDED_BUFFER_SENDER, SLOTS, SLOT_BYTES, WEIR_NEVER));
    if (result != 0)
        return complain("producer", result, 0, 0);
    while (result == 0) {
        RETRY(result, bounded_buffer_reserve(buffer, &slot));
        if (result == 0 && (length = read(STDIN_FILENO, slot, SLOT_BYTES)) <= 0)
            break;
        if (result == 0)
            result = bounded_buffer_commit(buffer, (uint32_t)length);
    }
    int file_error = length < 0 ? errno : 0;
    if (file_error != 0) {
        result = -file_error;
        bounded_buffer_fail(buffer, file_error);
    }
    if (result == 0)
        RETRY(result, bounded_buffer_end(buffer));
    int peer_error = bounded_buffer_peer_error(buffer);
    bounded_buffer_leave(buffer);
    return result == 0 ? 0 : complain("producer", result, file_error, peer_error);
}

static int write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

static int consume(const char *name)
{
    struct bounded_buffer *buffer;
    const void *data;
    uint32_t bytes;
    int result, written = 0;
    RETRY(result, bounded_buffer_join(&buffer, name, BOUNDED_BUFFER_RECEIVER, SLOTS, SLOT_BYTES,
                                      WEIR_NEVER));
    if (result != 0)
        return complain("consumer", result, 0, 0);
    for (;;) {
        RETRY(result, bounded_buffer_next(buffer, &data, &bytes));
        if (result <= 0)
            break;
        written = write_all(data, bytes);
        result = written == 0 ? bounded_buffer_release(buffer) : written;
        if (result != 0)
            break;
    }
    if (result == 0 && close(STDOUT_FILENO) != 0)
        written = result = -errno;
    if (written != 0)
        bounded_buffer_fail(buffer, -written);
    if (result == 0)
        result = bounded_buffer_accept(buffer);
    int peer_error = bounded_buffer_peer_error(buffer);
    bounded_buffer_leave(buffer);
    return result == 0 ? 0 : complain("consumer", result, -written, peer_error);
}

int main(int argc, char **argv)
{
    char name[64];
    if (argc == 3 && strcmp(argv[1], "produce") == 0)
        return produce(argv[2]);
    if (argc == 3 && strcmp(argv[1], "consume") == 0)
        return consume(argv[2]);
    if (argc != 1) {
        fprintf(stderr, "Usage: bounded_weir [produce|consume NAME]\n");
        return 2;
    }
    snprintf(name, sizeof name, "bounded/%d", (int)getpid());
    fflush(NULL);
    pid_t consumer = fork();
    if (consumer < 0) {
        perror("fork");
        return 1;
    }
    if (consumer == 0)
        return consume(name);
    int produced = produce(name);
    int status;
    if (waitpid(consumer, &status, 0) < 0)
        perror("waitpid");
    return produced == 0 && status == 0 ? 0 : 1;
}
