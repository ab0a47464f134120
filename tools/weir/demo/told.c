/* SPDX-License-Identifier: MIT */
/* The line that tells of one call, and the calls that have nothing to do with System V. */
#include "told.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/error.h>

#include "calls.h"

static bool is_muted;

void scene_mute(bool muted)
{
    is_muted = muted;
}

bool told_is_on(void)
{
    return !is_muted && stage_settings.mode == SCENE_EXPLAIN;
}

void told_begin(struct text *text, const char *call, const char *result)
{
    stage_lock();
    text->length = 0;
    char process[48];
    snprintf(process, sizeof process, "[%s %d]", stage_actor_name(getpid()), (int)getpid());
    size_t width = strlen("  1  ") + strlen(process) + strlen(" ") + strlen(call);
    const char *gap = " ";
    if (width > STAGE_WIDTH) {
        gap = "\n      ";
        width = strlen("      ") + strlen(call);
    }
    text_add(text, "%3u  %s%s%s%s%s", ++stage->calls, text_bold(), process, text_plain(), gap,
             call);
    if (result)
        text_add(text, "%s= %s",
                 width + strlen(" = ") + strlen(result) > STAGE_WIDTH ? "\n      " : " ", result);
    text_add(text, "\n");
}

void told_end(struct text *text)
{
    text_add(text, "\n");
    text_write(text);
    stage_wait_for_enter();
    stage_unlock();
}

void told_result(char *out, size_t room, long result, int error)
{
    if (result == -1)
        snprintf(out, room, "-1 %s (%s)", weir_strerror_name(error), strerror(error));
    else
        snprintf(out, room, "%ld", result);
}

void told_flags(char *out, size_t room, int flags)
{
    snprintf(out, room, "%#o%s%s%s", (unsigned)flags & 0777u,
             flags & IPC_CREAT ? " | IPC_CREAT" : "", flags & IPC_EXCL ? " | IPC_EXCL" : "",
             flags & IPC_NOWAIT ? " | IPC_NOWAIT" : "");
}

const char *told_command_name(int command)
{
    static const struct {
        int command;
        const char *name;
    } names[] = {
        { IPC_RMID, "IPC_RMID" }, { IPC_STAT, "IPC_STAT" }, { IPC_SET, "IPC_SET" },
        { SETVAL, "SETVAL" },     { GETVAL, "GETVAL" },     { SETALL, "SETALL" },
        { GETALL, "GETALL" },     { GETPID, "GETPID" },     { GETNCNT, "GETNCNT" },
        { GETZCNT, "GETZCNT" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].command == command)
            return names[i].name;
    return "...";
}

void told_key(char *out, size_t room, int key)
{
    if (key == IPC_PRIVATE)
        snprintf(out, room, "IPC_PRIVATE");
    else if (key == -1)
        snprintf(out, room, "-1");
    else
        snprintf(out, room, "0x%08x", (unsigned)key);
}

void scene_told(const char *call, const char *result)
{
    if (!told_is_on())
        return;
    struct text text;
    told_begin(&text, call, result);
    told_end(&text);
}

void scene_told_weir(const char *call, int result)
{
    char text[48];
    snprintf(text, sizeof text, "%s%s", result < 0 ? "-" : "",
             result == WEIR_OWNER_DIED ? "WEIR_OWNER_DIED" : weir_strerror_name(result));
    scene_told(call, text);
}

static void tell_number(const char *call, long number, int error)
{
    char result[96];
    told_result(result, sizeof result, number, error);
    scene_told(call, result);
    errno = error;
}

pid_t scene_fork_told(void)
{
    pid_t pid = scene_fork("child");
    int error = errno;
    if (pid != 0)
        tell_number("fork()", pid, error);
    return pid;
}

