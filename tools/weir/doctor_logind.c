/* SPDX-License-Identifier: MIT */
/*
 * RemoveIPC of systemd-logind: with its default, yes, all segments, sets and
 * POSIX files of a normal user are deleted when its last session ends, in use or
 * not. The setting is searched as logind.conf(5) says: of the main file the first
 * that exists counts, then the drop-ins of all folders in the order of their file
 * names, where a file hides those of the same name in folders after its own; the
 * last setting wins.
 */
#include "doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "text.h"

static const char *const folders[] = { "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd",
                                       "/usr/lib/systemd" };
#define FOLDER_COUNT (sizeof folders / sizeof *folders)

struct setting {
    bool remove;
    char *file; /* that says so; NULL: logind's own default */
};

/* What a boolean of systemd says: 1, 0, or -1 when it is none. */
static int boolean(const char *text)
{
    static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" };
    static const char *const no[] = { "0", "no", "n", "false", "f", "off" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcasecmp(text, yes[i]) == 0)
            return 1;
        if (strcasecmp(text, no[i]) == 0)
            return 0;
    }
    return -1;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* False when there is no such file. */
static bool read_settings(const char *path, struct setting *setting)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char *line = NULL;
    size_t capacity = 0;
    bool login = false;
    while (getline(&line, &capacity, file) > 0) {
        char *text = trim(line);
        if (*text == '[')
            login = strcmp(text, "[Login]") == 0;
        char *equals = strchr(text, '=');
        if (!login || !equals)
            continue;
        *equals = '\0';
        int value = boolean(trim(equals + 1));
        if (strcmp(trim(text), "RemoveIPC") == 0 && value >= 0) {
            setting->remove = value;
            free(setting->file);
            setting->file = text_format("%s", path);
        }
    }
    free(line);
    fclose(file);
    return true;
}

static int is_drop_in(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".conf") == 0;
}

struct drop_in {
    char *name;
    char *path;
};

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct drop_in *)left)->name, ((const struct drop_in *)right)->name);
}

/* All drop-ins that count, in their order. */
static struct drop_in *find_drop_ins(size_t *count)
{
    struct drop_in *found = NULL;
    *count = 0;
    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        char *folder = text_format("%s/logind.conf.d", folders[i]);
        struct dirent **entries = NULL;
        int entry_count = scandir(folder, &entries, is_drop_in, NULL);
        for (int e = 0; e < entry_count; e++) {
            size_t same = 0;
            while (same < *count && strcmp(found[same].name, entries[e]->d_name) != 0)
                same++;
            if (same == *count) {
                found = text_memory(reallocarray(found, *count + 1, sizeof *found));
                found[*count].name = text_format("%s", entries[e]->d_name);
                found[(*count)++].path = text_format("%s/%s", folder, entries[e]->d_name);
            }
            free(entries[e]);
        }
        free(entries);
        free(folder);
    }
    if (*count > 0)
        qsort(found, *count, sizeof *found, by_name);
    return found;
}

static struct setting find_setting(void)
{
    struct setting setting = { true, NULL };
    bool found = false;
    for (size_t i = 0; i < FOLDER_COUNT && !found; i++) {
        char *path = text_format("%s/logind.conf", folders[i]);
        found = read_settings(path, &setting);
        free(path);
    }
    size_t count;
    struct drop_in *drop_ins = find_drop_ins(&count);
    for (size_t i = 0; i < count; i++) {
        read_settings(drop_ins[i].path, &setting);
        free(drop_ins[i].name);
        free(drop_ins[i].path);
    }
    free(drop_ins);
    return setting;
}

/* logind spares system users: those up to SYS_UID_MAX of login.defs(5), 999 unless said. */
static uid_t system_uid_max(void)
{
    unsigned long most = 999;
    char line[256];
    FILE *file = fopen("/etc/login.defs", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, " SYS_UID_MAX %lu", &most) == 1)
            break;
    if (file)
        fclose(file);
    return (uid_t)most;
}

static bool lingers(void)
{
    const struct passwd *user = getpwuid(geteuid());
    char *path = text_format("/var/lib/systemd/linger/%s", user ? user->pw_name : "?");
    bool found = user && access(path, F_OK) == 0;
    free(path);
    return found;
}

void doctor_check_logind(struct doctor *doctor)
{
    if (access("/run/systemd/system", F_OK) != 0) {
        doctor_tell(doctor, DOCTOR_OK, "RemoveIPC", NULL,
                    "systemd does not run here: nobody deletes segments at logout");
        return;
    }
    struct setting setting = find_setting();
    const char *source = setting.file ? setting.file : "logind's default";
    if (!setting.remove)
        doctor_tell(doctor, DOCTOR_OK, "RemoveIPC", NULL,
                    "no (%s): segments survive the logout of their owner", source);
    else if (geteuid() <= system_uid_max())
        doctor_tell(doctor, DOCTOR_OK, "RemoveIPC", NULL,
                    "yes (%s), but not for a system user as you are; segments of normal users are "
                    "deleted when their last session ends",
                    source);
    else if (lingers())
        doctor_tell(doctor, DOCTOR_OK, "RemoveIPC", NULL,
                    "yes (%s), but you linger: your segments stay", source);
    else
        doctor_tell(
            doctor, DOCTOR_WARNING, "RemoveIPC",
            "sudo mkdir -p /etc/systemd/logind.conf.d && printf "
            "'[Login]\\nRemoveIPC=no\\n' | sudo tee /etc/systemd/logind.conf.d/weir.conf && "
            "sudo systemctl restart systemd-logind",
            "yes (%s): when your last session ends, all your segments, sets and names are "
            "deleted, in use or not",
            source);
    free(setting.file);
}
