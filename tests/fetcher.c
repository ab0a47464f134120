/* SPDX-License-Identifier: MIT */
#include "fetcher.h"

#include "fetcher_scenes.h"
#include "fixture.h"
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

enum {
    CANARY = 0xa5,
    HANG_SECONDS = 30,
};

struct fetcher_board *fetcher_board;

static uint64_t tail; /* before the call */
static int64_t began_ns;

/* A call that is halted again and again, on a busy machine. */
#define LATE_NS (10 * SECOND_NS)

unsigned fetcher_scene_count(void)
{
    return scene_count;
}

const char *fetcher_scene_what(unsigned scene)
{
    return scenes[scene].what;
}

bool fetcher_scene_waits(unsigned scene)
{
    return scenes[scene].flags & WAITS;
}

enum fetcher_part fetcher_scene_part(unsigned scene)
{
    if (scenes[scene].flags & PUBLISHER)
        return FETCHER_PUBLISHER;
    return scenes[scene].flags & LOSSY ? FETCHER_LOSSY : FETCHER_RELIABLE;
}

/* --- its words, as it sees them ------------------------------------------------------------------ */

enum { SEGMENTS = 3 }; /* directory, lane, page */

static char *victim_has[SEGMENTS], *liar_has[SEGMENTS];
static bool is_calling;

static void halt(enum fetcher_stop stop)
{
    fetcher_board->stop = stop;
    raise(SIGSTOP);
}

/* Which one the byte is of, as the liar has it. */
static unsigned segment_of(const void *at)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        if (liar_has[i] && (uintptr_t)at - (uintptr_t)liar_has[i] < guard_size(liar_has[i]))
            return i;
    CHECK(false);
    return 0;
}

static char *header_of(const struct weir__directory *directory)
{
    return (char *)directory->roles[WEIR__PUBLISHER].at -
           offsetof(struct weir__directory_shm, slots) - WEIR__HEADER_BYTES;
}

static void find_segments(const struct scene *scene)
{
    memset(victim_has, 0, sizeof victim_has);
    liar_has[0] = (char *)liar_header;
    liar_has[1] = (char *)liar_lane;
    liar_has[2] = (char *)liar_page;
    if (scene->flags & (JOINS | TAPS)) /* the rest is known once it has it */
        return;
    if (scene->flags & PUBLISHER) {
        victim_has[0] = header_of(&victim_publisher->side.directory);
        victim_has[1] = (char *)victim_publisher->lane;
        if (victim_publisher->reader_count > 0)
            victim_has[2] = (char *)(uintptr_t)victim_publisher->readers[0].page;
    } else {
        CHECK(victim_subscriber->lane_count == 1);
        victim_has[0] = header_of(&victim_subscriber->side.directory);
        victim_has[1] = (char *)(uintptr_t)victim_subscriber->lanes[0]->shm;
        victim_has[2] = (char *)victim_subscriber->page;
    }
}

/* Where they are loaded, of what the victim has by now. */
static void address_words(void)
{
    for (unsigned i = 0; i < fetcher_board->word_count; i++) {
        struct fetcher_word *word = &fetcher_board->words[i];
        unsigned segment = segment_of((void *)word->written);
        if (victim_has[segment])
            word->watched =
                (uintptr_t)victim_has[segment] + (word->written - (uintptr_t)liar_has[segment]);
    }
}

