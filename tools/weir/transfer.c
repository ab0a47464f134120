/* SPDX-License-Identifier: MIT */
/*
 * The frame around 'weir send' and 'weir recv'.
 *
 * Waiting for the other side's messages ends by itself when that side dies; waiting
 * for a file does not. So a second thread, the watcher, sleeps on the way back (see
 * stream.h) until the other side is gone, and then interrupts the main thread by a
 * signal, again and again until it has noticed: a signal that comes just before
 * read(2) would be lost if it came once.
 *
 * A third, the stopper, takes SIGINT, SIGTERM and SIGHUP and interrupts the main
 * thread in the same way, so that Ctrl-C lets us leave in order: the other side is
 * told, and the name goes with its last user. SIGKILL leaves that to the next weir
 * command.
 */
#include "transfer.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/ref.h>

#include "command.h"
#include "named.h"
#include "text.h"

/* Between two signals of a helper. */
#define NUDGE_NS 10000000

static bool wait_option(const char *text, int64_t *ns)
{
    double seconds;
    if (!seconds_option("--wait", text, &seconds))
        return false;
    /* Beyond what can be counted is for ever. */
    *ns = seconds < 9e9 ? (int64_t)(seconds * 1e9) : -1;
    return true;
}

bool transfer_options(int argc, char **argv, struct transfer_options *options, int *status)
{
    static const struct option long_options[] = { { "wait", required_argument, NULL, 'w' },
                                                  COMMAND_LONG_OPTIONS };
    int option;
    *options = (struct transfer_options){ .wait_ns = -1 };
    while ((option = getopt_long(argc, argv, "hqw:", long_options, NULL)) != -1) {
        if (option == 'w') {
            if (!wait_option(optarg, &options->wait_ns)) {
                *status = STATUS_USAGE;
                return false;
            }
        } else if (!command_option(option, status)) {
            return false;
        }
    }
    if (optind == argc)
        *status = command_usage("which NAME?");
    else if (argc - optind > 2)
        *status =
            command_usage("one NAME and one FILE at most; '%s' is too much", argv[optind + 2]);
    else if (weir_name_check(argv[optind]) != 0)
        *status = command_usage("%s", weir_last_error());
    else {
        options->name = argv[optind];
        options->file = argv[optind + 1];
        if (options->file && strcmp(options->file, "-") == 0)
            options->file = NULL;
        return true;
    }
    return false;
}

static void interrupt(int signal_number)
{
    (void)signal_number; /* that it interrupts is all */
}

/* Interrupts a thread until it has noticed. */
static void nudge(struct transfer *transfer, pthread_t thread, const bool *noticed)
{
    pthread_mutex_lock(&transfer->lock);
    pthread_cond_broadcast(&transfer->changed);
    while (!*noticed) {
        struct timespec until;
        pthread_kill(thread, SIGUSR1);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += NUDGE_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&transfer->changed, &transfer->lock, &until);
    }
    pthread_mutex_unlock(&transfer->lock);
}

static void set(struct transfer *transfer, bool *flag)
{
    pthread_mutex_lock(&transfer->lock);
    *flag = true;
    pthread_cond_broadcast(&transfer->changed);
    pthread_mutex_unlock(&transfer->lock);
}

static void *watch(void *argument)
{
    struct transfer *transfer = argument;
    stream_watch(&transfer->stream, &transfer->leaving);
    if (!atomic_load(&transfer->leaving)) {
        atomic_store(&transfer->gone, true);
        nudge(transfer, transfer->main, &transfer->finished);
    }
    set(transfer, &transfer->watched);
    return NULL;
}

/* The signals that end a program, without those that its user has it ignore (nohup). */
static void stop_signals(sigset_t *set)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    sigemptyset(set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(set, signals[i]);
    }
}

static void *await_stop(void *argument)
{
    struct transfer *transfer = argument;
    sigset_t set;
    int signal_number = 0;
    stop_signals(&set);
    sigaddset(&set, SIGUSR1); /* from stop_stopper() */
    while (sigwait(&set, &signal_number) != 0)
        ;
    if (signal_number != SIGUSR1) {
        atomic_store(&transfer->stopped, signal_number);
        nudge(transfer, transfer->main, &transfer->finished);
    }
    return NULL;
}

