/* SPDX-License-Identifier: MIT */
/* The facts of a scene, and the JSON document that carries them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEIR_HAVE_JANSSON
#include <jansson.h>
#endif

#include "stage.h"

#ifdef WEIR_HAVE_JANSSON

static json_t *facts, *faults;
static char *skipped;

static json_t *facts_object(void)
{
    if (!facts)
        facts = json_object();
    return facts;
}

void scene_fact_int(const char *name, int64_t value)
{
    json_object_set_new(facts_object(), name, json_integer(value));
}

void scene_fact_bool(const char *name, bool value)
{
    json_object_set_new(facts_object(), name, json_boolean(value));
}

void scene_fact_text(const char *name, const char *value)
{
    json_t *text = json_string(value);
    /* What a program wrote into shared memory need not be UTF-8. */
    json_object_set_new(facts_object(), name, text ? text : json_string("(not text)"));
}

void facts_fault(const struct scene_fault *fault)
{
    if (!faults)
        faults = json_array();
    json_array_append_new(faults, json_pack("{s:s, s:s, s:s, s:s, s:s}", "fault", fault->title,
                                            "does", fault->does, "happened", fault->happened, "why",
                                            fault->why, "cure", fault->cure));
}

void facts_skip(const char *reason)
{
    free(skipped);
    skipped = strdup(reason);
}

bool facts_json_possible(void)
{
    return true;
}

static int write_bytes(const char *bytes, size_t length, void *argument)
{
    (void)argument;
    struct text text = { 0 };
    while (length > 0) {
        text.length = length < sizeof text.bytes ? length : sizeof text.bytes;
        memcpy(text.bytes, bytes, text.length);
        text_write(&text);
        bytes += text.length;
        length -= text.length;
    }
    return 0;
}

/* What the hearts printed, a string a line. */
static json_t *output_lines(void)
{
    json_t *lines = json_array();
    for (const char *line = stage->output; *line;) {
        size_t length = strcspn(line, "\n");
        json_t *text = json_stringn(line, length);
        json_array_append_new(lines, text ? text : json_string("(not text)"));
        line += length + (line[length] == '\n');
    }
    return lines;
}

int facts_print_json(const struct scene *scene, uint64_t seed, bool private)
{
    json_t *document =
        json_pack("{s:s, s:s, s:I, s:b, s:s?, s:o, s:O}", "scene", scene->name, "heart",
                  scene->heart, "seed", (json_int_t)seed, "private_namespace", private, "skipped",
                  skipped, "output", output_lines(), "facts", facts_object());
    if (!document)
        return -ENOMEM;
    if (faults)
        json_object_set(document, "faults", faults);
    stage_lock();
    json_dump_callback(document, write_bytes, NULL, JSON_INDENT(2));
    write_bytes("\n", 1, NULL);
    stage_unlock();
    json_decref(document);
    return 0;
}

#else

void scene_fact_int(const char *name, int64_t value)
{
    (void)name, (void)value;
}

void scene_fact_bool(const char *name, bool value)
{
    (void)name, (void)value;
}

void scene_fact_text(const char *name, const char *value)
{
    (void)name, (void)value;
}

void facts_fault(const struct scene_fault *fault)
{
    (void)fault;
}

void facts_skip(const char *reason)
{
    (void)reason;
}

bool facts_json_possible(void)
{
    return false;
}

int facts_print_json(const struct scene *scene, uint64_t seed, bool private)
{
    (void)scene, (void)seed, (void)private;
    return -ENOSYS;
}

#endif
