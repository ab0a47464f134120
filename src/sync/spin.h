/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_SPIN_H
#define WEIR_SYNC_SPIN_H

/*
 * How long a waiter looks before it sleeps, in turns of a pause: about a microsecond or two. A
 * system call and the wake-up of a core cost more; whoever is held up longer sleeps anyhow.
 * bench/sync measures what it is worth.
 */
#define WEIR__SPIN_TURNS 100

#endif
