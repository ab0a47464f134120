/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_H
#define WEIR_CHANNEL_H

/*
 * A channel: messages from any number of publishers to any number of subscribers, each publisher
 * through a ring of its own, at the speed of the memory. Every subscriber gets every message.
 * Anyone may start first; anyone may leave and come back.
 *
 * This header includes all of it: options and messages are in <weir/channel_options.h>, the calls
 * in <weir/publisher.h> and <weir/subscriber.h>. What holds for all of them stands here.
 *
 * Ordering and delivery. What was committed while a subscriber was attached is
 * delivered to it once, whole, and in the order of its publisher, whoever is killed afterwards;
 * between the messages of two publishers there is no order. A
 * publisher may exit, or die, the instant after its commit. What is committed
 * while nobody has subscribed is gone: weir_publisher_wait_subscribers() waits for
 * somebody. A channel is reliable, unless it is made otherwise: a publisher that finds its ring full
 * waits (or says -EAGAIN, or -ETIMEDOUT); nothing is dropped. Its slowest subscriber sets the pace.
 * A subscriber that is lossy (options.delivery) holds nobody up: what it does not read in time is
 * overwritten, and the next message of that publisher says how many it missed (message.missed); so is
 * a reliable one told by a publisher that waits for nobody (options.lag_max_bytes). Where no other
 * message of it follows, the end says so: see weir_subscriber_take_until().
 * A send does not tell that subscribers have gone: weir_publisher_wait_taken() does.
 *
 * Progress. While both sides are awake, sending and taking make no system call,
 * no read-modify-write and no full fence; but for one fence for each eighth of a ring that is written, and
 * where a publisher looks for room. Who waits spins for options.spin_ns,
 * then sleeps; the other side pays one system call to wake it, once a sleep. Where spins have proved
 * vain, since both sides run on one core, it gives that core away instead (sched_yield). A side
 * that is killed at any instruction never holds the others up: the survivors learn
 * it from the kernel within a second. A side that is stopped (SIGSTOP) is alive.
 *
 * Threads. A handle is one thread's at a time: give it from one to another with a
 * lock, or open a channel for each. close ends the handle: what is called with it afterwards is
 * undefined, as with what free(3) was given; no result tells of it.
 *
 * Both sides in one thread. A subscriber attaches the ring of a publisher that comes after it in a
 * call of its own, and the publisher's first send waits for that: in one thread for ever. Open the
 * publisher first, or call weir_subscriber_wait_publisher() before the first send.
 *
 * Fork. A child must not use the handle of its parent: every call of it there
 * that can fail gives -ECHILD, and none does harm; close frees the child's copy. A child has no memory
 * of channels mapped, and so keeps none alive (one by clone(2) may: see <weir/segment.h>).
 *
 * Many at once. The calls named _many do the work of a call for each message with one commit,
 * one look at what lies there, one release: what is small goes several times as fast. They
 * return how many, as sendmmsg() and recvmmsg() do; a reason that comes after the first message
 * is told by the next call. Mix them with the others as you like.
 *
 * Lifetime. Who opens a channel that is not there makes it. It goes with its last member, by
 * whatever way that goes; unless it was made with WEIR_CHANNEL_PERSISTENT: then it stays
 * until weir_segment_remove(), 'weir rm' or the next start of the machine. What stays is the
 * channel: for how many it is, its delivery, its type, its mode. Messages never do: they are in the
 * memory of their publisher, and live as long as that, or a subscriber that has it attached. Who
 * opens one that is there for the time being with this flag gets -EINVAL; without it, either is
 * opened. It stays also where the open that made it has failed afterwards, for want of memory or of
 * segments for the member itself. Members of a channel that was removed go on, and do not meet who comes later.
 *
 * Types. Who makes a channel may say what its messages are: options.type_name, and
 * options.type_bytes if all have one size. Who opens it later with a type must say the same, name
 * and size, else -EPROTOTYPE; and so must who comes with a type to a channel that has none, since
 * there anything may be sent. Who gives no type is let in, and takes the channel's. With a
 * size, a message of another one is not sent (-EMSGSIZE), and a publisher whose message has
 * another one all the same has written nonsense (-EUCLEAN). weir compares names; that both
 * programs mean the same by it is theirs to see to.
 *
 * Namespaces. Channels are of one IPC namespace, which is a thread's: a call from another one that
 * would have to meet somebody who has come gives -EXDEV, each time, and has done nothing.
 *
 * Scarce memory. A call that meets somebody who has come attaches that one's memory. Where the kernel has
 * none for that, or this process as many mappings or addresses as it may (vm.max_map_count, ulimit -v),
 * it gives -ENOMEM: nobody is left out or overwritten for it, and a later call goes on. A publisher's
 * call gives it each time, and has done nothing; a subscriber's when there is nothing of others, but its open
 * for any publisher that is there. Where a question about that one takes a descriptor (of uid 65534, in a user
 * namespace that was made), and there is none, it gives -EMFILE or -ENFILE in the same way.
 *
 * Signals. No call is async-signal-safe. Waiting calls return -EINTR when a handler
 * ran while they slept; nothing was sent or taken then (an open batch may have been
 * committed, to make room). A handler that runs while a call spins is not noticed, nor one that runs
 * in the moment between two sleeps of a long wait (each fifth of a second): with
 * WEIR_CHANNEL_SPIN_ONLY never, but in its naps. So give calls that a signal is to end a deadline, or wait by a
 * descriptor and ppoll(2), which takes the mask. Nor need pthread_cancel() end a call that sleeps (take,
 * send, any wait of a channel): it does so on a word in shared memory, which is no cancellation point.
 *
 * Trust. Lengths and flags that others write are read once and checked: who writes
 * nonsense makes calls of others say -EUCLEAN (a subscriber's once, and it leaves that
 * publisher alone from then on), and never reach memory that is not theirs. The payload
 * of a message that was taken in place is still the publisher's memory: copy what
 * you check and then use.
 *
 * Who may do what to whom. A channel is open to who may read and write its directory, a named
 * segment with the options.mode, and the group, of who made it: 0600 for one user, 0660 for a
 * group; who can use the run directory finds it. Each member makes a private
 * segment, which it alone writes: a publisher its ring, a subscriber its page; the others
 * need to read it, so each member gives the same options.mode. Users who have a group in
 * common: WEIR_DIR names a setgid directory of the group (mode 2770), and all open with mode 0660,
 * WEIR_CHANNEL_SET_GID and its gid, and WEIR_TRUST_DIRECTORY or WEIR_TRUST_ANYONE.
 *
 *                              | another's memory | another's messages  | another's progress
 *   ---------------------------+------------------+---------------------+----------------------
 *   any other user             | never            | never               | never
 *   a subscriber               | never            | never               | holds up each publisher
 *                              |                  |                     | that takes it, by not
 *                              |                  |                     | releasing; and any
 *                              |                  |                     | that cannot ask who it
 *                              |                  |                     | is, by being there
 *   a publisher                | never            | its own, taken in   | never
 *                              |                  | place, until they   |
 *                              |                  | are released        |
 *   who may write the          | never            | of two that have    | may put others out of
 *   directory                  |                  | not met yet, by     | their places, and take
 *                              |                  | freeing a place:    | all places
 *                              |                  | the reader is told  |
 *
 * Members that have met go on with each other, whatever is written into the directory. Who was put
 * out of its place takes it again where it would wait, or looks for room or for others. If somebody
 * who lives has it by then, those who come later cannot find it: it still gets, or sends, all with
 * those whom it has met, and is told when it would wait: -EUCLEAN, until it is closed. A subscriber
 * of which a publisher could not know yet, and that would read what was overwritten, is told
 * -EUCLEAN before it does, once, and that publisher is left alone.
 *
 * Strangers. Members that cannot meet, since one does not trust the other or may not read its
 * memory, go on without each other, and hold up nobody. A subscriber is told of such a publisher
 * once, by a take, and gets nothing from it; a publisher of such a subscriber once, by a send (or
 * loan, or wait), which has sent nothing then, and not at all if it is the subscriber alone that
 * refuses. Neither counts in weir_publisher_wait_subscribers() and weir_publisher_wait_taken().
 *
 * A publisher that cannot tell whether a subscriber has refused it does not go on, as that one may be
 * reading: it may not ask the kernel any more, behind a filter of system calls (seccomp), or has
 * another uid, or is in another user namespace, than at its open. It gets -EPERM or -EACCES each time,
 * reliable or lossy the subscriber, until that one leaves; weir_last_error() says in which place it is.
 * So who may open the channel may stop such a publisher, though it is not trusted: open it behind the
 * filter, and as the user, that it stays with. Its close is not stopped: it overwrites nothing any more.
 * A subscriber that cannot tell whether a publisher would wait for it refuses, -EPERM or -EACCES, once.
 *
 * Both ask who the other is when they meet, so a process that locks itself up after its open stays able
 * to: let its filter pass shmctl(2), shmat(2) and, of stat(2), readlink(2) and pidfd_open(2) with
 * ioctl(2), one way to its user namespace. Stat and readlink need /proc (/proc/thread-self/ns/user), which
 * an empty directory (chroot) has not; without it Linux tells since 6.11 (a pidfd). Where none is left
 * the namespace is not known, and so not taken for that of the open. Let it pass membarrier(2), too:
 * without that whoever wakes the process pays a fence for each message, and one wake-up may come a
 * fifth of a second late.
 *
 * Members in two user namespaces, or of whom that is not known, see other uids. They meet where both
 * are of one user, or the publisher trusts anyone (WEIR_TRUST_ANYONE, WEIR_TRUST_DIRECTORY) and the
 * subscriber's mode lets anybody read (0444); else the subscriber refuses, -EPERM.
 */

#include <weir/channel_options.h>
#include <weir/publisher.h>
#include <weir/subscriber.h>

#endif
