/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_STAGE_H
#define WEIR_TOOL_STAGE_H

/* What the files of 'weir demo' share among themselves; scenes use scene.h and calls.h. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "scene.h"

enum {
    STAGE_ACTORS = 64,
    STAGE_OBJECTS = 256,
    STAGE_NAME_MAX = 16,
    STAGE_WIDTH = 78, /* of the page; a terminal has 80 */
};

enum stage_kind {
    STAGE_NOTHING = 0,
    STAGE_SEGMENT = 1,
    STAGE_SEMSET = 2,
    STAGE_NAMED_SET = 3, /* one of weir's, SCENE_SET_NAME with the key; in the journal alone */
};

struct stage_actor {
    pid_t pid; /* 0: free */
    char name[STAGE_NAME_MAX];
};

/* An identifier comes round, and a key is free again: the rest tells whether it is still ours. */
struct stage_object {
    enum stage_kind kind;
    int id;             /* -1: about to be made, under its key */
    key_t key;          /* IPC_PRIVATE: none that it could be found by */
    uint64_t size;      /* bytes, or semaphores; 0: not known */
    pid_t maker;        /* shm_cpid, as long as there is no id; of a set the kernel keeps none */
    uid_t creator;      /* shm_perm.cuid or sem_perm.cuid */
    int64_t changed_at; /* lower bound of shm_ctime or sem_ctime */
};

/*
 * Shared by the command, the scene's process and its children (anonymous, so it
 * ends with them). Written under stage_lock(), which the kernel frees when its
 * holder dies; read without it by the last cleaner, when all others are dead.
 */
struct stage {
    struct stage_actor actors[STAGE_ACTORS];
    struct stage_object objects[STAGE_OBJECTS];
    char output[4096];   /* lines that the hearts printed, as far as they fit */
    uint32_t calls;      /* told so far: the number in front of a call */
    uint32_t written;    /* pieces of text so far: the scene goes on */
    bool at_prompt;      /* the Enter key is waited for, however long that takes */
    int write_failure;   /* errno of the first failed write to stdout */
    bool blank;          /* the page ends with an empty line */
    bool step;           /* ends at the end of stdin */
    bool private;        /* the scene has a private IPC and mount namespace */
    uint32_t named_set;  /* number of weir's set by name that is there now, 0: none */
    char directory[512]; /* of the scene, if it has to be removed; else "" */
};

extern struct stage *stage;
extern struct scene_settings stage_settings;

/* 0, or -errno. Before the first fork. */
int stage_open(const struct scene_settings *settings);

void stage_lock(void);
void stage_unlock(void);
void stage_lock_forget(void); /* in a child that was forked under the lock: it does not have it */

/*
 * Around a call that makes an object, until it is watched: no signal but SIGKILL
 * ends the process in between, and who cleans up waits for it.
 */
void stage_making_begin(void);
void stage_making_end(void);
void stage_making_forget(void);   /* in a child that was forked in between */
void stage_wait_for_makers(void); /* two seconds at most: async-signal-safe, before killing them */

/*
 * For a System V object, against SIGKILL too: what is about to be made is put
 * down before the call, in the stage and in the journal. In the machine's own
 * namespace nobody could find an IPC_PRIVATE object that a kill has left: there
 * a fresh key stands in for it. Returns a place for stage_making_object_end(),
 * and changes key and flags to what the call is made with. What is there already
 * is not put down.
 */
int stage_making_object(enum stage_kind kind, key_t *key, int *flags, uint64_t size);
void stage_making_object_end(int place, int id); /* id -1: it was not made */

/* Under the lock. */
void stage_actor_add(pid_t pid, const char *name);
void stage_actor_drop(pid_t pid);
const char *stage_actor_name(pid_t pid);                 /* "" when it has none */
int stage_object_add(const struct stage_object *object); /* its place, -1: the list is full */
void stage_object_drop(enum stage_kind kind, int id);

/* Finds what an object is now: true when it is there, and still ours. Async-signal-safe. */
bool stage_object_find(struct stage_object *object);

/* Async-signal-safe. */
void stage_object_remove(const struct stage_object *object);

/* Removes what is watched. In the scene's own namespaces only. Async-signal-safe. */
void stage_remove_objects(void);

/* -- place.c ---------------------------------------------------------------------------------- */

/* Puts the calling process into private namespaces if it can, and into a fresh directory; 0 or -errno. */
int place_enter(void);

/* Removes the directory, if its namespace does not. */
void place_leave(void);

/* The same. Async-signal-safe. */
void place_leave_at_once(void);

/* -- process.c -------------------------------------------------------------------------------- */

/* Kills and reaps the processes of the scene that are still there. */
void process_end_all(void);

/* -- narrate.c -------------------------------------------------------------------------------- */

/* Text that is put together first and written at once; it never grows beyond its room. */
struct text {
    size_t length;
    char bytes[8192];
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds words, folded at STAGE_WIDTH, each line after the first indented; ends with a newline. */
void text_fold(struct text *text, unsigned indent, const char *words);

/* Bold on a terminal, else nothing. */
const char *text_bold(void);
const char *text_plain(void);

/* To stdout, whole; remembers a failure in stage->write_failure. Under the lock. */
void text_write(const struct text *text);

/* Waits for Enter, if asked for. Under the lock. */
void stage_wait_for_enter(void);

/* -- facts.c ---------------------------------------------------------------------------------- */

void facts_skip(const char *reason);
void facts_fault(const struct scene_fault *fault);

/* Whether this build can write JSON. */
bool facts_json_possible(void);

/* The document, on stdout; 0 or -errno. */
int facts_print_json(const struct scene *scene, uint64_t seed, bool private);

#endif
