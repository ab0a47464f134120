/* SPDX-License-Identifier: MIT */
/*
 * Goal: certain lies are told by name, the liar is left, and what was sound before stays; a
 *       segment of another size or kind in a slot is refused before it can do harm.
 * Method: headers and cursors that cannot be; segments that the test makes itself and shows
 *       in the directory.
 */
#include "fixture.h"
#include "guard.h"
#include "liar.h"

#include <errno.h>
#include <sys/shm.h>

static bool is_alone;

static int told_start(void **state)
{
    is_alone = fixture_is_alone(); /* before this process has its identity */
    return fixture_start_alive(state);
}

static void recover(void)
{
    victim_close();
    liar_restore_directory();
    liar_detach();
}

static void begin(void)
{
    assert_result(victim_open(true), 0);
    assert_result(victim_open(false), 0);
    for (int i = 0; i < 3; i++) /* 48 bytes */
        assert_result(weir_publisher_send_until(victim_publisher, "abcdefgh", 8, 0, NOW), 0);
    assert_true(liar_attach());
}

static void test_records(void **state)
{
    static const uint64_t headers[] = {
        (uint64_t)8 << 32, /* no mark */
        (uint64_t)8 << 32 | 5,
        (uint64_t)9 << 32 | 3, /* pads */
        (uint64_t)8 << 32 | 1 << 16 | 3,
        (CAPACITY / 4 - 7) << 32 | 1,
        (uint64_t)UINT32_MAX << 32 | 1,
        (CAPACITY - 8) << 32 | 3,
        (uint64_t)UINT32_MAX << 32 | 3,
    };
    struct weir_message sound, message;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        begin();
        assert_result(weir_subscriber_take_until(victim_subscriber, &sound, NOW), 0);
        uint64_t *ring = (void *)((char *)liar_lane + WEIR__LANE_RING_OFFSET);
        ring[2] = headers[i];
        assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EUCLEAN);
        assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EAGAIN);
        assert_memory_equal(sound.data, "abcdefgh", 8);
        assert_result(weir_subscriber_release(victim_subscriber, &sound), 0);
        recover();
    }
}

static void test_cursors(void **state)
{
    static const uint64_t cursors[] = { 56, CAPACITY, UINT64_C(1) << 63, UINT64_MAX - 7 };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cursors); i++) {
        begin();
        atomic_store(&liar_entry()->cursor, cursors[i]);
        assert_result(weir_publisher_wait_taken(victim_publisher, NOW), -EUCLEAN);
        recover();
    }
}

static void send_and_read(size_t size_bytes)
{
    static unsigned char bytes[CAPACITY / 4];
    assert_result(weir_publisher_send_until(victim_publisher, bytes, size_bytes, 0, NOW), 0);
    assert_result(weir_subscriber_receive_until(victim_subscriber, bytes, sizeof bytes, NULL, NOW),
                  0);
}

/* What a table says of one place, true or not, is in nobody's way for long. */
static void test_places(void **state)
{
    struct weir_message held, message;
    (void)state;
    for (unsigned lie = 0; lie < 4 * liar_value_count(); lie++) {
        begin();
        assert_result(weir_subscriber_take_until(victim_subscriber, &held, NOW), 0);
        for (int i = 0; i < 2; i++) {
            assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), 0);
            assert_result(weir_subscriber_release(victim_subscriber, &message), 0);
        }
        assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EAGAIN);
        weir__atomic_u64 *const words[] = { &liar_page->places[0].which,
                                            &liar_page->places[0].owner,
                                            &liar_page->places[0].bytes, &liar_aside()->holds };
        weir__atomic_u64 *word = words[lie % 4];
        uint64_t truth = atomic_load(word), value;
        assert_true(weir__holds_any(atomic_load(&liar_aside()->holds)));
        assert_true(liar_value(lie / 4, truth, &value));
        send_and_read(0);
        atomic_store(word, value);
        for (size_t i = 0; i < 30; i++)
            send_and_read(i % 3 ? i * 500 : CAPACITY / 4 - 8);
        atomic_store(word, truth);
        for (size_t i = 0; i < 10; i++)
            send_and_read(CAPACITY / 4 - 8);
        assert_result(weir_subscriber_release(victim_subscriber, &held), 0);
        recover();
    }
}

/* Pads alone are never all of the ring. */
static void test_pads_without_end(void **state)
{
    struct weir_message message;
    (void)state;
    begin();
    for (int i = 0; i < 3; i++) {
        assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), 0);
        assert_result(weir_subscriber_release(victim_subscriber, &message), 0);
    }
    uint64_t *ring = (void *)((char *)liar_lane + WEIR__LANE_RING_OFFSET);
    for (size_t i = 0; i < CAPACITY / 8; i++)
        ring[i] = weir__pad_header(8);
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EUCLEAN);
    recover();
}

