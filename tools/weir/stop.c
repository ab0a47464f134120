/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "command.h"

/* Between two interruptions. */
#define NUDGE_NS 10000000

static volatile sig_atomic_t stopped;
static timer_t nudges;

static void interrupt(int signal_number)
{
    (void)signal_number; /* that it interrupts is all */
}

static void stop(int signal_number)
{
    static const struct itimerspec often = { { 0, NUDGE_NS }, { 0, NUDGE_NS } };
    int saved_errno = errno;
    if (!stopped)
        stopped = signal_number;
    timer_settime(nudges, 0, &often, NULL); /* async-signal-safe, unlike threads */
    errno = saved_errno;
}

void stop_catch_too(int signal_number)
{
    const struct sigaction action = { .sa_handler = stop };
    struct sigaction before;
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(signal_number, &action, NULL);
}

int stop_catch(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    const struct sigaction action = { .sa_handler = interrupt }; /* no SA_RESTART */
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    sigset_t own;
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&own);
    sigaddset(&own, SIGALRM); /* the timer's, whatever whoever started us had blocked */
    sigprocmask(SIG_UNBLOCK, &own, NULL);
    if (timer_create(CLOCK_MONOTONIC, &event, &nudges) != 0)
        return command_fail("cannot make a timer: %s", strerror(errno));
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        stop_catch_too(signals[i]);
    return STATUS_OK;
}

int stop_signal(void)
{
    return stopped;
}

int stop_end(int status)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    if (!stopped)
        return status;
    sigaction(stopped, &action, NULL);
    raise(stopped);
    return STATUS_FAILURE;
}
