/* SPDX-License-Identifier: MIT */
#ifndef WEIR_INSPECT_H
#define WEIR_INSPECT_H

/*
 * Read-only view of everything that is shared on this machine, weir's or not:
 * System V segments and semaphore sets of the caller's IPC namespace, POSIX
 * segments in /dev/shm, and weir's names. Believes nothing that another process can write
 * without checking it. Changes nothing and attaches nothing; but the two calls for channels attach,
 * for a moment, the memory of a channel and of its members, for reading; they take away the name of a
 * channel that is gone; and the one for its members makes this process's identity where it meets a
 * dead one (a segment of a page, and a collection as in <weir/collect.h>, once).
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/ref.h>
#include <weir/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_object_type {
    WEIR_OBJECT_SEGMENT = 1 << 0, /* System V shared memory */
    WEIR_OBJECT_SEMSET = 1 << 1,  /* System V semaphore set */
    WEIR_OBJECT_POSIX = 1 << 2,   /* file in /dev/shm that shm_open(3) would find */
    WEIR_OBJECT_ALL = 7,
};

enum weir_object_state {
    WEIR_STATE_LIVE =
        1, /* somebody is attached, or waits; of a set that lives with a segment: to that */
    WEIR_STATE_IDLE = 2,   /* nobody is, and somebody may come: persistent name, creator alive, or
                              not known (POSIX segments, sets, pids of other namespaces) */
    WEIR_STATE_ORPHAN = 3, /* nobody is attached, the creator is dead, and weir has no name for it;
                              or a set whose segment is gone. A hint: nobody can know the names in
                              a directory that another user's WEIR_DIR names. What stands in a
                              default run directory, or in one that may not be read, is no orphan,
                              but such a set, and what a killed creator has left half made */
};

struct weir_object {
    uint32_t size;           /* sizeof(struct weir_object), set by the library */
    uint32_t type;           /* enum weir_object_type */
    uint32_t state;          /* enum weir_object_state */
    uint32_t lifetime;       /* enum weir_lifetime */
    uint32_t key;            /* System V; 0: none */
    int32_t id;              /* System V; -1 for POSIX */
    uint32_t uid, gid;       /* owner */
    uint32_t cuid, cgid;     /* creator (POSIX: the owner) */
    uint32_t mode;           /* permission bits */
    uint32_t count;          /* semaphores in a set; else 0 */
    uint64_t size_bytes;     /* of a segment, weir's header included (shm_segsz) */
    uint64_t resident_bytes; /* of these, in memory now */
    int64_t attached;   /* attachments of a segment; waiting processes of a set; -1: not known */
    int32_t cpid, lpid; /* creator's and last user's pid; 0: not known or not visible here */
    int64_t atime, dtime, ctime; /* seconds since 1970; 0: never. For sets atime is sem_otime */
    uint32_t removed;            /* 1: marked for destruction */
    uint32_t weirs;              /* 1: made by weir (it stands in the run directory) */
    const char *name; /* weir's name; "/NAME" of POSIX; NULL: none. Valid in the callback. A set
                         that lives with a named segment has the segment's name */
    const char *kind; /* "segment", "semset", "posix", "posix-sem" (a named POSIX semaphore: the
                         file sem.NAME), or the kind that weir's name has */
    uint64_t header_bytes; /* of size_bytes, weir's header in front: the user has the rest */
};

/*
 * weir_inspect() - walk over all objects
 *
 * types: enum weir_object_type, or-ed; other bits count for nothing. visit: called for each; a value other
 * than 0 ends the walk and is returned. argument: handed to it. Order: System V
 * segments by id, sets by id, POSIX by name.
 *
 * What comes and goes during the walk may or may not be seen. What a security module (SELinux) keeps
 * the kernel from telling this process of is left out.
 *
 * That weir's own run directory cannot be read (WEIR_DIR, no /proc, no descriptor to be had) is no error: then
 * nothing has a name, nor is weir's, nor an orphan for its creator's death. Where /proc/sysvipc/shm cannot be
 * read, resident_bytes is 0.
 *
 * Returns: 0, or what visit returned; -ENOMEM, -EACCES (/dev/shm may not be read), -EMFILE (likewise),
 *     -ENOSYS or -EPERM (the kernel, or a filter, forbids System V, or to ask for what the
 *     caller may not read; whatever else a filter says, -EACCES for example).
 * Blocking: never. Threads: any. Signals: not safe.
 * Source: shmctl(2) SHM_STAT_ANY, semctl(2) SEM_STAT_ANY, /proc/sysvipc/shm.
 */
