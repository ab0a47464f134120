/* SPDX-License-Identifier: MIT */
/* Latest values as JSON, a line each, by jansson. */
#include "value.h"

#include "command.h"

#ifdef WEIR_HAVE_JANSSON

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

bool value_json_possible(void)
{
    return true;
}

int value_print_json(const struct value_reader *reader)
{
    const struct weir_latest_value *value = &reader->value;
    char *hex = text_hex(reader->buffer, value->size_bytes);
    json_t *object = text_memory(json_object());
    json_t *text = json_stringn((const char *)reader->buffer, value->size_bytes);
    json_object_set_new(object, "name", json_string(reader->object.argument));
    json_object_set_new(object, "version", json_integer((json_int_t)value->version));
    json_object_set_new(object, "size", json_integer((json_int_t)value->size_bytes));
    json_object_set_new(object, "text", text ? text : json_null());
    json_object_set_new(object, "hex", json_string(hex));
    errno = 0;
    bool failed = json_dumpf(object, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF;
    int error = errno; /* before anything else sets it */
    json_decref(object);
    free(hex);
    return failed ? command_fail_output(error) : STATUS_OK;
}

#else

bool value_json_possible(void)
{
    command_usage("this weir was built without jansson: it does not write JSON");
    return false;
}

int value_print_json(const struct value_reader *reader)
{
    (void)reader;
    return STATUS_FAILURE;
}

#endif