/* Those that the call may load: nobody believes what he alone writes. */
static void list_words(const struct scene *scene)
{
    struct liar_word words[LIAR_WORDS_MAX];
    bool is_publisher = scene->flags & PUBLISHER;
    unsigned which = LIAR_HEADER | LIAR_DIRECTORY |
                     (is_publisher ? LIAR_PAGE : LIAR_LANE | LIAR_RECORDS | LIAR_MARKS);
    size_t count = liar_words(words, which);
    fetcher_board->word_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct fetcher_word *word = &fetcher_board->words[fetcher_board->word_count];
        bool is_twice = false; /* a mark */
        for (size_t k = 0; k < i; k++)
            is_twice |= words[k].at == words[i].at;
        if (is_twice)
            continue;
        *word = (struct fetcher_word){ .written = (uintptr_t)words[i].at,
                                       .size_bytes = (unsigned)words[i].size_bytes,
                                       .is_header = strncmp(words[i].what, "header ", 7) == 0,
                                       .truth = liar_load(&words[i]) };
        snprintf(word->what, sizeof word->what, "%s", words[i].what);
        fetcher_board->word_count++;
    }
    find_segments(scene);
    address_words();
}

/* The victim attaches one, while it joins: the words in it can be watched from now on. */
static void see_attached(void *memory, size_t size_bytes)
{
    bool is_new = false;
    for (unsigned i = 0; is_calling && i < SEGMENTS; i++) {
        if (!liar_has[i] || victim_has[i] || guard_size(liar_has[i]) != size_bytes ||
            memcmp(memory, liar_has[i], 8) != 0)
            continue;
        victim_has[i] = memory;
        is_new = true;
    }
    if (!is_new)
        return;
    address_words();
    halt(FETCHER_ATTACHED);
}

/* --- what it gave -------------------------------------------------------------------------------- */

static const struct fetcher_word *lied_word(void)
{
    return fetcher_board->is_lie ? &fetcher_board->words[fetcher_board->which] : NULL;
}

static bool is_like(const struct weir_message *message, uint64_t header)
{
    return (header & WEIR__RECORD_FLAGS) == WEIR__RECORD_MARK &&
           message->size_bytes == weir__record_length(header) &&
           message->type == weir__record_type(header);
}

static unsigned char *ring_at(uint64_t position)
{
    return weir__ring_at((unsigned char *)liar_lane + WEIR__LANE_RING_OFFSET, CAPACITY, position);
}

/* All that is said of it is of one header, the one there or the lie, and so are its bytes. */
static void check_message(const struct scene *scene, const struct weir_message *message)
{
    const struct fetcher_word *word = lied_word();
    const unsigned char *at = ring_at(message->position);
    uint64_t header;
    memcpy(&header, at, sizeof header);
    bool is_sound = is_like(message, header) || (word && word->written == (uintptr_t)at &&
                                                 is_like(message, fetcher_board->lie));
    if (!is_sound || message->size_bytes > CAPACITY / 4 - 8 ||
        (message->position & (CAPACITY - 1)) + 8 + message->size_bytes > CAPACITY)
        victim_complain("a message that no header says");
    if ((scene->flags & TYPED) && message->size_bytes != 8)
        victim_complain("a message that is not of the type");
    if (memcmp(message->data, at + 8, message->size_bytes) != 0)
        victim_complain("a message with other bytes than were sent");
}

static bool is_of_entry(const struct fetcher_word *word)
{
    return word && strncmp(word->what, "liar_entry()", 12) == 0;
}

static void check_copies(const struct scene *scene, int count)
{
    const unsigned char *first = count > 0 ? played.messages[0].data : played.room + ROOM_BYTES;
    const struct weir_message *last = count > 0 ? &played.messages[count - 1] : NULL;
    if (scene->flags & LOSSY) /* what was overwritten while it was copied was copied */
        return;
    size_t before = (size_t)(first - played.room);
    if (before > ROOM_BYTES || !all_bytes(played.room, before, CANARY))
        victim_complain("bytes in front of the messages");
    const unsigned char *end = last ? (const unsigned char *)last->data + last->size_bytes : first;
    if (end > played.room + ROOM_BYTES ||
        !all_bytes(end, (size_t)(played.room + ROOM_BYTES - end), CANARY))
        victim_complain("more bytes than the messages have");
}

