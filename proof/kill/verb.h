/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_VERB_H
#define WEIR_PROOF_VERB_H

/*
 * What a peer can be told: the verb, the function that does it (in the subject's _peer.c) and its
 * name in messages. An order says how often or what (count, size_bytes), and how long (wait_ns; 0:
 * without waiting).
 */

/* clang-format off */
#define CHANNEL_VERBS(V) \
    V(OPEN_PUBLISHER, open_publisher, "open publisher") \
    V(OPEN_SUBSCRIBER, open_subscriber, "open subscriber") \
    V(SEND, send_many, "send")            /* count messages of size_bytes (0: by number), each within wait_ns */ \
    V(FILL, send_many, "fill")            /* until -EAGAIN, count at most */ \
    V(LOAN, loan, "loan")                 /* of size_bytes, filled */ \
    V(COMMIT, commit, "commit")           /* that loan */ \
    V(BATCH, batch, "batch")              /* begin, count messages, end */ \
    V(WAIT_SUBSCRIBER, wait_for, "wait_subscriber") \
    V(WAIT_TAKEN, wait_for, "wait_taken") \
    V(END, member_end, "end") \
    V(CLOSE, member_close, "close")           /* whichever is open */ \
    V(TAKE, take, "take")                 /* count, and hold them */ \
    V(RECEIVE, receive, "receive")        /* count */ \
    V(RELEASE, release, "release")        /* the hold number size_bytes, 0 is the oldest, count times */ \
    V(READ, read_messages, "read")        /* count messages of the stream that size_bytes names, whatever ends before */ \
    V(READ_THERE, read_messages, "read what is there") \
    V(READ_END, read_messages, "read to the end") /* wait_ns 0: polling */ \
    V(DESCRIPTOR, arm_descriptor, "fd") \
    V(SEND_MANY, send_burst, "send_many")        /* count messages of size_bytes, in one call */ \
    V(LOAN_MANY, loan_many, "loan_many")         /* count places of size_bytes, filled */ \
    V(COMMIT_MANY, commit_many, "commit_many")   /* those, every second one with half its size: closed up */ \
    V(TAKE_MANY, take_many, "take_many")         /* count, in one call, and hold them */ \
    V(RELEASE_MANY, release_many, "release_many") /* count, from the hold number size_bytes on */ \
    V(RECEIVE_MANY, receive_many, "receive_many") /* count */ \
    V(COLLECT, collect, "collect")

#define CROWD_VERBS(V) \
    V(BE_SENDER, be_sender, "open publisher")   /* size_bytes: enum crowd_kind */ \
    V(BE_TAKER, be_taker, "open subscriber")    /* the same */ \
    V(SEE_TAKERS, see_takers, "wait_subscribers") /* count of them */ \
    V(POST, post, "send")                 /* count messages of size_bytes (0: by number), each within wait_ns */ \
    V(FETCH, fetch, "receive")            /* count messages, each within wait_ns */ \
    V(FETCH_AND_HOLD, fetch, "take")      /* the same, and they are held */ \
    V(FETCH_UP_TO, fetch_until, "receive all of one") /* of the stream size_bytes, before its number count */ \
    V(FETCH_ALL, fetch_until, "receive what is there") \
    V(FETCH_END, fetch_until, "receive to the end") \
    V(GIVE_ALL_BACK, give_all_back, "release") /* whatever is held */ \
    V(SAY_END, member_end, "end") \
    V(DEPART, member_close, "close")            /* whichever is open */

#define SYNC_VERBS(V) \
    V(LOCK, lock, "lock") \
    V(UNLOCK, unlock, "unlock")           /* if it holds the mutex */ \
    V(LOCK_AGAIN, lock_again, "lock again")     /* a recursive one, which it holds */ \
    V(UNLOCK_ONCE, unlock_once, "unlock once") /* the same: it holds it still */ \
    V(REPAIR, repair, "repair")           /* what it inherited, and says so; if it did */ \
    V(CONDITION_WAIT, condition_wait, "condition wait") /* with the mutex, until the state is not count any more */ \
    V(CHANGE, change, "change")           /* the state, with the mutex */ \
    V(SIGNAL, send_signal, "signal")      /* count 1: broadcast */ \
    V(EVENT_WAIT, event_wait, "event wait") /* until the state is not count */ \
    V(NOTIFY, notify, "notify")           /* count 1: all */ \
    V(SEMAPHORE_WAIT, semaphore_wait, "semaphore wait") \
    V(SEMAPHORE_POST, semaphore_post, "semaphore post") /* count 0: one; else so many at once */ \
    V(ONCE_BEGIN, once_begin, "once begin") \
    V(ONCE_END, once_end, "once end")     /* if it has begun */ \
    V(ONCE_ABANDON, once_abandon, "once abandon") /* the same */