WEIR_EXPORT int weir_inspect(uint32_t types,
                             int (*visit)(const struct weir_object *object, void *argument),
                             void *argument);

/*
 * weir_inspect_one() - one object, by reference
 *
 * ref: by name, ftok, key, id or POSIX name. type: WEIR_OBJECT_SEGMENT,
 * WEIR_OBJECT_SEMSET, or 0 for whichever the name, key or id has (a segment
 * first); by POSIX name 0 or WEIR_OBJECT_POSIX. object: receives it; object->name and
 * object->kind point into it or to static memory: they live as long as names
 * (at least sizeof of the buffer given) does. names, capacity_bytes: a buffer
 * for the two texts, 256 bytes are enough, for POSIX 300.
 *
 * Returns: 0; -ENOENT; -EINVAL (type; a reference that names nothing; capacity_bytes too small; WEIR_DIR);
 *     -ENAMETOOLONG, -ENOTDIR, -ELOOP, -ENFILE (by name: the run directory's path), -EPERM, -EUCLEAN,
 *     -EPROTONOSUPPORT (by name: its record), -EPROTO (in /dev/shm,
 *     something else than a segment), those of weir_inspect(), and by ftok those of stat(2).
 * Blocking: never. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_inspect_one(struct weir_ref ref, uint32_t type, struct weir_object *object,
                                 char *names, size_t capacity_bytes);

/* What a channel was made for, and stays. */
struct weir_channel_terms {
    uint32_t size;            /* sizeof(struct weir_channel_terms), set by the caller */
    uint32_t lifetime;        /* enum weir_lifetime */
    uint32_t publishers_max;  /* so many at once */
    uint32_t subscribers_max; /* likewise */
    uint32_t delivery;        /* 0: reliable, 1: lossy */
    uint32_t type_bytes;      /* of each message; 0: any */
    char type_name[64];       /* "": the messages are of no type */
};

/*
 * weir_inspect_channel_terms() - what a channel was made for, without being a member
 *
 * name: of the channel, see weir_name_check(). terms: terms->size is sizeof(struct weir_channel_terms), set by
 * the caller; untouched on failure.
 *
 * Returns: 0; -EINVAL (terms->size is another one), and those of weir_inspect_channel().
 * Blocking: never. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_inspect_channel_terms(const char *name, struct weir_channel_terms *terms);

enum weir_member_role {
    WEIR_MEMBER_PUBLISHER = 1,
    WEIR_MEMBER_SUBSCRIBER = 2,
};

enum weir_member_state {
    WEIR_MEMBER_JOINING = 1, /* has claimed its place, and shows no memory yet */
    WEIR_MEMBER_SHOWN = 2,   /* what it writes could be read */
    WEIR_MEMBER_HIDDEN = 3,  /* its memory may not be read by this process */
    WEIR_MEMBER_GONE = 4,    /* its memory is gone: it is leaving, or dead */
    WEIR_MEMBER_FALSE = 5,   /* what it shows is not what such a member shows, or cannot be true, or
                                another one's of its role, in a slot before it */
};

enum weir_reading_state {
    WEIR_READING_ATTACHED = 1, /* reads from that publisher */
    WEIR_READING_FINISHED = 2, /* has read all of it, to its end */
    WEIR_READING_REFUSED = 3,  /* does not read from it, and has told both: see weir-channel.h(3) */
};

enum weir_lag {
    WEIR_LAG_BYTES = 1 << 0,
    WEIR_LAG_MESSAGES = 1 << 1,
};

