/* SPDX-License-Identifier: MIT */
/*
 * Goal: who may put files into a shared run directory cannot make another user's collect, create,
 *       open or remove destroy, or accept, what is not what it says.
 * Method: another uid forges drafts, names and nameless records that point to root's objects;
 *       then root does what the forger hopes for, and its objects are counted.
 */
#include "fixture.h"
#include "records.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VICTIM_KEY 0x76696374
#define FORGED_NONCE UINT64_C(0x1122334455667788)
#define FORGED_DRAFT "#1122334455667788"
#define FORGED_NAMELESS "~1122334455667788"

/* What the forger aims at: a segment, raw or named, and a set, all root's and persistent. */
static struct {
    int segment_id, named_id, set_id;
    struct record named; /* the true record of the named one */
} victim;

static void make_victims(void)
{
    assert_int_equal(mkdir(fixture_path("run"), 0777), 0);
    assert_int_equal(chmod(fixture_path("run"), 0777), 0);
    victim.segment_id = shmget(VICTIM_KEY, 5000, IPC_CREAT | IPC_EXCL | 0600);
    victim.set_id = semget(VICTIM_KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(victim.segment_id >= 0 && victim.set_id >= 0);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT;
    assert_result(weir_segment_create(&segment, weir_by_name("victim"), 5000, &options), 0);
    weir_segment_close(segment);
    assert_true(record_read("victim", &victim.named));
    victim.named_id = victim.named.shm_id;
}

static void expect_victims(const char *after)
{
    struct shmid_ds segment;
    struct semid_ds set;
    bool whole = shmctl(victim.segment_id, IPC_STAT, &segment) == 0 &&
                 shmctl(victim.named_id, IPC_STAT, &segment) == 0 &&
                 semctl(victim.set_id, 0, IPC_STAT, &set) == 0;
    if (!whole)
        print_error("destroyed by: %s\n", after);
    assert_true(whole);
}

static void end_victims(void)
{
    expect_victims("the way to the end");
    shmctl(victim.segment_id, IPC_RMID, NULL);
    semctl(victim.set_id, 0, IPC_RMID);
    assert_result(weir_segment_remove(weir_by_name("victim")), 0);
    clear_everything();
}

/* --- the forger ------------------------------------------------------------------------- */

struct forgery {
    const char *what;
    const char *directory;
    struct record record;
    bool is_file; /* a draft without a directory */
};

static void forge(void *argument)
{
    const struct forgery *forgery = argument;
    become(OTHER_UID);
    umask(0);
    CHECK(forgery->is_file ? record_forge_file(forgery->directory, &forgery->record)
                           : record_forge(forgery->directory, &forgery->record));
}

static struct record false_record(unsigned lifetime)
{
    struct record record = { .nonce = FORGED_NONCE,
                             .lifetime = lifetime,
                             .creator = 0,
                             .pid = getpid(),
                             .shm_id = -1,
                             .sem_id = -1,
                             .kind = "segment" };
    return record;
}

/* The segments and the set at which a false record can point. */
static struct record aimed_at_segment(unsigned lifetime, bool named)
{
    struct record record = false_record(lifetime);
    record.shm_key = named ? victim.named.shm_key : VICTIM_KEY;
    record.shm_id = named ? victim.named_id : victim.segment_id;
    record.shm_segsz = named ? victim.named.shm_segsz : 5000;
    if (named)
        record.nonce = victim.named.nonce;
    return record;
}

static struct record aimed_at_set(unsigned lifetime)
{
    struct record record = false_record(lifetime);
    record.shm_key = 0x12345678;
    record.shm_id = 0x7ffffff0; /* gone */
    record.shm_segsz = 5000;
    record.sem_key = VICTIM_KEY;
    record.sem_id = victim.set_id;
    record.sem_count = 2;
    return record;
}

static size_t fill_forgeries(struct forgery *forgeries)
{
    static char named_draft[32];
    size_t count = 0;
    snprintf(named_draft, sizeof named_draft, "#%016llx", (unsigned long long)victim.named.nonce);
    for (unsigned lifetime = 0; lifetime < 2; lifetime++) {
        struct forgery rows[] = {
            { "draft -> segment", FORGED_DRAFT, aimed_at_segment(lifetime, false), false },
            { "draft -> named segment", named_draft, aimed_at_segment(lifetime, true), false },
            { "draft -> set", FORGED_DRAFT, aimed_at_set(lifetime), false },
            { "file -> segment", FORGED_DRAFT, aimed_at_segment(lifetime, false), true },
            { "file -> named segment", named_draft, aimed_at_segment(lifetime, true), true },
            { "file -> set", FORGED_DRAFT, aimed_at_set(lifetime), true },
            { "name -> segment", "forged", aimed_at_segment(lifetime, false), false },
            { "name -> named segment", "forged", aimed_at_segment(lifetime, true), false },
            { "name -> set", "forged", aimed_at_set(lifetime), false },
            { "nameless -> segment", FORGED_NAMELESS, aimed_at_segment(lifetime, false), false },
            { "nameless -> set", FORGED_NAMELESS, aimed_at_set(lifetime), false },
        };
        memcpy(forgeries + count, rows, sizeof rows);
        count += ARRAY_SIZE(rows);
    }
    /* A set by itself under a name, as semaphore sets have it: no segment. */
    struct record set = aimed_at_set(WEIR_PERSISTENT);
    set.shm_key = 0;
    set.shm_id = -1;
    set.shm_segsz = 0;
    strcpy(set.kind, "semset");
    forgeries[count++] = (struct forgery){ "name -> set alone", "forged", set, false };
    return count;
}

/* --- what root does --------------------------------------------------------------------- */

static void do_collect(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

static void do_open(void *argument)
{
    (void)argument;
    struct weir_segment *segment;
    if (weir_segment_open(&segment, weir_by_name("forged"), 0, NULL) == 0)
        weir_segment_close(segment);
}

static void do_create(void *argument)
{
    (void)argument;
    struct weir_segment *segment;
    if (weir_segment_create(&segment, weir_by_name("forged"), 10, NULL) == 0)
        weir_segment_close(segment);
}

static void do_lookup(void *argument)
{
    (void)argument;
    struct weir_segment_stat stat = { .size = sizeof stat };
    (void)weir_segment_lookup(weir_by_name("forged"), &stat);
}

static void do_remove(void *argument)
{
    (void)argument;
    (void)weir_segment_remove(weir_by_name("forged"));
}

static void do_remove_set(void *argument)
{
    (void)argument;
    (void)weir_semset_remove(weir_by_name("forged"));
}

static void test_forged_records_destroy_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*function)(void *);
    } acts[] = {
        { "collect", do_collect }, { "open", do_open },     { "create", do_create },
        { "lookup", do_lookup },   { "remove", do_remove }, { "remove set", do_remove_set }
    };
    if (!has_other_users())
        skip();
    struct forgery forgeries[32];
    make_victims();
    size_t count = fill_forgeries(forgeries);
    end_victims();
    unsigned destroyed = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < ARRAY_SIZE(acts); j++) {
            char after[128];
            make_victims();
            fill_forgeries(forgeries); /* the victims have new ids */
            in_child(forge, &forgeries[i]);
            in_child(acts[j].function, NULL);
            snprintf(after, sizeof after, "%s (lifetime %u), then %s", forgeries[i].what,
                     forgeries[i].record.lifetime, acts[j].what);
            if (segments_now() != 2 || sets_now() != 1) {
                print_error("destroyed by: %s\n", after);
                destroyed++;
            }
            clear_everything();
        }
    }
    assert_int_equal(destroyed, 0);
}

