/* SPDX-License-Identifier: MIT */
/* A message as a line of JSON, by jansson; without it value_json_possible() refuses --json. */
#include "output.h"

#ifdef WEIR_HAVE_JANSSON

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text.h"

static char *base64(const unsigned char *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = text_memory(malloc(4 * ((count + 2) / 3) + 1)), *to = text;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    *to = '\0';
    return text;
}

/* Now, as RFC 3339 has it: a number of nanoseconds would lose its last digits in JSON. */
static json_t *time_now(void)
{
    struct timespec now;
    struct tm parts;
    char seconds[32], text[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, sizeof text, "%s.%09ldZ", seconds, now.tv_nsec);
    return json_string(text);
}

char *output_json(const struct weir_message *message)
{
    json_t *object = text_memory(json_object());
    const char *bytes = message->size_bytes > 0 ? message->data : "";
    json_t *text = json_stringn(bytes, message->size_bytes); /* NULL: no UTF-8 */
    json_object_set_new(object, "session", json_integer(message->session));
    json_object_set_new(object, "sequence", json_integer((json_int_t)message->sequence));
    if (message->missed > 0)
        json_object_set_new(object, "missed", json_integer((json_int_t)message->missed));
    json_object_set_new(object, "type", json_integer(message->type));
    json_object_set_new(object, "size", json_integer((json_int_t)message->size_bytes));
    json_object_set_new(object, "received", time_now());
    if (text) {
        json_object_set_new(object, "text", text);
    } else {
        char *encoded = base64(message->data, message->size_bytes);
        json_object_set_new(object, "base64", json_string(encoded));
        free(encoded);
    }
    char *line = text_memory(json_dumps(object, JSON_COMPACT));
    json_decref(object);
    return line;
}

#else

#include "text.h"

char *output_json(const struct weir_message *message)
{
    (void)message;
    return text_format("%s", "");
}

#endif