/*
 * How far a subscriber is with one publisher. What it says, be it true or not; but a lag is never
 * more than was committed, and of one that a publisher waits for never more than the ring holds.
 *
 * What it holds: messages that it took in place and has not released, however long ago. The
 * publisher goes round them, but has that much less room: a ring that is full while nobody is
 * behind is held. Seen is what the subscriber has announced, which it does when it waits or finds
 * nothing, and of what is older than an eighth of the ring: 16 messages of all publishers, and a
 * quarter of each ring, at most. What else it holds keeps released_bytes back, and is lag. One that
 * nobody waits for (it is lossy, or the publisher evicts) announces nothing: what it holds is not
 * seen, and in nobody's way. What it holds of publishers that have left is in nobody's way either.
 */
struct weir_channel_reading {
    uint32_t publisher;         /* its slot */
    uint32_t state;             /* enum weir_reading_state */
    uint64_t identity;          /* the publisher's */
    uint64_t released_bytes;    /* of what it committed, headers included: so much is given back */
    uint64_t released_messages; /* likewise. Between two stores it is one ahead of the bytes */
    uint64_t lag_bytes;         /* committed and not given back; the publisher's progress is read
                                   after the subscriber's, so that it is not less than it was */
    uint64_t lag_messages;  /* without those held: of one that is waited for it is not known where
                                   these are not */
    uint64_t held_messages; /* announced; not part of the lag */
    uint64_t held_bytes;    /* of the publisher's ring, headers included; never more than it has */
    uint32_t has_lag;       /* enum weir_lag, or-ed: which of them are known */
    uint32_t has_holds;     /* 1: held_... are known, and of one moment */
    uint32_t is_slowest;    /* 1: for this one the publisher waits, if it has to */
};

/* What a member does. */
enum weir_member_activity {
    WEIR_ACTIVITY_AWAKE = 1,   /* its program runs, or waits for something else than the channel */
    WEIR_ACTIVITY_WAITING = 2, /* a call waits, and spins */
    WEIR_ACTIVITY_ASLEEP = 3,  /* a call waits, and sleeps in the kernel */
    WEIR_ACTIVITY_POLLING = 4, /* its descriptor is to become readable: the program polls, or
                                  does something else meanwhile */
};

/*
 * What a call waits for; and of a publisher with a descriptor (weir_publisher_fd()), what its last
 * call was refused for, while that is polled.
 */
enum weir_member_need {
    WEIR_NEED_NOTHING = 0,
    WEIR_NEED_ROOM = 1,        /* publisher: subscribers to give back what they hold of its ring */
    WEIR_NEED_SUBSCRIBERS = 2, /* weir_publisher_wait_subscribers() */
    WEIR_NEED_TAKEN = 3,       /* weir_publisher_wait_taken() */
    WEIR_NEED_MESSAGE = 4,     /* subscriber */
    WEIR_NEED_PUBLISHER = 5,   /* weir_subscriber_wait_publisher() */
    WEIR_NEED_ATTACH = 6, /* publisher: a subscriber to attach its ring, which may be empty: until
                                  then there is no room */
};

#define WEIR_SLOT_NONE UINT32_MAX

