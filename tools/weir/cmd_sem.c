/* SPDX-License-Identifier: MIT */
/* weir sem - a named semaphore. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/once.h>
#include <weir/semaphore.h>

#include "command.h"
#include "named.h"
#include "size.h"
#include "stop.h"
#include "text.h"

static const char help[] =
    "Usage: weir sem [OPTION]... NAME [value]\n"
    "       weir sem [OPTION]... NAME post [N]\n"
    "       weir sem [OPTION]... NAME wait [N]\n"
    "\n"
    "A counting semaphore between processes: post adds one, wait takes one, or waits\n"
    "until there is one. It is a struct weir_semaphore (weir-semaphore.h(3)) at the\n"
    "front of a persistent segment, which post and wait make when it is not there,\n"
    "with the value 0 or --initial; it stays until 'weir rm NAME'. C programs may\n"
    "use the same. Of a segment by key:, ftok: or posix: nothing says that one is in\n"
    "it. What is there must be of just that size, and hold what 'weir sem' can have\n"
    "left there; other data is refused and not touched. Zeros alone are taken for a\n"
    "new one (weir_once_check(3) says what else cannot be told apart).\n"
    "\n"
    "wait N takes all of them, or none when it is too late or interrupted. Of several\n"
    "that wait so, one gathers at a time; those that want one do not wait for it.\n"
    "\n"
    "It counts and names nobody: what a process that died had taken is gone, unless\n"
    "somebody posts it. To run one command at a time use 'weir lock', which knows.\n"
    "\n"
    "Options:\n"
    "  -i, --initial=N     the value of a new one: 0 unless said\n"
    "  -n, --try           do not wait: status 1 when there are not enough\n"
    "  -w, --wait=SECONDS  wait so long at most: 5, 0.25; without it, for ever\n" NAMED_HELP
    "  -q, --quiet         no remarks\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  weir sem ready wait &\n"
    "  weir sem ready post\n"
    "  weir sem --initial 3 slots wait && { work; weir sem slots post; }\n"
    "\n"
    "Exit status:\n"
    "  0 done; 1 there were not enough in time, or failed; 2 called wrongly; by the\n"
    "  signal when interrupted.\n";

/* The front of the segment. */
struct shared {
    struct weir_semaphore semaphore;
    struct weir_once initialised; /* by whoever comes first; the others wait for it */
    struct weir_mutex gathering;  /* of who waits for several */
};

/* So often at most what is being made at this moment is looked at. */
#define LOOKS 100

/* So long at most a signal is not seen in a wait for the mutex. */
#define SLICE_NS (WEIR_SECOND_NS / 5)

struct request {
    const char *name, *act;
    uint64_t count;
    int64_t deadline_ns;
    uint32_t initial;
    struct named_access access;
};

static int initialise(struct shared *shared, uint32_t initial)
{
    int result = weir_once_begin(&shared->initialised);
    if (result <= 0)
        return result;
    result = weir_semaphore_init(&shared->semaphore, initial);
    return result == 0 ? weir_once_end(&shared->initialised) : result;
}

/* All or none. */
static int post(struct weir_semaphore *semaphore, uint64_t count)
{
    if (count == 0 || weir_semaphore_post_many(semaphore, (uint32_t)count) == 0)
        return STATUS_OK;
    return command_fail("%s: nothing was posted", weir_last_error());
}

/* Two that have some each, and want more, would wait for each other. */
static int begin_gathering(struct weir_mutex *gathering, int64_t deadline_ns)
{
    int result;
    do {
        int64_t slice_ns = weir_deadline_ns(SLICE_NS);
        result = weir_mutex_lock_until(gathering, slice_ns < deadline_ns ? slice_ns : deadline_ns);
    } while (result == -ETIMEDOUT && !stop_signal() && weir_now_ns() < deadline_ns);
    if (result == WEIR_OWNER_DIED)
        result = weir_mutex_consistent(gathering);
    return result;
}

/* Why it is not to be had; what is there is what was taken, and is back. */
static void tell_too_few(const struct request *request, int result, uint64_t there, const char *why)
{
    if (result != -EAGAIN && result != -ETIMEDOUT)
        command_note("'%s': %s", request->name, why);
    else
        command_note("'%s': %s %llu%s, and %llu %s wanted", request->name,
                     result == -EAGAIN ? "it is" : "it was", (unsigned long long)there,
                     result == -EAGAIN ? "" : " at the deadline",
                     (unsigned long long)request->count, request->count == 1 ? "is" : "are");
}

/* All or none: what was taken in vain goes back. */
static int take(struct weir_semaphore *semaphore, const struct request *request)
{
    uint64_t taken = 0;
    int result = 0;
    while (result == 0 && taken < request->count && !stop_signal()) {
        result = weir_semaphore_wait_until(semaphore, request->deadline_ns);
        if (result == 0)
            taken++;
        else if (result == -EINTR && !stop_signal())
            result = 0;
    }
    if (taken == request->count)
        return STATUS_OK;
    char *why = text_format("%s", weir_last_error());
    post(semaphore, taken);
    if (!stop_signal())
        tell_too_few(request, result, taken, why);
    free(why);
    return STATUS_FAILURE;
}

