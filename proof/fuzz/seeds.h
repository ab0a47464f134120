/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FUZZ_SEEDS_H
#define WEIR_FUZZ_SEEDS_H

#include <stdint.h>

#include "input.h"

/* An input to begin with. */
struct seed {
    char name[48];
    uint8_t bytes[FUZZ_INPUT_MAX];
    unsigned size_bytes;
};

enum { SEEDS_MAX = 1024 };

/*
 * Makes the seeds, after LLVMFuzzerInitialize(): traffic as it should be; images of a real
 * ring and a real page, as they are after such traffic, in the liar's hands; and each word of
 * an image falsified. Returns how many.
 */
unsigned seeds_make(struct seed seeds[SEEDS_MAX]);

#endif
