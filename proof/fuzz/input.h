/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FUZZ_INPUT_H
#define WEIR_FUZZ_INPUT_H

/*
 * An input: steps of four bytes, {what, a, b, c}, some with more bytes behind them. The steps
 * before the first OPEN are the image that a joiner finds; those behind it are calls, and lies
 * between them. Every string of bytes is an input: what is missing is 0.
 *
 *   step        | a                   | b            | c          | more
 *   ------------+---------------------+--------------+------------+----------------------
 *   OPEN        | bit 0: a publisher  | see do_open()| back, lag  |
 *   CLOSE       | bit 0: the publisher|              |            |
 *   TERMS       | bit 0: lossy        | type, see terms_of()      | of a channel that is new
 *   SEND        | size                | how many     | type; wait |
 *   LOAN        | size                |              | wait       |
 *   COMMIT      | of the loan, /256   |              | type       |
 *   ABANDON, BATCH, BATCH_END, END    |              |            |
 *   ATTACHED    |                     |              | wait       |
 *   TAKEN       |                     |              | wait       |
 *   TAKE        |                     | how many     | wait       |
 *   RELEASE     | which               |              |            |
 *   RECEIVE     | room, a size        | how many     | wait       |
 *   DESCRIPTOR  | below 32            |              |            |
 *   SEND_MANY   | size                | how many     | type; wait |
 *   LOAN_MANY   | size                | how many     | wait       |
 *   COMMIT_MANY | of the loans, /256  | how many     | type       |
 *   TAKE_MANY   |                     | how many     | wait       |
 *   RELEASE_MANY| from which          | how many     | bit 0: backwards, 1: twice
 *   RECEIVE_MANY| room, a size        | how many     | wait       |
 *   WRITE       | which word          | how          | operand    | 8, if how is LITERAL
 *   WRITE_RECORD| which ring, from    | how          | offset / 8 | 8, if how is LITERAL
 *   RAW         | which ring, count   | offset / 8   | (16 bits)  | 8 * count
 *   SHOW        | bit 0: a lane,number| owner        | id         |
 *
 * A size is a class and a number, see target_size_of(). wait: the three highest bits 100 wait for
 * some microseconds, else not at all: what sleeps, and a descriptor, whose thread must be made,
 * take most of the time, so the fewest inputs have them.
 */

#include <stddef.h>
#include <stdint.h>

enum fuzz_step {
    FUZZ_OPEN,
    FUZZ_CLOSE,
    FUZZ_TERMS,
    FUZZ_SEND,
    FUZZ_LOAN,
    FUZZ_COMMIT,
    FUZZ_ABANDON,
    FUZZ_BATCH,
    FUZZ_BATCH_END,
    FUZZ_END,
    FUZZ_ATTACHED,
    FUZZ_TAKEN,
    FUZZ_SEND_MANY,
    FUZZ_LOAN_MANY,
    FUZZ_COMMIT_MANY,
    FUZZ_TAKE,
    FUZZ_RELEASE,
    FUZZ_RECEIVE,
    FUZZ_TAKE_MANY,
    FUZZ_RELEASE_MANY,
    FUZZ_RECEIVE_MANY,
    FUZZ_DESCRIPTOR,
    FUZZ_WRITE,
    FUZZ_WRITE_RECORD,
    FUZZ_RAW,
    FUZZ_SHOW,
    FUZZ_STEPS,
};

/* What a lie makes of the old value; c is the operand where one is needed. */
enum fuzz_how {
    FUZZ_LITERAL,
    FUZZ_ADD,    /* c, signed */
    FUZZ_ADD_8,  /* 8 * c, signed */
    FUZZ_FLIP,   /* bit c */
    FUZZ_OWNER,  /* world_owner(c) */
    FUZZ_HEADER, /* a record's: its size is of class and number c */
    FUZZ_PAD,    /* a pad's: to the ring's end, and c - 128 words more */
    FUZZ_LIMIT,  /* one of the numbers at which things end */
    FUZZ_TAIL,   /* where the real publisher has committed to, and 8 * c, signed */
    FUZZ_HOWS,
};

enum { FUZZ_INPUT_MAX = 1024 };

int LLVMFuzzerInitialize(int *argument_count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

#endif
