/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever stands in the shared memory, no call reads or writes outside of it, hangs, or
 *       gives a result that is not documented; and a writer never waits for what readers wrote.
 * Method: both parts lie between pages that nobody may touch. Each word gets each of many values,
 *       before and after the handles are opened; then all calls are made. And a liar, a process,
 *       stores into random words while all calls are made.
 */
#include "fixture.h"
#include "given.h"
#include "latest_world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

#define MAX_BYTES 100
#define BUFFERS 4
#define HOLDS 2
#define PAGE 4096
#define BOUND_NS ((SANITIZED ? 10 : 1) * WEIR_SECOND_NS)

static struct weir_latest_memory memory;
static const struct weir_latest_options options = {
    .size = sizeof options, .value_bytes_max = MAX_BYTES, .buffers = BUFFERS, .holds = HOLDS
};
static struct weir_latest_writer *writer;
static struct weir_latest_reader *reader, *poor; /* poor: without the readers' part */
static char place[100];                          /* what was lied about, for messages */

/* Pages in shared memory between two that nobody may touch; ends at its last byte. */
static void *guarded(uint64_t size_bytes)
{
    uint64_t pages = (size_bytes + PAGE - 1) / PAGE * PAGE;
    char *area = mmap(NULL, pages + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    assert_true(mmap(area + PAGE, pages, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    return area + PAGE + pages - size_bytes;
}

static struct word {
    const char *what;
    void *at;
    size_t size_bytes;
} words[64];
static unsigned word_count;

static void add_word(const char *what, void *at, size_t size_bytes)
{
    words[word_count++] = (struct word){ what, at, size_bytes };
}

static void list_words(void)
{
    struct weir__latest_values_shm *values = memory.values;
    struct weir__latest_readers_shm *readers = memory.readers;
    add_word("values.magic", &values->ready.magic, 8);
    add_word("values.geometry", &values->ready.geometry, 8);
    add_word("owner.word", &values->owner.word, 8);
    add_word("owner.name", &values->owner.name, 8);
    add_word("index", &values->index, 8);
    for (unsigned i = 0; i < BUFFERS; i++) {
        char *head = (char *)memory.values + WEIR__LATEST_BUFFERS_OFFSET +
                     (size_t)256 * i /* 64 + 100, in steps of 128 */;
        add_word("seq", head, 8);
        add_word("size_bytes", head + 8, 8);
    }
    add_word("hot_seq", &values->hot_seq, 8);
    add_word("more_seq", &values->more_seq, 8);
    add_word("readers.magic", &readers->ready.magic, 8);
    add_word("readers.geometry", &readers->ready.geometry, 8);
    add_word("watch", &readers->watch, 4);
    for (unsigned i = 0; i < HOLDS; i++)
        add_word("hold", &readers->hold[i].word, 8);
    for (unsigned i = 0; i < HOLDS; i++)
        add_word("hold's name", &readers->hold[i].name, 8);
}

static uint64_t load(const struct word *word)
{
    uint64_t value = 0;
    memcpy(&value, word->at, word->size_bytes);
    return value;
}

static void store(const struct word *word, uint64_t value)
{
    memcpy(word->at, &value, word->size_bytes);
}

enum { LIES = 26 };

static uint64_t lie(unsigned which, uint64_t old)
{
    static const uint64_t values[] = { 0,
                                       1,
                                       UINT64_MAX,
                                       UINT64_C(1) << 63,
                                       0x100,
                                       0x103,
                                       0x104,
                                       0x1ff,
                                       MAX_BYTES,
                                       MAX_BYTES + 1,
                                       UINT64_C(1) << 32,
                                       UINT64_C(0xffffffffffffff00),
                                       UINT64_C(0xffffffffffffff01),
                                       4,
                                       5 };
    if (which < ARRAY_SIZE(values))
        return values[which];
    switch (which - ARRAY_SIZE(values)) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    case 2:
        return old ^ UINT64_C(1) << 40;
    case 3:
        return ~old;
    case 4:
        return old << 1;
    case 5:
        return old ^ 0xff;
    case 6: /* a geometry that is possible, and larger */
        return UINT64_C(4000) << 20 | 200 << 12 | HOLDS << 4;
    case 7: /* one whose size overflows nothing, and is larger than any memory */
        return UINT64_MAX << 20 | UINT64_C(255) << 12 | 253 << 4;
    case 8: /* a version that is true, of another size */
        return (old & ~UINT64_C(0xff)) | 64;
    case 9:
        return (old & ~UINT64_C(0xff)) | 8;
    default:
        return old + 0x100;
    }
}

/* The calls that follow are made with one lie; the time in which the machine does not run them is left out. */
static int64_t stood_before_ns;

static void begin_calls(void)
{
    stood_before_ns = given_stood_ns();
}

static bool is_late(int64_t took_ns)
{
    return took_ns > BOUND_NS && took_ns - (given_stood_ns() - stood_before_ns) > BOUND_NS;
}

static void expect(const char *call, int result, int64_t before_ns, int allowed, ...)
{
    va_list more;
    int64_t took_ns = weir_now_ns() - before_ns;
    if (is_late(took_ns))
        fail_msg("%s: %s took %d ms", place, call, (int)(took_ns / 1000000));
    va_start(more, allowed);
    bool is_allowed = result == 0;
    for (int code = allowed; code != 0; code = va_arg(more, int))
        is_allowed |= result == code;
    va_end(more);
    if (!is_allowed)
        fail_msg("%s: %s gives %d: %s", place, call, result, weir_last_error());
}

static bool is_by_name; /* its reader has a mapping and a geometry of its own, which may be a lie */

static bool is_possible(const struct weir_latest_reader *who, uint64_t size_bytes)
{
    return size_bytes <= (is_by_name ? weir_latest_reader_max_bytes(who) : MAX_BYTES);
}

static bool is_inside(const struct weir_latest_value *value)
{
    const char *data = value->data, *from = memory.values;
    if (is_by_name)
        return value->size_bytes < memory.values_bytes;
    return data >= from && value->size_bytes <= MAX_BYTES &&
           data + value->size_bytes <= from + memory.values_bytes;
}

#define TRY(call, ...)                                                                             \
    do {                                                                                           \
        int64_t before_ns = weir_now_ns();                                                         \
        result = (call);                                                                           \
        expect(#call, result, before_ns, __VA_ARGS__, 0);                                          \
    } while (0)

/* All that a reader calls. What it sees in place is read to its last byte. */
static void use_reader(struct weir_latest_reader *who)
{
    struct weir_latest_value value, held;
    static unsigned char bytes[3 * MAX_BYTES];
    int result;
    TRY(weir_latest_read(who, bytes, sizeof bytes, &value), -EAGAIN, -EUCLEAN,
        is_by_name ? -EMSGSIZE : -EUCLEAN);
    if (result == 0)
        assert_true(is_possible(who, value.size_bytes));
    TRY(weir_latest_read(who, bytes, 1, &value), -EAGAIN, -EUCLEAN, -EMSGSIZE);
    TRY(weir_latest_peek(who, &value), -EAGAIN, -EUCLEAN);
    if (result == 0) {
        assert_true(is_inside(&value) && is_possible(who, value.size_bytes));
        value_number(value.data, value.size_bytes);
        TRY(weir_latest_check(who, &value), -EAGAIN);
    }
    TRY(weir_latest_hold(who, &held), -EAGAIN, -EUCLEAN, -ENOBUFS, -EOPNOTSUPP);
    if (result == 0) {
        assert_true(is_inside(&held) && is_possible(who, held.size_bytes));
        value_number(held.data, held.size_bytes);
        TRY(weir_latest_release(who, &held), 0);
    }
    weir_latest_version(who); /* of whatever number */
    TRY(weir_latest_wait_until(who, 0, 0), -EAGAIN);
    TRY(weir_latest_wait_until(who, UINT64_MAX, weir_deadline_ns(100000)), -ETIMEDOUT, -EPIPE);
}

/* All that a writer calls: none of it fails because of what others wrote. */
static void use_writer(void)
{
    static unsigned char bytes[MAX_BYTES];
    void *data;
    int result;
    for (unsigned i = 0; i < 3; i++) {
        TRY(weir_latest_write(writer, bytes, sizeof bytes), 0);
        TRY(weir_latest_loan(writer, &data), 0);
        memset(data, 1, MAX_BYTES);
        TRY(weir_latest_commit(writer, MAX_BYTES), 0);
        TRY(weir_latest_loan(writer, &data), 0);
        memset(data, 2, MAX_BYTES);
        weir_latest_abandon(writer);
    }
}

static void use_openings(void)
{
    struct weir_latest_writer *other;
    struct weir_latest_reader *reading;
    int result;
    TRY(weir_latest_init(&memory, &options), -EINVAL, -EPROTO, -EPROTONOSUPPORT);
    TRY(weir_latest_reader_open(&reading, &memory), -EAGAIN, -EPROTO, -EPROTONOSUPPORT, -EINVAL,
        -EUCLEAN);
    if (result == 0)
        weir_latest_reader_close(reading);
    int64_t before_ns = weir_now_ns();
    result = weir_latest_writer_open(&other, &memory);
    expect("writer_open", result, before_ns, WEIR_OWNER_DIED, -EBUSY, -EAGAIN, -EPROTO,
           -EPROTONOSUPPORT, -EINVAL, -EUCLEAN, 0);
    if (result >= 0)
        weir_latest_writer_close(other);
}

static void start_afresh(void)
{
    struct weir_latest_memory alone = memory;
    memset(memory.values, 0, memory.values_bytes);
    memset(memory.readers, 0, memory.readers_bytes);
    alone.readers = NULL;
    begin_calls();
    assert_result(weir_latest_init(&memory, &options), 0);
    assert_result(weir_latest_writer_open(&writer, &memory), 0);
    assert_result(weir_latest_reader_open(&reader, &memory), 0);
    assert_result(weir_latest_reader_open(&poor, &alone), 0);
    use_writer();
}

static void end(void)
{
    weir_latest_writer_close(writer);
    weir_latest_reader_close(reader);
    weir_latest_reader_close(poor);
}

/* The hot cell says nothing: whoever reads has to go over the index. */
static void cool(void)
{
    struct weir__latest_values_shm *values = memory.values;
    atomic_store_explicit(&values->hot_seq, 0, memory_order_relaxed);
}

static void tell_each_lie(struct word *word, bool is_cold)
{
    for (unsigned which = 0; which < LIES; which++) {
        start_afresh();
        uint64_t value = lie(which, load(word));
        snprintf(place, sizeof place, "%s %u is 0x%llx%s", word->what, (unsigned)(word - words),
                 (unsigned long long)value, is_cold ? ", the hot cell is empty" : "");
        if (is_cold)
            cool();
        store(word, value);
        use_openings();
        use_reader(reader);
        use_reader(poor);
        store(word, value);
        use_writer();
        if (is_cold)
            cool();
        store(word, value);
        use_reader(reader);
        use_reader(poor);
        end();
    }
}

static void test_each_word_each_lie(void **state)
{
    (void)state;
    for (unsigned i = 0; i < word_count; i++) {
        tell_each_lie(&words[i], false);
        tell_each_lie(&words[i], true);
    }
}

/* The latest value is there again with the next write, whatever was done to index, heads and hot cell. */
static void test_a_write_mends_the_index(void **state)
{
    unsigned char bytes[MAX_BYTES], copy[MAX_BYTES];
    struct weir_latest_value value;
    (void)state;
    start_afresh();
    for (unsigned i = 4; i < 7 + 2 * BUFFERS; i++) {
        store(&words[i], UINT64_C(0x1234567));
        value_fill(bytes, sizeof bytes, i);
        assert_result(weir_latest_write(writer, bytes, sizeof bytes), 0);
        assert_result(weir_latest_read(reader, copy, sizeof copy, &value), 0);
        assert_int_equal(value_number(copy, sizeof copy), i);
    }
    end();
}

#define NAME weir_by_name("lies")

static void open_by_name(uint32_t flags)
{
    struct weir_latest_options how = { .size = sizeof how, .flags = flags };
    struct weir_latest_reader *reading;
    int result;
    TRY(weir_latest_open(&reading, NAME, &how), -EAGAIN, -EPROTO, -EPROTONOSUPPORT, -EINVAL,
        -EUCLEAN);
    if (result != 0)
        return;
    use_reader(reading);
    weir_latest_reader_close(reading);
}

/* By its name, also with the geometry that it had: as another writer, and as readers of both kinds. */
static void use_name(void)
{
    const struct weir_latest_options *const how[] = { NULL, &options };
    is_by_name = true;
    open_by_name(0);
    open_by_name(WEIR_LATEST_READ_ONLY);
    for (unsigned i = 0; i < ARRAY_SIZE(how); i++) {
        struct weir_latest_writer *other;
        int64_t before_ns = weir_now_ns();
        int result = weir_latest_create(&other, NAME, how[i]);
        expect("create", result, before_ns, WEIR_OWNER_DIED, -EBUSY, -EAGAIN, -EPROTO,
               -EPROTONOSUPPORT, -EINVAL, -EUCLEAN, 0);
        if (result >= 0)
            weir_latest_writer_close(other);
    }
    is_by_name = false;
}

/* What has a name has the size that its segment has, not the one that its memory says. */
static void test_each_lie_by_name(void **state)
{
    struct weir_latest_memory before = memory;
    struct weir_segment_options of_segment = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    (void)state;
    of_segment.kind = WEIR__LATEST_KIND;
    assert_result(weir_latest_create(&writer, NAME, &options), 0);
    assert_result(weir_segment_open(&segment, NAME, 0, &of_segment), 0);
    memory.values = weir_segment_data(segment);
    memory.readers = (char *)memory.values + memory.values_bytes;
    unsigned count = word_count;
    word_count = 0;
    list_words();
    assert_int_equal(word_count, count);
    weir_latest_writer_close(writer);
    for (unsigned i = 0; i < word_count * LIES; i++) {
        memset(memory.values, 0, memory.values_bytes + memory.readers_bytes);
        begin_calls();
        assert_result(weir_latest_create(&writer, NAME, &options), 0);
        use_writer();
        struct word *word = &words[i / LIES];
        uint64_t value = lie(i % LIES, load(word));
        snprintf(place, sizeof place, "by name, %s %u is 0x%llx", word->what, i / LIES,
                 (unsigned long long)value);
        store(word, value);
        use_name();
        store(word, value);
        use_writer();
        use_name();
        weir_latest_writer_close(writer);
    }
    weir_segment_close(segment);
    memory = before;
    word_count = 0;
    list_words();
}

static void lie_on(void)
{
    uint64_t random = 88172645463325252u, values[4] = { 0, 0x101, MAX_BYTES, UINT64_MAX };
    for (;;) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const struct word *word = &words[random % word_count];
        uint64_t other = load(&words[(random >> 8) % word_count]);
        switch (random >> 16 & 3) {
        case 0:
            store(word, values[random >> 20 & 3]);
            break;
        case 1:
            store(word, load(word) + (random >> 20 & 7) - 3);
            break;
        case 2:
            store(word, other);
            break;
        default:
            store(word, random >> 24);
        }
    }
}

static void test_a_liar_at_work(void **state)
{
    int64_t until_ns = weir_deadline_ns((SANITIZED ? 4 : 2) * WEIR_SECOND_NS);
    int status;
    (void)state;
    start_afresh();
    snprintf(place, sizeof place, "a liar at work");
    fflush(NULL);
    pid_t liar = fork();
    if (liar == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        lie_on();
    }
    assert_true(liar > 0);
    while (weir_now_ns() < until_ns) {
        begin_calls();
        use_writer();
        use_reader(reader);
        use_reader(poor);
        use_openings();
    }
    assert_int_equal(kill(liar, SIGKILL), 0);
    assert_int_equal(waitpid(liar, &status, 0), liar);
    end();
}

static void hold_on(void)
{
    struct weir__latest_readers_shm *readers = memory.readers;
    uint64_t random = 88172645463325252u;
    for (;;) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        for (unsigned i = 0; i < HOLDS; i++)
            atomic_store_explicit(&readers->hold[i].word, (random >> 8 * i) % (BUFFERS + 1),
                                  memory_order_relaxed);
    }
}

/* Holds that come and go on every buffer, faster than any reader's: the writer always finds one. */
static void test_holds_everywhere(void **state)
{
    unsigned char bytes[MAX_BYTES], copy[MAX_BYTES];
    struct weir_latest_value value;
    int64_t until_ns = weir_deadline_ns((SANITIZED ? 4 : 1) * WEIR_SECOND_NS);
    int status;
    (void)state;
    start_afresh();
    fflush(NULL);
    pid_t liar = fork();
    if (liar == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        hold_on();
    }
    assert_true(liar > 0);
    for (uint64_t number = 0; number < 20000 || weir_now_ns() < until_ns; number++) {
        value_fill(bytes, sizeof bytes, number);
        assert_result(weir_latest_write(writer, bytes, sizeof bytes), 0);
        assert_result(weir_latest_read(poor, copy, sizeof copy, &value), 0);
        assert_int_equal(value_number(copy, sizeof copy), number);
    }
    assert_int_equal(kill(liar, SIGKILL), 0);
    assert_int_equal(waitpid(liar, &status, 0), liar);
    end();
}

static int lies_start(void **state)
{
    if (weir_latest_bytes(&options, &memory) != 0)
        return -1;
    memory.values = guarded(memory.values_bytes);
    memory.readers = guarded(memory.readers_bytes);
    list_words();
    return fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_word_each_lie),      cmocka_unit_test(test_each_lie_by_name),
        cmocka_unit_test(test_a_write_mends_the_index), cmocka_unit_test(test_a_liar_at_work),
        cmocka_unit_test(test_holds_everywhere),
    };
    return cmocka_run_group_tests(tests, lies_start, fixture_end);
}