/* --- what root accepts ------------------------------------------------------------------ */

static void hold_as_third(struct companion *companion, void *argument)
{
    (void)argument;
    become(THIRD_UID);
    umask(0);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.mode = 0666;
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("real"), 100, &options), 0);
    companion_arrive(companion);
    weir_segment_close(segment);
}

static void forge_alias(void *argument)
{
    struct record record;
    (void)argument;
    become(OTHER_UID);
    umask(0);
    CHECK(record_read("real", &record));
    CHECK(record_forge("alias", &record));
}

/* "The creator is who put the name there": a name by another one is not to be trusted. */
static void test_trust_of_the_directory(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct companion companion;
    struct weir_segment *segment = NULL;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    assert_int_equal(mkdir(fixture_path("run"), 0777), 0);
    assert_int_equal(chmod(fixture_path("run"), 0777), 0);
    companion_start(&companion, hold_as_third, NULL);
    companion_meet(&companion);
    in_child(forge_alias, NULL);
    options.trust = WEIR_TRUST_DIRECTORY;
    int result = weir_segment_open(&segment, weir_by_name("alias"), 0, &options);
    assert_true(result == -EPERM || result == -EUCLEAN);
    assert_null(segment);
    assert_result(weir_segment_open(&segment, weir_by_name("real"), 0, &options), 0);
    weir_segment_close(segment);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    clear_everything();
}

/* A segment of huge pages that the machine has not got: who touches it dies of SIGBUS. */
static void forge_absent_pages(void *argument)
{
    const size_t size = 2 << 20;
    (void)argument;
    /* The group stays: vm.hugetlb_shm_group is 0 by default. */
    CHECK(setresuid(OTHER_UID, OTHER_UID, OTHER_UID) == 0);
    umask(0);
    int id = shmget(VICTIM_KEY, size, IPC_CREAT | IPC_EXCL | SHM_HUGETLB | SHM_NORESERVE | 0666);
    if (id < 0)
        _exit(77); /* this kernel, or the limit on locked memory, has none */
    struct record record = false_record(WEIR_PERSISTENT);
    record.creator = OTHER_UID;
    record.shm_key = VICTIM_KEY;
    record.shm_id = id;
    record.shm_segsz = size;
    CHECK(record_forge("forged", &record));
}

