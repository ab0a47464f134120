/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever one side of a channel writes, the other gets an error or what does no
 *       harm: never a crash, a message outside the ring, or a wait beyond its deadline.
 * Method: every word of the directory, the lane and the page is set to each of a row of
 *       values, before the other side attaches and while it is attached, and then both
 *       sides do all they can; and a child changes words at random meanwhile. As root
 *       the liar writes where mode 0400 forbids it.
 */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>

#include "channel/layout.h"
#include "segment/header.h"

#define NOW INT64_C(0)
#define MS_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)
#define CAPACITY WEIR_RING_BYTES_MIN

static const struct weir_channel_options options = { .size = sizeof options,
                                                     .ring_bytes = CAPACITY };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

/* The three shared structures, as the liar has them attached. */
static struct weir__directory_shm *directory;
static struct weir__lane_shm *lane;
static struct weir__page_shm *page;
static void *attached[3];

static bool is_alone;

static int lies_start(void **state)
{
    uint64_t identity;
    int result = fixture_start(state);
    is_alone = fixture_is_alone();
    return result == 0 ? weir_identity(&identity) : result;
}

static void detach_all(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(attached); i++) {
        if (attached[i])
            shmdt(attached[i]);
        attached[i] = NULL;
    }
    directory = NULL;
    lane = NULL;
    page = NULL;
}

/* A segment has weir's header before the user's bytes, or, private, has not. */
static void keep_if_ours(char *memory, size_t size_bytes)
{
    struct weir__member_shm *member = (void *)memory;
    const size_t header = WEIR__HEADER_BYTES;
    if (size_bytes == header + sizeof(struct weir__directory_shm) && !directory) {
        directory = (void *)(memory + header);
        attached[0] = memory;
        return;
    }
    if (member->magic != WEIR__LANE_MAGIC && member->magic != WEIR__PAGE_MAGIC &&
        size_bytes > header)
        member = (void *)(memory + header);
    if (member->magic == WEIR__LANE_MAGIC) {
        lane = (void *)member;
        attached[1] = memory;
    } else if (member->magic == WEIR__PAGE_MAGIC) {
        page = (void *)member;
        attached[2] = memory;
    } else {
        shmdt(memory);
    }
}

/* Attaches what there is of the three, for writing. */
static void attach_all(void)
{
    struct shm_info info;
    struct shmid_ds found;
    detach_all();
    /* shmctl(2): the address is of the type that the command says. */
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int index = 0; index <= last; index++) {
        int id = shmctl(index, SHM_STAT, &found);
        if (id < 0 || (found.shm_perm.mode & 0777) == 0)
            continue; /* a beacon has mode 0 */
        char *memory = shmat(id, NULL, 0);
        if (memory == (void *)-1)
            continue;
        keep_if_ours(memory, found.shm_segsz);
    }
}

/* The words that somebody may lie with. */
struct word {
    const char *what;
    void *at;
    size_t bytes;
};

#define WORD(object, field)                                                                        \
    {                                                                                              \
#object "." #field, &(object)->field, sizeof((object)->field)                              \
    }

static size_t list_words(struct word *words)
{
    size_t count = 0;
    const struct word of_directory[] = {
        WORD(directory, publisher.owner),    WORD(directory, publisher.page),
        WORD(directory, publisher.doorbell), WORD(directory, subscriber.owner),
        WORD(directory, subscriber.page),    WORD(directory, subscriber.doorbell),
    };
    memcpy(words, of_directory, sizeof of_directory);
    count += ARRAY_SIZE(of_directory);
    if (lane) {
        uint64_t *ring = (void *)((char *)lane + WEIR__LANE_RING_OFFSET);
        const struct word of_lane[] = {
            WORD(lane, member.magic),
            WORD(lane, member.owner),
            WORD(lane, member.needs_fence),
            WORD(lane, boundary_before),
            WORD(lane, boundary_count),
            WORD(lane, boundary),
            WORD(lane, ended),
            WORD(lane, epoch),
            { "header 0", &ring[0], 8 },
            { "header 1", &ring[2], 8 },
            { "header 2", &ring[4], 8 },
            { "header 3", &ring[6], 8 },
        };
        memcpy(words + count, of_lane, sizeof of_lane);
        count += ARRAY_SIZE(of_lane);
    }
    if (page) {
        const struct word of_page[] = {
            WORD(page, member.magic), WORD(page, member.owner), WORD(page, member.needs_fence),
            WORD(page, cursor),       WORD(page, lane),         WORD(page, finished),
            WORD(page, epoch),
        };
        memcpy(words + count, of_page, sizeof of_page);
        count += ARRAY_SIZE(of_page);
    }
    return count;
}