#define RWLOCK_VERBS(V) \
    V(READ_LOCK, read_lock, "read lock")  /* made and opened if need be */ \
    V(READ_UNLOCK, read_unlock, "read unlock")    /* if it reads */ \
    V(WRITE_LOCK, write_lock, "write lock") \
    V(WRITE_UNLOCK, write_unlock, "write unlock") /* if it writes */ \
    V(REPAIR_WRITTEN, repair_written, "consistent") /* what it inherited, and says so; if it did */ \
    V(DOWNGRADE, downgrade, "downgrade") \
    V(COUNT_READERS, count_readers, "readers")

#define PERMITS_VERBS(V) \
    V(TAKE_PERMIT, take_permit, "take a permit")  /* made and opened if need be */ \
    V(GIVE_BACK, give_back, "release a permit")   /* count of those it has */ \
    V(COUNT_PERMITS, count_permits, "value")

#define BARRIER_VERBS(V) \
    V(JOIN, join, "join")                 /* made and opened if need be */ \
    V(MEET, meet, "wait at the barrier") /* it is round number count */ \
    V(LEAVE, leave, "leave")              /* if it is a party */

#define LATEST_VERBS(V) \
    V(MAKE_READY, make_ready, "init") \
    V(BE_WRITER, be_writer, "writer open") \
    V(WRITE, write_values, "write")       /* count values */ \
    V(LEND, lend, "loan")                 /* filled */ \
    V(PUBLISH, publish, "commit")         /* that loan */ \
    V(ABANDON, abandon, "abandon") \
    V(WRITER_CLOSE, writer_close, "writer close") \
    V(READER_OPEN, reader_open, "reader open") \
    V(COPY, copy, "read") \
    V(PEEK, peek, "peek and check") \
    V(HOLD, hold, "hold")                 /* count of them */ \
    V(LET_GO, let_go, "release")          /* the one that is held longest */ \
    V(AWAIT, await_newer, "wait for a version") /* above size_bytes */ \
    V(READER_CLOSE, reader_close, "reader close")

#define NAMED_VERBS(V) \
    V(NAMED_CREATE, named_create, "create by name") \
    V(NAMED_OPEN, named_open, "open by name") \
    V(NAMED_WRITE, named_write, "write")  /* a value */ \
    V(NAMED_READ, named_read, "read") \
    V(NAMED_CLOSE, named_close, "close") /* what is open */

#define ALLOC_VERBS(V) \
    V(POOL_ALLOC, pool_alloc, "pool alloc")   /* to its place number count */ \
    V(POOL_FREE, pool_free, "pool free")      /* from that of the peer number size_bytes */ \
    V(POOL_RECOVER, pool_recover, "pool recover") \
    V(ARENA_ALLOC, arena_alloc, "arena alloc") /* size_bytes, to its place number count */ \
    V(ARENA_RECOVER, arena_recover, "arena recover") \
    V(ARENA_RESET, arena_reset, "arena reset") \
    V(COUNT_BLOCKS, count_blocks, "count all that is allocated")

#define SEGMENT_VERBS(V) \
    V(SEGMENT_CREATE, segment_create, "create") \
    V(SEGMENT_MEET, segment_meet, "create or open") \
    V(SEGMENT_OPEN, segment_open, "open") \
    V(SEGMENT_CLOSE, segment_close, "close") \
    V(SEGMENT_REMOVE, segment_remove, "remove") \
    V(MEMFD_CREATE, memfd_create_one, "create a memfd") /* whose number is count */ \
    V(MEMFD_SEND, memfd_send, "send") \
    V(MEMFD_RECEIVE, memfd_receive, "receive")
/* clang-format on */

#define EVERY_VERB(V)                                                                              \
    CHANNEL_VERBS(V)                                                                               \
    CROWD_VERBS(V)                                                                                 \
    SYNC_VERBS(V)                                                                                  \
    RWLOCK_VERBS(V)                                                                                \
    PERMITS_VERBS(V)                                                                               \
    BARRIER_VERBS(V)                                                                               \
    LATEST_VERBS(V)                                                                                \
    NAMED_VERBS(V)                                                                                 \
    ALLOC_VERBS(V)                                                                                 \
    SEGMENT_VERBS(V)

#define VERB_ENUMERATOR(verb, how, name) verb,
enum verb { EVERY_VERB(VERB_ENUMERATOR) QUIT, VERBS };

extern const char *const verb_names[VERBS];

/* The processes of a round. */
enum who { VICTIM, OLD, NEXT, FRESH, RIVAL, DEAD, SENDER, OTHER_SENDER, TAKER, OTHER_TAKER, PEERS };

#endif
