/* SPDX-License-Identifier: MIT */
#include "receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/ref.h>

#include "channel.h"
#include "command.h"
#include "named.h"
#include "size.h"
#include "stop.h"
#include "text.h"
#include "value.h"

/* False: the usage error is told. */
static bool take_form(struct receiver_request *request, enum output_form wanted)
{
    if (request->has_form && request->form != wanted) {
        command_usage("--raw, --length-prefixed, --hex and --json: one of them at most");
        return false;
    }
    request->has_form = true;
    request->form = wanted;
    return true;
}

bool receiver_option(struct receiver_request *request, int option, int *status)
{
    *status = STATUS_USAGE;
    switch (option) {
    case 'c':
        return number_option("--count", optarg, 1, UINT64_MAX / 2, &request->count);
    case 'f':
        return from_option(optarg, &request->start, &request->start_back);
    case 'J':
        return value_json_possible() && take_form(request, OUTPUT_JSON);
    case 'L':
        return take_form(request, OUTPUT_LENGTH);
    case 'r':
        return take_form(request, OUTPUT_RAW);
    case 't':
        return seconds_option("--timeout", optarg, &request->timeout);
    case 'x':
        return take_form(request, OUTPUT_HEX);
    default:
        *status = STATUS_OK;
        return false;
    }
}

int receiver_operand(struct receiver_request *request, int argc, char **argv)
{
    if (optind == argc)
        return command_usage("which CHANNEL?");
    if (optind + 1 < argc)
        return command_usage("'%s' is too much: one channel a call", argv[optind + 1]);
    request->channel = argv[optind];
    return channel_name_check(request->channel);
}

void receiver_need_room(struct receiver *receiver, size_t size_bytes)
{
    if (size_bytes <= receiver->room_bytes)
        return;
    free(receiver->room);
    receiver->room = text_memory(malloc(size_bytes));
    receiver->room_bytes = size_bytes;
}

bool receiver_go_on_after(struct receiver *receiver, int result)
{
    switch (result) {
    case -EINTR:
        return true;
    case -EUCLEAN: /* of one publisher, which is left alone from now on */
    case -EPROTO:
    case -EPERM:
    case -EACCES:
        receiver->status = command_fail_weir();
        return true;
    default:
        receiver->status = command_fail_weir();
        return false;
    }
}

static void reset_deadline(struct receiver *receiver)
{
    double timeout = receiver->request->timeout;
    receiver->deadline_ns = timeout < 0 ? WEIR_NEVER : seconds_deadline(timeout);
}

static bool is_enough(const struct receiver *receiver)
{
    return receiver->request->count > 0 && receiver->taken == receiver->request->count;
}

static bool is_read(struct receiver *receiver)
{
    if (command_output_is_read())
        return true;
    output_fail(EPIPE);
    receiver->status = STATUS_FAILURE;
    return false;
}

static enum output_result write_out(struct receiver *receiver)
{
    enum output_result result = output_flush(&receiver->output);
    if (result != OUTPUT_DONE)
        return result;
    if (receiver->source->written)
        receiver->source->written(receiver);
    receiver->unwritten = 0;
    return OUTPUT_DONE;
}

static enum output_result put_message(struct receiver *receiver, const struct weir_message *message)
{
    receiver->taken++;
    receiver->unwritten++;
    reset_deadline(receiver);
    enum output_result written = output_message(&receiver->output, message);
    if (written == OUTPUT_DONE && receiver->unwritten >= receiver->unwritten_max)
        written = write_out(receiver);
    return written;
}

/*
 * The next message. That there is no room for the ring of a publisher is told once; it is tried again
 * while there is nothing else.
 */
static int next(struct receiver *receiver, struct weir_message *message, int64_t deadline_ns)
{
    int result = receiver->source->next(receiver, message, deadline_ns);
    if (result != -ENOMEM)
        return result;
    if (!receiver->has_told_scarce)
        receiver->status = command_fail_weir();
    receiver->has_told_scarce = true;
    return -EAGAIN;
}

/* Nothing is there, and nothing unwritten. False: that is the end. */
static bool await_message(struct receiver *receiver, struct weir_message *message, int *result)
{
    receiver->is_ended = weir_now_ns() >= receiver->deadline_ns;
    if (receiver->is_ended)
        return false;
    *result = next(receiver, message, receiver->deadline_ns);
    return *result != -EAGAIN || (!stop_signal() && is_read(receiver));
}

static enum output_result print_all(struct receiver *receiver)
{
    enum output_result written = OUTPUT_DONE;
    reset_deadline(receiver);
    while (written == OUTPUT_DONE && !receiver->is_ended && !stop_signal() &&
           !is_enough(receiver)) {
        struct weir_message message;
        int result = next(receiver, &message, 0);
        if (result != 0 && receiver->unwritten > 0) {
            written = write_out(receiver);
            if (written != OUTPUT_DONE)
                break;
            if (result == -EAGAIN)
                continue; /* look again: it may have taken long */
        }
        if (result == -EAGAIN && !await_message(receiver, &message, &result))
            break;
        if (result == 0)
            written = put_message(receiver, &message);
        else if (result != -EAGAIN)
            receiver->is_ended = !receiver->source->go_on_after(receiver, result);
    }
    return written == OUTPUT_DONE ? write_out(receiver) : written;
}

void receiver_print(struct receiver *receiver)
{
    enum output_result written = print_all(receiver);
    if (written == OUTPUT_FAILED)
        receiver->status = STATUS_FAILURE;
    receiver->is_ended = written == OUTPUT_DONE && (receiver->is_ended || is_enough(receiver));
}

int receiver_end(const struct receiver *receiver, bool is_to_end)
{
    uint64_t count = receiver->request->count;
    if (receiver->is_ended || !stop_signal() || (count == 0 && !is_to_end))
        return receiver->status;
    if (count > 0)
        command_note("interrupted after %llu of %llu messages", (unsigned long long)receiver->taken,
                     (unsigned long long)count);
    return stop_end(receiver->status);
}
