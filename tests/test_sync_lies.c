/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever stands in a mutex, condition, event, semaphore or once, a call gives a result that
 *       its header knows, or waits until its deadline: never a crash, an access outside of the
 *       object, or a loop that does not end.
 * Method: the objects lie before a page that nobody may touch. Every word of each is set to each of
 *       a row of values, at rest and while it is held; then all calls are made. And a process writes
 *       such values at full speed, while others use the object.
 */
#include "actor.h"
#include "fixture.h"
#include "given.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/condition.h>
#include <weir/event.h>
#include <weir/once.h>
#include <weir/semaphore.h>

#include "base/atomics.h"

#define MS WEIR_MILLISECOND_NS
#define WAIT_NS (MS / 2)

/* No call with a deadline may take so long. */
#define LATE_NS (2 * WEIR_SECOND_NS)

enum { RUN_SECONDS = 1 };

/* Each ends where its page does. */
static struct weir_mutex *mutex;
static struct weir_condition *condition;
static struct weir_event *event;
static struct weir_semaphore *semaphore;
static struct weir_once *once;

static struct notes {
    uint64_t living, dead;
    weir__atomic_u32 is_over;
    weir__atomic_u32 calls;
} * notes;

/* Shared memory of so many bytes before a page that nobody may touch. */
static void *place(size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    return memory + page - size_bytes;
}

static struct object {
    const char *what;
    void *at;
    size_t size_bytes;
} objects[5];

static int tell_identity(void *unused)
{
    (void)unused;
    return weir_identity(&notes->living);
}

static int lies_start(void **state)
{
    int result = fixture_start(state);
    mutex = place(sizeof *mutex);
    condition = place(sizeof *condition);
    event = place(sizeof *event);
    semaphore = place(sizeof *semaphore);
    once = place(sizeof *once);
    notes = place(sizeof *notes);
    objects[0] = (struct object){ "mutex", mutex, sizeof *mutex };
    objects[1] = (struct object){ "condition", condition, sizeof *condition };
    objects[2] = (struct object){ "event", event, sizeof *event };
    objects[3] = (struct object){ "semaphore", semaphore, sizeof *semaphore };
    objects[4] = (struct object){ "once", once, sizeof *once };
    return result;
}

/* --- lies ----------------------------------------------------------------------------------------- */

static uint64_t identities[3]; /* this process's, a living one's, a dead one's */

/* The word's own value, more or less, or one that has nothing to do with it. */
static bool lie_value(unsigned index, uint64_t old, uint64_t *value)
{
    static const uint64_t put[] = {
        0,          1,
        2,          3,
        4,          5,
        7,          8,
        0x1fff,     0x2000,
        INT32_MAX,  UINT64_C(1) << 31,
        UINT32_MAX, UINT64_C(1) << 32,
        INT64_MAX,  UINT64_C(1) << 63,
        UINT64_MAX, UINT64_MAX - 1,
    };
    static const uint64_t flip[] = { 1, 2, 4, 0x1ff8, UINT64_C(1) << 33, UINT64_MAX };
    if (index < ARRAY_SIZE(put))
        return *value = put[index], true;
    index -= ARRAY_SIZE(put);
    if (index < ARRAY_SIZE(flip))
        return *value = old ^ flip[index], true;
    index -= ARRAY_SIZE(flip);
    if (index < 3 * 9)
        return *value = identities[index / 9] | index % 9, true;
    index -= 3 * 9;
    *value = index ? old + 1 : old - 1;
    return index < 2;
}

/* --- the victim ------------------------------------------------------------------------------------- */

static char where[160];

static void fail_at(const char *call, int result, int64_t took_ns)
{
    fail_msg("%s: %s gives %s%d after %lld ms: %s", where, call, weir_strerror_name(result), result,
             (long long)took_ns / 1000000, weir_last_error());
}

/* The calls that follow are made with one lie; the time in which the machine does not run them is left out. */
static int64_t stood_before_ns;

static void begin_calls(void)
{
    stood_before_ns = given_stood_ns();
}

static bool is_late(int64_t took_ns)
{
    return took_ns > LATE_NS && took_ns - (given_stood_ns() - stood_before_ns) > LATE_NS;
}

static void expect(const char *call, int result, int64_t before_ns, const int *allowed)
{
    int64_t took_ns = weir_now_ns() - before_ns;
    bool is_known = false;
    for (; *allowed != 1000; allowed++)
        is_known |= *allowed == result;
    if (!is_known || is_late(took_ns))
        fail_at(call, result, took_ns);
    atomic_fetch_add(&notes->calls, 1);
}

