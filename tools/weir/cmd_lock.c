/* SPDX-License-Identifier: MIT */
/* weir lock - a command under a named mutex. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/error.h>
#include <weir/identity.h>
#include <weir/mutex.h>

#include "command.h"
#include "named.h"
#include "size.h"

static const char help[] =
    "Usage: weir lock [OPTION]... NAME [--] COMMAND [ARGUMENT]...\n"
    "       weir lock NAME\n"
    "\n"
    "Runs COMMAND while it holds the mutex NAME, as flock(1) does with a file: of all\n"
    "commands under one name, one runs at a time. The mutex is a struct weir_mutex\n"
    "(weir-mutex.h(3)) at the front of a persistent segment, which is made when it\n"
    "is not there and stays until 'weir rm NAME', which refuses while somebody holds\n"
    "it (by --force two could run at once). C programs may use the same. Of a segment\n"
    "by key:, ftok: or posix: nothing says that a mutex is in it. What is there must\n"
    "be of just that size, and hold what a mutex can; other data is refused and not\n"
    "touched. Zeros alone are taken for a new one (weir_mutex_check(3) says what else\n"
    "cannot be told apart).\n"
    "\n"
    "A holder that is killed does not keep it, be it 'weir lock' or its COMMAND, by\n"
    "SIGKILL or a crash. The next one is told so on standard error, and its COMMAND\n"
    "by WEIR_OWNER_DIED=1 in its environment: what the former one was at may be half\n"
    "done. It stays so until a COMMAND that was told has ended by itself. A COMMAND\n"
    "that was asked to end (SIGTERM, SIGINT, SIGHUP, SIGQUIT or SIGPIPE) was not\n"
    "killed. Signals that are ignored (nohup) are so for COMMAND.\n"
    "\n"
    "While COMMAND runs, SIGTERM and SIGHUP are handed on to it; SIGINT and SIGQUIT\n"
    "are left to it, since a terminal sends them to both: with kill(1) send them to\n"
    "COMMAND. Whatever else ends 'weir lock', SIGKILL above all, kills COMMAND a\n"
    "moment later, but not what COMMAND itself has started. Whoever is stopped\n"
    "(Ctrl-Z) keeps the mutex.\n"
    "\n"
    "A COMMAND that becomes another user (sudo, su, setpriv, a set-user-ID program)\n"
    "goes on without the mutex when 'weir lock' is killed, and may be out of reach of\n"
    "what is handed on. Say 'sudo weir lock NAME -- COMMAND' instead: NAME is that\n"
    "user's then, unless WEIR_DIR says otherwise.\n"
    "\n"
    "Without COMMAND: prints whether the mutex is free, or who holds it.\n"
    "\n"
    "Options:\n"
    "  -n, --try           do not wait: status 1 when somebody holds it\n"
    "  -w, --wait=SECONDS  wait so long at most: 5, 0.25; without it, for ever\n"
    "  -E, --conflict-exit-code=N\n"
    "                      the status when it was not to be had: 1 unless said\n" NAMED_HELP
    "  -q, --quiet         no remarks: not of a death, either\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  weir lock backup -- rsync -a /home /backup\n"
    "  weir lock --try nightly -- make report || echo 'runs already'\n"
    "\n"
    "Exit status:\n"
    "  COMMAND's own, 128 + N when signal N killed it; 1 not locked or failed,\n"
    "  2 called wrongly, 126 COMMAND cannot be run, 127 there is no such COMMAND.\n";

enum { STATUS_CANNOT_RUN = 126, STATUS_NO_COMMAND = 127, STATUS_SIGNAL = 128 };

struct request {
    int64_t deadline_ns;
    int conflict_status;
    struct named_access access;
};

static pid_t running; /* COMMAND, while it runs: for forward() */

/* To us alone comes what a terminal does not send to COMMAND as well. */
static void forward(int number)
{
    if (running > 0)
        kill(running, number);
}

