/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_UNFORKED_H
#define WEIR_BASE_UNFORKED_H

/*
 * A section that no fork(3) falls into: a child has what was before it, or what is after it. For a mapping that is
 * there and not yet kept from children (MADV_DONTFORK): a child that got it would keep it as long as it lives.
 *
 * fork() waits for who is inside, in a handler of pthread_atfork(3), and who comes meanwhile waits until the child
 * is made. Inside, nobody waits for anybody but the kernel. No signal is kept off, and the kernel is not
 * called where nobody else is inside.
 *
 * Either waits for a second at most, and then goes on as if this were not here: fork() calls other handlers
 * while it has the section, and one of the program's may wait for a lock under which the program calls us. (One
 * that was registered after the library was loaded is called before ours, and comes to no such wait.)
 *
 * Not seen: clone(2) and _Fork(3), which call no handlers. And fork() in the handler of a signal that has
 * interrupted the section in the same thread: it does not wait for itself, and its child, when that handler
 * returns, goes on in the section as its own.
 */

#include <stdbool.h>

/* Returns what weir__unforked_leave() wants. is_wanted: else both do nothing. No thread is cancelled inside. */
int weir__unforked_enter(bool is_wanted);
void weir__unforked_leave(int entered);

#endif
