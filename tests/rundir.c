/* SPDX-License-Identifier: MIT */
/* In a child: another run directory, and what has its name there. */
#include "rundir.h"

#include "fixture.h"

#include <stdlib.h>
#include <string.h>

void use_directory(const char *path)
{
    CHECK(setenv("WEIR_DIR", path, 1) == 0);
}

int create_named(struct weir_segment **segment, uint32_t lifetime, uint32_t semaphores)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = lifetime;
    options.semaphores = semaphores;
    options.mode = 0660;
    return weir_segment_create(segment, weir_by_name("dir/test"), 5000, &options);
}

void expect_create(int code)
{
    struct weir_segment *segment = NULL;
    for (uint32_t lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        CHECK_RESULT(create_named(&segment, lifetime, 1), code);
        CHECK(segment == NULL && segments_now() == 0 && sets_now() == 0);
        CHECK(strstr(weir_last_error(), "WEIR_DIR") ||
              strstr(weir_last_error(), getenv("WEIR_DIR") ? getenv("WEIR_DIR") : "/dev/shm/"));
    }
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_key(0x1234), 10, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_remove(weir_by_key(0x1234)), 0);
}

void expect_open(int code)
{
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), code);
    CHECK_RESULT(weir_segment_lookup(weir_by_name("dir/test"), &stat), code);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), code);
    CHECK(segment == NULL);
}