enum { WORDS_MAX = 32 };

static uint64_t load(const struct word *word)
{
    uint64_t value = 0;
    memcpy(&value, word->at, word->bytes);
    return value;
}

static void store(const struct word *word, uint64_t value)
{
    if (word->bytes == 4)
        atomic_store((weir__atomic_u32 *)word->at, (uint32_t)value);
    else
        atomic_store((weir__atomic_u64 *)word->at, value);
}

/* A lie about a word that holds old. False: there are no more. */
static bool value_of(unsigned index, uint64_t old, uint64_t *value)
{
    const uint64_t quarter = CAPACITY / 4, pad = WEIR__RECORD_PAD;
    const uint64_t values[] = {
        0,
        1,
        2,
        7,
        UINT64_MAX,
        ~old,
        old + 1,
        old - 1,
        old + 8,
        old - 8,
        old + CAPACITY,
        old - CAPACITY,
        old ^ UINT64_C(1) << 63,
        old ^ UINT64_C(1) << 32,
        old + (UINT64_C(1) << 13),
        INT32_MAX,
        UINT64_C(1) << 31,
        UINT32_MAX,
        UINT64_C(1) << 32,
        INT64_MAX,
        UINT64_C(1) << 63,
        CAPACITY,
        CAPACITY - 8,
        CAPACITY + 8,
        weir__record_header(quarter - 8, 0, 0),
        weir__record_header(quarter, 0, 0),
        weir__record_header(CAPACITY - 8, 0, 0),
        weir__record_header(CAPACITY, 0, 0),
        weir__record_header(UINT32_MAX, 0, 0),
        weir__record_header(UINT32_MAX - 8, 0xffff, 0),
        weir__record_header(8, 0, 4),
        weir__record_header(8, 0, pad),
        weir__record_header(CAPACITY - 8, 0, pad),
        weir__record_header(UINT32_MAX, 0, pad),
        weir__record_header(0, 0, pad),
    };
    if (index >= ARRAY_SIZE(values))
        return false;
    *value = values[index];
    return true;
}

static char place[160];

/* One of the results that a liar may cause, in time. */
static void expect_bounded(int result, int64_t before_ns, const char *call)
{
    static const int allowed[] = { 0,        EAGAIN, ETIMEDOUT, EUCLEAN, EPROTO,  EPIPE, ENODATA,
                                   EMSGSIZE, EBUSY,  EPERM,     EACCES,  ENOBUFS, EINVAL };
    bool is_allowed = false;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        is_allowed |= result == -allowed[i];
    int64_t took_ns = weir_now_ns() - before_ns;
    if (is_allowed && took_ns < (SANITIZED ? 5 : 1) * SECOND_NS)
        return;
    fail_msg("%s: %s gives %d (%s) after %lld ms", place, call, result, weir_last_error(),
             (long long)(took_ns / MS_NS));
}

