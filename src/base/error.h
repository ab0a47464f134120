/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

/* How the library reports a failure: one sentence a thread, and -errno. */

#include <weir/error.h>

/*
 * Leaves the sentence for weir_last_error() and returns -error, so that a
 * failing path is one line: return weir__fail(ENOENT, "...", ...). Keeps errno. Cold: the
 * compiler lays what leads to it out of the way of what succeeds.
 */
int weir__fail(int error, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* The same with a sentence as it stands: for calls that fail often, as a look that finds nothing. */
int weir__fail_plain(int error, const char *sentence);

/* The sentence as it is now, to put back after a clean-up that must not change it. */
struct weir__error_saved {
    char text[512];
    int errno_value;
};
void weir__error_save(struct weir__error_saved *saved);
void weir__error_restore(const struct weir__error_saved *saved);

#endif
