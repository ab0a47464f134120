/* SPDX-License-Identifier: MIT */
/* weir demo - shared memory at work: two lines, or a scene. */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../command.h"
#include "hello.h"
#include "journal.h"
#include "scenes.h"
#include "stage.h"

static const char help[] =
    "Usage: weir demo\n"
    "       weir demo SCENE [OPTION]...\n"
    "       weir demo --list\n"
    "\n"
    "Show shared memory at work. With no argument a parent and its child talk\n"
    "through one segment, in two lines. A SCENE shows one thing, and what can go\n"
    "wrong with it, by making the real system calls; 'weir demo --list' names them.\n"
    "\n"
    "A scene runs in a private IPC namespace if the machine permits it, and leaves\n"
    "nothing behind. One that the machine does not permit says so and exits with 0.\n"
    "\n"
    "Options:\n"
    "  -e, --explain   tell each call, its result, and what it changed in the kernel\n"
    "  -s, --step      with --explain, which it implies: wait for Enter between steps\n"
    "  -J, --json      one JSON document with the facts of the scene\n"
    "      --seed=N    make the random choices of a scene repeatable\n"
    "  -l, --list      the scenes, one a line\n"
    "  -q, --quiet     no remarks on stderr\n"
    "  -h, --help      this text\n"
    "\n"
    "Examples:\n"
    "  weir demo                  parent and child\n"
    "  weir demo seed --explain   the textbook's program, fault by fault\n"
    "  weir demo lifecycle --step one call at a time\n"
    "\n"
    "Exit status:\n"
    "  0 done, or not permitted here; 1 failed; 2 called wrongly.\n";

static int print_list(void)
{
    for (size_t i = 0; scene_table[i]; i++)
        printf("%-11s  %s\n", scene_table[i]->name, scene_table[i]->summary);
    return command_finish(STATUS_OK);
}

static const struct scene *find_scene(const char *name)
{
    for (size_t i = 0; scene_table[i]; i++)
        if (strcmp(scene_table[i]->name, name) == 0)
            return scene_table[i];
    return NULL;
}

static bool parse_seed(const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') || value > INT64_MAX)
        return false;
    *seed = value;
    return true;
}

/* Small, so that it can be typed again. */
static uint64_t choose_seed(void)
{
    uint32_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint32_t)time(NULL) ^ (uint32_t)getpid();
    return seed % 1000000;
}

static int perform(const char *name, struct scene_settings *settings)
{
    const struct scene *scene = find_scene(name);
    if (!scene)
        return command_usage("there is no scene '%s': see 'weir demo --list'", name);
    if (settings->mode == SCENE_JSON && !facts_json_possible())
        return command_fail("this weir was built without jansson and cannot write JSON");
    if (settings->step && !isatty(STDIN_FILENO)) {
        command_note("--step waits for Enter on a terminal, and stdin is none: going on without");
        settings->step = false;
    }
    return scene_perform(scene, settings);
}

static const struct option long_options[] = {
    { "explain", no_argument, NULL, 'e' }, { "step", no_argument, NULL, 's' },
    { "json", no_argument, NULL, 'J' },    { "seed", required_argument, NULL, 'S' },
    { "list", no_argument, NULL, 'l' },    COMMAND_LONG_OPTIONS,
};

static int run(int argc, char **argv)
{
    struct scene_settings settings = { .mode = SCENE_BRIEF, .seed = choose_seed() };
    bool explain = false, json = false, list = false, options = false;
    int option, status;
    if (scene_pointer_reader(argc, argv, &status))
        return status;
    while ((option = getopt_long(argc, argv, "esJjlhq", long_options, NULL)) != -1) {
        options = options || (option != 'q' && option != 'h');
        if (option == 'e')
            explain = true;
        else if (option == 's')
            explain = settings.step = true;
        else if (option == 'J' || option == 'j') /* -j: what it was called at first */
            json = true;
        else if (option == 'l')
            list = true;
        else if (option == 'S' && !parse_seed(optarg, &settings.seed))
            return command_usage("'%s' is no number for --seed", optarg);
        else if (option != 'S' && !command_option(option, &status))
            return status;
    }
    if (argc - optind > 1)
        return command_usage("one scene at a time: '%s' is too many", argv[optind + 1]);
    if (list)
        return print_list();
    if (json && explain)
        return command_usage("--json does not go with --explain and --step");
    journal_collect(false, NULL, NULL);
    if (optind == argc)
        return options ? command_usage("which scene? See 'weir demo --list'") : hello_run();
    settings.mode = json ? SCENE_JSON : explain ? SCENE_EXPLAIN : SCENE_BRIEF;
    return perform(argv[optind], &settings);
}

const struct command command_demo = {
    .name = "demo",
    .summary = "parent and child through shared memory, and scenes of what goes wrong",
    .help = help,
    .run = run,
};