#define BOUNDED(call)                                                                              \
    do {                                                                                           \
        int64_t before_ns_ = weir_now_ns();                                                        \
        expect_bounded((call), before_ns_, #call);                                                 \
    } while (0)

/* The mapping that a message begins in must hold all of it. */
static void expect_inside(const struct weir_message *message)
{
    uintptr_t data = (uintptr_t)message->data, from, to;
    char line[512];
    bool is_inside = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= data && data < to)
            is_inside = message->size_bytes <= to - data && strstr(line, "SYSV") != NULL;
    }
    fclose(maps);
    if (!is_inside)
        fail_msg("%s: a message of %zu bytes leaves its ring", place, message->size_bytes);
}

static void use_subscriber(int64_t wait_ns)
{
    static unsigned char bytes[CAPACITY];
    struct weir_message held[3], message;
    int results[3];
    for (int i = 0; i < 3; i++) {
        int64_t before_ns = weir_now_ns();
        results[i] = weir_subscriber_take_until(subscriber, &held[i],
                                                i == 2 ? weir_deadline_ns(wait_ns) : NOW);
        expect_bounded(results[i], before_ns, "take");
        if (results[i] == 0)
            expect_inside(&held[i]);
    }
    BOUNDED(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, &message,
                                          weir_deadline_ns(wait_ns)));
    for (int i = 2; i >= 0; i--) {
        if (results[i] == 0)
            assert_result(weir_subscriber_release(subscriber, &held[i]), 0);
    }
}

static void use_publisher(int64_t wait_ns)
{
    static const unsigned char bytes[CAPACITY];
    void *data;
    BOUNDED(weir_publisher_send_until(publisher, "12345678", 8, 0, NOW));
    BOUNDED(weir_publisher_wait_subscriber(publisher, weir_deadline_ns(wait_ns)));
    if (weir_publisher_loan_until(publisher, 1000, &data, NOW) == 0) {
        memset(data, 1, 1000);
        assert_result(weir_publisher_commit(publisher, 1000, 1), 0);
    }
    for (int i = 0; i < 6; i++) /* more than the ring takes */
        BOUNDED(weir_publisher_send_until(publisher, bytes, CAPACITY / 4 - 8, 0,
                                          weir_deadline_ns(wait_ns / 4)));
    BOUNDED(weir_publisher_wait_taken(publisher, weir_deadline_ns(wait_ns)));
}

static void send_three(void)
{
    for (int i = 0; i < 3; i++)
        weir_publisher_send_until(publisher, "abcdefgh", 8, 0, NOW);
}

/* Closes all, makes the directory what it was at first, and sees that the channel works. */
static void recover(void)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    publisher = NULL;
    subscriber = NULL;
    if (directory)
        memset((void *)directory, 0, sizeof *directory);
    detach_all();
}