static pid_t wait_told(const char *call, pid_t which, int *wait_status, int options)
{
    int status = 0;
    pid_t pid = waitpid(which, &status, options);
    int error = errno;
    if (pid > 0) {
        stage_lock();
        stage_actor_drop(pid);
        stage_unlock();
    }
    if (wait_status && pid > 0)
        *wait_status = status;
    if (told_is_on()) {
        char result[192];
        told_result(result, sizeof result, pid, error);
        if (pid > 0)
            snprintf(result, sizeof result, "%d (it %s)", (int)pid, scene_wait_text(status));
        scene_told(call, result);
    }
    errno = error;
    return pid;
}

pid_t scene_wait(int *wait_status)
{
    return wait_told(wait_status ? "wait(&status)" : "wait(NULL)", -1, wait_status, 0);
}

pid_t scene_waitpid(pid_t pid, int *wait_status, int options)
{
    char call[64];
    snprintf(call, sizeof call, "waitpid(%d, %s, %s)", (int)pid, wait_status ? "&status" : "NULL",
             options == 0           ? "0"
             : options == WNOHANG   ? "WNOHANG"
             : options == WUNTRACED ? "WUNTRACED"
                                    : "...");
    return wait_told(call, pid, wait_status, options);
}

int scene_kill(pid_t pid, int number)
{
    char call[64];
    stage_lock(); /* what others tell of its consequences stands behind it */
    int result = kill(pid, number);
    int error = errno;
    if (number == SIGKILL || number == SIGSTOP || number == SIGCONT)
        snprintf(call, sizeof call, "kill(%d, SIG%s)", (int)pid,
                 number == SIGKILL   ? "KILL"
                 : number == SIGSTOP ? "STOP"
                                     : "CONT");
    else
        snprintf(call, sizeof call, "kill(%d, %d)", (int)pid, number);
    tell_number(call, result, error);
    stage_unlock();
    errno = error;
    return result;
}

unsigned int scene_sleep(unsigned int seconds)
{
    char call[64];
    snprintf(call, sizeof call, "sleep(%u)", seconds);
    if (told_is_on()) {
        struct text text;
        told_begin(&text, call, NULL);
        text_add(&text, "      asleep: whatever the others do meanwhile, it sees nothing of it\n");
        told_end(&text);
    }
    return sleep(seconds);
}

/* The destination is shared memory: its size is not known here, as it is not to strcpy(3). */
char *scene_strcpy(char *to, const char *from)
{
    char *result = strcpy(to, from);
    if (told_is_on()) {
        char call[192];
        snprintf(call, sizeof call, "strcpy(%p, \"%.100s\")", (void *)to, from);
        scene_told(call, NULL);
    }
    return result;
}

static void keep_output(const char *output, size_t length)
{
    stage_lock();
    size_t used = strlen(stage->output);
    if (used + length + 2 < sizeof stage->output) {
        memcpy(stage->output + used, output, length);
        memcpy(stage->output + used + length, "\n", 2);
    }
    stage_unlock();
}

/* The output of a heart: it is the result in brief, and a line of its process with --explain. */
static void show_output(const char *output)
{
    size_t length = strcspn(output, "\n");
    keep_output(output, length);
    if (stage_settings.mode == SCENE_BRIEF && !is_muted)
        scene_result("%.*s", (int)length, output);
    if (!told_is_on())
        return;
    struct text text = { 0 };
    stage_lock();
    text_add(&text, "     %s[%s %d]%s prints\n      | ", text_bold(), stage_actor_name(getpid()),
             (int)getpid(), text_plain());
    char line[1024];
    snprintf(line, sizeof line, "%.*s", (int)length, output);
    text_fold(&text, 8, line);
    text_add(&text, "\n");
    text_write(&text);
    stage_unlock();
}

int scene_printf(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    show_output(line);
    return length;
}

int scene_puts(const char *line)
{
    show_output(line);
    return 0;
}

void scene_perror(const char *what)
{
    char line[256];
    snprintf(line, sizeof line, "%s: %s", what, strerror(errno));
    show_output(line);
}
