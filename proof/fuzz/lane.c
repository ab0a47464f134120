/* SPDX-License-Identifier: MIT */
/*
 * The target: does what an input says (input.h), and checks after each call that its result
 * is one that is documented, that it came in time, that what it gave lies inside the ring of
 * a lane, and that a publisher believes no cursor that cannot be. As long as nothing was
 * falsified, messages arrive as they were sent, and nobody is called a liar.
 */
#include "target.h"

#include <errno.h>

#include <weir/error.h>

#include "lies.h"

/* Openings: what one execution takes of the store. */
enum { OPENINGS_MAX = 24 };

struct target target;

/* Bits 0 and 1: none, of any size, of eight bytes, another of eight bytes. */
static uint32_t terms_of(unsigned number, const char **type_name)
{
    static const char *const names[] = { NULL, "one", "one", "two" };
    *type_name = names[number & 3];
    return number & 2 ? TYPE_BYTES : 0;
}

static void do_terms(bool is_lossy_one, unsigned number)
{
    const char *type_name;
    uint32_t type_bytes = terms_of(number, &type_name);
    if (target.openings > 0) /* a channel says so before anybody is there */
        return;
    world_terms(is_lossy_one, type_name, type_bytes);
    target.is_lossy_channel = is_lossy_one;
    target.may_send_any = type_bytes == 0;
}

/* what: bit 0 sleeps; 1 and 2: the delivery; 3 and 4: where it starts; 5 and 6: terms_of(). */
static void do_open(bool is_publisher, unsigned what, unsigned number)
{
    static const uint64_t lags[] = { 0, 0, 1, MOST, WORLD_CAPACITY / 2, WORLD_CAPACITY };
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    if (target.openings++ >= OPENINGS_MAX)
        return;
    options.ring_bytes = WORLD_CAPACITY;
    options.publishers_max = options.subscribers_max = WORLD_MEMBERS;
    options.spin_ns = 1000;
    options.flags = what & 1 ? WEIR_CHANNEL_SLEEP_ONLY : 0;
    options.delivery = what >> 1 & 3;
    options.start = what >> 3 & 3;
    options.start_back = number == 255 ? UINT64_MAX : number;
    options.lag_max_bytes = is_publisher ? lags[number % (sizeof lags / sizeof *lags)] : 0;
    options.type_bytes = terms_of(what >> 5, &options.type_name);
    int64_t before_ns = weir_now_ns();
    if (is_publisher && !target.publisher) {
        target.has_loan = target.has_batch = target.has_ended = false;
        int result = weir_publisher_open(&target.publisher, "fuzz", &options);
        EXPECT("publisher_open", result, EBUSY, EUCLEAN, EPROTO, EPROTONOSUPPORT, EINVAL,
               EPROTOTYPE);
        target.has_evicted |= result == 0 && options.lag_max_bytes > 0;
    } else if (!is_publisher && !target.subscriber) {
        int result = weir_subscriber_open(&target.subscriber, "fuzz", &options);
        EXPECT("subscriber_open", result, EBUSY, EUCLEAN, EPROTO, EPROTONOSUPPORT, EINVAL,
               EPROTOTYPE);
        if (result != 0)
            return;
        target.last_received = UINT64_MAX; /* it may read again what is kept */
        target.last_session = 0;
        target.is_lossy = weir_subscriber_delivery(target.subscriber) == WEIR_DELIVERY_LOSSY;
        if (target.is_honest &&
            target.is_lossy != (options.delivery == WEIR_DELIVERY_LOSSY ||
                                (options.delivery == 0 && target.is_lossy_channel)))
            world_fail("delivery: %d", target.is_lossy);
    }
}

static void do_close(bool is_publisher)
{
    int64_t before_ns = weir_now_ns();
    if (is_publisher) {
        weir_publisher_close(target.publisher);
        target.publisher = NULL;
        target.has_loan = false;
    } else {
        weir_subscriber_close(target.subscriber);
        target.subscriber = NULL;
        target.held_count = 0;
    }
    target_expect("close", 0, before_ns, (const int[]){ 0 });
}

/* Returns how many bytes the step has taken. */
static size_t do_step(const uint8_t *step, size_t left_bytes)
{
    unsigned what = step[0] % FUZZ_STEPS;
    if (what == FUZZ_OPEN) {
        do_open(step[1] & 1, step[2], step[3]);
    } else if (what == FUZZ_TERMS) {
        do_terms(step[1] & 1, step[2]);
    } else if (what == FUZZ_CLOSE) {
        do_close(step[1] & 1);
    } else if (what < FUZZ_TAKE) {
        if (target.publisher)
            target_publish(what, step);
    } else if (what < FUZZ_WRITE) {
        if (target.subscriber)
            target_subscribe(what, step);
    } else {
        target.is_honest = false;
        target.is_ring_true = target.is_ring_true && what == FUZZ_WRITE;
        return lies_tell(step, left_bytes);
    }
    return 4;
}

int LLVMFuzzerInitialize(int *argument_count, char ***arguments)
{
    (void)argument_count;
    (void)arguments;
    world_begin();
    return 0;
}

static void execute(const uint8_t *bytes, size_t size_bytes)
{
    world_reset();
    target.is_honest = target.is_ring_true = target.may_send_any = true;
    target.is_late = target.is_lossy_channel = target.is_lossy = target.has_evicted = false;
    target.has_loan = target.has_batch = target.has_ended = false;
    target.held_count = target.openings = 0;
    target.sent_count = 0;
    target.last_received = UINT64_MAX;
    target.last_session = 0;
    for (size_t at = 0; at + 4 <= size_bytes;)
        at += do_step(bytes + at, size_bytes - at);
    target_check_held();
    do_close(true);
    target_check_held();
    do_close(false);
    world_check();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes)
{
    if (size_bytes > FUZZ_INPUT_MAX)
        return -1;
    execute(bytes, size_bytes);
    if (target
            .is_late) /* a whole machine may stand still for seconds, but not at the same input again */
        execute(bytes, size_bytes);
    if (target.is_late)
        execute(bytes, size_bytes);
    if (target.is_late)
        world_fail("a call was late three times in a row");
    return 0;
}
