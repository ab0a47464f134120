/* SPDX-License-Identifier: MIT */
/* What all checks of 'weir doctor' use: to tell a finding, to read a file of one line. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "text.h"

static const char *const levels[] = { "ok", "note", "warning", "problem" };

void doctor_tell(struct doctor *doctor, enum doctor_level level, const char *name, const char *cure,
                 const char *format, ...)
{
    char *finding;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&finding, format, arguments) < 0)
        finding = NULL;
    va_end(arguments);
    text_memory(finding);
    if (level > doctor->worst)
        doctor->worst = level;
    if (command_quiet && level < DOCTOR_WARNING) {
        free(finding);
        return;
    }
    struct table_value *row = table_row(&doctor->table);
    table_set_text(&row[DOCTOR_LEVEL], levels[level]);
    table_set_text(&row[DOCTOR_NAME], name);
    table_set_text(&row[DOCTOR_FINDING], finding);
    table_set_text(&row[DOCTOR_CURE], cure);
    free(finding);
}

bool doctor_read_file(const char *path, char *text, size_t capacity)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t length = fread(text, 1, capacity - 1, file);
    bool read = length > 0 && !ferror(file);
    fclose(file);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return read;
}
