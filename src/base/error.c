/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[sizeof(((struct weir__error_saved *)0)->text)];

int weir__fail(int error, const char *format, ...)
{
    int saved_errno = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    errno = saved_errno;
    return -error;
}

int weir__fail_plain(int error, const char *sentence)
{
    size_t length = strnlen(sentence, sizeof last_error - 1);
    memcpy(last_error, sentence, length);
    last_error[length] = '\0';
    return -error;
}

void weir__error_save(struct weir__error_saved *saved)
{
    saved->errno_value = errno;
    memcpy(saved->text, last_error, sizeof saved->text);
}

void weir__error_restore(const struct weir__error_saved *saved)
{
    memcpy(last_error, saved->text, sizeof last_error);
    errno = saved->errno_value;
}

const char *weir_last_error(void)
{
    return last_error;
}

/* -errno of either sign: each int has a number below 0, and INT_MIN none above. */
static int below_zero(int error)
{
    return error > 0 ? -error : error;
}

const char *weir_strerror(int error)
{
    switch (below_zero(error)) {
    case 0:
        return "success";
#define CASE(code, meaning, cure)                                                                  \
    case -(code):                                                                                  \
        return meaning ": " cure;
        WEIR_ERRORS(CASE)
#undef CASE
    default:
        return strerror(error == INT_MIN ? error : -below_zero(error));
    }
}

const char *weir_strerror_name(int error)
{
    switch (below_zero(error)) {
    case 0:
        return "0";
#define CASE(code, meaning, cure)                                                                  \
    case -(code):                                                                                  \
        return #code;
        WEIR_ERRORS(CASE)
#undef CASE
    default:
        return "E?";
    }
}
