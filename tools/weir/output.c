/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "stop.h"
#include "text.h"

/* Bytes of a message whose digits are made at once. */
#define HEX_BYTES 4096

enum output_result output_fail(int error)
{
    command_fail_output(error);
    return OUTPUT_FAILED;
}

static enum output_result write_all(const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, count);
        struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
        if (written >= 0) {
            bytes += written;
            count -= (size_t)written;
            continue;
        }
        if (errno == EAGAIN) /* somebody made it non-blocking: wait here instead */
            poll(&out, 1, -1);
        else if (errno != EINTR)
            return output_fail(errno);
        if (stop_signal())
            return OUTPUT_STOPPED;
    }
    return OUTPUT_DONE;
}

enum output_result output_flush(struct output *output)
{
    size_t used = output->used;
    output->used = 0;
    return write_all(output->bytes, used);
}

static enum output_result put(struct output *output, const void *bytes, size_t count)
{
    enum output_result result = OUTPUT_DONE;
    if (count > sizeof output->bytes - output->used)
        result = output_flush(output);
    if (result != OUTPUT_DONE)
        return result;
    if (count > sizeof output->bytes)
        return write_all(bytes, count);
    if (count > 0)
        memcpy(output->bytes + output->used, bytes, count);
    output->used += count;
    return OUTPUT_DONE;
}

/* Takes the text over. */
static enum output_result put_text(struct output *output, char *text)
{
    enum output_result result = put(output, text, strlen(text));
    free(text);
    return result;
}

static enum output_result put_hex(struct output *output, const struct weir_message *message)
{
    enum output_result result = OUTPUT_DONE;
    for (size_t at = 0; at < message->size_bytes && result == OUTPUT_DONE; at += HEX_BYTES) {
        size_t left = message->size_bytes - at;
        result = put_text(output, text_hex((const unsigned char *)message->data + at,
                                           left < HEX_BYTES ? left : HEX_BYTES));
    }
    return result;
}

static enum output_result put_length(struct output *output, size_t size)
{
    const unsigned char bytes[] = { (unsigned char)size, (unsigned char)(size >> 8),
                                    (unsigned char)(size >> 16), (unsigned char)(size >> 24) };
    return put(output, bytes, sizeof bytes);
}

enum output_result output_message(struct output *output, const struct weir_message *message)
{
    enum output_result result = OUTPUT_DONE;
    if (output->form == OUTPUT_LENGTH)
        result = put_length(output, message->size_bytes);
    if (result != OUTPUT_DONE)
        return result;
    if (output->form == OUTPUT_HEX)
        result = put_hex(output, message);
    else if (output->form == OUTPUT_JSON)
        result = put_text(output, output_json(message));
    else
        result = put(output, message->data, message->size_bytes);
    if (result != OUTPUT_DONE || output->form == OUTPUT_RAW || output->form == OUTPUT_LENGTH)
        return result;
    return put(output, "\n", 1);
}
