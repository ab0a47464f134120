/* SPDX-License-Identifier: MIT */
#include "sides.h"
#include "readable.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "silence.h"

struct sides sides;
bool sides_without_rings;
static unsigned files_before;

unsigned sides_files(const char *word)
{
    unsigned count = 0;
    DIR *files = opendir("/proc/self/fd");
    assert_non_null(files);
    for (struct dirent *entry; (entry = readdir(files)) != NULL;) {
        char target[100] = "";
        if (readlinkat(dirfd(files), entry->d_name, target, sizeof target - 1) > 0)
            count += strstr(target, word) != NULL;
    }
    closedir(files);
    return count;
}

unsigned sides_rings(void)
{
    return sides_files("io_uring");
}

int sides_start(void **state)
{
    int result = fixture_start_alive(state);
    files_before = sides_files("");
    return result;
}

int sides_check(void **state)
{
    int result = fixture_check_alive(state);
    return sides_files("") == files_before ? result : -1;
}

bool sides_begin(int argument_count, char **arguments)
{
    sides_without_rings = argument_count > 1 && strcmp(arguments[1], "--without-io-uring") == 0;
    return !sides_without_rings || forbid_call(SYS_io_uring_setup, EPERM);
}

void sides_open_publisher(void)
{
    assert_result(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
    sides.fd = weir_publisher_fd(sides.publisher);
    assert_true(sides.fd >= 0);
    assert_int_equal(weir_publisher_fd(sides.publisher), sides.fd);
}

void sides_open(void)
{
    sides_open_publisher();
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
}

void sides_close(void)
{
    weir_publisher_close(sides.publisher);
    weir_subscriber_close(sides.subscriber);
}

bool sides_fd_is_readable(int timeout_ms)
{
    return is_readable(sides.fd, timeout_ms);
}

int sides_send(size_t size)
{
    static unsigned char bytes[WEIR_RING_BYTES_MIN];
    return weir_publisher_send_until(sides.publisher, bytes, size, 0, NOW);
}

unsigned sides_fill(size_t size)
{
    unsigned count = 0;
    int result;
    while ((result = sides_send(size)) == 0)
        count++;
    assert_result(result, -EAGAIN);
    return count;
}

void sides_take_one(void)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(sides.subscriber, &message), 0);
}

void sides_subscribe(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    companion_arrive(companion);
}