/* A member of a channel, alive or not: what its slot says, then what its memory says. */
struct weir_channel_member {
    uint32_t size;      /* sizeof(struct weir_channel_member), set by the library */
    uint32_t role;      /* enum weir_member_role */
    uint32_t slot;      /* its place among those of its role, from 0 */
    uint32_t state;     /* enum weir_member_state */
    uint32_t life;      /* enum weir_life: the kernel's word */
    uint32_t uid;       /* WEIR_UID_ANY: not known */
    int32_t pid;        /* as the kernel shows it here; 0: not known, or not visible */
    uint32_t has_ended; /* publisher: 1: has said that this was all */
    uint64_t identity;  /* its process, and the session of this joining: see weir_identity() */
    /* Only of WEIR_MEMBER_SHOWN: */
    uint32_t activity; /* enum weir_member_activity; 0: it is dead */
    uint32_t need;     /* enum weir_member_need: what it waits for, while it does */
    uint32_t is_exact; /* publisher: 1: committed_... is of now; 0: of its last look at its
                          subscribers, a ring ago at most; or not known, and 0, of one that was
                          killed between two stores. subscriber: 1: released_... is
                          of one moment; 0: not known */
    uint32_t evicts;   /* publisher: 1: it has a limit for the lag of its subscribers */
    uint32_t is_lossy; /* subscriber: 1: nobody waits for it */
    uint32_t slowest; /* publisher: the slot of the subscriber that has most of its ring, by lag and
                          holds, or that has not attached it yet while it waits for room;
                          WEIR_SLOT_NONE: nobody is behind, or holds anything */
    uint64_t ring_bytes;      /* publisher */
    uint64_t committed_bytes; /* publisher: so far, headers included; where its next message is */
    uint64_t committed_messages;                 /* publisher */
    const struct weir_channel_reading *readings; /* subscriber: one for each publisher that it
                                                    reads from. Valid in the callback */
    size_t reading_count;
    uint64_t used_bytes;        /* publisher: of its ring: the largest lag, without what is held */
    uint64_t released_bytes;    /* subscriber: given back so far, of all publishers, those that have
                                   left as well; headers included */
    uint64_t released_messages; /* subscriber */
    uint64_t missed_messages;   /* subscriber: overwritten before it read them */
    uint64_t evictions;         /* publisher: subscribers that it put out for their lag */
    /* What it counted since it joined; its own word, and no other's: */
    uint64_t waits;    /* in calls, spinning or asleep */
    uint64_t sleeps;   /* in the kernel, one for each 200 ms */
    uint64_t wakes;    /* of others: a system call each */
    uint64_t looks;    /* publisher: at who is there and how far it may write; subscriber: round all
                          publishers */
    uint64_t reaped;   /* dead members that it put out */
    uint64_t refusals; /* publisher: calls that found no room by their deadline; subscriber:
                          publishers refused, or left since what they wrote cannot be true */
};

/*
 * weir_inspect_channel() - the members of a channel, without being one
 *
 * name: of the channel, see weir_name_check(). visit: called for each member, the publishers
 * first, in the order of their slots; a value other than 0 ends the walk and is returned.
 * argument: handed to it.
 *
 * Takes no slot, wakes nobody and writes nothing to the channel: members do not notice. What a subscriber has
 * released is read before what the publishers have committed. A memory that several slots of a role show is
 * read once, as that of the first of them: the others are WEIR_MEMBER_FALSE. So what a look takes follows
 * from the slots and the memories that are there, whatever these say.
 *
 * Returns: 0, or what visit returned; -EPROTO (the name is of something else), -EPROTONOSUPPORT (a
 *     channel of another layout), -EUCLEAN (its directory cannot be true), -ENOMEM, -ENFILE, and those of
 *     weir_segment_open().
 * Blocking: never waits for a process; reads up to a million message headers of each publisher.
 * Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_inspect_channel(const char *name,
                                     int (*visit)(const struct weir_channel_member *member,
                                                  void *argument),
                                     void *argument);

/*
 * weir_member_state_name() - "joining", "shown", "hidden", "gone" or "false", which is for all others, too
 *
 * Returns: static memory, never NULL. Threads: any. Signals: safe.
 */
WEIR_EXPORT const char *weir_member_state_name(uint32_t state);

/*
 * weir_activity_name() - "awake", "waiting", "asleep" or "polling"; "unknown" for others
 *
 * Returns: static memory, never NULL. Threads: any. Signals: safe.
 */
WEIR_EXPORT const char *weir_activity_name(uint32_t activity);

/*
 * weir_need_name() - "nothing", "room", "subscribers", "taken", "message", "publisher" or
 *     "attach"; "unknown" for others
 *
 * Returns: static memory, never NULL. Threads: any. Signals: safe.
 */
WEIR_EXPORT const char *weir_need_name(uint32_t need);

/*
 * weir_state_name() - "live", "idle" or "orphan"; "idle" for others
 *
 * Returns: static memory, never NULL. Threads: any. Signals: safe.
 */
WEIR_EXPORT const char *weir_state_name(uint32_t state);

#ifdef __cplusplus
}
#endif
#endif
