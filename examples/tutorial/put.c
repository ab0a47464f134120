/* SPDX-License-Identifier: MIT */
#include "note.h"

int main(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;

    options.semaphores = SEMAPHORES;
    check(weir_segment_create(&segment, weir_by_name(NOTE_NAME), sizeof(struct note), &options));
    struct note *note = weir_segment_data(segment);
    struct weir_semset *semaphores = weir_segment_semset(segment);

    snprintf(note->message, sizeof note->message, "Hello by name");
    check(weir_semset_post(semaphores, WRITTEN, 0));
    puts("put: written, waiting until it is taken");
    wait_for(semaphores, TAKEN);
    puts("put: taken");
    weir_segment_close(segment);
    return EXIT_SUCCESS;
}
