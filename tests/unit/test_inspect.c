/* SPDX-License-Identifier: MIT */
/*
 * Floor 4, inspection.
 * Goal: every kind of object is seen as it is, by everybody, and judged rightly.
 * Method: objects in each state, made by living and dead children, compared field by field.
 */
#include "unit/cmocka.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#define NOBODY 65534

/* What a walk saw of one object; found counts how often it came. */
struct wanted {
    uint32_t type;
    int id;
    const char *posix;
    int found;
    struct weir_object object;
    char name[256], kind[32];
};

static int visit(const struct weir_object *object, void *argument)
{
    struct wanted *wanted = argument;
    assert_int_equal(object->size, sizeof *object);
    if (object->type != wanted->type ||
        (wanted->posix ? strcmp(object->name, wanted->posix) != 0 : object->id != wanted->id))
        return 0;
    wanted->found++;
    wanted->object = *object;
    snprintf(wanted->name, sizeof wanted->name, "%s", object->name ? object->name : "");
    snprintf(wanted->kind, sizeof wanted->kind, "%s", object->kind);
    return 0;
}

static struct wanted see(uint32_t type, int id, const char *posix)
{
    struct wanted wanted = { .type = type, .id = id, .posix = posix };
    assert_int_equal(weir_inspect(WEIR_OBJECT_ALL, visit, &wanted), 0);
    return wanted;
}

/* Runs act in a child; returns what it exits with once it is dead. */
static int in_child(int (*act)(const void *argument), const void *argument)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(act(argument));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int make_segment(const void *key)
{
    return shmget(*(const key_t *)key, 5000, IPC_CREAT | IPC_EXCL | 0640) < 0;
}

static void segment_of_a_dead_creator_is_an_orphan(void **state)
{
    (void)state;
    key_t key = 0x7701;
    assert_int_equal(in_child(make_segment, &key), 0);
    int id = shmget(key, 0, 0);
    struct wanted seen = see(WEIR_OBJECT_SEGMENT, id, NULL);
    assert_int_equal(seen.found, 1);
    assert_int_equal(seen.object.state, WEIR_STATE_ORPHAN);
    assert_int_equal(seen.object.key, key);
    assert_int_equal(seen.object.uid, geteuid());
    assert_int_equal(seen.object.cuid, geteuid());
    assert_int_equal(seen.object.mode, 0640);
    assert_int_equal(seen.object.size_bytes, 5000);
    assert_int_equal(seen.object.header_bytes, 0);
    assert_int_equal(seen.object.resident_bytes, 0);
    assert_int_equal(seen.object.attached, 0);
    assert_int_equal(seen.object.lifetime, WEIR_PERSISTENT);
    assert_int_equal(seen.object.removed, 0);
    assert_int_equal(seen.object.weirs, 0);
    assert_int_equal(seen.object.count, 0);
    assert_true(seen.object.ctime > 0);
    assert_int_equal(seen.object.atime, 0);
    assert_string_equal(seen.kind, "segment");
    assert_string_equal(seen.name, "");

    char *memory = shmat(id, NULL, 0);
    memory[0] = 1;
    seen = see(WEIR_OBJECT_SEGMENT, id, NULL);
    assert_int_equal(seen.object.state, WEIR_STATE_LIVE);
    assert_int_equal(seen.object.attached, 1);
    assert_int_equal(seen.object.lpid, getpid());
    assert_int_equal(seen.object.resident_bytes, sysconf(_SC_PAGESIZE));

    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    seen = see(WEIR_OBJECT_SEGMENT, id, NULL);
    assert_int_equal(seen.object.removed, 1);
    assert_int_equal(seen.object.lifetime, WEIR_EPHEMERAL);
    assert_int_equal(seen.object.key, 0);
    shmdt(memory);
    assert_int_equal(see(WEIR_OBJECT_SEGMENT, id, NULL).found, 0);
}

static void segment_of_a_living_creator_is_idle(void **state)
{
    (void)state;
    int id = shmget(IPC_PRIVATE, 1, 0);
    struct wanted seen = see(WEIR_OBJECT_SEGMENT, id, NULL);
    shmctl(id, IPC_RMID, NULL);
    assert_int_equal(seen.object.state, WEIR_STATE_IDLE);
    assert_int_equal(seen.object.cpid, getpid());
    assert_int_equal(seen.object.mode, 0);
}

