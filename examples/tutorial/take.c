/* SPDX-License-Identifier: MIT */
#include "note.h"

int main(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;

    options.semaphores = SEMAPHORES;
    check(weir_segment_open(&segment, weir_by_name(NOTE_NAME), sizeof(struct note), &options));
    struct note *note = weir_segment_data(segment);
    struct weir_semset *semaphores = weir_segment_semset(segment);

    wait_for(semaphores, WRITTEN);
    printf("take: %.*s\n", (int)sizeof note->message, note->message);
    check(weir_semset_post(semaphores, TAKEN, 0));
    weir_segment_close(segment);
    return EXIT_SUCCESS;
}
