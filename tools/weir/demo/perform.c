/* SPDX-License-Identifier: MIT */
/*
 * Plays a scene in a process of its own, and cleans up after it.
 *
 * Two processes guard what a scene makes: the command, and the scene's own
 * process. Either removes it all when the other one dies. In a private namespace
 * the kernel does it, even when both are killed at once.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/collect.h>

#include "../command.h"
#include "journal.h"
#include "stage.h"

static volatile sig_atomic_t caught_signal;
static volatile pid_t scene_pid;
static uint64_t random_state;

enum scene_mode scene_mode(void)
{
    return stage_settings.mode;
}

bool scene_steps(void)
{
    return stage->step;
}

bool scene_private(void)
{
    return stage->private;
}

/* Source: Sebastiano Vigna, SplitMix64; any number is a good seed of it. */
uint32_t scene_random(uint32_t bound)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * bound) >> 32);
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    sigfillset(&action.sa_mask); /* a terminal's signal and the command's come together */
    sigaction(signal_number, &action, NULL);
}

/* But what is ignored stays so: nohup, a script's &. */
static void handle_signals(void (*handler)(int))
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction now;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            handle(signals[i], handler);
}

/* Until what was killed is gone, so that no memory is attached any more; two seconds at most. */
static void reap_killed(void)
{
    for (int ms = 0; ms < 2000;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0)
            return;
        if (pid == 0) {
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
            ms++;
        }
    }
}

/* In the scene's process: everything here is a system call or plain memory. */
static void end_scene(int number)
{
    stage_wait_for_makers();
    for (size_t i = 0; i < STAGE_ACTORS; i++)
        if (stage->actors[i].pid > 0 && stage->actors[i].pid != getpid())
            kill(stage->actors[i].pid, SIGKILL);
    reap_killed();
    stage_remove_objects();
    if (!stage->named_set) /* else the command or the next one needs the journal */
        place_leave_at_once();
    _exit(128 + number);
}

/* In the command. */
static void forward_signal(int number)
{
    caught_signal = number;
    if (scene_pid > 0)
        kill(scene_pid, SIGTERM);
}

static void tell_place(const struct scene *scene)
{
    scene_head("weir demo %s: %s", scene->name, scene->summary);
    if (stage->private)
        scene_say("All of this happens in a private IPC namespace with a /dev/shm of its own: "
                  "nobody outside sees it, and it vanishes with its last process. Every call "
                  "below is made for real. * marks what a call changed.");
    else
        scene_say("A private IPC namespace is not permitted here, so this happens in the "
                  "machine's own, and is removed at the end. A fresh key stands in for "
                  "IPC_PRIVATE: what is noted by its key first is found again, even if all of this "
                  "is killed. Every call below is made for real. * marks what a call changed.");
}

static int play(const struct scene *scene)
{
    int result = place_enter();
    if (result != 0)
        return command_fail("cannot make a place for the scene: %s", strerror(-result));
    random_state = stage_settings.seed;
    scene_name_process("scene");
    tell_place(scene);
    int status = scene->run();
    process_end_all();
    stage_remove_objects();
    place_leave(); /* the command does it too, if it is still there then */
    if (status == STATUS_OK && stage_settings.mode == SCENE_JSON)
        if (facts_print_json(scene, stage_settings.seed, stage->private) != 0)
            return command_fail("not enough memory for the document");
    return status;
}

static _Noreturn void be_scene(const struct scene *scene, pid_t command)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != command)
        _exit(STATUS_FAILURE);
    /* Scenes kill processes, and some by a fault of their own: no core files. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    _exit(play(scene));
}

static int finish(int wait_status)
{
    /* In a private namespace, which is gone, the same identifiers were others than ours are. */
    if (!stage->private)
        stage_remove_objects();
    if (!stage->private && stage->named_set)
        journal_remove_named(stage->named_set);
    place_leave();
    /* What weir's own calls had begun in the machine's namespace when the scene was cut short. */
    if (!stage->private && (caught_signal || WIFSIGNALED(wait_status)))
        weir_collect(0, NULL, NULL);
    if (caught_signal) {
        signal(caught_signal, SIG_DFL);
        raise(caught_signal);
    }
    if (WIFSIGNALED(wait_status))
        return command_fail("the scene was killed by signal %d (%s)", WTERMSIG(wait_status),
                            strsignal(WTERMSIG(wait_status)));
    if (stage->write_failure)
        return command_fail_output(stage->write_failure);
    return WEXITSTATUS(wait_status);
}

/* How many seconds a scene may be silent, and how many it has after it was told to end. */
enum {
    PATIENCE_S = 300,
    FAREWELL_S = 5,
};

static bool waits_for_reader(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
    return stage->at_prompt || poll(&out, 1, 0) == 0;
}

/*
 * A scene that does not go on is told to end, and killed if it cannot: nobody
 * waits for ever. Seconds in which a reader or the Enter key is waited for, or
 * in which everybody is stopped, do not count. SIGCHLD is blocked here.
 */
static int wait_for_scene(pid_t pid)
{
    int wait_status = 0, seconds = 0;
    uint32_t written = 0;
    bool is_told = false;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t ended = waitpid(pid, &wait_status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR))
            return wait_status;
        if (sigtimedwait(&child, NULL, &(struct timespec){ .tv_sec = 1 }) >= 0 || errno != EAGAIN)
            continue;
        if (!caught_signal && !is_told && (waits_for_reader() || stage->written != written))
            seconds = 0;
        written = stage->written;
        seconds++;
        if ((caught_signal || is_told) && seconds > FAREWELL_S) {
            kill(pid, SIGKILL);
        } else if (!caught_signal && !is_told && seconds > PATIENCE_S) {
            command_fail("the scene has not gone on for %d seconds: it is ended", PATIENCE_S);
            kill(pid, SIGTERM);
            is_told = true;
            seconds = 0;
        }
    }
}

int scene_perform(const struct scene *scene, const struct scene_settings *settings)
{
    int result = stage_open(settings);
    if (result != 0)
        return command_fail("not enough memory for a scene: %s", strerror(-result));
    /* The handler must know whom to tell before the first signal can come. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    handle_signals(forward_signal);
    signal(SIGCHLD, SIG_DFL); /* ignored, as a parent may leave it, it gives no wait status */
    pid_t command = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        scene_pid = 0;
        handle_signals(end_scene);
        handle(SIGTERM, end_scene); /* by it the command ends the scene */
        sigprocmask(SIG_SETMASK, &before, NULL);
        be_scene(scene, command);
    }
    int error = errno;
    scene_pid = pid;
    sigaddset(&before, SIGCHLD);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return command_fail("cannot start a process: %s", strerror(error));
    return finish(wait_for_scene(pid));
}
