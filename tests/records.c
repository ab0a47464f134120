/* SPDX-License-Identifier: MIT */
#include "records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

static char *next_turn(void)
{
    static char turns[4][4700];
    static unsigned turn;
    return turns[turn++ % 4];
}

char *entry_path(const char *directory)
{
    char *path = next_turn();
    snprintf(path, 4700, "%s/%s", run_directory(), directory);
    return path;
}

char *entry_file(const char *directory)
{
    char *path = next_turn();
    char parent[4400];
    snprintf(parent, sizeof parent, "%s/%s", run_directory(), directory);
    DIR *stream = opendir(parent);
    char *found = NULL;
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, 4700, "%s/%s", parent, entry->d_name);
        found = path;
    }
    if (stream)
        closedir(stream);
    return found;
}

bool record_read(const char *directory, struct record *record)
{
    char text[RECORD_BYTES + 1];
    const char *path = entry_file(directory);
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    size_t length = fread(text, 1, RECORD_BYTES, file);
    fclose(file);
    text[length] = 0;
    memset(record, 0, sizeof *record);
    return sscanf(text,
                  "weir1 nonce=%" SCNx64 " name=%" SCNx64
                  " lifetime=%u creator=%u pid=%d shm=%x,%d,%" SCNu64 " sem=%x,%d,%u kind=%63s",
                  &record->nonce, &record->name, &record->lifetime, &record->creator, &record->pid,
                  &record->shm_key, &record->shm_id, &record->shm_segsz, &record->sem_key,
                  &record->sem_id, &record->sem_count, record->kind) == 12;
}

void record_text(const struct record *record, char text[RECORD_BYTES + 1])
{
    char line[512];
    memset(text, ' ', RECORD_BYTES);
    int length =
        snprintf(line, sizeof line,
                 "weir1 nonce=%016" PRIx64 " name=%016" PRIx64 " lifetime=%u creator=%u pid=%d"
                 " shm=%08x,%d,%" PRIu64 " sem=%08x,%d,%u kind=%s",
                 record->nonce, record->name, record->lifetime, record->creator, record->pid,
                 record->shm_key, record->shm_id, record->shm_segsz, record->sem_key,
                 record->sem_id, record->sem_count, record->kind);
    memcpy(text, line, (size_t)length < RECORD_BYTES ? (size_t)length : RECORD_BYTES);
    text[RECORD_BYTES - 1] = '\n';
    text[RECORD_BYTES] = 0;
}

bool file_fill(const char *path, const void *bytes, size_t length)
{
    chmod(path, 0666); /* published records cannot be written; fails where it is another's */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return false;
    bool whole = write(fd, bytes, length) == (ssize_t)length;
    fchmod(fd, 0666);
    close(fd);
    return whole;
}

bool record_forge_file(const char *draft, const struct record *record)
{
    char text[RECORD_BYTES + 1];
    record_text(record, text);
    return file_fill(entry_path(draft), text, RECORD_BYTES);
}

uint64_t record_name(const char *directory)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a, 64 bits */
    for (; *directory; directory++)
        hash = (hash ^ (unsigned char)*directory) * UINT64_C(1099511628211);
    return hash;
}

bool record_forge(const char *directory, const struct record *record)
{
    char text[RECORD_BYTES + 1], path[4700];
    struct record named = *record;
    if (directory[0] != '#' && directory[0] != '~')
        named.name = record_name(directory);
    record_text(&named, text);
    if (mkdir(entry_path(directory), 0777) != 0 && errno != EEXIST)
        return false;
    chmod(entry_path(directory), 0777);
    snprintf(path, sizeof path, "%s/%016" PRIx64, entry_path(directory), record->nonce);
    return file_fill(path, text, RECORD_BYTES);
}