/* What is set here, and is to be again in COMMAND as whoever called us had it: nohup, a script's &. */
static const int taken_over[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE };
enum { TAKEN_OVER = sizeof taken_over / sizeof *taken_over };

static void restore(const bool *is_ignored)
{
    for (size_t i = 0; i < TAKEN_OVER; i++)
        signal(taken_over[i], is_ignored[i] ? SIG_IGN : SIG_DFL);
}

/* In the child. Into told goes a byte, should COMMAND not begin. */
static void run_command(char **argv, pid_t parent, int told)
{
    /* Whoever kills us without a word must not leave it running unlocked. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(STATUS_FAILURE);
    execvp(argv[0], argv);
    int error = errno;
    while (write(told, "", 1) < 0 && errno == EINTR) { /* first: nobody may read what we say */
    }
    command_fail("cannot run '%s': %s", argv[0], strerror(error));
    _exit(error == ENOENT ? STATUS_NO_COMMAND : STATUS_CANNOT_RUN);
}

/* To end; whoever does not catch it means to end just so. */
static bool is_request(int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT ||
           number == SIGPIPE;
}

/* How COMMAND ended, if it has begun. */
struct run {
    bool has_begun, was_killed;
    bool has_ended; /* by itself */
};

static int wait_for(pid_t child, struct run *run)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return command_fail("cannot wait for the command: %s", strerror(errno));
    }
    run->has_ended = WIFEXITED(status);
    run->was_killed = WIFSIGNALED(status) && !is_request(WTERMSIG(status));
    return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* How each is now, before anything is set. Pipes are ignored by all of the command. */
