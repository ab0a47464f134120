/* SPDX-License-Identifier: MIT */
/*
 * POSIX segments and memfds: who stands where before each order, and what must hold when the victim is
 * gone. What they change is the kernel's, so that all instructions between two system calls are one.
 */
#include "round.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum segment_flags {
    KEEPS = SUBJECT_FLAG << 0,    /* the POSIX segment is there, before and afterwards */
    SENDS = SUBJECT_FLAG << 1,    /* the victim sends a memfd to the survivor */
    RECEIVES = SUBJECT_FLAG << 2, /* and the other way round */
    MEMFD = SUBJECT_FLAG << 3,
};

static void close_ends(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (segment_ends[i] >= 0)
            close(segment_ends[i]);
        segment_ends[i] = -1;
    }
}

static void renew_ends(struct round *round)
{
    close_ends();
    require(round, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, segment_ends) == 0,
            "no pair of sockets");
}

static uint64_t room_now(void)
{
    struct statvfs room = { .f_bfree = 0 };
    statvfs("/dev/shm", &room);
    return room.f_bfree;
}

static void begin(struct round *round)
{
    close_ends();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, segment_ends) != 0)
        segment_ends[0] = segment_ends[1] = -1;
    round->accounts->segment.room = room_now();
}

static void number(struct round *round, enum who who, enum verb verb, unsigned which)
{
    must(round, who, (struct order){ .verb = verb, .count = which });
}

/* --- who stands where ----------------------------------------------------------------------------- */

static void nothing_is_there(struct round *round)
{
    start(round, OLD);
    close_ends();
}

static void it_is_there(struct round *round)
{
    nothing_is_there(round);
    simply(round, OLD, SEGMENT_CREATE);
    simply(round, OLD, SEGMENT_CLOSE);
}

static void victim_has_it(struct round *round)
{
    it_is_there(round);
    simply(round, VICTIM, SEGMENT_OPEN);
}

static void victim_has_a_memfd(struct round *round)
{
    nothing_is_there(round);
    number(round, VICTIM, MEMFD_CREATE, 1);
}

/* Two may receive it. */
static void one_is_sent(struct round *round)
{
    start(round, OLD);
    start(round, NEXT);
    close_ends();
    number(round, OLD, MEMFD_CREATE, 1);
    simply(round, OLD, MEMFD_SEND);
    simply(round, OLD, SEGMENT_CLOSE);
}

/* --- afterwards ----------------------------------------------------------------------------------- */

static unsigned files_now(void)
{
    unsigned files = 0;
    DIR *directory = opendir("/dev/shm");
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        files += entry->d_type == DT_REG;
    if (directory)
        closedir(directory);
    return files;
}

/* The whole object, or nothing; true: it is there. */
static bool look_at_it(struct round *round)
{
    struct stat found;
    bool is_there = stat("/dev/shm" SEGMENT_NAME, &found) == 0;
    require(round, files_now() == is_there, "%u files in /dev/shm, and it is%s there", files_now(),
            is_there ? "" : " not");
    require(round,
            !is_there ||
                (found.st_size == SEGMENT_BYTES && found.st_nlink == 1 &&
                 found.st_blocks * 512 >= SEGMENT_BYTES && (found.st_mode & 07777) == SEGMENT_MODE),
            "it has %ld bytes in %ld blocks, mode %o, %u names", (long)found.st_size,
            (long)found.st_blocks, found.st_mode & 07777, (unsigned)found.st_nlink);
    return is_there;
}

static void use_posix(struct round *round)
{
    bool is_there = look_at_it(round);
    require(round, is_there || !(round->scenario->flags & KEEPS), "it is gone");
    if (is_there) {
        simply(round, FRESH, SEGMENT_OPEN);
        simply(round, FRESH, SEGMENT_CLOSE);
        simply(round, FRESH, SEGMENT_REMOVE);
    }
    simply(round, FRESH, SEGMENT_CREATE);
    simply(round, OLD, SEGMENT_OPEN);
    simply(round, FRESH, SEGMENT_CLOSE);
    simply(round, OLD, SEGMENT_CLOSE);
    simply(round, OLD, SEGMENT_REMOVE);
    require(round, !look_at_it(round), "it was removed, and is there");
}

