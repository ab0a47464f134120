/* SPDX-License-Identifier: MIT */
/*
 * write_on NAME - for the tests: becomes the writer of the latest value NAME, which is there, says so on
 * standard output, and stays it until standard input ends.
 */
#include <stdio.h>

#include <weir/weir.h>

int main(int argc, char **argv)
{
    struct weir_latest_writer *writer;
    if (argc != 2)
        return 2;
    if (weir_latest_create(&writer, weir_by_name(argv[1]), NULL) < 0)
        return fprintf(stderr, "write_on: %s\n", weir_last_error()), 1;
    puts("the writer");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    weir_latest_writer_close(writer);
    return 0;
}
