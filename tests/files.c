/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char prefix[32]; /* of the test's process: its children use the same names */
static unsigned descriptors_before;

static const char *own_prefix(void)
{
    if (!prefix[0])
        snprintf(prefix, sizeof prefix, "weir-test-%d-", (int)getpid());
    return prefix;
}

static const char *turn(const char *before, const char *name)
{
    static char turns[8][320];
    static unsigned next;
    char *text = turns[next++ % ARRAY_SIZE(turns)];
    snprintf(text, sizeof turns[0], "%s/%s%s", before, own_prefix(), name);
    return text;
}

const char *posix_name(const char *name)
{
    return turn("", name);
}

const char *posix_path(const char *name)
{
    return turn("/dev/shm", name);
}

/* Files whose name starts with the letters; with remove_them, gone afterwards. */
static unsigned count_files(const char *folder, const char *start, bool remove_them)
{
    unsigned count = 0;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, start, strlen(start)) != 0)
            continue;
        count++;
        if (remove_them)
            unlinkat(dirfd(stream), entry->d_name, 0);
    }
    if (stream)
        closedir(stream);
    return count;
}

unsigned posix_now(void)
{
    return count_files("/dev/shm", own_prefix(), false);
}

unsigned descriptors_now(void)
{
    return count_files("/proc/self/fd", "", false);
}

/* Mappings of files in /dev/shm and of memfds. */
static unsigned mappings_now(void)
{
    char line[512];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps))
        count += strstr(line, "/dev/shm/weir-test-") || strstr(line, "/memfd:weir");
    if (maps)
        fclose(maps);
    return count;
}

int files_begin(void **state)
{
    (void)state;
    descriptors_before = descriptors_now();
    return 0;
}

int files_check(void **state)
{
    int result = fixture_check(state);
    unsigned files = count_files("/dev/shm", own_prefix(), true);
    unsigned open_now = descriptors_now(), mapped = mappings_now();
    if (files || open_now != descriptors_before || mapped)
        print_error("left behind: %u files in /dev/shm, %u descriptors where there were %u, %u "
                    "mappings\n",
                    files, open_now, descriptors_before, mapped);
    return files || open_now != descriptors_before || mapped ? -1 : result;
}

void expect_refused_at(int result, int expected, const char *word, const char *file, int line)
{
    assert_result_at(result, expected, "the call", file, line);
    if (strstr(weir_last_error(), word))
        return;
    print_error("the sentence lacks '%s': %s\n", word, weir_last_error());
    _fail(file, line);
}

struct weir_segment_options persistent_options(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = WEIR_PERSISTENT;
    return options;
}