static void find_ignored(bool *is_ignored)
{
    struct sigaction now;
    for (size_t i = 0; i < TAKEN_OVER; i++)
        is_ignored[i] = sigaction(taken_over[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN;
    is_ignored[TAKEN_OVER - 1] = command_pipe_was_ignored;
}

/* What is ignored stays so, here as well. */
static void pass_on(int number)
{
    const struct sigaction passing = { .sa_handler = forward };
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaction(number, &passing, NULL);
}

static bool is_told(int fd)
{
    char byte;
    ssize_t got;
    while ((got = read(fd, &byte, 1)) < 0 && errno == EINTR) {
    }
    close(fd);
    return got == 1;
}

static int run_locked(char **argv, struct run *run)
{
    bool is_ignored[TAKEN_OVER];
    int told[2];
    if (pipe2(told, O_CLOEXEC) != 0)
        return command_fail("cannot start the command: %s", strerror(errno));
    sigset_t passed, before;
    find_ignored(is_ignored);
    sigemptyset(&passed);
    sigaddset(&passed, SIGTERM);
    sigaddset(&passed, SIGHUP);
    sigprocmask(SIG_BLOCK, &passed, &before);
    pass_on(SIGTERM);
    pass_on(SIGHUP);
    signal(SIGINT, SIG_IGN); /* the terminal sends it to both, and COMMAND decides */
    signal(SIGQUIT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take COMMAND's status away */
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    int error = errno;
    if (child == 0) {
        restore(is_ignored); /* first: a signal that waits is COMMAND's */
        sigprocmask(SIG_SETMASK, &before, NULL);
        run_command(argv, parent, told[1]);
    }
    close(told[1]);
    running = child;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        close(told[0]);
        return command_fail("cannot start the command: %s", strerror(error));
    }
    int status = wait_for(child, run);
    running = 0;
    run->has_begun = !is_told(told[0]);
    return status;
}

static int lock_and_run(struct weir_mutex *mutex, const char *name, const struct request *request,
                        char **argv)
{
    int result = weir_mutex_lock_until(mutex, request->deadline_ns);
    if (result == -EAGAIN || result == -ETIMEDOUT) {
        command_note("'%s': %s", name, weir_last_error());
        return request->conflict_status;
    }
    if (result < 0)
        return command_fail_weir();
    if (result == WEIR_OWNER_DIED) {
        command_note("'%s': its former holder died: what it was at may be half done", name);
        setenv("WEIR_OWNER_DIED", "1", 1);
    } else {
        unsetenv("WEIR_OWNER_DIED");
    }
    struct run run = { .has_begun = false };
    int status = run_locked(argv, &run);
    /* Who was killed cannot say how far it came; and who has not begun, or was ended, may not have repaired
     * what the one before left. So we leave with the mutex, as if we were killed: the next one learns it. */
    if (run.was_killed || (result == WEIR_OWNER_DIED && !(run.has_begun && run.has_ended)))
        return status;
    if (result == WEIR_OWNER_DIED)
        weir_mutex_consistent(mutex);
    weir_mutex_unlock(mutex);
    return status;
}

static int show(const struct weir_mutex *mutex)
{
    uint64_t owner = weir_mutex_owner(mutex);
    if (owner == WEIR_IDENTITY_NOBODY) {
        puts("free");
        return STATUS_OK;
    }
    char *who = identity_format(owner);
    if (weir_life(owner, WEIR_UID_ANY) == WEIR_LIFE_DEAD)
        puts("held by a process that has died: the next one gets it");
    else
        printf("held by %s\n", who);
    free(who);
    return STATUS_OK;
}

static const char *contradiction(const void *data)
{
    return weir_mutex_check(data) == 0 ? NULL : weir_last_error();
}

static int lock(char **argv, const struct request *request)
{
    static const struct named_kind kind = { MUTEX_KIND, sizeof(struct weir_mutex), contradiction };
    struct named named;
    bool has_command = argv[1] != NULL;
    int status =
        named_open(&named, argv[0], &kind, &request->access, has_command ? NAMED_MAKE : NAMED_LOOK);
    if (status == STATUS_OK && has_command)
        status = lock_and_run(named.data, named.object.argument, request, argv + 1);
    else if (status == STATUS_OK)
        status = show(named.data);
    named_close(&named);
    return status;
}

static bool status_option(const char *text, int *status)
{
    uint64_t number;
    const char *why = number_parse(text, 255, &number);
    if (why)
        command_usage("--conflict-exit-code '%s': %s", text, why);
    *status = (int)number;
    return why == NULL;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "conflict-exit-code", required_argument, NULL, 'E' },
        { "try", no_argument, NULL, 'n' },
        { "wait", required_argument, NULL, 'w' },
        NAMED_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .deadline_ns = WEIR_NEVER, .conflict_status = STATUS_FAILURE };
    bool good = true, is_for_command = false;
    int option, status;
    /* "+": what stands behind NAME is COMMAND's. */
    while (good && (option = getopt_long(argc, argv, "+E:hm:nqw:", long_options, NULL)) != -1) {
        switch (option) {
        case 'E':
            good = status_option(optarg, &request.conflict_status);
            is_for_command = true;
            break;
        case 'n':
            request.deadline_ns = 0;
            is_for_command = true;
            break;
        case 'w':
            good = deadline_option("--wait", optarg, &request.deadline_ns);
            is_for_command = true;
            break;
        default:
            if (!named_option(&request.access, option, optarg, &status))
                return status;
        }
    }
    if (!good)
        return STATUS_USAGE;
    if (optind == argc)
        return command_usage("which mutex? NAME, and the command to run under it");
    char **rest = argv + optind;
    if (!rest[1] && is_for_command)
        return command_usage("which command is to run under '%s'? --try, --wait and "
                             "--conflict-exit-code are for one",
                             rest[0]);
    if (rest[1] && strcmp(rest[1], "--") == 0) {
        rest[1] = rest[0];
        rest++;
        if (!rest[1])
            return command_usage("which command is to run under '%s'?", rest[0]);
    } else if (rest[1] && rest[1][0] == '-') {
        return command_usage("behind NAME a command is wanted, and '%s' is none: options of 'weir "
                             "lock' stand before NAME",
                             rest[1]);
    }
    return command_finish(lock(rest, &request));
}

const struct command command_lock = {
    .name = "lock",
    .summary = "run a command under a named mutex",
    .help = help,
    .run = run,
};