static void set_is_live_while_somebody_waits(void **state)
{
    (void)state;
    int id = semget(0x7702, 3, IPC_CREAT | IPC_EXCL | 0600);
    struct sembuf post = { 1, 1, 0 }, wait_zero = { 1, 0, 0 };
    assert_int_equal(semop(id, &post, 1), 0);
    struct wanted seen = see(WEIR_OBJECT_SEMSET, id, NULL);
    assert_int_equal(seen.found, 1);
    assert_int_equal(seen.object.state, WEIR_STATE_IDLE);
    assert_int_equal(seen.object.attached, 0);
    assert_int_equal(seen.object.count, 3);
    assert_int_equal(seen.object.key, 0x7702);
    assert_int_equal(seen.object.lpid, getpid());
    assert_int_equal(seen.object.cpid, 0);
    assert_true(seen.object.atime > 0);
    assert_string_equal(seen.kind, "semset");

    pid_t waiter = fork();
    if (waiter == 0)
        _exit(semop(id, &wait_zero, 1) != 0);
    int64_t deadline_ns = weir_deadline_ns(INT64_C(10000000000));
    do
        seen = see(WEIR_OBJECT_SEMSET, id, NULL);
    while (seen.object.attached == 0 && weir_now_ns() < deadline_ns);
    assert_int_equal(seen.object.attached, 1);
    assert_int_equal(seen.object.state, WEIR_STATE_LIVE);
    semctl(id, 0, IPC_RMID);
    waitpid(waiter, NULL, 0);
}

static int become_nobody(const void *unused)
{
    (void)unused;
    return setgid(NOBODY) != 0 || setuid(NOBODY) != 0;
}

/* Not without root, nor in a user namespace that has one user alone. */
static bool others_exist(void)
{
    return in_child(become_nobody, NULL) == 0;
}

/* Exits 0 when nobody sees both, the set without its waiters. */
static int look_as_nobody(const void *ids)
{
    const int *id = ids;
    if (become_nobody(NULL) != 0)
        return 1;
    struct wanted segment = { .type = WEIR_OBJECT_SEGMENT, .id = id[0] };
    struct wanted set = { .type = WEIR_OBJECT_SEMSET, .id = id[1] };
    if (weir_inspect(WEIR_OBJECT_ALL, visit, &segment) != 0 || segment.found != 1)
        return 2;
    if (weir_inspect(WEIR_OBJECT_ALL, visit, &set) != 0 || set.found != 1)
        return 3;
    if (set.object.attached != -1 || set.object.state != WEIR_STATE_IDLE || set.object.lpid != 0)
        return 4;
    return segment.object.size_bytes == 4096 && segment.object.mode == 0 ? 0 : 5;
}

static void others_see_what_they_may_not_use(void **state)
{
    (void)state;
    if (!others_exist())
        skip();
    int ids[2] = { shmget(IPC_PRIVATE, 4096, 0), semget(IPC_PRIVATE, 1, 0) };
    int result = in_child(look_as_nobody, ids);
    shmctl(ids[0], IPC_RMID, NULL);
    semctl(ids[1], 0, IPC_RMID);
    assert_int_equal(result, 0);
}

static void touch(const char *path, size_t length)
{
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(posix_fallocate(file, 0, (off_t)length), 0);
    close(file);
}

static void posix_segments_are_the_files_of_shm_open(void **state)
{
    (void)state;
    touch("/dev/shm/weir\ntest", 10000);
    touch("/dev/shm/sem.weirtest", 32);
    assert_int_equal(mkdir("/dev/shm/weirtest.d", 0700), 0);
    touch("/dev/shm/weirtest.d/inner", 1);
    assert_int_equal(symlink("/etc/hostname", "/dev/shm/weirtest.l"), 0);
    struct wanted plain = see(WEIR_OBJECT_POSIX, 0, "/weir\ntest");
    struct wanted semaphore = see(WEIR_OBJECT_POSIX, 0, "/sem.weirtest");
    int others = see(WEIR_OBJECT_POSIX, 0, "/weirtest.d").found +
                 see(WEIR_OBJECT_POSIX, 0, "/weirtest.l").found +
                 see(WEIR_OBJECT_POSIX, 0, "/inner").found;
    unlink("/dev/shm/weir\ntest");
    unlink("/dev/shm/sem.weirtest");
    unlink("/dev/shm/weirtest.d/inner");
    rmdir("/dev/shm/weirtest.d");
    unlink("/dev/shm/weirtest.l");
    assert_int_equal(plain.found, 1);
    assert_int_equal(plain.object.size_bytes, 10000);
    assert_int_equal(plain.object.resident_bytes, 12288);
    assert_int_equal(plain.object.attached, -1);
    assert_int_equal(plain.object.id, -1);
    assert_int_equal(plain.object.state, WEIR_STATE_IDLE);
    assert_string_equal(plain.kind, "posix");
    assert_int_equal(semaphore.found, 1);
    assert_string_equal(semaphore.kind, "posix-sem");
    assert_int_equal(others, 0);
}