static void test_a_cursor_that_falls(void **state)
{
    struct weir_message message;
    (void)state;
    begin();
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(victim_subscriber, &message), 0);
    assert_result(weir_publisher_wait_subscribers(victim_publisher, 1, NOW), 0);
    assert_int_equal(atomic_load(&liar_entry()->cursor), 16);
    atomic_store(&liar_entry()->cursor, 8);
    assert_result(weir_publisher_wait_subscribers(victim_publisher, 1, NOW), -EUCLEAN);
    recover();
}

/* A segment of the size with the member's words, shown in the slot. Returns its id. */
static int show(enum weir__role role, size_t size_bytes, uint64_t magic, uint64_t owner)
{
    int id = shmget(IPC_PRIVATE, size_bytes, 0600 | SHM_NORESERVE);
    assert_true(id >= 0);
    struct weir__member_shm *member = shmat(id, NULL, 0);
    assert_true(member != (void *)-1);
    *member = (struct weir__member_shm){ .magic = magic, .owner = owner };
    shmdt(member);
    liar_show(role, id, owner);
    return id;
}

static void test_lanes_of_other_sizes(void **state)
{
    static const size_t sizes[] = {
        1 + sizeof(struct weir__member_shm),   4096,
        WEIR__LANE_RING_OFFSET + CAPACITY - 8, WEIR__LANE_RING_OFFSET + CAPACITY + 8,
        WEIR__LANE_RING_OFFSET + 3 * CAPACITY,
    };
    uint64_t identity;
    (void)state;
    assert_result(weir_identity(&identity), 0);
    assert_result(victim_open(false), 0);
    assert_true(liar_attach());
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct weir_message message;
        int id = show(WEIR__PUBLISHER, sizes[i], WEIR__LANE_MAGIC, identity | 5);
        assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EPROTO);
        shmctl(id, IPC_RMID, NULL);
    }
    recover();
}

static void test_pages_of_other_sizes(void **state)
{
    const size_t sizes[] = {
        1 + sizeof(struct weir__member_shm),
        sizeof(struct weir__page_shm) - 8,
        sizeof(struct weir__page_shm) +
            WEIR_CHANNEL_MEMBERS_DEFAULT * sizeof(struct weir__entry_shm) - 8,
        (size_t)weir__page_bytes(WEIR_CHANNEL_MEMBERS_DEFAULT) - 8,
        (size_t)1 << 24,
        /* Mapped and made present, it would take all memory. Beside the thread sanitizer's own
         * mappings a terabyte finds no room now and then. */
        (size_t)1 << (SANITIZED ? 38 : 40),
    };
    uint64_t identity;
    (void)state;
    assert_result(weir_identity(&identity), 0);
    assert_result(victim_open(true), 0);
    assert_true(liar_attach());
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        int id = show(WEIR__SUBSCRIBER, sizes[i], WEIR__PAGE_MAGIC, identity | 5);
        assert_result(weir_publisher_send_until(victim_publisher, "x", 1, 0, NOW), -EPROTO);
        shmctl(id, IPC_RMID, NULL);
    }
    recover();
}

/* A large ring without memory: whoever attaches it does not pay for it. */
static void test_a_large_lane_that_is_empty(void **state)
{
    const size_t size_bytes = WEIR__LANE_RING_OFFSET + ((size_t)1 << 28);
    struct weir_message message;
    struct shm_info info;
    uint64_t identity;
    (void)state;
    if (!is_alone)
        skip(); /* it counts everybody's memory */
    assert_result(weir_identity(&identity), 0);
    assert_result(victim_open(false), 0);
    assert_true(liar_attach());
    int id = show(WEIR__PUBLISHER, size_bytes, WEIR__LANE_MAGIC, identity | 5);
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EAGAIN);
    /* shmctl(2): the address is of the type that the command says. */
    assert_true(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) >= 0);
    assert_true(info.shm_rss < 1024);
    shmctl(id, IPC_RMID, NULL);
    recover();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_pads_without_end),
        cmocka_unit_test(test_a_cursor_that_falls),
        cmocka_unit_test(test_lanes_of_other_sizes),
        cmocka_unit_test(test_pages_of_other_sizes),
        cmocka_unit_test(test_a_large_lane_that_is_empty),
    };
    return cmocka_run_group_tests(tests, told_start, fixture_end);
}