#define CALL(expression, ...)                                                                      \
    do {                                                                                           \
        int64_t before_ns = weir_now_ns();                                                         \
        int result = (expression);                                                                 \
        expect(#expression, result, before_ns, (const int[]){ __VA_ARGS__, 1000 });                \
    } while (0)

/* Calls that take a slice of 200 ms are made as well. */
static bool is_patient;

static int64_t soon(void)
{
    return weir_deadline_ns(WAIT_NS);
}

#define LOCKED 0, WEIR_OWNER_DIED, -EDEADLK, -ENOTRECOVERABLE, -EOVERFLOW

static void use_mutex(void)
{
    CALL(weir_mutex_check(mutex), 0, -EUCLEAN);
    CALL(weir_mutex_try_lock(mutex), LOCKED, -EAGAIN);
    CALL(weir_mutex_consistent(mutex), 0, -EPERM, -EINVAL);
    CALL(weir_mutex_lock_until(mutex, soon()), LOCKED, -ETIMEDOUT);
    CALL(weir_mutex_unlock(mutex), 0, -EPERM);
    CALL(weir_mutex_unlock(mutex), 0, -EPERM);
    weir_mutex_owner(mutex);
    CALL(weir_mutex_check(mutex), 0, -EUCLEAN);
}

/* The mutex of a condition is sound, or nobody could say how long it takes. */
static void use_condition(void)
{
    struct weir_mutex sound = { .opaque = { 0 } };
    CALL(weir_condition_signal(condition), 0);
    CALL(weir_mutex_lock(&sound), 0);
    CALL(weir_condition_wait_until(condition, &sound, soon()), 0, -ETIMEDOUT);
    if (is_patient)
        CALL(weir_condition_wait(condition, &sound), 0);
    CALL(weir_mutex_unlock(&sound), 0);
    CALL(weir_condition_broadcast(condition), 0);
}

/* A condition that is sound, and a mutex that lies: the wait is refused, or comes back. */
static void use_condition_with_mutex(void)
{
    struct weir_condition sound = { .event = { .opaque = { 0 } } };
    CALL(weir_mutex_try_lock(mutex), LOCKED, -EAGAIN);
    CALL(weir_condition_wait_until(&sound, mutex, soon()), 0, -ETIMEDOUT, -EPERM, -EBUSY);
    CALL(weir_mutex_unlock(mutex), 0, -EPERM);
}

static void use_event(void)
{
    uint32_t ticket = 0;
    CALL(weir_event_wait_until(event, ticket, soon()), 0, -ETIMEDOUT);
    CALL(weir_event_prepare(event, &ticket), 0);
    CALL(weir_event_wait_until(event, ticket, soon()), 0, -ETIMEDOUT);
    CALL(weir_event_notify(event), 0);
    CALL(weir_event_prepare(event, &ticket), 0);
    CALL(weir_event_notify_all(event), 0);
    CALL(weir_event_wait_until(event, ticket, soon()), 0, -ETIMEDOUT);
    if (is_patient)
        CALL(weir_event_wait(event, ticket), 0);
}

static void use_semaphore(void)
{
    int value = weir_semaphore_value(semaphore);
    if (value < 0)
        fail_at("value", value, 0);
    CALL(weir_semaphore_check(semaphore), 0, -EUCLEAN);
    CALL(weir_semaphore_try_wait(semaphore), 0, -EAGAIN);
    CALL(weir_semaphore_post(semaphore), 0, -EOVERFLOW);
    CALL(weir_semaphore_post_many(semaphore, 0), -EINVAL);
    CALL(weir_semaphore_post_many(semaphore, 3), 0, -EOVERFLOW);
    CALL(weir_semaphore_post_many(semaphore, WEIR_SEMAPHORE_MAX), 0, -EOVERFLOW);
    CALL(weir_semaphore_wait_until(semaphore, soon()), 0, -ETIMEDOUT);
    CALL(weir_semaphore_wait_until(semaphore, soon()), 0, -ETIMEDOUT);
}

#define BEGUN 0, WEIR_ONCE_BEGUN, WEIR_OWNER_DIED, -EDEADLK, -ENOTRECOVERABLE, -EOVERFLOW

static void use_once(void)
{
    CALL(weir_once_check(once), 0, -EUCLEAN);
    CALL(weir_once_begin_until(once, 0), BEGUN, -EAGAIN);
    CALL(weir_once_abandon(once), 0, -EPERM);
    CALL(weir_once_begin_until(once, soon()), BEGUN, -ETIMEDOUT);
    CALL(weir_once_end(once), 0, -EPERM);
}

static void use_all(unsigned which)
{
    static void (*const use[])(void) = { use_mutex, use_condition, use_event, use_semaphore,
                                         use_once };
    begin_calls();
    use[which]();
    if (which == 0)
        use_condition_with_mutex();
}

/* --- at rest, and held ------------------------------------------------------------------------------ */

/* As it is before the lie: fresh, or in use. */
static void reset(unsigned which, bool is_used)
{
    uint32_t ticket;
    memset(objects[which].at, 0, objects[which].size_bytes);
    if (!is_used)
        return;
    if (which == 0)
        assert_result(weir_mutex_lock(mutex), 0);
    else if (which == 1)
        assert_result(weir_event_prepare(&condition->event, &ticket), 0);
    else if (which == 2)
        assert_result(weir_event_prepare(event, &ticket), 0);
    else if (which == 3)
        assert_result(weir_semaphore_init(semaphore, 3), 0);
    else
        assert_result(weir_once_begin(once), WEIR_ONCE_BEGUN);
}

/* Every word of the object, as 4 bytes and as 8; how many lies there were. */
static unsigned tell_all(unsigned which, bool is_used)
{
    const struct object *object = &objects[which];
    unsigned lies = 0;
    for (size_t width = 4; width <= 8; width += 4)
        for (size_t offset = 0; offset + width <= object->size_bytes; offset += width)
            for (unsigned index = 0;; index++, lies++) {
                uint64_t old = 0, value;
                char *word = (char *)object->at + offset;
                reset(which, is_used);
                memcpy(&old, word, width);
                if (!lie_value(index, old, &value))
                    break;
                snprintf(where, sizeof where, "%s, byte %zu: 0x%llx in place of 0x%llx",
                         object->what, offset, (unsigned long long)value, (unsigned long long)old);
                memcpy(word, &value, width);
                is_patient = index % 16 == offset; /* and not at each */
                use_all(which);
            }
    return lies;
}

static struct actor living;

static void meet_identities(void)
{
    struct actor dead;
    actor_start(&dead);
    assert_int_equal(actor_ask(&dead, tell_identity, NULL), 0);
    notes->dead = notes->living;
    actor_kill(&dead);
    actor_start(&living);
    assert_int_equal(actor_ask(&living, tell_identity, NULL), 0);
    assert_result(weir_identity(&identities[0]), 0);
    identities[1] = notes->living;
    identities[2] = notes->dead;
}

static void test_words_at_rest(void **state)
{
    (void)state;
    meet_identities();
    for (unsigned which = 0; which < ARRAY_SIZE(objects); which++) {
        unsigned lies = tell_all(which, false) + tell_all(which, true);
        print_message("           %s: %u lies\n", objects[which].what, lies);
        assert_true(lies >= 2 * 53 * objects[which].size_bytes / 4);
    }
    actor_end(&living);
}

/* --- while others use it ------------------------------------------------------------------------------ */

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int lie_on(void *argument)
{
    const struct object *object = argument;
    uint64_t seed = 88172645463325252u;
    while (!notes->is_over) {
        size_t words = object->size_bytes / 4, at = draw(&seed) % words;
        weir__atomic_u32 *word = (weir__atomic_u32 *)object->at + at;
        uint64_t value;
        if (lie_value((unsigned)(draw(&seed) % 53), *word, &value))
            atomic_store(word, (uint32_t)(at % 2 ? value >> 32 : value));
        if (draw(&seed) % 64 == 0)
            memset(object->at, 0, object->size_bytes);
    }
    memset(object->at, 0, object->size_bytes);
    return 0;
}

/* cmocka's checks are the main process's: here a failure ends the victim, with its line. */
static int use_on(void *argument)
{
    unsigned which = (unsigned)((struct object *)argument - objects);
    snprintf(where, sizeof where, "%s, under fire", objects[which].what);
    while (!notes->is_over) {
        is_patient = !is_patient;
        begin_calls();
        if (which == 0)
            use_mutex(); /* a condition waits for its mutex as long as that is lied about */
        else
            use_all(which);
    }
    return 0;
}

static void test_words_in_use(void **state)
{
    (void)state;
    meet_identities();
    for (unsigned which = 0; which < ARRAY_SIZE(objects); which++) {
        struct actor liar, victims[2];
        reset(which, false);
        notes->is_over = 0;
        notes->calls = 0;
        actor_start(&liar);
        actor_start(&victims[0]);
        actor_start(&victims[1]);
        actor_tell(&liar, lie_on, &objects[which]);
        actor_tell(&victims[0], use_on, &objects[which]);
        actor_tell(&victims[1], use_on, &objects[which]);
        assert_int_equal(actor_answer(&victims[0], RUN_SECONDS * 1000), ACTOR_WAITS);
        notes->is_over = 1;
        assert_int_equal(actor_answer(&liar, 10000), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(actor_answer(&victims[i], 10000), 0);
            actor_end(&victims[i]);
        }
        actor_end(&liar);
        print_message("           %s: %u calls under fire\n", objects[which].what, notes->calls);
        assert_true(notes->calls > 50);
    }
    actor_end(&living);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_at_rest),
        cmocka_unit_test(test_words_in_use),
    };
    return cmocka_run_group_tests(tests, lies_start, fixture_end);
}