/* Makes a persistent segment "inspect/one" of a kind, and ends. */
static int make_named(const void *unused)
{
    (void)unused;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT;
    options.kind = "film";
    if (weir_segment_create(&segment, weir_by_name("inspect/one"), 100, &options) != 0)
        return 1;
    weir_segment_close(segment);
    return 0;
}

static void name_is_joined(void **state)
{
    (void)state;
    struct weir_object object;
    char texts[256];
    assert_int_equal(in_child(make_named, NULL), 0);
    assert_int_equal(weir_inspect_one(weir_by_name("inspect/one"), 0, &object, texts, sizeof texts),
                     0);
    struct wanted seen = see(WEIR_OBJECT_SEGMENT, object.id, NULL);
    assert_int_equal(weir_segment_remove(weir_by_name("inspect/one")), 0);
    assert_string_equal(seen.name, "inspect/one");
    assert_string_equal(seen.kind, "film");
    assert_string_equal(object.name, "inspect/one");
    assert_string_equal(object.kind, "film");
    assert_int_equal(seen.object.size_bytes - seen.object.header_bytes, 100);
    assert_int_equal(seen.object.weirs, 1);
    assert_int_equal(seen.object.lifetime, WEIR_PERSISTENT);
    /* Its creator is dead, but it has a name: somebody may come. */
    assert_int_equal(seen.object.state, WEIR_STATE_IDLE);
}

static int look_for_no_orphan(const void *id)
{
    if (become_nobody(NULL) != 0)
        return 1;
    struct wanted seen = { .type = WEIR_OBJECT_SEGMENT, .id = *(const int *)id };
    if (weir_inspect(WEIR_OBJECT_SEGMENT, visit, &seen) != 0 || seen.found != 1)
        return 2;
    return seen.object.state == WEIR_STATE_IDLE && seen.name[0] == '\0' ? 0 : 3;
}

static void objects_of_other_run_directories_are_no_orphans(void **state)
{
    (void)state;
    struct weir_object object;
    char texts[256], directory[] = "/tmp/weir-inspect-XXXXXX";
    if (getenv("WEIR_DIR"))
        skip();
    assert_int_equal(in_child(make_named, NULL), 0);
    assert_int_equal(weir_inspect_one(weir_by_name("inspect/one"), 0, &object, texts, sizeof texts),
                     0);
    /* The same user with another run directory; and a user who may not look into ours. */
    assert_non_null(mkdtemp(directory));
    setenv("WEIR_DIR", directory, 1);
    struct wanted seen = see(WEIR_OBJECT_SEGMENT, object.id, NULL);
    unsetenv("WEIR_DIR");
    rmdir(directory);
    int other = others_exist() ? in_child(look_for_no_orphan, &object.id) : 0;
    weir_segment_remove(weir_by_name("inspect/one"));
    assert_int_equal(seen.object.state, WEIR_STATE_IDLE);
    assert_int_equal(seen.object.weirs, 1);
    assert_string_equal(seen.name, "");
    assert_int_equal(other, 0);
}

static void record_of_a_stranger_is_not_believed(void **state)
{
    (void)state;
    struct weir_object object;
    char texts[256], directory[4096], command[8192];
    if (!others_exist())
        skip();
    assert_int_equal(in_child(make_named, NULL), 0);
    assert_int_equal(weir_inspect_one(weir_by_name("inspect/one"), 0, &object, texts, sizeof texts),
                     0);
    /* As if nobody, who shares the directory, had given this name to root's segment. */
    assert_int_equal(weir_run_directory(directory, sizeof directory), 0);
    snprintf(command, sizeof command, "chown %d '%s'/inspect,one/*", NOBODY, directory);
    assert_int_equal(system(command), 0);
    struct wanted seen = see(WEIR_OBJECT_SEGMENT, object.id, NULL);
    struct weir_ref by_id = weir_by_id(object.id);
    int result = weir_inspect_one(weir_by_name("inspect/one"), 0, &object, texts, sizeof texts);
    int removal = weir_segment_remove(weir_by_name("inspect/one"));
    snprintf(command, sizeof command, "rm -r '%s'/inspect,one", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(weir_segment_remove(by_id), 0);
    assert_string_equal(seen.name, "");
    /* Forged, or of another user namespace: weir does not know, and takes nothing away. */
    assert_int_equal(result, -EPERM);
    assert_int_equal(removal, -EPERM);
}

struct pair {
    int segment_id, semset_id;
};

/* Holds an ephemeral segment "inspect/tied" with a set, tells, and waits to be killed. */
static void hold_tied(int out)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir_segment_stat stat = { .size = sizeof stat };
    options.semaphores = 2;
    if (weir_segment_create(&segment, weir_by_name("inspect/tied"), 100, &options) != 0 ||
        weir_segment_stat(segment, &stat) != 0)
        _exit(1);
    struct pair pair = { stat.id, stat.semset_id };
    if (write(out, &pair, sizeof pair) != sizeof pair)
        _exit(1);
    for (;;)
        pause();
}

