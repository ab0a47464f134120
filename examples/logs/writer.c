/* SPDX-License-Identifier: MIT */
/*
 * log_writer CHANNEL - each line of the standard input becomes an entry of the log
 *
 * A line that was sent is in the log, also when this process is killed the instant after: it says
 * so by repeating the line on the standard output. While no collector is there, it waits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "entry.h"

#define ENTRY_BYTES_MAX 4096

/* Written where it will be read: no copy of the entry is made. */
static int write_entry(struct weir_publisher *publisher, const char *line, size_t length)
{
    struct entry *entry;
    struct timespec now;
    if (length > ENTRY_BYTES_MAX - sizeof *entry)
        length = ENTRY_BYTES_MAX - sizeof *entry;
    void *place;
    int result = weir_publisher_loan_until(publisher, sizeof *entry + length, &place, WEIR_NEVER);
    if (result != 0)
        return result;
    entry = place;
    clock_gettime(CLOCK_REALTIME, &now);
    entry->time_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    entry->pid = getpid();
    memcpy(entry->text, line, length);
    return weir_publisher_commit(publisher, sizeof *entry + length, 0);
}

int main(int count, char **arguments)
{
    struct weir_publisher *publisher;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    if (count != 2)
        return fprintf(stderr, "usage: log_writer CHANNEL\n"), 2;
    int result = weir_publisher_open(&publisher, arguments[1], NULL);
    while (result == 0 && (length = getline(&line, &capacity, stdin)) >= 0) {
        length -= length > 0 && line[length - 1] == '\n';
        /* What is sent to nobody is gone, so somebody must be there. It costs a look. */
        result = weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER);
        if (result == 0)
            result = write_entry(publisher, line, (size_t)length);
        if (result == 0) {
            printf("%.*s\n", (int)length, line);
            fflush(stdout);
        }
    }
    if (result != 0)
        return fprintf(stderr, "log_writer: %s\n", weir_last_error()), 1;
    weir_publisher_close(publisher);
    free(line);
}
