/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>
#include <string.h>

/* What stands behind the colon, if the line is of that key. */
static bool take_value(const char *line, const char *key, char *value, unsigned size)
{
    const char *colon = strchr(line, ':');
    size_t length = strlen(key);
    if (!colon || strncmp(line, key, length) != 0 || (line[length] != '\t' && line[length] != ' '))
        return false;
    snprintf(value, size, "%s", colon[1] ? colon + 2 : "");
    value[strcspn(value, "\n")] = 0;
    return true;
}

/* Family and model as well: a host may hide which of its makers' processors it is, but not these. */
void processor_name(char *name, unsigned size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256], model_name[128] = "unknown processor", family[16] = "", model[16] = "";
    while (file && fgets(line, sizeof line, file) && line[0] != '\n')
        if (!take_value(line, "model name", model_name, sizeof model_name) &&
            !take_value(line, "cpu family", family, sizeof family))
            take_value(line, "model", model, sizeof model);
    if (file)
        fclose(file);
    if (family[0] && model[0])
        snprintf(name, size, "%s, family %s, model %s", model_name, family, model);
    else
        snprintf(name, size, "%s", model_name);
}
