/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_LATEST_WORLD_H
#define WEIR_TESTS_LATEST_WORLD_H

/* Memory for a latest value, and values that can be told from torn ones. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/latest.h>

enum kind { SYSTEM_V, POSIX_SHM, MEMFD, INHERITED, KINDS };

/* Both parts of one geometry, in shared memory of a kind, zeroed. */
struct world {
    enum kind kind;
    struct weir_latest_options options;
    struct weir_latest_memory memory;
    int fd; /* of POSIX and memfd; else -1 */
};

struct weir_latest_options latest_options(uint64_t value_bytes_max, uint32_t buffers,
                                          uint32_t holds);
/* Made, but not made ready. Ends the test where it cannot be had. */
void world_make(struct world *world, enum kind kind, const struct weir_latest_options *options);
/* The same, ready. */
void world_open(struct world *world, enum kind kind, const struct weir_latest_options *options);
void world_close(struct world *world);

/* Bytes that belong to this number alone. */
void value_fill(void *bytes, uint64_t size_bytes, uint64_t number);
/* The number of which all bytes are; UINT64_MAX: torn. */
uint64_t value_number(const void *bytes, uint64_t size_bytes);

/* A writer and a reader of one value, in memory that children inherit. */
struct value_pair {
    struct world world;
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
};

void value_pair_open(struct value_pair *pair, const struct weir_latest_options *options);
void value_pair_close(struct value_pair *pair);

#define VALUE_BYTES_MAX 3000

/* The value of this number, VALUE_BYTES_MAX bytes at most; and that it is the last one. */
void value_write(struct weir_latest_writer *writer, uint64_t number, uint64_t size_bytes);
void value_expect(struct weir_latest_reader *reader, uint64_t number, uint64_t size_bytes);

/* A test that must leave nothing. */
#define VALUE_TEST(function) cmocka_unit_test_teardown(function, fixture_check_alive)

#endif
