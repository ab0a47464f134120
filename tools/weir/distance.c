/* SPDX-License-Identifier: MIT */
#include "distance.h"

#include <string.h>

unsigned distance(const char *a, size_t a_length, const char *b)
{
    unsigned row[33];
    size_t length = strlen(b) < 32 ? strlen(b) : 32;
    for (size_t j = 0; j <= length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; i < a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < length; j++) {
            unsigned best = diagonal + (a[i] != b[j]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j + 1] + 1 < best ? row[j + 1] + 1 : best;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[length];
}
