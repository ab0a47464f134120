/* SPDX-License-Identifier: MIT */
/*
 * log_collector CHANNEL FILE - appends the entries of all writers to a file, until SIGTERM
 *
 * It outlives its writers: they end, are killed, and others come; it goes on. SIGTERM and SIGINT
 * end it in order: what was sent until then is written first.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "entry.h"

static void append(FILE *log, const struct weir_message *message)
{
    const struct entry *entry = message->data;
    char time[32];
    struct tm parts;
    if (message->size_bytes < sizeof *entry) {
        fprintf(log, "(%zu bytes that are no entry)\n", message->size_bytes);
        return;
    }
    time_t seconds = (time_t)(entry->time_ns / 1000000000);
    strftime(time, sizeof time, "%FT%T", gmtime_r(&seconds, &parts));
    fprintf(log, "%s.%06" PRId64 "Z %" PRId32 " ", time, entry->time_ns % 1000000000 / 1000,
            entry->pid);
    /* Control characters would let a writer forge the lines of another. */
    for (size_t i = 0; i < message->size_bytes - sizeof *entry; i++) {
        unsigned char byte = (unsigned char)entry->text[i];
        if (byte < 0x20 || byte == 0x7f)
            fprintf(log, "\\x%02x", byte);
        else
            fputc(byte, log);
    }
    fputc('\n', log);
}

/* Writes what is there. Returns -EAGAIN: all of it; else what cannot be overcome. */
static int drain(struct weir_subscriber *subscriber, FILE *log)
{
    struct weir_message message;
    for (;;) {
        int result = weir_subscriber_take_until(subscriber, &message, 0);
        if (result == -EPIPE || result == -ENODATA)
            continue; /* the last writer is gone; the next call looks for another */
        if (result == -EUCLEAN || result == -EPROTO || result == -EPERM || result == -EACCES) {
            fprintf(stderr, "log_collector: a writer is left alone: %s\n", weir_last_error());
            continue;
        }
        if (result != 0)
            return fflush(log) == 0 ? result : -errno;
        append(log, &message);
        weir_subscriber_release(subscriber, &message);
    }
}

/* A signal is a descriptor among others: none can come between a look and a sleep. */
static int ending_fd(void)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    return signalfd(-1, &ending, SFD_CLOEXEC);
}

static int collect(struct weir_subscriber *subscriber, FILE *log, int ending)
{
    struct pollfd polls[] = {
        { .fd = weir_subscriber_fd(subscriber), .events = POLLIN },
        { .fd = ending, .events = POLLIN },
    };
    if (polls[0].fd < 0)
        return polls[0].fd;
    for (;;) {
        int result = drain(subscriber, log);
        if (result != -EAGAIN)
            return result;
        if (polls[1].revents)
            return 0;
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return -errno;
    }
}

int main(int count, char **arguments)
{
    struct weir_subscriber *subscriber;
    if (count != 3)
        return fprintf(stderr, "usage: log_collector CHANNEL FILE\n"), 2;
    FILE *log = fopen(arguments[2], "ae");
    int ending = ending_fd(); /* before anybody can send something */
    if (!log || ending < 0)
        return perror(arguments[2]), 1;
    int result = weir_subscriber_open(&subscriber, arguments[1], NULL);
    if (result == 0)
        result = collect(subscriber, log, ending);
    if (result != 0)
        return fprintf(stderr, "log_collector: %s\n", weir_last_error()), 1;
    weir_subscriber_close(subscriber);
    return fclose(log) == 0 ? 0 : 1;
}
