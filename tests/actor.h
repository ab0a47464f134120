/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_ACTOR_H
#define WEIR_TESTS_ACTOR_H

/*
 * Actors: processes, and threads of the test's own process, which do what they are told, one act
 * after the other, and answer with its result. So a test says in its own order who does what,
 * sees who waits and who sleeps, and kills and stops whom it likes.
 */

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* What an actor does: the result is its answer. */
typedef int (*actor_act)(void *argument);

struct actor {
    pid_t pid;
    pid_t tid;
    pthread_t thread;
    bool is_thread;
    bool is_gone;
    int order, answer;   /* the test's ends of two pipes */
    int orders, answers; /* a thread's */
    char sentence[256];  /* weir_last_error() of the last answer */
};

/* What actor_answer() gives when there is no answer in time. */
enum { ACTOR_WAITS = -12345 };

void actor_start(struct actor *actor);        /* a process */
void actor_start_thread(struct actor *actor); /* a thread */

void actor_tell(struct actor *actor, actor_act act, void *argument);
/* Its answer, within so many milliseconds; ACTOR_WAITS: it has none yet. */
int actor_answer(struct actor *actor, int within_ms);
/* Both, within 20 seconds. */
int actor_ask(struct actor *actor, actor_act act, void *argument);

/* Until the kernel says that it sleeps in futex(2); the test fails when that takes 20 seconds. */
void actor_see_asleep(struct actor *actor);
/* The same of one that is told something; false: it has answered already. */
bool actor_falls_asleep(struct actor *actor);

/* Of a process. Killed: and its end is known. */
void actor_kill(struct actor *actor);
void actor_stop(struct actor *actor);
void actor_continue(struct actor *actor);
/* The end of its orders; it ends with status 0, or the test fails. */
void actor_end(struct actor *actor);

/* So many at once, which are started so, do this; each with 0, within 20 seconds; and end. */
void actors_do(void (*start)(struct actor *), unsigned count, actor_act act);

#endif
