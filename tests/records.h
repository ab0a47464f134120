/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_RECORDS_H
#define WEIR_TESTS_RECORDS_H

/* Entries of the run directory as a vandal or a forger sees them: text in files. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_BYTES 256

/* The fields of a record, written here once more and not taken from the library. */
struct record {
    uint64_t nonce, name;
    unsigned lifetime, creator;
    int pid;
    unsigned shm_key;
    int shm_id;
    uint64_t shm_segsz;
    unsigned sem_key;
    int sem_id;
    unsigned sem_count;
    char kind[64];
};

/* Path of the entry, of its one file; static memory of four turns. NULL: there is none. */
char *entry_path(const char *directory);
char *entry_file(const char *directory);

/* Reads and parses the record of an entry; false: there is none. */
bool record_read(const char *directory, struct record *record);
/* The text of a record: RECORD_BYTES bytes. */
void record_text(const struct record *record, char text[RECORD_BYTES + 1]);
/* What a record says of its entry's name; record_forge() puts it in where the entry is a name's. */
uint64_t record_name(const char *directory);
/* Writes an entry anew: directory, file named by the nonce, record; all with every right. */
bool record_forge(const char *directory, const struct record *record);
/* The same of a draft that is the file alone. */
bool record_forge_file(const char *draft, const struct record *record);
/* Puts bytes in the place of a file's contents. */
bool file_fill(const char *path, const void *bytes, size_t length);

#endif