static void set_of_a_segment_lives_and_dies_with_it(void **state)
{
    (void)state;
    int ends[2];
    struct pair pair;
    assert_int_equal(pipe(ends), 0);
    pid_t holder = fork();
    if (holder == 0)
        hold_tied(ends[1]);
    assert_int_equal(read(ends[0], &pair, sizeof pair), sizeof pair);
    close(ends[0]);
    close(ends[1]);
    struct wanted segment = see(WEIR_OBJECT_SEGMENT, pair.segment_id, NULL);
    struct wanted set = see(WEIR_OBJECT_SEMSET, pair.semset_id, NULL);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    int gone = see(WEIR_OBJECT_SEGMENT, pair.segment_id, NULL).found;
    struct wanted left = see(WEIR_OBJECT_SEMSET, pair.semset_id, NULL);
    struct weir_object object;
    char texts[256];
    int stale = weir_inspect_one(weir_by_name("inspect/tied"), WEIR_OBJECT_SEGMENT, &object, texts,
                                 sizeof texts);
    assert_true(weir_collect(0, NULL, NULL) > 0);
    assert_string_equal(segment.name, "inspect/tied");
    assert_int_equal(segment.object.lifetime, WEIR_EPHEMERAL);
    assert_int_equal(segment.object.state, WEIR_STATE_LIVE);
    assert_string_equal(set.name, "inspect/tied");
    assert_string_equal(set.kind, "semset");
    assert_int_equal(set.object.weirs, 1);
    assert_int_equal(set.object.state, WEIR_STATE_LIVE);
    assert_int_equal(gone, 0);
    assert_int_equal(left.object.state, WEIR_STATE_ORPHAN);
    assert_int_equal(stale, -ENOENT);
    assert_int_equal(see(WEIR_OBJECT_SEMSET, pair.semset_id, NULL).found, 0);
}

static void one_is_found_by_every_reference(void **state)
{
    (void)state;
    struct weir_object object;
    char texts[256];
    uint32_t key;
    assert_int_equal(weir_ftok("/etc/passwd", 77, &key), 0);
    int segment = shmget((key_t)key, 1, IPC_CREAT | IPC_EXCL);
    int set = semget((key_t)key, 1, IPC_CREAT | IPC_EXCL);
    assert_true(segment >= 0 && set >= 0);
    struct weir_ref refs[] = { weir_by_key(key), weir_by_ftok("/etc/passwd", 77) };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(weir_inspect_one(refs[i], 0, &object, texts, sizeof texts), 0);
        assert_int_equal(object.type, WEIR_OBJECT_SEGMENT);
        assert_int_equal(object.id, segment);
        assert_int_equal(
            weir_inspect_one(refs[i], WEIR_OBJECT_SEMSET, &object, texts, sizeof texts), 0);
        assert_int_equal(object.id, set);
    }
    assert_int_equal(
        weir_inspect_one(weir_by_id(segment), WEIR_OBJECT_SEGMENT, &object, texts, sizeof texts),
        0);
    assert_int_equal(object.key, key);
    shmctl(segment, IPC_RMID, NULL);
    assert_int_equal(weir_inspect_one(refs[0], 0, &object, texts, sizeof texts), 0);
    assert_int_equal(object.type, WEIR_OBJECT_SEMSET);
    semctl(set, 0, IPC_RMID);
    assert_int_equal(weir_inspect_one(refs[0], 0, &object, texts, sizeof texts), -ENOENT);
    assert_non_null(strstr(weir_last_error(), "no segment and no semaphore set"));
}

