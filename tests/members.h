/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_MEMBERS_H
#define WEIR_TESTS_MEMBERS_H

/*
 * Members of the channel of crowd.h that are processes of several users: each does one call after
 * the other, as it is told, and answers with the result. And the run directory in which they meet.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

#include <weir/channel.h>

struct member {
    pid_t pid;
    int orders, replies;
    uid_t uid;
    gid_t group; /* a further one; 0: none */
    bool is_publisher;
    struct weir_channel_options options;
};

enum order {
    OPEN,
    SEND,         /* without waiting */
    SEND_WAITING, /* ten seconds at most */
    TAKE,         /* one, without waiting */
    SUBSCRIBERS,  /* wait for so many, without waiting */
    TAKEN,        /* without waiting */
    REVEAL,       /* everybody may read its memory from now on */
    CHANGE_UID,
    ENTER_NAMESPACE, /* of users: its own is the argument there; negative: not to be had here */
    FORBID,          /* calls from now on: enum forbidden */
    LOCK_UP,         /* in an empty directory, where there is no /proc */
    ENTER_WHOLE_NAMESPACE, /* of users, which has them all; negative: not to be had here */
    JOIN_NAMESPACE,        /* of users: that of the process of this number */
    LEAVE_FILES,           /* so many descriptors are free from now on */
    VANISH,                /* end without a word */
    CLOSE,
};

enum forbidden { SHMCTL = 1, SHMAT = 2, STAT = 4, READLINK = 8, PIDFD = 16 };

/* A process of that user, which has opened nothing yet. */
void member_start(struct member *member, bool is_publisher, uid_t uid, uint32_t mode,
                  uint32_t trust);
/* The same, which has opened. */
void member_open(struct member *member, bool is_publisher, uid_t uid, uint32_t mode,
                 uint32_t trust);
void member_end(const struct member *member);

extern gid_t common_group; /* that a member is started in, and gives what it makes to; 0: none */

/* Does not wait for the answer. */
void tell(const struct member *member, enum order order, uint32_t argument);
int answer(const struct member *member);
int ask(const struct member *member, enum order order, uint32_t argument);
/* How often the member's call gives this result, of so many; all others must be 0 or more. */
unsigned ask_and_count(const struct member *member, enum order order, uint32_t argument,
                       unsigned calls, int result);

/* Rings of 64 KiB, messages of 500 bytes: so many are several rings. */
enum { RINGS = 700 };

void clear_run_directory(void);
/* A run directory of this group and mode, in place of the former. */
void make_run_directory(gid_t group, mode_t mode);

/* The channel, of root's making and open to all: it stays while it is played in. */
void stage_begin(void);
void stage_end(void);

/* Sends of the good one are what the subscriber takes, each once, whoever else is there. */
void expect_good(const struct member *good, const struct member *reader);

#endif
