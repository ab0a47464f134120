/* SPDX-License-Identifier: MIT */
/* Two pairs, the third of each role, and their books. */
#include "quartet.h"

#include "fixture.h"
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define COUNT ((uint32_t)QUARTET_PLACES)
#define MAGIC UINT64_C(0x7465747261757120)

struct weir_publisher *quartet_publishers[QUARTET_PLACES];
struct weir_subscriber *quartet_subscribers[QUARTET_PLACES];
struct weir__directory_shm *quartet_directory;

static struct weir_segment *directory_handle;
static struct weir__header_shm *header, header_copy;
static struct weir__directory_shm head_copy;
static size_t attached; /* segments, when nobody is there */

static struct weir__lane_shm *lanes[QUARTET_PLACES];
static struct weir__page_shm *pages[QUARTET_PLACES];
static uint64_t dead_owners[WEIR__ROLES], dead_pages[WEIR__ROLES];

/* The lie that stands; NULL: none yet. */
static const struct quartet_word *lie;
static struct quartet_word lie_word;
static uint64_t truth;
static bool is_about_dead;

struct head {
    uint64_t magic;
    uint32_t publisher, size_bytes;
    uint64_t number;
};

static uint64_t lag_max_bytes;
static uint64_t sent[QUARTET_PLACES];
static uint64_t next[QUARTET_PLACES][QUARTET_PLACES]; /* of a subscriber: of each publisher */

static struct weir__slot_shm *slot_of(enum weir__role role, unsigned number)
{
    return &quartet_directory->slots[role == WEIR__SUBSCRIBER ? COUNT + number : number];
}

static struct weir_channel_options options_now(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = CAPACITY;
    return options;
}

int quartet_start(void **state)
{
    (void)state;
    struct weir_channel_options options = options_now();
    struct weir_segment_options segment = WEIR_SEGMENT_OPTIONS;
    struct weir_publisher *first;
    options.publishers_max = options.subscribers_max = COUNT;
    assert_result(weir_publisher_open(&first, "lane", &options), 0);
    segment.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&directory_handle, weir_by_name("lane"), 0, &segment), 0);
    weir_publisher_close(first);
    quartet_directory = weir_segment_data(directory_handle);
    header = (void *)((char *)quartet_directory - WEIR__HEADER_BYTES);
    header_copy = *header;
    memcpy(&head_copy, quartet_directory, sizeof head_copy);
    attached = guard_count();
    return 0;
}

static void detach(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (lanes[i])
            shmdt(lanes[i]);
        if (pages[i])
            shmdt(pages[i]);
        lanes[i] = NULL;
        pages[i] = NULL;
    }
}

int quartet_end(void **state)
{
    (void)state;
    quartet_close();
    detach(COUNT);
    weir_segment_close(directory_handle);
    return guard_count() == 1 ? 0 : -1; /* the beacon */
}

static void attach(unsigned i)
{
    size_t size_bytes;
    lanes[i] = liar_attach_shown(atomic_load(&slot_of(WEIR__PUBLISHER, i)->page), WEIR__LANE_MAGIC,
                                 WEIR__LANE_RING_OFFSET + CAPACITY, &size_bytes);
    pages[i] = liar_attach_shown(atomic_load(&slot_of(WEIR__SUBSCRIBER, i)->page), WEIR__PAGE_MAGIC,
                                 weir__page_bytes(COUNT), &size_bytes);
    assert_true(lanes[i] && pages[i]);
}

static struct weir__entry_shm *entry_of(unsigned subscriber, unsigned publisher)
{
    uint32_t line = weir__page_epoch_line(COUNT, subscriber);
    return (struct weir__entry_shm *)(uintptr_t)weir__page_entry(pages[subscriber], line,
                                                                 publisher);
}

static struct weir__aside_shm *aside_of(unsigned subscriber, unsigned publisher)
{
    return (struct weir__aside_shm *)(uintptr_t)weir__page_aside(pages[subscriber], COUNT,
                                                                 publisher);
}

/* One process, so that it takes the first slot of each role. */
static void join_and_stay(struct companion *companion, void *argument)
{
    struct weir_channel_options options = options_now();
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &options), 0);
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(weir_publisher_send_until(publisher, "12345678", 8, 0, NOW), 0);
    companion_arrive(companion);
}

