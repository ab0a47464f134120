/* SPDX-License-Identifier: MIT */
#include "sentence.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>

#include "command.h"
#include "text.h"

struct phrase {
    const char *said;    /* by the library */
    const char *option;  /* that a command has for it; "": it needs none */
    const char *with;    /* what it says then */
    const char *without; /* what a command says that has no such option */
    bool names_owner;    /* behind with: whose it is, as the sentence has it */
};

static const struct phrase phrases[] = {
    { "to accept others' objects set options.trust", "--any-owner",
      "say --any-owner, if you trust ", "this command takes nothing of other users'", true },
    { "see its options.trust", "", "that one must say --any-owner", NULL, false },
    { "set options.mode", "--mode", "say --mode", "this command is for one user alone", false },
    { " (options.publishers_max)", "--publishers-max", " (--publishers-max)", "", false },
    { " (options.subscribers_max)", "--subscribers-max", " (--subscribers-max)", "", false },
    /* Behind the options themselves. */
    { " (options.delivery 0)", "", "", NULL, false },
    { " (options.lag_max_bytes)", "", "", NULL, false },
    { " (options.ring_bytes)", "--ring", " (--ring)", "", false },
    { "value_bytes_max is", "--max", "--max is", "value_bytes_max is", false },
};

/* By its help, which names them all. */
static bool has_option(const char *option)
{
    return *option == '\0' || (command_running && strstr(command_running->help, option));
}

static const struct phrase *phrase_at(const char *text)
{
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (strncmp(text, phrases[i].said, strlen(phrases[i].said)) == 0)
            return &phrases[i];
    return NULL;
}

/* "uid 5": who made it, and whose it is. */
static void put_owner(FILE *stream, const char *said)
{
    static const char made[] = "was made by uid ";
    const char *at = strstr(said, made);
    unsigned creator, owner;
    if (!at || sscanf(at, "was made by uid %u and belongs to uid %u", &creator, &owner) != 2)
        fputs("its owner", stream);
    else if (creator == owner)
        fprintf(stream, "uid %u", owner);
    else
        fprintf(stream, "uids %u and %u", creator, owner);
}

char *sentence_last(void)
{
    char *said = text_escape(weir_last_error(), false), *told = NULL;
    size_t size;
    FILE *stream = text_memory(open_memstream(&told, &size));
    for (const char *from = said; *from;) {
        const struct phrase *phrase = phrase_at(from);
        bool has = phrase && has_option(phrase->option);
        if (!phrase)
            putc(*from, stream);
        else
            fputs(has ? phrase->with : phrase->without, stream);
        if (has && phrase->names_owner)
            put_owner(stream, said);
        from += phrase ? strlen(phrase->said) : 1;
    }
    bool is_whole = fclose(stream) == 0;
    free(said);
    return text_memory(is_whole ? told : NULL);
}
