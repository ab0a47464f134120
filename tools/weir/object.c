/* SPDX-License-Identifier: MIT */
#include "object.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/collect.h>
#include <weir/error.h>

#include "command.h"
#include "demo/journal.h"
#include "sentence.h"
#include "size.h"
#include "text.h"

static bool parse_id(struct object *object, const char *text, uint32_t type)
{
    uint64_t id;
    const char *why = number_parse(text, INT_MAX, &id);
    if (why) {
        command_usage("'%s': an identifier is a number from 0 as 'weir list' shows it: %s",
                      object->argument, why);
        return false;
    }
    object->ref = weir_by_id((int)id);
    object->type = type;
    return true;
}

static bool parse_key(struct object *object, const char *text)
{
    uint64_t key = 0;
    const char *why = *text == '-' ? "it is negative" : size_parse(text, &key);
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (!why && !hex)
        why = number_parse(text, UINT32_MAX, &key);
    if (!why && key > UINT32_MAX)
        why = "it has more than 32 bits";
    if (strcmp(text, "-1") == 0 || (!why && key == UINT32_MAX))
        command_usage("'%s': -1 is what ftok(3) returns when it fails, and every program that "
                      "does not look shares that key: choose another",
                      object->argument);
    else if (!why && key == 0)
        command_usage("'%s': 0 is IPC_PRIVATE, which finds nothing: choose another, or use id:N",
                      object->argument);
    else if (why)
        command_usage("'%s': a key is a number of 32 bits such as 0x1234: %s", object->argument,
                      why);
    else
        object->ref = weir_by_key((uint32_t)key);
    return object->ref.by != 0;
}

static bool parse_ftok(struct object *object, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || colon[1] == '\0') {
        command_usage("'%s': it is ftok:PATH:PROJ, for example ftok:/etc/hostname:65",
                      object->argument);
        return false;
    }
    const char *word = colon + 1;
    uint64_t project;
    if (!isdigit((unsigned char)*word) && word[1] == '\0' && (unsigned char)*word < 0x80) {
        project = (unsigned char)*word;
    } else if (number_parse(word, 255, &project) != NULL || project == 0) {
        command_usage("'%s': the project is a number from 1 to 255 or one character: ftok(3) uses "
                      "8 bits of it and no more",
                      object->argument);
        return false;
    }
    object->path = text_memory(strndup(text, (size_t)(colon - text)));
    object->ref = weir_by_ftok(object->path, (int)project);
    return true;
}

/*
 * Any process may cut a POSIX segment off under us, and the kernel tells of it by this signal alone. From
 * then on it is the default's again: that of the touch which is repeated ends us.
 */
static void tell_of_truncation(int number)
{
    static const char text[] =
        "weir: the POSIX segment was cut off by another process while it was used: SIGBUS\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)number;
}

static bool parse_posix(struct object *object, const char *text)
{
    const struct sigaction telling = { .sa_handler = tell_of_truncation,
                                       .sa_flags = (int)SA_RESETHAND };
    sigaction(SIGBUS, &telling, NULL);
    if (weir_posix_name_check(text) != 0) {
        char *why = text_escape(weir_last_error(), false);
        command_usage("'%s': %s", object->argument, why);
        free(why);
        return false;
    }
    object->ref = weir_by_posix(text);
    object->type = WEIR_OBJECT_POSIX;
    return true;
}

static bool parse_name(struct object *object, const char *text)
{
    if (weir_name_check(text) != 0) {
        if (strchr(text, ':'))
            command_usage("'%s': known are NAME, key:0x1234, id:N, sem:N, ftok:PATH:PROJ and "
                          "posix:/NAME",
                          object->argument);
        else
            command_usage("%s", weir_last_error());
        return false;
    }
    object->ref = weir_by_name(text);
    return true;
}

