/* SPDX-License-Identifier: MIT */
/* A run directory of any user's, and what somebody may move in it. */
#include "vault.h"

#include "fixture.h"
#include "records.h"
#include "tracer.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void make_run(uid_t owner, gid_t group, mode_t mode)
{
    clear_everything();
    assert_int_equal(mkdir(fixture_path("run"), 0700), 0);
    assert_int_equal(chown(fixture_path("run"), owner, group), 0);
    assert_int_equal(chmod(fixture_path("run"), mode), 0);
}

void make_inside(void)
{
    make_run(0, 0, 0777);
    assert_true(mkdir(run_directory(), 0777) == 0 && chmod(run_directory(), 0777) == 0);
}

void become_member(uid_t uid)
{
    gid_t group = GROUP_GID;
    if (uid == 0)
        return;
    CHECK(setgroups(1, &group) == 0);
    CHECK(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
}

void collect_all(void *unused)
{
    (void)unused;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

void try_create(void *unused)
{
    struct weir_segment *segment;
    (void)unused;
    if (weir_segment_create(&segment, weir_by_name("mine"), 5000, NULL) == 0)
        weir_segment_close(segment);
}

static struct {
    int fd; /* wherever it is moved to */
    uid_t owner;
} vault;

void make_vault(const char *path, uid_t owner)
{
    vault.owner = owner;
    assert_int_equal(mkdir(path, 0700), 0);
    vault.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(vault.fd >= 0);
    int file = openat(vault.fd, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(fchown(file, owner, owner), 0);
    assert_int_equal(fchown(vault.fd, owner, owner), 0);
    assert_int_equal(fchmod(vault.fd, 0700), 0); /* a setgid parent gives its bit */
    close(file);
}

void expect_vault(void)
{
    struct stat found;
    assert_int_equal(fstat(vault.fd, &found), 0);
    if (found.st_uid != vault.owner || (found.st_mode & 07777) != 0700)
        walk_print_place();
    assert_int_equal(found.st_uid, vault.owner);
    assert_int_equal(found.st_mode & 07777, 0700);
    assert_int_equal(faccessat(vault.fd, "file", F_OK, 0), 0);
    close(vault.fd);
}

void fill(const char *directory, const char *file, const char *bytes, size_t length)
{
    char path[4800];
    snprintf(path, sizeof path, "%s/%s", entry_path(directory), file);
    assert_true(file_fill(path, bytes, length));
}

bool is_there(const char *directory, const char *file)
{
    char path[4800];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", entry_path(directory), file);
    return lstat(path, &found) == 0;
}