void quartet_kill_two(void)
{
    struct companion companion;
    companion_start(&companion, join_and_stay, NULL);
    companion_meet(&companion);
    attach(0);
    lanes[QUARTET_THIRD] = lanes[0];
    pages[QUARTET_THIRD] = pages[0];
    lanes[0] = NULL;
    pages[0] = NULL;
    for (enum weir__role role = 0; role < WEIR__ROLES; role++) {
        dead_owners[role] = atomic_load(&slot_of(role, 0)->owner);
        dead_pages[role] = atomic_load(&slot_of(role, 0)->page);
        memset(slot_of(role, 0), 0, sizeof(struct weir__slot_shm));
    }
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(companion_end(&companion)));
    attached = guard_count();
}

void quartet_show_dead(void)
{
    for (unsigned i = 0; i < QUARTET_THIRD; i++) {
        struct weir__entry_shm *entry = entry_of(QUARTET_THIRD, i);
        memset(aside_of(QUARTET_THIRD, i), 0, sizeof(struct weir__aside_shm));
        memset(entry, 0, sizeof *entry);
        atomic_store(&entry->lane, atomic_load(&slot_of(WEIR__PUBLISHER, i)->page));
    }
    for (enum weir__role role = 0; role < WEIR__ROLES; role++) {
        struct weir__slot_shm *slot = slot_of(role, QUARTET_THIRD);
        atomic_store(&slot->owner, dead_owners[role]);
        atomic_store(&slot->page, dead_pages[role]);
        atomic_fetch_add(&quartet_directory->roles[role].changes, 1);
    }
}

static void open_one(enum weir__role role, unsigned number, bool may_fail)
{
    struct weir_channel_options options = options_now();
    int64_t before_ns = weir_now_ns();
    options.lag_max_bytes = role == WEIR__PUBLISHER ? lag_max_bytes : 0;
    int result = role == WEIR__PUBLISHER
                     ? weir_publisher_open(&quartet_publishers[number], "lane", &options)
                     : weir_subscriber_open(&quartet_subscribers[number], "lane", &options);
    bool is_refused = result == -EBUSY || result == -EPROTONOSUPPORT || result == -EPROTOTYPE;
    victim_expect("open", is_refused ? -EPROTO : result, before_ns, 0);
    if (result != 0 && !may_fail)
        victim_complain("an open that nothing disturbs fails");
    for (unsigned i = 0; i < COUNT && result == 0; i++) {
        if (role == WEIR__PUBLISHER)
            next[i][number] = 0;
        else
            next[number][i] = sent[i];
    }
    if (role == WEIR__PUBLISHER)
        sent[number] = 0;
}

void quartet_open(uint64_t of_lag)
{
    snprintf(victim_place, sizeof victim_place, "without a lie");
    lie = NULL;
    lag_max_bytes = of_lag;
    memset(sent, 0, sizeof sent);
    memset(next, 0, sizeof next);
    for (unsigned i = 0; i < QUARTET_THIRD; i++)
        open_one(WEIR__PUBLISHER, i, false);
    for (unsigned i = 0; i < QUARTET_THIRD; i++)
        open_one(WEIR__SUBSCRIBER, i, false);
    quartet_publish(2, 40);
    quartet_drain();
    for (unsigned i = 0; i < QUARTET_THIRD; i++)
        attach(i);
}

void quartet_close(void)
{
    for (enum weir__role role = 0; role < WEIR__ROLES; role++)
        for (unsigned i = 0; i < COUNT; i++)
            quartet_leave(role, i);
    if (lie)
        liar_store(&lie->word, truth);
    lie = NULL;
    *header = header_copy;
    memcpy(quartet_directory, &head_copy, sizeof head_copy);
    memset(slot_of(WEIR__PUBLISHER, 0), 0, 2 * COUNT * sizeof(struct weir__slot_shm));
    detach(QUARTET_THIRD);
    if (guard_count() != attached)
        victim_complain("memory is still attached by who has left");
}

void quartet_join(enum weir__role role)
{
    open_one(role, QUARTET_THIRD, lie && (lie->part <= QUARTET_SLOT || !is_about_dead));
}

void quartet_leave(enum weir__role role, unsigned number)
{
    int64_t before_ns = weir_now_ns();
    if (role == WEIR__PUBLISHER) {
        weir_publisher_close(quartet_publishers[number]);
        quartet_publishers[number] = NULL;
    } else {
        weir_subscriber_close(quartet_subscribers[number]);
        quartet_subscribers[number] = NULL;
    }
    victim_expect("close", 0, before_ns, 0);
}

/* What the words are. */

#define WORD(object, field)                                                                        \
    {                                                                                              \
#object "." #field, &(object)->field, sizeof((object)->field)                              \
    }