static unsigned receive(struct round *round, enum who who, int other)
{
    struct reply reply = ask(round, who, within(MEMFD_RECEIVE, 0));
    if (reply.result != other)
        must_be(round, who, &reply, 0);
    return reply.result == 0 ? reply.count : 0;
}

/* What was sent arrived, or was the dead one's; what is sent now arrives, once. */
static void use_memfd(struct round *round)
{
    const struct segment_state *state = &round->accounts->segment;
    if (round->scenario->flags & SENDS) {
        unsigned which = receive(round, OLD, -EPIPE);
        require(round, which == 1 || (which == 0 && !state->is_sent), "memfd %u arrives", which);
    }
    if (round->scenario->flags & RECEIVES) {
        number(round, OLD, MEMFD_CREATE, 2);
        simply(round, OLD, MEMFD_SEND);
        unsigned which = receive(round, NEXT, 0);
        if (which == 1)
            which = receive(round, NEXT, 0);
        require(round, which == 2, "memfd %u arrives, and not 2", which);
    }
    if (round->peer[NEXT].pid > 0)
        quit(round, NEXT);
}

static void pass_another(struct round *round)
{
    renew_ends(round);
    start(round, NEXT);
    start(round, FRESH);
    close_ends();
    number(round, NEXT, MEMFD_CREATE, 3);
    simply(round, NEXT, MEMFD_SEND);
    quit(round, NEXT);
    unsigned which = receive(round, FRESH, 0);
    require(round, which == 3, "memfd %u arrives, and not 3", which);
    require(round, receive(round, FRESH, -EPIPE) == 0, "one memfd arrives twice");
}

static void go_on(struct round *round)
{
    if (round->scenario->flags & MEMFD)
        use_memfd(round);
    pass_another(round);
    use_posix(round);
    simply(round, FRESH, COLLECT);
    quit_all(round);
    require(round, room_now() == round->accounts->segment.room,
            "%ld blocks of /dev/shm are in use by nobody",
            (long)(round->accounts->segment.room - room_now()));
}

/* Beside one that stands, in the midst of it: all can be done. */
static void meet_beside(struct round *round)
{
    start(round, RIVAL);
    simply(round, RIVAL, SEGMENT_MEET);
    simply(round, RIVAL, SEGMENT_CLOSE);
    quit(round, RIVAL);
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    if (!(scenario->flags & MEMFD))
        meet_beside(round);
    stepper_release(&round->stepper);
    struct reply reply = answer(round, VICTIM);
    /* The rival was faster: what was to be made is there. */
    bool is_late = scenario->order.verb == SEGMENT_CREATE && reply.result == -EEXIST;
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    require(round, !(scenario->flags & RECEIVES) || reply.count == 1, "memfd %u arrives, and not 1",
            reply.count);
    quit(round, VICTIM);
    go_on(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, expected)                                      \
    { operation, variant, 0, flags, stage, { verb, 1, 0, 0, false }, expected, NULL, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("POSIX create", "", 0, nothing_is_there, SEGMENT_CREATE, 0)
    ROW("POSIX create or open", "nothing is there", 0, nothing_is_there, SEGMENT_MEET, 0)
    ROW("POSIX create or open", "it is there", KEEPS, it_is_there, SEGMENT_MEET, 0)
    ROW("POSIX open", "", KEEPS, it_is_there, SEGMENT_OPEN, 0)
    ROW("POSIX close", "", KEEPS, victim_has_it, SEGMENT_CLOSE, 0)
    ROW("POSIX remove", "", 0, it_is_there, SEGMENT_REMOVE, 0)
    ROW("memfd create", "", MEMFD, nothing_is_there, MEMFD_CREATE, 0)
    ROW("memfd close", "", MEMFD, victim_has_a_memfd, SEGMENT_CLOSE, 0)
    ROW("memfd send", "", MEMFD | SENDS, victim_has_a_memfd, MEMFD_SEND, 0)
    ROW("memfd receive", "", MEMFD | RECEIVES, one_is_sent, MEMFD_RECEIVE, 0)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject segment_subject = { scenarios, &count, false, begin, NULL, go_on, after_stop };
