/* SPDX-License-Identifier: MIT */
/* put REFERENCE TEXT - writes a note where programs in other languages find it. */
#include "note.h"
#include "reference.h"

int main(int argc, char **argv)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT; /* the others come when we have gone */
    int result = weir_segment_create_or_open(&segment, reference(argc > 1 ? argv[1] : NULL),
                                             sizeof(struct note), &options);
    if (result < 0) {
        fprintf(stderr, "%s\n", weir_last_error());
        return 1;
    }
    struct note *note = weir_segment_data(segment);
    snprintf(note->text, sizeof note->text, "%s", argc > 2 ? argv[2] : "Hello from C");
    note->count++;
    weir_segment_close(segment);
    return 0;
}
