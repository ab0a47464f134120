/* SPDX-License-Identifier: MIT */
/*
 * hold NAME - for the tests: an ephemeral segment NAME with two semaphores, of
 * which the second waits for a unit that never comes, in a child. Prints the ids
 * of the segment and of the set, and holds both until its standard input ends or
 * it is killed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

int main(int argc, char **argv)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    if (argc != 2)
        return 2;
    options.semaphores = 2;
    options.semaphore_values = (const uint16_t[]){ 7, 0 };
    if (weir_segment_create(&segment, weir_by_name(argv[1]), 8000, &options) != 0 ||
        weir_segment_stat(segment, &stat) != 0) {
        fprintf(stderr, "hold: %s\n", weir_last_error());
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == 1)
            _exit(1);
        weir_semset_wait(weir_segment_semset(segment), 1, 0);
        _exit(0);
    }
    printf("%d %d\n", stat.id, stat.semset_id);
    fclose(stdout);
    while (getchar() != EOF)
        continue;
    /* The last to close takes name and set away; a child that only exits would leave them. */
    weir_semset_post(weir_segment_semset(segment), 1, 0);
    waitpid(child, NULL, 0);
    weir_segment_close(segment);
    return 0;
}