static void open_absent_pages(void *argument)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.trust = WEIR_TRUST_DIRECTORY;
    (void)argument;
    int result = weir_segment_lookup(weir_by_name("forged"), &stat);
    CHECK(result == -EUCLEAN || result == -EPROTO); /* EPROTO: the page is there, and is zero */
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("forged"), 0, &options), result);
}

static void test_absent_huge_pages(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    make_victims();
    assert_result(weir_segment_remove(weir_by_id(victim.segment_id)), 0);
    int status = status_in_child(forge_absent_pages, NULL);
    if (status == 0)
        in_child(open_absent_pages, NULL);
    clear_everything();
    if (status != 0)
        assert_int_equal(WEXITSTATUS(status), 77);
}

/* Edited by hand: the name now points to a segment that somebody else made. */
static void test_foreign_segment_under_our_name(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct record record;
    options.lifetime = WEIR_PERSISTENT;
    assert_result(weir_segment_create(&segment, weir_by_name("ours"), 5000, &options), 0);
    weir_segment_close(segment);
    segment = NULL;
    assert_true(record_read("ours", &record));
    static const size_t more[] = { 0, 4096, 1 }; /* the same size, and two others */
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        struct record edited = record;
        int id = shmget(IPC_PRIVATE, record.shm_segsz + more[i], IPC_CREAT | 0600);
        edited.shm_id = id;
        assert_true(record_forge("ours", &edited));
        assert_result(weir_segment_open(&segment, weir_by_name("ours"), 0, NULL), -EPROTO);
        assert_result(weir_segment_lookup(weir_by_name("ours"), &stat), -EPROTO);
        edited.shm_segsz = record.shm_segsz + more[i];
        assert_true(record_forge("ours", &edited));
        assert_result(weir_segment_open(&segment, weir_by_name("ours"), 0, NULL), -EPROTO);
        assert_null(segment);
        shmctl(id, IPC_RMID, NULL);
    }
    assert_true(record_forge("ours", &record));
    assert_result(weir_segment_open(&segment, weir_by_name("ours"), 0, NULL), 0);
    weir_segment_close(segment);
    /* "The segment that is not ours stays." */
    int id = shmget(IPC_PRIVATE, 123, IPC_CREAT | 0600);
    struct record edited = record;
    edited.shm_id = id;
    assert_true(record_forge("ours", &edited));
    assert_result(weir_segment_remove(weir_by_name("ours")), 0);
    assert_result(weir_segment_open(&segment, weir_by_name("ours"), 0, NULL), -ENOENT);
    assert_result(weir_segment_remove(weir_by_id(id)), 0);
    assert_result(weir_segment_remove(weir_by_id(record.shm_id)), 0);
}

/* The same with the set that lives with a segment: another set is not it. */
static void test_foreign_set_under_our_name(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    struct weir_segment *second = NULL;
    struct record record;
    options.semaphores = 2;
    assert_result(weir_segment_create(&segment, weir_by_name("ours"), 5000, &options), 0);
    assert_true(record_read("ours", &record));
    int foreign = semget(VICTIM_KEY, 2, IPC_CREAT | 0600);
    assert_true(foreign >= 0);
    struct record edited = record;
    edited.sem_id = foreign;
    assert_true(record_forge("ours", &edited));
    int result = weir_segment_open(&second, weir_by_name("ours"), 0, NULL);
    assert_true(result == -EPROTO || result == -EUCLEAN || result == -EIDRM);
    edited = record;
    edited.sem_count = 30000;
    assert_true(record_forge("ours", &edited));
    result = weir_segment_open(&second, weir_by_name("ours"), 0, NULL);
    assert_true(result == -EPROTO || result == -EUCLEAN);
    assert_true(record_forge("ours", &record));
    weir_segment_close(segment);
    assert_int_equal(sets_now(), 1); /* the foreign one */
    semctl(foreign, 0, IPC_RMID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_forged_records_destroy_nothing, fixture_check),
        cmocka_unit_test_teardown(test_trust_of_the_directory, fixture_check),
        cmocka_unit_test_teardown(test_absent_huge_pages, fixture_check),
        cmocka_unit_test_teardown(test_foreign_segment_under_our_name, fixture_check),
        cmocka_unit_test_teardown(test_foreign_set_under_our_name, fixture_check),
    };
    return cmocka_run_group_tests_name("forged", tests, fixture_start, fixture_end);
}
