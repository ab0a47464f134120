/* SPDX-License-Identifier: MIT */
#include "size.h"

#include <ctype.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "text.h"

static const char units[] = "KMGTPE";

/* The digits at *text in a base; stops behind them. NULL or why not. */
static const char *read_digits(const char **text, unsigned base, uint64_t *number)
{
    const char *start = *text;
    *number = 0;
    for (; isxdigit((unsigned char)**text); ++*text) {
        int c = tolower((unsigned char)**text);
        unsigned digit = (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        if (digit >= base)
            break;
        if (*number > (UINT64_MAX - digit) / base)
            return "too large: 2^64 and above do not exist";
        *number = *number * base + digit;
    }
    return *text == start ? "not a number" : NULL;
}

static bool is_unit(const char *text)
{
    return *text != '\0' && strchr(units, toupper((unsigned char)*text)) &&
           (text[1] == '\0' || strcmp(text + 1, "iB") == 0);
}

/* "1.5M": 1536K is meant. Stays until the next call. */
static const char *fraction(const char *text, const char *point, uint64_t whole)
{
    static char why[96];
    static const char plain[] = "whole numbers only";
    uint64_t part, scale = 1;
    const char *rest = point + 1;
    if (read_digits(&rest, 10, &part) != NULL || rest - point > 10 || !is_unit(rest) ||
        whole > UINT32_MAX)
        return plain;
    for (const char *digit = point + 1; digit < rest; digit++)
        scale *= 10;
    const char *unit = strchr(units, toupper((unsigned char)*rest));
    uint64_t smaller = whole * 1024 + (part * 1024 + scale - 1) / scale;
    char letter[2] = { unit > units ? unit[-1] : '\0' };
    snprintf(why, sizeof why, "%s: write %" PRIu64 "%s%s instead of %.30s", plain, smaller, letter,
             part * 1024 % scale ? " (rounded up)" : "", text);
    return why;
}

static const char *junk(const char *rest)
{
    if (*rest == 'e')
        return "no exponents: write the digits out";
    if (strchr(units, toupper((unsigned char)*rest)) && rest[1] == 'B')
        return "ambiguous: write K or KiB for 1024 bytes, not KB";
    return "unknown unit: K, M, G, T, P and E are known, with or without iB";
}

const char *size_parse(const char *text, uint64_t *bytes)
{
    if (*text == '\0')
        return "it is empty";
    if (*text == '-')
        return "it is negative";
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (hex)
        text += 2;
    uint64_t number;
    const char *start = text;
    const char *why = read_digits(&text, hex ? 16 : 10, &number);
    if (why)
        return why;
    if (!hex && (*text == '.' || *text == ','))
        return fraction(start, text, number);
    if (*text != '\0') {
        if (hex)
            return "a hexadecimal number takes no unit";
        if (!is_unit(text))
            return junk(text);
        const char *unit = strchr(units, toupper((unsigned char)*text));
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (number > UINT64_MAX >> shift)
            return "too large: 2^64 and above do not exist";
        number <<= shift;
    }
    *bytes = number;
    return NULL;
}

bool size_option(const char *option, const char *text, uint64_t *bytes)
{
    const char *why = size_parse(text, bytes);
    if (!why)
        return true;
    char *shown = text_escape(text, false);
    command_usage("%s '%s': %s", option, shown, why);
    free(shown);
    return false;
}

bool mode_option(const char *option, const char *text, uint32_t *mode)
{
    uint64_t number = 0;
    const char *rest = text;
    const char *why = read_digits(&rest, 8, &number);
    if (!why && *rest == '\0' && number <= 0666 && (number & 0111) == 0 && number != 0) {
        *mode = (uint32_t)number;
        return true;
    }
    char *shown = text_escape(text, false);
    if (why || *rest != '\0')
        command_usage("%s '%s': permission bits are an octal number such as 0640", option, shown);
    else if (number == 0)
        command_usage("%s '%s': then nobody could use it, you neither", option, shown);
    else
        command_usage("%s '%s': shared memory knows read (4) and write (2) alone: 0666 at most, "
                      "0640 for example",
                      option, shown);
    free(shown);
    return false;
}

bool group_option(const char *option, const char *text, uint32_t *gid)
{
    uint64_t number;
    if (number_parse(text, UINT32_MAX - 1, &number) == NULL) {
        *gid = (uint32_t)number;
        return true;
    }
    const struct group *group = getgrnam(text);
    if (group) {
        *gid = group->gr_gid;
        return true;
    }
    char *shown = text_escape(text, false);
    command_usage("%s '%s': there is no such group", option, shown);
    free(shown);
    return false;
}

const char *number_parse(const char *text, uint64_t limit, uint64_t *number)
{
    if (*text == '-')
        return "it is negative";
    const char *why = read_digits(&text, 10, number);
    if (!why && *text != '\0')
        return "not a number";
    if (!why && *number > limit)
        return "too large";
    return why;
}

bool number_option(const char *option, const char *text, uint64_t least, uint64_t limit,
                   uint64_t *number)
{
    const char *why = number_parse(text, limit, number);
    if (!why && *number >= least)
        return true;
    char *shown = text_escape(text, false);
    if (!why || strcmp(why, "not a number") != 0)
        command_usage("%s '%s': %s: %llu to %llu", option, shown, why ? why : "too small",
                      (unsigned long long)least, (unsigned long long)limit);
    else
        command_usage("%s '%s': %s", option, shown, why);
    free(shown);
    return false;
}

char *size_format(uint64_t bytes)
{
    unsigned unit = 0;
    uint64_t divisor = 1;
    while (unit < sizeof units - 1 && bytes / divisor >= 1024) {
        divisor *= 1024;
        unit++;
    }
    if (unit == 0)
        return text_format("%" PRIu64 "B", bytes);
    /* Tenths, rounded; without overflow, since the remainder is below the divisor. */
    uint64_t whole = bytes / divisor;
    uint64_t tenths = (bytes % divisor / (divisor / 1024) * 10 + 512) / 1024;
    if (tenths == 10) {
        whole++;
        tenths = 0;
    }
    if (tenths == 0)
        return text_format("%" PRIu64 "%c", whole, units[unit - 1]);
    return text_format("%" PRIu64 ".%" PRIu64 "%c", whole, tenths, units[unit - 1]);
}

char *age_format(int64_t seconds)
{
    if (seconds < 0)
        seconds = 0; /* the clock was set back */
    if (seconds < 100)
        return text_format("%" PRId64 "s", seconds);
    if (seconds < 100 * 60)
        return text_format("%" PRId64 "m", seconds / 60);
    if (seconds < 48 * 3600)
        return text_format("%" PRId64 "h", seconds / 3600);
    return text_format("%" PRId64 "d", seconds / 86400);
}
