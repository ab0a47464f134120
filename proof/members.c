/* SPDX-License-Identifier: MIT */
#include "members.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

static const char *its_program, *its_name;
static atomic_uint *is_it_broken;

void member_begin(const char *program, const char *name, atomic_uint *is_broken)
{
    its_program = program;
    its_name = name;
    is_it_broken = is_broken;
}

_Noreturn void broken(const char *format, ...)
{
    char sentence[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s: %s\n", its_program, its_name, sentence);
    *is_it_broken = 1;
    _Exit(1);
}

void must_be(const char *what, int result, int expected)
{
    if (result != expected)
        broken("%s gives %s%d: %s", what, weir_strerror_name(result), result, weir_last_error());
}

uint64_t word_of(uint64_t head, unsigned index)
{
    return index == 0 ? head : (head + index) * UINT64_C(0x9e3779b97f4a7c15);
}

void members_clear(const pid_t *pids, unsigned count, const char *directory)
{
    for (unsigned i = 0; i < count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    weir_collect(0, NULL, NULL);
    rmdir(directory);
}