static size_t append(struct quartet_word *words, size_t count, struct quartet_word whose,
                     const struct liar_word *more, size_t more_count)
{
    for (size_t i = 0; i < more_count; i++) {
        words[count] = whose;
        words[count++].word = more[i];
    }
    return count;
}

static size_t list_head(struct quartet_word *words, size_t count)
{
    const struct quartet_word whose = { .part = QUARTET_HEAD };
    struct weir__directory_shm *directory = quartet_directory;
    const struct liar_word list[] = {
        WORD(header, magic),
        WORD(header, layout),
        WORD(header, incompat),
        WORD(header, header_size_bytes),
        WORD(header, compat),
        WORD(header, ro_compat),
        WORD(header, segsz),
        WORD(header, fingerprint),
        WORD(header, nonce),
        WORD(header, creator),
        WORD(header, reserved[0]),
        WORD(directory, magic),
        WORD(directory, delivery),
        WORD(directory, type_bytes),
        { "directory.type_name, its begin", directory->type_name, 8 },
        { "directory.type_name, its end", directory->type_name + WEIR__TYPE_NAME_BYTES - 8, 8 },
        WORD(directory, roles[WEIR__PUBLISHER].changes),
        WORD(directory, roles[WEIR__SUBSCRIBER].changes),
    };
    const struct quartet_word of_counts = { .part = QUARTET_COUNTS };
    const struct liar_word counts[] = { WORD(directory, counts[WEIR__PUBLISHER]),
                                        WORD(directory, counts[WEIR__SUBSCRIBER]) };
    count = append(words, count, whose, list, ARRAY_SIZE(list));
    return append(words, count, of_counts, counts, ARRAY_SIZE(counts));
}

static size_t list_slot(struct quartet_word *words, size_t count, enum weir__role role, unsigned i)
{
    const struct quartet_word whose = {
        .part = QUARTET_SLOT, .role = role, .publisher = i, .subscriber = i
    };
    struct weir__slot_shm *slot = slot_of(role, i);
    const struct liar_word list[] = { WORD(slot, owner), WORD(slot, page), WORD(slot, doorbell) };
    return append(words, count, whose, list, ARRAY_SIZE(list));
}

static size_t list_lane(struct quartet_word *words, size_t count, unsigned i)
{
    const struct quartet_word whose = { .part = QUARTET_LANE, .publisher = i };
    struct weir__lane_shm *lane = lanes[i];
    unsigned char *ring = (unsigned char *)lane + WEIR__LANE_RING_OFFSET;
    uint64_t position = i == QUARTET_THIRD ? 0 : atomic_load(&entry_of(0, i)->cursor);
    const struct liar_word list[] = {
        WORD(lane, member.magic),
        WORD(lane, member.owner),
        WORD(lane, member.needs_fence),
        WORD(lane, evicts),
        WORD(lane, trust),
        WORD(lane, trust_uid),
        WORD(lane, user_namespace),
        WORD(lane, boundary_before),
        WORD(lane, boundary_count),
        WORD(lane, boundary),
        WORD(lane, ended),
        WORD(lane, epoch),
        WORD(lane, reserved),
        WORD(lane, marks[0].before),
        WORD(lane, marks[0].count),
        WORD(lane, marks[0].position),
        WORD(lane, marks[WEIR__MARKS - 1].before),
        WORD(lane, marks[WEIR__MARKS - 1].count),
        WORD(lane, marks[WEIR__MARKS - 1].position),
        { "the next header", weir__header_at(ring, CAPACITY, position), 8 },
        { "the header behind it", weir__header_at(ring, CAPACITY, position + 48), 8 },
    };
    return append(words, count, whose, list, ARRAY_SIZE(list));
}

static size_t list_entry(struct quartet_word *words, size_t count, unsigned i, unsigned publisher)
{
    const struct quartet_word whose = { .part = QUARTET_ENTRY,
                                        .publisher = publisher,
                                        .subscriber = i };
    struct weir__entry_shm *entry = entry_of(i, publisher);
    struct weir__aside_shm *aside = aside_of(i, publisher);
    const struct liar_word list[] = {
        WORD(entry, cursor),   WORD(entry, lane),    WORD(entry, finished),
        WORD(entry, released), WORD(aside, refused), WORD(aside, holds),
    };
    return append(words, count, whose, list, ARRAY_SIZE(list));
}