static bool is_pad_to(uint64_t position, uint64_t header, uint64_t end)
{
    return (header & WEIR__RECORD_FLAGS) == (WEIR__RECORD_MARK | WEIR__RECORD_PAD) &&
           position + weir__pad_bytes(header) == end;
}

/* All of them, and perhaps the pad behind them. */
static bool is_given_back(const struct weir_message *last)
{
    const struct fetcher_word *word = lied_word();
    uint64_t end = last->position + weir__record_bytes(last->size_bytes), header;
    uint64_t cursor = atomic_load(&liar_entry()->cursor);
    memcpy(&header, ring_at(end), sizeof header);
    return cursor == end || is_pad_to(end, header, cursor) ||
           (word && word->written == (uintptr_t)ring_at(end) &&
            is_pad_to(end, fetcher_board->lie, cursor));
}

static void check_received(const struct scene *scene, int count)
{
    if (count > MANY)
        victim_complain("more messages than there is room for");
    for (int i = 0; i < count; i++) {
        if (!(scene->flags & COPIES))
            victim_expect_inside(&played.messages[i]);
        check_message(scene, &played.messages[i]);
        if (i > 0 && !(scene->flags & LOSSY) &&
            played.messages[i].sequence != played.messages[i - 1].sequence + 1)
            victim_complain("messages without order");
    }
    if (!(scene->flags & COPIES))
        return;
    check_copies(scene, count);
    if (count > 0 && !played.is_held && !(scene->flags & TAPS) && !is_of_entry(lied_word()) &&
        !is_given_back(&played.messages[count - 1]))
        victim_complain("more, or less, is given back than was received");
}

/* No reader may believe it, wherever it stands. */
static bool is_false(uint64_t header)
{
    uint64_t length = weir__record_length(header), flags = header & WEIR__RECORD_FLAGS;
    if (flags == WEIR__RECORD_MARK)
        return length > weir__record_max(CAPACITY);
    if (flags == (WEIR__RECORD_MARK | WEIR__RECORD_PAD))
        return (weir__pad_bytes(header) & 7) != 0 || weir__pad_bytes(header) >= CAPACITY;
    return header != 0;
}

static void check_result(const struct scene *scene, int result)
{
    const struct fetcher_word *word = lied_word();
    bool is_refused =
        (scene->flags & (JOINS | TAPS)) && (result == -EBUSY || result == -EPROTONOSUPPORT);
    victim_expect("the call", result > 0 || is_refused ? 0 : result, began_ns, LATE_NS);
    if (!word && result != scene->result)
        victim_complain("another result than the scene is for");
    if (word && word->is_header && is_false(fetcher_board->lie) && result < 0 &&
        result != -EUCLEAN && scene->result >= 0 && !(scene->flags & LOSSY))
        victim_complain("a header that cannot be true is not called so");
}

/* --- and how it goes on -------------------------------------------------------------------------- */

static void commit_loans(int count, bool is_of_many)
{
    for (int i = 0; i < count; i++) {
        if (!guard_holds(played.places[i], LARGE))
            victim_complain("a loan leaves its ring");
        memset(played.places[i], 1, LARGE);
        uint64_t number = played.sent + (uint64_t)i;
        memcpy(played.places[i], &number, sizeof number);
    }
    int result = count <= 0 ? 0
                 : is_of_many
                     ? weir_publisher_commit_many(victim_publisher, NULL, NULL, (size_t)count)
                     : weir_publisher_commit(victim_publisher, LARGE, 0);
    if (result != 0)
        victim_complain("loans cannot be committed");
    played.sent += count > 0 ? (uint64_t)count : 0;
}

/* Whether a true word could say that: then the subscriber gets what it asked for. */
static bool may_be_true(const struct fetcher_word *word, uint64_t value)
{
    if (!word || strncmp(word->what, "liar_directory", 14) == 0 ||
        strcmp(word->what, "page.epoch") == 0)
        return false;
    return strcmp(word->what, "liar_entry().cursor") != 0 ||
           (value >= word->truth && value <= tail);
}

