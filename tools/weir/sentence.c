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
};

static const struct phrase phrases[] = {
    { "to accept others' objects set options.trust", "--any-owner",
      "to accept others' objects say --any-owner", "this command takes nothing of other users'" },
    { "see its options.trust", "", "that one must say --any-owner", NULL },
    { "set options.mode", "--mode", "say --mode", "this command is for one user alone" },
    { " (options.publishers_max)", "--publishers-max", " (--publishers-max)", "" },
    { " (options.subscribers_max)", "--subscribers-max", " (--subscribers-max)", "" },
    /* Behind the options themselves. */
    { " (options.delivery 0)", "", "", NULL },
    { " (options.lag_max_bytes)", "", "", NULL },
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

char *sentence_last(void)
{
    char *said = text_escape(weir_last_error(), false), *told = NULL;
    size_t size;
    FILE *stream = text_memory(open_memstream(&told, &size));
    for (const char *from = said; *from;) {
        const struct phrase *phrase = phrase_at(from);
        if (phrase)
            fputs(has_option(phrase->option) ? phrase->with : phrase->without, stream);
        else
            putc(*from, stream);
        from += phrase ? strlen(phrase->said) : 1;
    }
    bool is_whole = fclose(stream) == 0;
    free(said);
    return text_memory(is_whole ? told : NULL);
}
