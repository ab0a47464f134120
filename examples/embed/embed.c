/* SPDX-License-Identifier: MIT */
/*
 * embed CHANNEL - weir in the event loop that a program already has, here libuv's
 *
 * The loop has a timer, the standard input and a channel. Messages are counted as they come; each
 * tenth of a second the count is printed, if it has changed; a line on the standard input is
 * repeated. Ends with the channel.
 *
 * weir owns no loop and calls nobody back: it gives a descriptor, and the loop asks. Any loop that
 * can poll one will do: GLib (g_unix_fd_add), libev, Qt (QSocketNotifier), asyncio (add_reader).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <uv.h>

#include <weir/weir.h>

#define MESSAGES_A_TURN 64 /* then the loop's other sources have their turn */

struct program {
    uv_loop_t loop;
    uv_poll_t channel, input;
    uv_timer_t timer;
    struct weir_subscriber *subscriber;
    uint64_t count, told, bytes;
    int result;
};

static void tell(struct program *program)
{
    if (program->count == program->told)
        return;
    program->told = program->count;
    printf("%" PRIu64 " messages, %" PRIu64 " bytes\n", program->count, program->bytes);
    fflush(stdout);
}

static void on_timer(uv_timer_t *timer)
{
    tell(timer->data);
}

static void on_input(uv_poll_t *input, int status, int events)
{
    char line[256];
    (void)events;
    if (status != 0 || !fgets(line, sizeof line, stdin)) {
        uv_poll_stop(input);
        return;
    }
    printf("you said: %s", line);
    fflush(stdout);
}

/* The descriptor is readable until a take has said -EAGAIN: what is left here comes next turn. */
static void on_channel(uv_poll_t *channel, int status, int events)
{
    struct program *program = channel->data;
    struct weir_message messages[MESSAGES_A_TURN];
    (void)events;
    int got = status != 0 ? status
                          : weir_subscriber_take_many_until(program->subscriber, messages,
                                                            MESSAGES_A_TURN, 0);
    for (int i = 0; i < got; i++) {
        program->count++;
        program->bytes += messages[i].size_bytes;
    }
    if (got > 0)
        got = weir_subscriber_release_many(program->subscriber, messages, (size_t)got);
    if (got != 0 && got != -EAGAIN) { /* -ENODATA: the publishers have said that this was all */
        program->result = got;
        uv_stop(&program->loop);
    }
}

static int watch(struct program *program)
{
    int fd = weir_subscriber_fd(program->subscriber);
    if (fd < 0)
        return fd;
    uv_loop_init(&program->loop);
    program->channel.data = program->timer.data = program;
    uv_timer_init(&program->loop, &program->timer);
    uv_timer_start(&program->timer, on_timer, 100, 100);
    if (uv_poll_init(&program->loop, &program->input, 0) == 0) /* a plain file cannot be polled */
        uv_poll_start(&program->input, UV_READABLE, on_input);
    int result = uv_poll_init(&program->loop, &program->channel, fd);
    return result != 0 ? result : uv_poll_start(&program->channel, UV_READABLE, on_channel);
}

int main(int count, char **arguments)
{
    static struct program program;
    if (count != 2)
        return fprintf(stderr, "usage: embed CHANNEL\n"), 2;
    setvbuf(stdin, NULL, _IONBF, 0); /* what is buffered here would not wake the loop */
    int result = weir_subscriber_open(&program.subscriber, arguments[1], NULL);
    if (result == 0)
        result = watch(&program);
    if (result == 0) {
        uv_run(&program.loop, UV_RUN_DEFAULT);
        result = program.result;
    }
    if (result != -ENODATA)
        return fprintf(stderr, "embed: %s\n", weir_last_error()), 1;
    tell(&program);
    weir_subscriber_close(program.subscriber);
}
