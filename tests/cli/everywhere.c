/* SPDX-License-Identifier: MIT */
/*
 * everywhere NAME COUNT - makes a channel of so many slots of each role and is in all of them; says
 * "there", and stays until its input ends.
 */
#include "everywhere.h"

#include <stdio.h>
#include <stdlib.h>

#include <weir/error.h>

int main(int argc, char **argv)
{
    struct everywhere liar;
    if (argc != 3)
        return 2;
    if (everywhere_open(&liar, argv[1], (uint32_t)strtoul(argv[2], NULL, 10)) != 0) {
        fprintf(stderr, "everywhere: %s\n", weir_last_error());
        return 1;
    }
    everywhere_lie(&liar);
    puts("there");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    everywhere_close(&liar);
    return 0;
}