static size_t list_page(struct quartet_word *words, size_t count, unsigned i)
{
    const struct quartet_word whose = { .part = QUARTET_PAGE, .subscriber = i };
    struct weir__page_shm *page = pages[i];
    weir__atomic_u32 *epoch =
        (weir__atomic_u32 *)(uintptr_t)weir__page_epoch(page, weir__page_epoch_line(COUNT, i));
    const struct liar_word list[] = {
        WORD(page, member.magic),
        WORD(page, member.owner),
        WORD(page, member.needs_fence),
        WORD(page, left),
        WORD(page, places[0].which),
        WORD(page, places[0].owner),
        WORD(page, places[0].bytes),
        { "page.epoch", epoch, sizeof *epoch },
        WORD(page, places[WEIR__HOLDS_ANNOUNCED - 1].which),
        WORD(page, places[WEIR__HOLDS_ANNOUNCED - 1].owner),
        WORD(page, places[WEIR__HOLDS_ANNOUNCED - 1].bytes),
    };
    count = append(words, count, whose, list, ARRAY_SIZE(list));
    for (unsigned publisher = 0; publisher < QUARTET_THIRD; publisher++)
        count = list_entry(words, count, i, publisher);
    return count;
}

size_t quartet_words(struct quartet_word *words, bool is_of_dead)
{
    size_t count = is_of_dead ? 0 : list_head(words, 0);
    unsigned first = is_of_dead ? QUARTET_THIRD : 0, end = is_of_dead ? COUNT : QUARTET_THIRD;
    for (unsigned i = first; i < end; i++) {
        count = list_slot(words, count, WEIR__PUBLISHER, i);
        count = list_slot(words, count, WEIR__SUBSCRIBER, i);
        count = list_lane(words, count, i);
        count = list_page(words, count, i);
    }
    return count;
}

bool quartet_lie(unsigned which, unsigned index, bool is_of_dead, const char *when)
{
    struct quartet_word words[QUARTET_WORDS_MAX];
    uint64_t value;
    if (which >= quartet_words(words, is_of_dead))
        return false;
    lie_word = words[which];
    truth = liar_load(&lie_word.word);
    if (!liar_value(index, truth, &value))
        return false;
    is_about_dead = is_of_dead;
    lie = &lie_word;
    snprintf(victim_place, sizeof victim_place, "%s, %s (%u, %u): 0x%llx in place of 0x%llx", when,
             lie->word.what, lie->publisher, lie->subscriber, (unsigned long long)value,
             (unsigned long long)truth);
    liar_store(&lie->word, value);
    return true;
}

/* Whom it disturbs. Those who have met go on, whatever is written into the directory. */

static bool is_newcomer(unsigned subscriber, unsigned publisher)
{
    return subscriber == QUARTET_THIRD || publisher == QUARTET_THIRD;
}

/* Whether of this publisher's messages this subscriber may get others than those, or not all. */
static bool is_disturbed(unsigned subscriber, unsigned publisher)
{
    if (!lie)
        return false;
    switch (lie->part) {
    case QUARTET_HEAD:
        return false;
    case QUARTET_COUNTS:
        return is_newcomer(subscriber, publisher);
    case QUARTET_SLOT: /* who comes may take that place */
        return is_newcomer(subscriber, publisher) &&
               (lie->role == WEIR__PUBLISHER
                    ? publisher == lie->publisher || publisher == QUARTET_THIRD
                    : subscriber == lie->subscriber || subscriber == QUARTET_THIRD);
    case QUARTET_LANE:
        return !is_about_dead && publisher == lie->publisher;
    case QUARTET_PAGE:
        return !is_about_dead && subscriber == lie->subscriber;
    case QUARTET_ENTRY:
        return !is_about_dead && subscriber == lie->subscriber && publisher == lie->publisher;
    }
    return true;
}

/* Whether its sends may be refused. */
static bool is_stopped(unsigned publisher)
{
    if (!lie)
        return false;
    switch (lie->part) {
    case QUARTET_HEAD:
        return false;
    case QUARTET_COUNTS:
        return publisher == QUARTET_THIRD;
    case QUARTET_SLOT:
        return lie->role == WEIR__SUBSCRIBER || publisher == lie->publisher ||
               publisher == QUARTET_THIRD;
    case QUARTET_LANE:
        return !is_about_dead && publisher == lie->publisher;
    case QUARTET_PAGE: /* who waits for nobody needs none of it */
        return lag_max_bytes == 0;
    case QUARTET_ENTRY:
        return publisher == lie->publisher;
    }
    return true;
}

/* Whether it may be told of an error. */
static bool is_told(unsigned subscriber)
{
    bool is_any = lie && (lie->part == QUARTET_SLOT || is_about_dead);
    for (unsigned publisher = 0; publisher < COUNT; publisher++)
        is_any |= is_disturbed(subscriber, publisher);
    return is_any;
}

