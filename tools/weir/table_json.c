/* SPDX-License-Identifier: MIT */
/* Tables as JSON, by jansson; without it table_check() refuses --json. */
#include "table.h"

#include "command.h"

#ifdef WEIR_HAVE_JANSSON

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static json_t *value_json(const struct table_value *value, enum table_type type)
{
    if (!value->known)
        return json_null();
    if (type == TABLE_FLAG)
        return json_boolean(value->number != 0);
    if (type != TABLE_TEXT)
        return json_integer(value->number);
    char *valid = text_utf8(value->text);
    json_t *json = json_string(valid);
    free(valid);
    return json;
}

static json_t *row_json(const struct table *table, size_t row, const size_t *order, size_t count)
{
    json_t *object = text_memory(json_object());
    for (size_t i = 0; i < count; i++) {
        const struct table_column *column = &table->columns[order[i]];
        char *name = text_format("%s", column->name);
        for (char *c = name; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        json_object_set_new(
            object, name,
            text_memory(
                value_json(&table->values[row * table->column_count + order[i]], column->type)));
        free(name);
    }
    return object;
}

static json_t *section_json(const struct table_section *section,
                            const struct table_options *options)
{
    const struct table *table = section->table;
    size_t *order = text_memory(calloc(128, sizeof *order));
    size_t count = table_choose(options, table->columns, table->column_count, order);
    json_t *json;
    if (section->single) {
        json = table->row_count ? row_json(table, 0, order, count) : json_null();
    } else {
        json = text_memory(json_array());
        for (size_t row = 0; row < table->row_count; row++)
            json_array_append_new(json, row_json(table, row, order, count));
    }
    free(order);
    return json;
}

int table_print_json(const struct table_section *sections, size_t count,
                     const struct table_options *options)
{
    json_t *document = text_memory(json_object());
    for (size_t i = 0; i < count; i++)
        json_object_set_new(document, sections[i].name, section_json(&sections[i], options));
    errno = 0;
    bool failed = json_dumpf(document, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF;
    int error = errno; /* before anything else sets it */
    json_decref(document);
    return failed ? command_fail_output(error) : STATUS_OK;
}

#else

int table_print_json(const struct table_section *sections, size_t count,
                     const struct table_options *options)
{
    (void)sections, (void)count, (void)options;
    return command_fail("this weir was built without jansson, so it has no --json");
}

#endif
