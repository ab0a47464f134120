/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "command.h"

void *text_memory(void *memory)
{
    if (!memory)
        exit(command_fail("no memory"));
    return memory;
}

char *text_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return text_memory(text);
}

/* The bytes of the UTF-8 character at text; 0 when it is none. */
static size_t character_length(const unsigned char *text)
{
    size_t length;
    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xc2 && text[0] < 0xe0)
        length = 2;
    else if ((text[0] & 0xf0) == 0xe0)
        length = 3;
    else if (text[0] >= 0xf0 && text[0] < 0xf5)
        length = 4;
    else
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) /* also the closing NUL */
            return 0;
    /* Overlong forms, surrogates, above U+10FFFF. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] >= 0xa0) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] >= 0x90))
        return 0;
    return length;
}

/* Control characters: C0, DEL, and C1, which is 0xc2 0x80 to 0xc2 0x9f in UTF-8. */
static bool is_control(const unsigned char *text)
{
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

/*
 * What makes a line read otherwise than it is written: marks, embeddings, overrides and isolates of direction
 * (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), and the ends of lines U+2028 and U+2029.
 */
static bool turns_a_line(const unsigned char *text)
{
    if (text[0] == 0xd8)
        return text[1] == 0x9c;
    if (text[0] != 0xe2)
        return false;
    return (text[1] == 0x80 &&
            (text[2] == 0x8e || text[2] == 0x8f || (text[2] >= 0xa8 && text[2] <= 0xae))) ||
           (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9);
}

static char *copy(const char *source, bool controls, bool blanks)
{
    const unsigned char *from = (const unsigned char *)source;
    char *result = text_memory(malloc(4 * strlen(source) + 1));
    char *to = result;
    while (*from) {
        size_t length = character_length(from);
        bool plain = length > 0;
        if (controls && plain && (is_control(from) || turns_a_line(from) || *from == '\\'))
            plain = false;
        if (blanks && *from == ' ')
            plain = false;
        if (length == 0)
            length = 1;
        for (; length > 0; length--, from++)
            to += plain ? sprintf(to, "%c", *from) : sprintf(to, "\\x%02x", *from);
    }
    *to = '\0';
    return result;
}

char *text_escape(const char *text, bool blanks)
{
    return copy(text, true, blanks);
}

char *text_utf8(const char *text)
{
    return copy(text, false, false);
}

/* Whatever the user's locale is: all text here is UTF-8. 0: this system has no such locale. */
static locale_t utf8_locale(void)
{
    static locale_t locale;
    if (locale == (locale_t)0)
        locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return locale;
}

/* The first character: how many bytes it has, and how many places it takes. */
static size_t places_of_first(const char *text, size_t *bytes)
{
    mbstate_t state = { 0 };
    wchar_t character;
    *bytes = mbrtowc(&character, text, strnlen(text, MB_LEN_MAX), &state);
    int places = *bytes < (size_t)-2 ? wcwidth(character) : -1;
    if (places >= 0)
        return (size_t)places;
    *bytes = 0;
    do
        ++*bytes;
    while (((unsigned char)text[*bytes] & 0xc0) == 0x80);
    return 1;
}

size_t text_beginning(const char *text, size_t most, size_t *places)
{
    locale_t former = uselocale(utf8_locale()); /* of 0 it changes nothing */
    size_t bytes = 0, taken = 0;
    while (text[bytes]) {
        size_t more_bytes, more = places_of_first(text + bytes, &more_bytes);
        if (more > most - taken)
            break;
        taken += more;
        bytes += more_bytes;
    }
    uselocale(former);
    if (places)
        *places = taken;
    return bytes;
}

size_t text_width(const char *text)
{
    size_t places;
    text_beginning(text, SIZE_MAX, &places);
    return places;
}

char *text_hex(const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = text_memory(malloc(2 * count + 1));
    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
    return hex;
}