/* Messages, and the books. */

static unsigned char byte_of(const struct head *head)
{
    return (unsigned char)(head->publisher * 101 + head->number * 7 + 1);
}

static void publish(unsigned publisher, size_t size_bytes)
{
    static _Alignas(8) unsigned char bytes[CAPACITY / 4];
    struct head head = { MAGIC, publisher, (uint32_t)size_bytes, sent[publisher] };
    int64_t before_ns = weir_now_ns();
    memset(bytes, byte_of(&head), size_bytes);
    memcpy(bytes, &head, sizeof head);
    int result =
        weir_publisher_send_until(quartet_publishers[publisher], bytes, size_bytes, publisher, NOW);
    victim_expect("send", result, before_ns, 0);
    if (result == 0)
        sent[publisher]++;
    else if (!is_stopped(publisher))
        victim_complain("a publisher that nothing disturbs cannot send");
}

void quartet_publish(unsigned count, size_t size_bytes)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned publisher = 0; publisher < COUNT; publisher++)
            if (quartet_publishers[publisher])
                publish(publisher, size_bytes);
}

/* From whom it is; false: it says nothing that can be true. */
static bool read_head(const struct weir_message *message, struct head *head)
{
    const unsigned char *bytes = message->data;
    if (message->size_bytes < sizeof *head)
        return false;
    memcpy(head, bytes, sizeof *head);
    if (head->magic != MAGIC || head->publisher >= COUNT || head->publisher != message->type ||
        head->size_bytes != message->size_bytes || head->number >= sent[head->publisher])
        return false;
    for (size_t i = sizeof *head; i < message->size_bytes; i++)
        if (bytes[i] != byte_of(head))
            return false;
    return true;
}

static void note(unsigned subscriber, const struct weir_message *message)
{
    struct head head;
    victim_expect_inside(message);
    if (!read_head(message, &head)) {
        bool is_any = is_about_dead && lie;
        for (unsigned publisher = 0; publisher < COUNT; publisher++)
            is_any |= is_disturbed(subscriber, publisher);
        if (!is_any)
            victim_complain("a message that nobody has sent");
        return;
    }
    uint64_t *expected = &next[subscriber][head.publisher];
    if (!is_disturbed(subscriber, head.publisher) &&
        (head.number != *expected + message->missed || (message->missed > 0 && !lag_max_bytes)))
        victim_complain("a message is not the next one");
    *expected = head.number + 1;
}

static struct weir_message held;

void quartet_hold(void)
{
    assert_result(weir_subscriber_take_until(quartet_subscribers[0], &held, NOW), 0);
    note(0, &held);
}

void quartet_let_go(void)
{
    struct head head;
    victim_expect_inside(&held);
    if (!is_disturbed(0, held.type) && (!read_head(&held, &head) || head.number != held.sequence))
        victim_complain("what is held was overwritten");
    if (weir_subscriber_release(quartet_subscribers[0], &held) != 0)
        victim_complain("what is held cannot be released");
}

static void drain(unsigned subscriber)
{
    enum { TAKES_MAX = 300, ERRORS_MAX = 8 };
    struct weir_message message;
    char text[160];
    unsigned errors = 0;
    int result = 0;
    for (unsigned takes = 0; result != -EAGAIN && errors < ERRORS_MAX; takes++) {
        int64_t before_ns = weir_now_ns();
        result = weir_subscriber_take_until(quartet_subscribers[subscriber], &message, NOW);
        victim_expect("take", result, before_ns, 0);
        if (takes == TAKES_MAX)
            victim_complain("there is no end of messages");
        if (result == 0) {
            note(subscriber, &message);
            if (weir_subscriber_release(quartet_subscribers[subscriber], &message) != 0)
                victim_complain("a message that is held cannot be released");
        } else if (result != -EAGAIN) {
            errors++;
            if (!is_told(subscriber) && !(result == -EOVERFLOW && lag_max_bytes)) {
                snprintf(text, sizeof text, "a subscriber that nothing disturbs gets %d", result);
                victim_complain(text);
            }
        }
    }
    for (unsigned publisher = 0; publisher < QUARTET_PLACES; publisher++)
        if (!is_disturbed(subscriber, publisher) && next[subscriber][publisher] != sent[publisher])
            victim_complain("what a publisher that nothing disturbs has sent does not come");
}

void quartet_drain(void)
{
    for (unsigned subscriber = 0; subscriber < COUNT; subscriber++)
        if (quartet_subscribers[subscriber])
            drain(subscriber);
}
