/* SPDX-License-Identifier: MIT */
#include "segment/ref.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/stat.h>

#include "base/error.h"

struct weir_ref weir_by_name(const char *name)
{
    return (struct weir_ref){ .by = WEIR_BY_NAME, .id = -1, .text = name };
}

struct weir_ref weir_by_ftok(const char *path, int project)
{
    return (struct weir_ref){ .by = WEIR_BY_FTOK, .id = -1, .project = project, .text = path };
}

struct weir_ref weir_by_key(uint32_t key)
{
    return (struct weir_ref){ .by = WEIR_BY_KEY, .id = -1, .key = key };
}

struct weir_ref weir_by_id(int id)
{
    return (struct weir_ref){ .by = WEIR_BY_ID, .id = id };
}

struct weir_ref weir_private(void)
{
    return (struct weir_ref){ .by = WEIR_BY_NONE, .id = -1 };
}

struct weir_ref weir_by_posix(const char *name)
{
    return (struct weir_ref){ .by = WEIR_BY_POSIX, .id = -1, .text = name };
}

struct weir_ref weir_memfd(void)
{
    return (struct weir_ref){ .by = WEIR_BY_MEMFD, .id = -1 };
}

struct weir_ref weir_by_fd(int fd)
{
    return (struct weir_ref){ .by = WEIR_BY_FD, .id = fd };
}

/* No locale has a say in what a name is. */
static bool is_name_byte(unsigned char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-';
}

static bool is_dots(const char *component, size_t length)
{
    return (length == 1 && component[0] == '.') ||
           (length == 2 && component[0] == '.' && component[1] == '.');
}

/* One part of a name, which begins at start. */
static int check_component(const char *name, size_t start, size_t length)
{
    const char *component = name + start;
    if (is_dots(component, length))
        return weir__fail(EINVAL, "name '%s': no part of a name may be '%.*s'", name, (int)length,
                          component);
    if (length > 0)
        return 0;
    if (start == 0)
        return weir__fail(EINVAL, "name '%s': a name does not begin with '/': leave it out", name);
    if (name[start] == '\0')
        return weir__fail(EINVAL, "name '%s': a name does not end with '/': leave it out", name);
    return weir__fail(EINVAL, "name '%s': two '/' follow each other, at byte %zu: leave one out",
                      name, start - 1);
}

int weir_name_check(const char *name)
{
    if (!name || !*name)
        return weir__fail(EINVAL, "a name must not be empty");
    size_t length = strnlen(name, WEIR_NAME_MAX + 1);
    if (length > WEIR_NAME_MAX)
        return weir__fail(ENAMETOOLONG, "a name has at most %d bytes; this one begins '%.40s'",
                          WEIR_NAME_MAX, name);
    for (size_t i = 0; i < length; i++) /* first: what follows quotes the name */
        if (name[i] != '/' && !is_name_byte((unsigned char)name[i]))
            return weir__fail(EINVAL,
                              "byte %zu of the name is 0x%02x: only A-Z a-z 0-9 _ . - and '/' "
                              "may be in a name",
                              i, (unsigned char)name[i]);
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && name[i] != '/')
            continue;
        int result = check_component(name, start, i - start);
        if (result != 0)
            return result;
        start = i + 1;
    }
    return 0;
}

int weir_posix_name_check(const char *name)
{
    if (!name || name[0] != '/')
        return weir__fail(EINVAL, "a POSIX name starts with a slash: /NAME");
    if (name[1] == '\0' || strcmp(name, "/.") == 0 || strcmp(name, "/..") == 0)
        return weir__fail(EINVAL, "POSIX name '%s': behind the slash a name must follow", name);
    if (strnlen(name + 1, NAME_MAX + 1) > NAME_MAX)
        return weir__fail(ENAMETOOLONG,
                          "a POSIX name has %d bytes at most behind its slash; this one begins "
                          "'%.40s'",
                          NAME_MAX, name);
    if (strchr(name + 1, '/'))
        return weir__fail(EINVAL, "POSIX name '%s': it has one slash, the first", name);
    return 0;
}

/* Whether a key can be shared at all: -EINVAL for 0 and 0xffffffff. */
static int check_key(uint32_t key)
{
    if (key == 0)
        return weir__fail(EINVAL, "key 0 is IPC_PRIVATE: nobody can open it by key; use "
                                  "weir_private()");
    if (key == UINT32_MAX)
        return weir__fail(EINVAL, "key 0xffffffff is what a failed ftok returns, and every program "
                                  "with that fault shares it: 'weir list' shows what is there, "
                                  "reach it by id:N");
    return 0;
}

int weir_ftok(const char *path, int project, uint32_t *key)
{
    if (project < 1 || project > 255)
        return weir__fail(EINVAL, "ftok project %d: must be 1 to 255 (only 8 bits are used)",
                          project);
    struct stat file;
    if (!path || stat(path, &file) != 0) {
        int error = path ? errno : EINVAL;
        return weir__fail(error, "ftok(%s): %s: the file must exist and stay while the key is used",
                          path ? path : "NULL", strerror(error));
    }
    key_t made = ftok(path, project);
    if (check_key((uint32_t)made) != 0)
        return weir__fail(EINVAL, "ftok(%s, %d) gives the key 0x%08x, which nobody can share", path,
                          project, (unsigned)made);
    *key = (uint32_t)made;
    return 0;
}

const char *weir__ref_text(struct weir_ref ref, char text[WEIR__REF_TEXT_BYTES])
{
    switch (ref.by) {
    case WEIR_BY_NAME:
        snprintf(text, WEIR__REF_TEXT_BYTES, "name '%s'", ref.text ? ref.text : "");
        break;
    case WEIR_BY_FTOK:
        snprintf(text, WEIR__REF_TEXT_BYTES, "ftok(%.200s, %d)", ref.text ? ref.text : "NULL",
                 ref.project);
        break;
    case WEIR_BY_KEY:
        snprintf(text, WEIR__REF_TEXT_BYTES, "key 0x%08x", ref.key);
        break;
    case WEIR_BY_ID:
        snprintf(text, WEIR__REF_TEXT_BYTES, "id %d", ref.id);
        break;
    case WEIR_BY_POSIX:
        snprintf(text, WEIR__REF_TEXT_BYTES, "POSIX name '%s'", ref.text ? ref.text : "");
        break;
    case WEIR_BY_MEMFD:
        snprintf(text, WEIR__REF_TEXT_BYTES, "a memfd");
        break;
    case WEIR_BY_FD:
        snprintf(text, WEIR__REF_TEXT_BYTES, "descriptor %d", ref.id);
        break;
    default:
        snprintf(text, WEIR__REF_TEXT_BYTES, "private");
        break;
    }
    return text;
}

int weir__ref_key(struct weir_ref ref, uint32_t *key)
{
    if (ref.by == WEIR_BY_FTOK)
        return weir_ftok(ref.text, ref.project, key);
    int result = check_key(ref.key);
    if (result == 0)
        *key = ref.key;
    return result;
}