static int gather(struct shared *shared, const struct request *request)
{
    int result = begin_gathering(&shared->gathering, request->deadline_ns);
    if (result == -ETIMEDOUT && !stop_signal())
        command_note("'%s': another one was gathering until the deadline", request->name);
    else if (result < 0 && !stop_signal())
        command_fail_weir();
    if (result < 0)
        return STATUS_FAILURE;
    int status = take(&shared->semaphore, request);
    weir_mutex_unlock(&shared->gathering);
    return status;
}

static int perform(struct shared *shared, const struct request *request)
{
    int result = initialise(shared, request->initial);
    if (result < 0)
        return command_fail_weir();
    if (strcmp(request->act, "post") == 0)
        return post(&shared->semaphore, request->count);
    if (request->count <= 1)
        return take(&shared->semaphore, request);
    if (stop_catch() != STATUS_OK) /* what was taken goes back first */
        return STATUS_FAILURE;
    return request->deadline_ns != 0 ? gather(shared, request) : take(&shared->semaphore, request);
}

static bool is_zero(const volatile void *memory, size_t bytes)
{
    const volatile unsigned char *byte = memory;
    for (size_t i = 0; i < bytes; i++) {
        if (byte[i] != 0)
            return false;
    }
    return true;
}

/*
 * A number with zeros behind it could be a semaphore; but who makes one leaves a trace in what says so,
 * before there is a value. Who reads the two just then looks again.
 */
static bool is_unmade(const struct shared *shared)
{
    for (int look = 0; look < LOOKS; look++) {
        bool is_untouched = is_zero(&shared->semaphore, sizeof shared->semaphore) &&
                            is_zero(&shared->gathering, sizeof shared->gathering);
        if (is_untouched || !is_zero(&shared->initialised, sizeof shared->initialised))
            return false;
    }
    return true;
}

static const char *contradiction(const void *data)
{
    const struct shared *shared = data;
    if (weir_semaphore_check(&shared->semaphore) != 0 ||
        weir_once_check(&shared->initialised) != 0 || weir_mutex_check(&shared->gathering) != 0)
        return weir_last_error();
    return is_unmade(shared) ? "it has a value that nobody has given to it" : NULL;
}

static int sem(const struct request *request)
{
    static const struct named_kind kind = { "semaphore", sizeof(struct shared), contradiction };
    struct named named;
    bool is_look = strcmp(request->act, "value") == 0;
    int status = named_open(&named, request->name, &kind, &request->access,
                            is_look ? NAMED_LOOK : NAMED_MAKE);
    if (status == STATUS_OK && is_look)
        printf("%d\n", weir_semaphore_value(&((const struct shared *)named.data)->semaphore));
    else if (status == STATUS_OK)
        status = perform(named.data, request);
    named_close(&named);
    return status;
}

static bool count_option(const char *what, const char *text, uint64_t limit, uint64_t *count)
{
    const char *why = number_parse(text, limit, count);
    if (!why)
        return true;
    char *shown = text_escape(text, false);
    command_usage("%s '%s': %s", what, shown, why);
    free(shown);
    return false;
}

/* NAME [ACT [N]] */
static bool take_arguments(struct request *request, int argc, char **argv)
{
    if (argc == 0)
        return command_usage("which semaphore? NAME"), false;
    request->name = argv[0];
    request->act = argc > 1 ? argv[1] : "value";
    bool has_count = strcmp(request->act, "post") == 0 || strcmp(request->act, "wait") == 0;
    if (!has_count && strcmp(request->act, "value") != 0) {
        char *shown = text_escape(request->act, false);
        command_usage("'%s': post, wait or value", shown);
        free(shown);
        return false;
    }
    if (argc > (has_count ? 3 : 2))
        return command_usage("'%s' is too much", argv[has_count ? 3 : 2]), false;
    if (argc > 2)
        return count_option(request->act, argv[2], WEIR_SEMAPHORE_MAX, &request->count);
    return true;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "initial", required_argument, NULL, 'i' },
        { "try", no_argument, NULL, 'n' },
        { "wait", required_argument, NULL, 'w' },
        NAMED_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .count = 1, .deadline_ns = WEIR_NEVER };
    uint64_t initial = 0;
    bool good = true;
    int option, status;
    while (good && (option = getopt_long(argc, argv, "hi:m:nqw:", long_options, NULL)) != -1) {
        switch (option) {
        case 'i':
            good = count_option("--initial", optarg, WEIR_SEMAPHORE_MAX, &initial);
            break;
        case 'n':
            request.deadline_ns = 0;
            break;
        case 'w':
            good = deadline_option("--wait", optarg, &request.deadline_ns);
            break;
        default:
            if (!named_option(&request.access, option, optarg, &status))
                return status;
        }
    }
    request.initial = (uint32_t)initial;
    if (!good || !take_arguments(&request, argc - optind, argv + optind))
        return STATUS_USAGE;
    status = command_finish(sem(&request));
    return status == STATUS_OK ? status : stop_end(status); /* what was taken is the caller's */
}

const struct command command_sem = {
    .name = "sem",
    .summary = "post, wait for or look at a named semaphore",
    .help = help,
    .run = run,
};