bool object_parse(struct object *object, const char *text)
{
    *object = (struct object){ .argument = text_escape(text, false) };
    bool parsed;
    if (strncmp(text, "id:", 3) == 0)
        parsed = parse_id(object, text + 3, WEIR_OBJECT_SEGMENT);
    else if (strncmp(text, "sem:", 4) == 0)
        parsed = parse_id(object, text + 4, WEIR_OBJECT_SEMSET);
    else if (strncmp(text, "key:", 4) == 0)
        parsed = parse_key(object, text + 4);
    else if (strncmp(text, "ftok:", 5) == 0)
        parsed = parse_ftok(object, text + 5);
    else if (strncmp(text, "posix:", 6) == 0)
        parsed = parse_posix(object, text + 6);
    else
        parsed = parse_name(object, text);
    if (!parsed)
        object_free(object);
    return parsed;
}

void object_free(struct object *object)
{
    free(object->argument);
    free(object->path);
    *object = (struct object){ .argument = NULL };
}

bool object_take_one(struct object *object, int argc, char **argv)
{
    if (optind == argc)
        command_usage("which object? 'weir list' shows what there is");
    else if (optind + 1 < argc)
        command_usage("'%s' is too much: one object a call", argv[optind + 1]);
    else
        return object_parse(object, argv[optind]);
    return false;
}

int object_find(const struct object *object, uint32_t type, struct object_facts *facts)
{
    return weir_inspect_one(object->ref, type, &facts->object, facts->names, sizeof facts->names);
}

/* A name may be "42" or "0x1234"; who says that as a rule has it from a list of numbers. */
static char *other_reading(const char *name)
{
    uint64_t number;
    if (number_parse(name, INT_MAX, &number) == NULL)
        return text_format("; by their numbers a segment is id:%s, a semaphore set sem:%s", name,
                           name);
    if (name[0] == '0' && size_parse(name, &number) == NULL && number <= UINT32_MAX)
        return text_format("; a key is key:%s", name);
    return NULL;
}

int object_fail(const struct object *object, int result)
{
    bool is_missing = result == -ENOENT && object->ref.by == WEIR_BY_NAME;
    char *reading = is_missing ? other_reading(object->ref.text) : NULL;
    char *sentence = sentence_last();
    int status = command_fail("%s%s", sentence, reading ? reading : "");
    free(sentence);
    free(reading);
    return status;
}

int object_find_one(const struct object *object, struct object_facts *facts)
{
    int result = object_find(object, object->type, facts);
    if (result != 0)
        return object_fail(object, result);
    bool by_key = object->ref.by == WEIR_BY_KEY || object->ref.by == WEIR_BY_FTOK;
    struct object_facts set;
    if (object->type == 0 && by_key && facts->object.type == WEIR_OBJECT_SEGMENT &&
        object_find(object, WEIR_OBJECT_SEMSET, &set) == 0)
        return command_fail("'%s': both a segment and a semaphore set have this key: say id:%d or "
                            "sem:%d",
                            object->argument, facts->object.id, set.object.id);
    return STATUS_OK;
}

/* The set that lives with a named segment is found by its own id: the name means the segment. */
static bool is_named_itself(const struct weir_object *object)
{
    struct object_facts facts = { 0 };
    if (!object->name || object->type == WEIR_OBJECT_SEGMENT)
        return object->name != NULL;
    return weir_inspect_one(weir_by_name(object->name), 0, &facts.object, facts.names,
                            sizeof facts.names) == 0 &&
           facts.object.type == WEIR_OBJECT_SEMSET;
}

char *object_argument(const struct weir_object *object)
{
    if (object->type == WEIR_OBJECT_POSIX)
        return text_format("posix:%s", object->name);
    if (is_named_itself(object))
        return text_format("%s", object->name);
    return text_format("%s:%d", object->type == WEIR_OBJECT_SEMSET ? "sem" : "id", object->id);
}

bool object_collect_leftovers(void)
{
    journal_collect(false, NULL, NULL);
    return weir_collect(0, NULL, NULL) >= 0;
}
