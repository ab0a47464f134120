/* SPDX-License-Identifier: MIT */
/* weir - the command: finds the one that is meant and runs it. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/version.h>

#include "command.h"
#include "distance.h"
#include "text.h"

static const struct command *const commands[] = {
    &command_create, &command_demo, &command_doctor, &command_explain, &command_collect,
    &command_get,    &command_info, &command_list,   &command_lock,    &command_pub,
    &command_read,   &command_recv, &command_remove, &command_sem,     &command_send,
    &command_set,    &command_sub,  &command_tap,    &command_top,     &command_watch,
    &command_write,  NULL,
};

static void print_help(void)
{
    fputs("Usage: weir COMMAND [ARGUMENT]...\n"
          "\n"
          "Shared memory between processes, from the shell.\n"
          "\n"
          "Commands:\n",
          stdout);
    for (size_t i = 0; commands[i]; i++)
        printf("  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n"
          "Options:\n"
          "  -h, --help     this text; 'weir COMMAND --help' for one command\n"
          "  -V, --version  the version\n"
          "\n"
          "Objects:\n"
          "  NAME            a name of weir's\n"
          "  key:0x1234      a System V key\n"
          "  id:42           a segment by its System V identifier\n"
          "  sem:42          a semaphore set by its System V identifier\n"
          "  ftok:PATH:PROJ  the key ftok(3) makes; PROJ is a number or a character\n"
          "  posix:/NAME     a POSIX segment, as shm_open(3) calls it\n"
          "\n"
          "Environment:\n"
          "  WEIR_DIR  the directory of the names. Unless it is set, they are each user's\n"
          "            own, in /dev/shm/weir-UID; users who share names set the same\n"
          "            directory, one of a group that they have in common. 'weir doctor'\n"
          "            says which it is\n"
          "  NO_COLOR  when set and not empty: no colours\n"
          "  TMPDIR    where 'weir demo' notes what it has made, instead of /tmp\n"
          "\n"
          "Exit status:\n"
          "  0 done, 1 failed, 2 called wrongly; 'weir lock': its COMMAND's. By SIGPIPE,\n"
          "  without a word, when nobody reads the output any more ('| head').\n",
          stdout);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* What other programs call it, too far from our word to be found by its letters. */
static const char *by_another_word(const char *word)
{
    static const char *const words[][2] = {
        { "cat", "read" },  { "collect", "gc" }, { "del", "rm" },    { "delete", "rm" },
        { "ls", "list" },   { "new", "create" }, { "post", "sem" },  { "publish", "pub" },
        { "remove", "rm" }, { "show", "info" },  { "stat", "info" }, { "unlink", "rm" },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i][0]) == 0)
            return words[i][1];
    return NULL;
}

/* The command that was meant: 'lst', 'subscribe'. NULL: who knows? */
static const char *nearest(const char *word)
{
    const char *found = by_another_word(word);
    if (found)
        return found;
    unsigned best = 3;
    for (size_t i = 0; commands[i]; i++) {
        const char *name = commands[i]->name;
        size_t length = strlen(name);
        if (length > 2 && strncmp(word, name, length) == 0)
            return name;
        unsigned now = distance(name, length, word);
        if (now < best && now <= length / 2) {
            best = now;
            found = name;
        }
    }
    return found;
}

static int refuse(const char *word)
{
    char *shown = text_escape(word, false);
    const char *meant = *word == '-' ? NULL : nearest(word);
    int status =
        meant ? command_usage("there is no command '%s'; did you mean '%s'?", shown, meant)
              : command_usage("there is no %s '%s'", *word == '-' ? "option" : "command", shown);
    free(shown);
    return status;
}

static int help(const char *name)
{
    const struct command *command = name ? find(name) : NULL;
    if (name && !command)
        return refuse(name);
    if (command)
        fputs(command->help, stdout);
    else
        print_help();
    return command_finish(STATUS_OK);
}

/*
 * Closed, their numbers would be those of the next files that are opened, and our
 * messages would be written into these. Opened for reading: to write still fails.
 */
static void reserve_output_files(void)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int null = open("/dev/null", O_RDONLY);
        if (null >= 0 && null != fd) {
            dup2(null, fd);
            close(null);
        }
    }
}

static int run(int argc, char **argv)
{
    if (argc < 2)
        return command_usage("which command?");
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help(argv[2]);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("weir %s\n", weir_version(NULL, NULL, NULL));
        return command_finish(STATUS_OK);
    }
    const struct command *command = find(word);
    if (!command)
        return refuse(word);
    command_running = command;
    /* getopt_long(3) starts its messages with argv[0]: "weir list: unrecognized option ..." */
    char called[64];
    snprintf(called, sizeof called, "weir %s", command->name);
    argv[1] = called;
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    reserve_output_files();
    /* A closed pipe is an error that write(2) reports: a command leaves in order before it ends by it. */
    command_pipe_was_ignored = signal(SIGPIPE, SIG_IGN) == SIG_IGN;
    return command_end(run(argc, argv));
}
