/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_STOP_H
#define WEIR_TOOL_STOP_H

/*
 * SIGINT, SIGTERM and SIGHUP end a command in order: they are caught, and interrupt whatever the
 * command waits in, again and again until it has noticed. (A signal that comes just before a
 * call begins to wait would be lost if it came once.)
 */

/* From now on, those that the user does not have ignored. STATUS_OK, or the failure is told. */
int stop_catch(void);

/* Behind it, for who has more to put in order than others: this one as well. */
void stop_catch_too(int signal_number);

/* The signal that is to end us; 0: none. */
int stop_signal(void);

/* Ends by that signal, as if nobody had caught it; without one it returns status. */
int stop_end(int status);

#endif