static void expect_sound(void)
{
    struct weir_message message;
    assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    assert_result(weir_publisher_send_until(publisher, "sound", 5, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_memory_equal(message.data, "sound", 5);
    recover();
}

/* One lie, of a word in use: true while there are more. */
static bool lie_attached(unsigned which, unsigned index)
{
    struct word words[WORDS_MAX];
    uint64_t value;
    assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    send_three();
    attach_all();
    assert_true(directory && lane && page);
    bool is_more = which < list_words(words) && value_of(index, load(&words[which]), &value);
    if (is_more) {
        snprintf(place, sizeof place, "%s: 0x%llx in place of 0x%llx", words[which].what,
                 (unsigned long long)value, (unsigned long long)load(&words[which]));
        store(&words[which], value);
        use_subscriber(MS_NS);
        use_publisher(MS_NS);
        use_subscriber(MS_NS);
    }
    recover();
    return is_more;
}

/* The same before the other side comes: first the subscriber joins a liar, then the publisher. */
static bool lie_to_joiner(unsigned which, unsigned index, bool is_publisher)
{
    struct word words[WORDS_MAX];
    uint64_t value;
    if (is_publisher)
        assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
    else
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    if (is_publisher)
        send_three();
    attach_all();
    bool is_more = which < list_words(words) && value_of(index, load(&words[which]), &value);
    if (is_more) {
        snprintf(place, sizeof place, "to a joiner, %s: 0x%llx in place of 0x%llx",
                 words[which].what, (unsigned long long)value,
                 (unsigned long long)load(&words[which]));
        store(&words[which], value);
        if (is_publisher)
            BOUNDED(weir_subscriber_open(&subscriber, "lane", NULL));
        else
            BOUNDED(weir_publisher_open(&publisher, "lane", &options));
        for (int i = 0; i < 2; i++) {
            if (publisher)
                use_publisher(MS_NS);
            if (subscriber)
                use_subscriber(MS_NS);
        }
    }
    recover();
    return is_more;
}

static void need_root(void)
{
    if (geteuid() != 0 || !is_alone)
        skip(); /* the liar writes where only its victim may, and looks at every segment */
}

static void test_lies_at_rest(void **state)
{
    unsigned lies = 0;
    (void)state;
    need_root();
    for (unsigned which = 0; lie_attached(which, 0); which++) {
        for (unsigned index = 0; lie_attached(which, index); index++)
            lies++;
    }
    expect_sound();
    print_message("           %u lies\n", lies);
    assert_true(lies >= 25 * 35);
}

static void test_lies_to_joiners(void **state)
{
    unsigned lies = 0;
    (void)state;
    need_root();
    for (int is_publisher = 0; is_publisher < 2; is_publisher++) {
        for (unsigned which = 0; lie_to_joiner(which, 0, is_publisher); which++) {
            for (unsigned index = 0; lie_to_joiner(which, index, is_publisher); index++)
                lies++;
        }
    }
    expect_sound();
    print_message("           %u lies\n", lies);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Writes until it is killed: a lie, and often the truth again. */
static void lie_on(struct companion *companion, void *argument)
{
    struct word words[WORDS_MAX];
    uint64_t truth[WORDS_MAX], value, random = *(uint64_t *)argument;
    attach_all();
    CHECK(directory && lane && page);
    size_t count = list_words(words);
    for (size_t i = 0; i < count; i++)
        truth[i] = load(&words[i]);
    char byte = 0;
    CHECK(write(companion->from_child, &byte, 1) == 1);
    for (;;) {
        size_t which = next_random(&random) % count;
        if (!value_of((unsigned)(next_random(&random) % 35), truth[which], &value))
            continue;
        store(&words[which], value);
        if (next_random(&random) % 4 != 0)
            store(&words[which], truth[which]);
    }
}

static void test_lies_meanwhile(void **state)
{
    (void)state;
    need_root();
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct companion liar;
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
        send_three();
        snprintf(place, sizeof place, "meanwhile, seed %llu", (unsigned long long)seed);
        companion_start(&liar, lie_on, &random);
        companion_meet(&liar);
        int64_t until_ns = weir_now_ns() + 100 * MS_NS;
        while (weir_now_ns() < until_ns) {
            use_publisher(MS_NS / 10);
            use_subscriber(MS_NS / 10);
        }
        assert_int_equal(kill(liar.pid, SIGKILL), 0);
        companion_end(&liar);
        attach_all();
        recover();
    }
    expect_sound();
}

/*
 * Segments of other sizes, shown by who has a place in the directory.
 */

/* A segment of the size with the member's words, shown in the slot. Returns its id. */
static int show(struct weir__slot_shm *slot, size_t size_bytes, uint64_t magic, uint64_t owner)
{
    int id = shmget(IPC_PRIVATE, size_bytes, 0600 | SHM_NORESERVE);
    assert_true(id >= 0);
    struct weir__member_shm *member = shmat(id, NULL, 0);
    assert_true(member != (void *)-1);
    *member = (struct weir__member_shm){ .magic = magic, .owner = owner };
    shmdt(member);
    atomic_store(&slot->owner, owner);
    atomic_store(&slot->page, ((uint64_t)(uint32_t)id + 1) << 13 | (owner & 0x1fff));
    return id;
}

static void test_segments_of_other_sizes(void **state)
{
    static const size_t lanes[] = {
        1 + sizeof(struct weir__member_shm),   4096,
        WEIR__LANE_RING_OFFSET + CAPACITY - 8, WEIR__LANE_RING_OFFSET + CAPACITY + 8,
        WEIR__LANE_RING_OFFSET + 3 * CAPACITY,
    };
    static const size_t pages[] = {
        1 + sizeof(struct weir__member_shm), sizeof(struct weir__page_shm) - 8, (size_t)1 << 24,
        (size_t)1 << 40, /* mapped and made present, it would take all memory */
    };
    uint64_t identity;
    (void)state;
    need_root();
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    attach_all();
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++) {
        struct weir_message message;
        int id = show(&directory->publisher, lanes[i], WEIR__LANE_MAGIC, identity | 5);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EPROTO);
        shmctl(id, IPC_RMID, NULL);
    }
    recover();
    assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
    attach_all();
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        int id = show(&directory->subscriber, pages[i], WEIR__PAGE_MAGIC, identity | 5);
        assert_result(weir_publisher_send_until(publisher, "x", 1, 0, NOW), -EPROTO);
        shmctl(id, IPC_RMID, NULL);
    }
    recover();
}

