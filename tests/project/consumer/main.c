/* SPDX-License-Identifier: MIT */
/* A user's program: takes the time, asks for the limits and shares a segment with a child. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

static int share_with_a_child(void)
{
    struct weir_segment *segment;
    int status = 0;
    if (weir_segment_create(&segment, weir_private(), 100, NULL) < 0)
        return -1;
    char *shared = weir_segment_data(segment);
    pid_t child = fork();
    if (child == 0) {
        memcpy(shared, "hello", 6);
        weir_segment_close(segment);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return -1;
    status = strcmp(shared, "hello") == 0 ? 0 : -1;
    weir_segment_close(segment);
    return status;
}

int main(void)
{
    int major, minor, patch;
    struct weir_limits limits = { 0 };
    limits.size = sizeof limits;
    weir_version(&major, &minor, &patch);
    if (((major << 16) | (minor << 8) | patch) != WEIR_VERSION) {
        puts("header and library are of two versions");
        return 1;
    }
    if (weir_limits(&limits) != 0 || weir_now_ns() <= 0 || share_with_a_child() != 0) {
        printf("failed: %s\n", weir_last_error());
        return 1;
    }
    printf("weir %s, shmmni %llu\n", weir_version(NULL, NULL, NULL),
           (unsigned long long)limits.shmmni);
    return 0;
}
