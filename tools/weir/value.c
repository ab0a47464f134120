/* SPDX-License-Identifier: MIT */
#include "value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/error.h>

#include "command.h"
#include "text.h"

bool value_object(struct object *object, const char *text)
{
    if (!object_parse(object, text))
        return false;
    if (object->ref.by != WEIR_BY_ID)
        return true;
    command_usage("'%s' is no name of a value: NAME, key:0x1234, ftok:PATH:PROJ or posix:/NAME",
                  object->argument);
    return false;
}

int value_open(struct value_reader *reader, const char *text, bool any_owner)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    options.trust = any_owner ? WEIR_TRUST_ANYONE : WEIR_TRUST_SELF;
    memset(reader, 0, sizeof *reader);
    if (!value_object(&reader->object, text))
        return STATUS_USAGE;
    object_collect_leftovers();
    if (weir_latest_open(&reader->reader, reader->object.ref, &options) != 0)
        return command_fail_weir();
    uint64_t capacity = weir_latest_reader_max_bytes(reader->reader);
    reader->buffer = malloc(capacity);
    if (!reader->buffer)
        return command_fail("'%s': no memory for a value of %llu bytes", reader->object.argument,
                            (unsigned long long)capacity);
    return STATUS_OK;
}

void value_close(struct value_reader *reader)
{
    weir_latest_reader_close(reader->reader);
    free(reader->buffer);
    object_free(&reader->object);
}

int value_read(struct value_reader *reader)
{
    return weir_latest_read(reader->reader, reader->buffer,
                            weir_latest_reader_max_bytes(reader->reader), &reader->value);
}

int value_print(const struct value_reader *reader, enum value_form form)
{
    const struct weir_latest_value *value = &reader->value;
    if (form == VALUE_JSON)
        return value_print_json(reader);
    bool has_end = value->size_bytes > 0 && reader->buffer[value->size_bytes - 1] == '\n';
    bool wants_end = !has_end && (form == VALUE_LINE || isatty(STDOUT_FILENO));
    errno = 0;
    bool failed = fwrite(reader->buffer, 1, value->size_bytes, stdout) != value->size_bytes ||
                  (wants_end && putchar('\n') == EOF);
    return failed ? command_fail_output(errno) : STATUS_OK;
}