/* All that is there, in its order, each with its number, up to the last that was sent. */
static void read_all(void)
{
    struct weir_message message;
    uint64_t number, next = 0;
    int result;
    while ((result = weir_subscriber_take_until(victim_subscriber, &message, NOW)) == 0) {
        memcpy(&number, message.data, sizeof number);
        if (message.size_bytes < sizeof number || number != message.sequence ||
            (next != 0 && number != next))
            victim_complain("a message was overwritten before it was read");
        next = number + 1;
        CHECK_RESULT(weir_subscriber_release(victim_subscriber, &message), 0);
    }
    if (result != -EAGAIN || (next != 0 && next != played.sent))
        victim_complain("messages were lost");
}

/* What it believed of a lie would have it write over what is not read yet. */
static void go_on_sending(const struct scene *scene, int result)
{
    if (scene->flags & LENDS)
        commit_loans(result, scene->flags & MANY_LENT);
    if ((scene->flags & (JOINS | EVICTS)) || may_be_true(lied_word(), fetcher_board->lie))
        return;
    for (int i = 0; i < 100 && scene_send(LARGE, 0) == 0; i++)
        ;
    read_all();
}

static void go_on_receiving(void)
{
    struct weir_message message;
    int result = 0;
    for (int i = 0; i < 20 && result == 0; i++) {
        result = weir_subscriber_take_until(victim_subscriber, &message, NOW);
        victim_expect("a call behind it", result, weir_now_ns(), 0);
        if (result != 0)
            continue;
        victim_expect_inside(&message);
        CHECK_RESULT(weir_subscriber_release(victim_subscriber, &message), 0);
    }
}

static void check_all(const struct scene *scene, int result)
{
    bool is_publisher = scene->flags & PUBLISHER;
    snprintf(victim_place, sizeof victim_place, "%.150s", fetcher_board->place);
    check_result(scene, result);
    if (is_publisher && victim_publisher) {
        go_on_sending(scene, result);
    } else if (!is_publisher && victim_subscriber) {
        if (!(scene->flags & (JOINS | GIVES)))
            check_received(scene, result);
        go_on_receiving();
    }
}

/* --- round after round --------------------------------------------------------------------------- */

static void begin(const struct scene *scene)
{
    alarm(HANG_SECONDS);
    played.sent = 0;
    played.is_held = false;
    memset(played.room, CANARY, ROOM_BYTES);
    victim_options.delivery = scene->flags & LOSSY ? WEIR_DELIVERY_LOSSY : WEIR_DELIVERY_CHANNEL;
    victim_options.start = scene->flags & JOINS ? WEIR_START_BACK : WEIR_START_NOW;
    victim_options.start_back = 2;
    victim_options.type_name = scene->flags & TYPED ? "word" : NULL;
    victim_options.type_bytes = scene->flags & TYPED ? 8 : 0;
    scene->lay();
    CHECK(liar_attach());
    list_words(scene);
    tail = victim_publisher ? victim_publisher->tail : 0;
}

/* A publisher waits at its end for a slice, where a cursor cannot be. */
static void end(void)
{
    weir_subscriber_close(victim_subscriber);
    victim_subscriber = NULL;
    victim_close();
    liar_restore_directory();
    liar_detach();
}

static void live_a_round(const struct scene *scene)
{
    begin(scene);
    halt(FETCHER_CALLS);
    is_calling = true;
    began_ns = weir_now_ns();
    int result = scene->call();
    is_calling = false;
    fetcher_board->result = result;
    halt(FETCHER_RETURNED);
    check_all(scene, result);
    end();
}

void fetcher_live(void *argument)
{
    (void)argument;
    played.room = guard_new(ROOM_BYTES);
    guard_attached = see_attached;
    for (;;) {
        halt(FETCHER_READY);
        if (fetcher_board->is_over)
            return;
        live_a_round(&scenes[fetcher_board->scene]);
    }
}