static void one_refuses_bad_arguments(void **state)
{
    (void)state;
    struct weir_object object = { .id = 12345 };
    char texts[256];
    static const struct {
        const char *name;
        int error;
    } names[] = { { "", -EINVAL },     { "..", -EINVAL }, { "a//b", -EINVAL },
                  { "a\nb", -EINVAL }, { NULL, -EINVAL }, { "inspect/none", -ENOENT } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(
            weir_inspect_one(weir_by_name(names[i].name), 0, &object, texts, sizeof texts),
            names[i].error);
    struct weir_ref refs[] = { weir_private(), weir_by_key(0), weir_by_key(UINT32_MAX), { 0 } };
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++)
        assert_int_equal(weir_inspect_one(refs[i], 0, &object, texts, sizeof texts), -EINVAL);
    assert_int_equal(weir_inspect_one(weir_by_id(-1), 0, &object, texts, sizeof texts), -ENOENT);
    assert_int_equal(
        weir_inspect_one(weir_by_id(1), WEIR_OBJECT_POSIX, &object, texts, sizeof texts), -EINVAL);
    int id = shmget(IPC_PRIVATE, 1, 0);
    int result = weir_inspect_one(weir_by_id(id), 0, &object, texts, 7);
    struct weir_object fitting;
    int fits = weir_inspect_one(weir_by_id(id), 0, &fitting, texts, sizeof "segment");
    shmctl(id, IPC_RMID, NULL);
    assert_int_equal(result, -EINVAL);
    assert_int_equal(fits, 0);
    assert_string_equal(fitting.kind, "segment");
    assert_int_equal(object.id, 12345); /* untouched on failure */
}

static int stop_at_second(const struct weir_object *object, void *argument)
{
    int *calls = argument;
    assert_int_equal(object->type, WEIR_OBJECT_SEGMENT);
    return ++*calls == 2 ? 42 : 0;
}

struct order {
    uint32_t type;
    int id;
};

static int check_order(const struct weir_object *object, void *argument)
{
    struct order *last = argument;
    assert_true(object->type > last->type || (object->type == last->type && object->id > last->id));
    *last = (struct order){ object->type, object->id };
    return object->type == WEIR_OBJECT_SEMSET ? 7 : 0;
}

static void walk_keeps_its_order_and_ends_when_told(void **state)
{
    (void)state;
    int ids[3], calls = 0;
    /* Removed and made again: its index is the first, and its id the largest. */
    shmctl(shmget(IPC_PRIVATE, 1, 0), IPC_RMID, NULL);
    for (int i = 0; i < 3; i++)
        ids[i] = shmget(IPC_PRIVATE, 1, 0);
    shmctl(ids[0], IPC_RMID, NULL);
    ids[0] = shmget(IPC_PRIVATE, 1, 0);
    int set = semget(IPC_PRIVATE, 1, 0);
    struct order last = { 0, -1 };
    int ordered = weir_inspect(WEIR_OBJECT_SEGMENT | WEIR_OBJECT_SEMSET, check_order, &last);
    int stopped = weir_inspect(WEIR_OBJECT_SEGMENT, stop_at_second, &calls);
    for (int i = 0; i < 3; i++)
        shmctl(ids[i], IPC_RMID, NULL);
    semctl(set, 0, IPC_RMID);
    assert_int_equal(ordered, 7);
    assert_int_equal(stopped, 42);
    assert_int_equal(calls, 2);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(weir_state_name(WEIR_STATE_LIVE), "live");
    assert_string_equal(weir_state_name(WEIR_STATE_IDLE), "idle");
    assert_string_equal(weir_state_name(WEIR_STATE_ORPHAN), "orphan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_of_a_dead_creator_is_an_orphan),
        cmocka_unit_test(segment_of_a_living_creator_is_idle),
        cmocka_unit_test(set_is_live_while_somebody_waits),
        cmocka_unit_test(others_see_what_they_may_not_use),
        cmocka_unit_test(posix_segments_are_the_files_of_shm_open),
        cmocka_unit_test(name_is_joined),
        cmocka_unit_test(objects_of_other_run_directories_are_no_orphans),
        cmocka_unit_test(record_of_a_stranger_is_not_believed),
        cmocka_unit_test(set_of_a_segment_lives_and_dies_with_it),
        cmocka_unit_test(one_is_found_by_every_reference),
        cmocka_unit_test(one_refuses_bad_arguments),
        cmocka_unit_test(walk_keeps_its_order_and_ends_when_told),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
