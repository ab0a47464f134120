/* SPDX-License-Identifier: MIT */
/* take REFERENCE - prints the note that somebody wrote, in whatever language. */
#include "note.h"
#include "reference.h"

int main(int argc, char **argv)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    /* At least so many bytes: a smaller one is refused, and never read beyond its end. */
    int result = weir_segment_open(&segment, reference(argc > 1 ? argv[1] : NULL),
                                   sizeof(struct note), &options);
    if (result < 0) {
        fprintf(stderr, "%s\n", weir_last_error());
        return 1;
    }
    /* A copy: whoever may write can change it while we look. */
    struct note note;
    memcpy(&note, weir_segment_data(segment), sizeof note);
    printf("%u: %.*s\n", note.count, (int)sizeof note.text, note.text);
    weir_segment_close(segment);
    return 0;
}
