/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_RUNDIR_H
#define WEIR_TESTS_RUNDIR_H

/* In a child: another run directory, and what has its name there. */

#include <stdint.h>

#include <weir/weir.h>

void use_directory(const char *path);

/* The segment "dir/test", which the group may use. */
int create_named(struct weir_segment **segment, uint32_t lifetime, uint32_t semaphores);

/* Create gives the code, nothing is made; the raw ways, which need no directory, work. */
void expect_create(int code);
/* Open, lookup and remove give the code. */
void expect_open(int code);

#endif
