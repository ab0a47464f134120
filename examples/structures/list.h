/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLE_LIST_H
#define EXAMPLE_LIST_H

/*
 * A linked list and a small table in shared memory: words in a list, and a table that says how
 * often each is in it. Four processes use them; any of them may be killed at any instruction.
 *
 * Three things make that safe:
 *
 *   1 One mutex for all of it. Whoever gets it from a dead one is told, and repairs.
 *   2 Each node and entry belongs to a place, always: the list's head, another node's next, or
 *     one of the places where it stands while it is on its way (fresh, leaving, entry).
 *   3 The list is the truth. A change of it is one store; the table is counted anew by a repair.
 */

#include <stdint.h>
#include <weir/weir.h>

#define WORDS 10 /* "word 0" to "word 9" */
#define BUCKETS 4

typedef WEIR_POINTER(struct node) node_pointer;
struct node {
    node_pointer next;
    uint32_t word;
};

typedef WEIR_POINTER(struct entry) entry_pointer;
struct entry {
    entry_pointer next;
    uint32_t word, count;
};

/* Stands at the front of the segment. Fresh memory, all 0, is an empty list and an empty table. */
struct shared {
    struct weir_mutex mutex;
    node_pointer head;
    node_pointer fresh;   /* allocated, not linked yet */
    node_pointer leaving; /* unlinked, not freed yet; or about to be unlinked */
    entry_pointer bucket[BUCKETS];
    entry_pointer entry; /* of the table: allocated, not linked yet */
    uint64_t changes, repairs;
};

/* As one process sees it. */
struct view {
    struct weir_space space;
    struct shared *shared;
    struct weir_pool nodes, entries;
};

/* Both pools behind the struct, the views of them; any number of processes may do it at once. */
uint64_t view_bytes(void);
int view_open(struct view *view, struct weir_segment *segment);

/* 0, or -errno. push: -ENOMEM when all nodes are in use; pop: -ENOENT when the list is empty. */
int list_push(struct view *view, uint32_t word);
int list_pop(struct view *view, uint32_t *word);

/* Whether list, table and pools agree; what does not is said on stderr. */
int list_check(struct view *view);

#endif