/* Before the join, which may wait for ever. */
static int start_stopper(struct transfer *transfer)
{
    struct sigaction action = { .sa_handler = interrupt }; /* no SA_RESTART */
    sigset_t all, before, set, own;
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&own);
    sigaddset(&own, SIGUSR1); /* from nudge(), whatever whoever started us had blocked */
    pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    transfer->main = pthread_self();
    pthread_mutex_init(&transfer->lock, NULL);
    pthread_cond_init(&transfer->changed, NULL);
    sigfillset(&all);
    stop_signals(&set);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are not for the helpers */
    int error = pthread_create(&transfer->stopper, NULL, await_stop, transfer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return error;
}

static int start_watcher(struct transfer *transfer)
{
    sigset_t most, before;
    sigfillset(&most);
    sigdelset(&most, SIGUSR1); /* from stop_watcher() */
    pthread_sigmask(SIG_SETMASK, &most, &before);
    int error = pthread_create(&transfer->watcher, NULL, watch, transfer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* Afterwards the way back is ours. */
static void stop_watcher(struct transfer *transfer)
{
    atomic_store(&transfer->leaving, true);
    set(transfer, &transfer->finished);
    nudge(transfer, transfer->watcher, &transfer->watched);
    pthread_join(transfer->watcher, NULL);
}

/* The end of the stopper; and ours, if a signal stopped us: as if nobody had caught it. */
static int stop_stopper(struct transfer *transfer, int status)
{
    set(transfer, &transfer->finished);
    pthread_kill(transfer->stopper, SIGUSR1);
    pthread_join(transfer->stopper, NULL);
    int stopped = atomic_load(&transfer->stopped);
    sigset_t set;
    stop_signals(&set);
    if (stopped)
        raise(stopped); /* still blocked */
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return status;
}

static int fail_join(struct transfer *transfer, int result, int64_t wait_ns)
{
    switch (result) {
    case -EINTR: /* the signal says it all */
        return STATUS_FAILURE;
    case -EBUSY:
        return command_fail("'%s' is busy: another %s is using it", transfer->stream.name,
                            transfer->self);
    case -ETIMEDOUT:
        return command_fail("no %s came within %g s", transfer->other, (double)wait_ns / 1e9);
    case -EPROTONOSUPPORT:
        return command_fail("'%s' was made by another version of weir: use the same on both sides",
                            transfer->stream.name);
    case -EBADMSG:
        return command_fail("'%s' is a channel of another program: there is no 'weir %s' at it",
                            transfer->stream.name,
                            transfer->stream.role == STREAM_SENDER ? "recv" : "send");
    default:
        return command_fail_weir();
    }
}

/* Its user may not know that there is another side, and would see nothing. */
static int join(struct transfer *transfer, int64_t deadline_ns)
{
    char *line = text_format("waiting for a %s of '%s'", transfer->other, transfer->stream.name);
    progress_wait(&transfer->progress, line);
    free(line);
    int result = stream_join(&transfer->stream, deadline_ns);
    progress_wait_end(&transfer->progress);
    return result;
}

int transfer_begin(struct transfer *transfer, enum stream_role role,
                   const struct transfer_options *options)
{
    bool is_sender = role == STREAM_SENDER;
    transfer->stream.role = role;
    transfer->stream.name = options->name;
    transfer->stream.expected = transfer->progress.expected;
    transfer->stream.stopped = &transfer->stopped;
    transfer->self = is_sender ? "sender" : "receiver";
    transfer->other = is_sender ? "receiver" : "sender";
    int64_t deadline_ns = weir_deadline_ns(options->wait_ns);
    int error = start_stopper(transfer);
    if (error != 0)
        return command_fail("cannot start a thread: %s", strerror(error));
    int result = join(transfer, deadline_ns);
    if (result != 0) {
        int status = fail_join(transfer, result, options->wait_ns);
        stream_leave(&transfer->stream);
        return stop_stopper(transfer, status);
    }
    error = start_watcher(transfer);
    if (error != 0) {
        stream_fail(&transfer->stream, error);
        stream_leave(&transfer->stream);
        return stop_stopper(transfer, command_fail("cannot start a thread: %s", strerror(error)));
    }
    transfer->progress.expected = transfer->stream.expected;
    progress_start(&transfer->progress);
    return STATUS_OK;
}

int transfer_verdict(struct transfer *transfer)
{
    pthread_mutex_lock(&transfer->lock);
    while (!atomic_load(&transfer->gone) && !atomic_load(&transfer->stopped))
        pthread_cond_wait(&transfer->changed, &transfer->lock);
    pthread_mutex_unlock(&transfer->lock);
    return atomic_load(&transfer->gone) ? stream_verdict(&transfer->stream) : -EINTR;
}

int transfer_end(struct transfer *transfer, int status)
{
    stop_watcher(transfer);
    if (atomic_load(&transfer->stopped) && status != STATUS_OK)
        transfer->failed = EINTR;
    if (transfer->failed)
        stream_fail(&transfer->stream, transfer->failed);
    else if (status == STATUS_OK && transfer->stream.role == STREAM_RECEIVER)
        stream_accept(&transfer->stream);
    stream_leave(&transfer->stream);
    return stop_stopper(transfer, status);
}

/* What the other side says of itself. */
static int fail_other(const struct transfer *transfer)
{
    char have[16];
    int error = stream_peer_error(&transfer->stream);
    switch (error) {
    case EINTR:
        return command_fail("the %s was interrupted after %s", transfer->other,
                            progress_bytes((double)transfer->done, have));
    case STREAM_SAME_FILE:
        return command_fail("%s is the same file as the receiver's: nothing is written",
                            transfer->file);
    case STREAM_SHORT_FILE:
        return command_fail("the sender's file became shorter while it was sent: there are %s",
                            progress_bytes((double)transfer->done, have));
    default:
        return command_fail("%s failed: %s", transfer->other, strerror(error));
    }
}

int transfer_fail(struct transfer *transfer, int result)
{
    char have[16];
    progress_end(&transfer->progress, transfer->done);
    switch (result) {
    case -EINTR: /* the signal says it all */
        return STATUS_FAILURE;
    case -EPIPE:
        return command_fail("the %s was killed, or ended too soon, after %s", transfer->other,
                            progress_bytes((double)transfer->done, have));
    case -ECANCELED:
        return fail_other(transfer);
    case -EUCLEAN:
        return command_fail("what the %s wrote into the shared memory cannot be true",
                            transfer->other);
    default:
        return command_fail_weir();
    }
}

int transfer_fail_file(struct transfer *transfer, const char *doing, int error)
{
    progress_end(&transfer->progress, transfer->done);
    transfer->failed = error;
    return command_fail("cannot %s %s: %s", doing, transfer->file, strerror(error));
}

int transfer_fail_with(struct transfer *transfer, enum stream_failure failure)
{
    char have[16], had[16];
    progress_end(&transfer->progress, transfer->done);
    transfer->failed = (int)failure;
    if (failure == STREAM_SAME_FILE)
        return command_fail("%s is the same file as the sender's: nothing is written",
                            transfer->file);
    return command_fail("%s ended after %s of its %s: it became shorter while it was sent",
                        transfer->file, progress_bytes((double)transfer->done, have),
                        progress_bytes((double)transfer->progress.expected, had));
}

int transfer_retry(struct transfer *transfer, int error, short events)
{
    struct pollfd poll_fd = { .fd = transfer->fd, .events = events };
    if (error == EAGAIN) /* somebody made it non-blocking: wait here instead */
        poll(&poll_fd, 1, -1);
    if (atomic_load(&transfer->stopped))
        return -EINTR;
    return atomic_load(&transfer->gone) ? stream_peer(&transfer->stream) : 0;
}
