/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_MEMBERS_H
#define WEIR_TOOL_MEMBERS_H

/* Who publishes to a channel and who subscribes, and how far each is. */

#include "table.h"

extern const struct table_column member_columns[];
extern const size_t member_column_count;

/* A row for each pair of a subscriber and a publisher that it reads from. */
extern const struct table_column reading_columns[];
extern const size_t reading_column_count;

/* What the channel was made for: one row. */
extern const struct table_column terms_columns[];
extern const size_t terms_column_count;

/* Adds that row; 0, or -errno with the sentence in weir_last_error(). */
int terms_find(struct table *table, const char *channel);

/* Adds the rows of the channel; 0, or -errno with the sentence in weir_last_error(). */
int members_find(struct table *members, struct table *readings, const char *channel);

#endif
