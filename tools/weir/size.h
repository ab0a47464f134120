/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SIZE_H
#define WEIR_TOOL_SIZE_H

/* Numbers that users write and read: sizes, ages, modes, groups. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads a size: digits, or 0x and hexadecimal digits, and after decimal digits
 * K, M, G, T, P or E with or without "iB": powers of 1024. Returns NULL, or why
 * it is none (a clause without a full stop).
 */
const char *size_parse(const char *text, uint64_t *bytes);

/* size_parse() for an option's argument: true, or the usage error is told. */
bool size_option(const char *option, const char *text, uint64_t *bytes);

/* Reads permission bits in octal, "0640" or "640"; true, or the usage error is told. */
bool mode_option(const char *option, const char *text, uint32_t *mode);

/* Reads a group, by name or number; true, or the usage error is told. */
bool group_option(const char *option, const char *text, uint32_t *gid);

/* Reads a decimal number up to limit; NULL or why it is none. */
const char *number_parse(const char *text, uint64_t limit, uint64_t *number);

/* number_parse() for an option's argument, least at least: true, or the usage error is told. */
bool number_option(const char *option, const char *text, uint64_t least, uint64_t limit,
                   uint64_t *number);

/* "4K", "1.5M": at most one place behind the point, powers of 1024. New memory. */
char *size_format(uint64_t bytes);

/* "12s", "5m", "3h", "2d". New memory. */
char *age_format(int64_t seconds);

#endif