/* These are told, by name; the liar is left, and what was sound before it stays. */
static void test_what_is_told(void **state)
{
    static const uint64_t headers[] = {
        (uint64_t)8 << 32, /* no mark */
        (uint64_t)8 << 32 | 5,
        (uint64_t)8 << 32 | 3,
        (CAPACITY / 4 - 7) << 32 | 1,
        (uint64_t)UINT32_MAX << 32 | 1,
        (CAPACITY - 8) << 32 | 3,
        (uint64_t)UINT32_MAX << 32 | 3,
    };
    struct weir_message sound, message;
    (void)state;
    need_root();
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
        send_three();
        assert_result(weir_subscriber_take_until(subscriber, &sound, NOW), 0);
        attach_all();
        uint64_t *ring = (void *)((char *)lane + WEIR__LANE_RING_OFFSET);
        ring[2] = headers[i];
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EUCLEAN);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
        assert_memory_equal(sound.data, "abcdefgh", 8);
        assert_result(weir_subscriber_release(subscriber, &sound), 0);
        recover();
    }
    static const uint64_t cursors[] = { 56, CAPACITY, UINT64_C(1) << 63, UINT64_MAX - 7 };
    for (size_t i = 0; i < ARRAY_SIZE(cursors); i++) {
        assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
        send_three(); /* 48 bytes */
        attach_all();
        atomic_store(&page->cursor, cursors[i]);
        assert_result(weir_publisher_wait_taken(publisher, NOW), -EUCLEAN);
        recover();
    }
}

/* A large ring without memory: whoever attaches it does not pay for it. */
static void test_a_large_lane_that_is_empty(void **state)
{
    const size_t size_bytes = WEIR__LANE_RING_OFFSET + ((size_t)1 << 28);
    struct weir_message message;
    struct shm_info info;
    uint64_t identity;
    (void)state;
    need_root();
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    attach_all();
    int id = show(&directory->publisher, size_bytes, WEIR__LANE_MAGIC, identity | 5);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    /* shmctl(2): the address is of the type that the command says. */
    assert_true(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) >= 0);
    assert_true(info.shm_rss < 1024);
    shmctl(id, IPC_RMID, NULL);
    recover();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told),
        cmocka_unit_test(test_lies_at_rest),
        cmocka_unit_test(test_lies_to_joiners),
        cmocka_unit_test(test_lies_meanwhile),
        cmocka_unit_test(test_segments_of_other_sizes),
        cmocka_unit_test(test_a_large_lane_that_is_empty),
    };
    return cmocka_run_group_tests(tests, lies_start, fixture_end);
}
