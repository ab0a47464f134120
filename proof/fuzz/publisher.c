/* SPDX-License-Identifier: MIT */
/* A publisher's calls, and what each may give. */
#include "target.h"

#include <errno.h>
#include <string.h>

#include <weir/error.h>

#include "guard.h"

/* What is lent. */
static unsigned char *loan;
static size_t loan_bytes;
static unsigned loan_count; /* its places; 0: it is one of a single message */
static void *places[MANY_MAX];

static void do_send(unsigned size, unsigned count, unsigned type_and_wait)
{
    static unsigned char bytes[MOST + 64];
    size_t size_bytes = target_size_of(size);
    uint32_t type = type_and_wait & 64 ? 65535 + (type_and_wait & 1) : type_and_wait & 63;
    for (unsigned i = 0; i <= (count & 15); i++) {
        target_fill(bytes, size_bytes, type);
        int64_t before_ns = weir_now_ns();
        int result = weir_publisher_send_until(target.publisher, bytes, size_bytes, type,
                                               target_deadline_of(type_and_wait));
        EXPECT("send", result, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO, EMSGSIZE, EINVAL, EPIPE);
        if ((result == -EINVAL) > (target.has_loan || type > 65535) ||
            (result == -EMSGSIZE) > target_may_be_refused(size_bytes) ||
            (result == -EPIPE) > target.has_ended)
            world_fail("send gives %s", weir_strerror_name(result));
        if (target.is_honest && (result == -EAGAIN || result == -ETIMEDOUT) &&
            (!target.subscriber || target.is_lossy))
            world_fail("send waits for nobody");
        if (result == 0 &&
            (size_bytes > MOST || (target.is_honest && target_may_be_refused(size_bytes))))
            world_fail("%zu bytes were sent", size_bytes);
        if (result != 0)
            break;
        target.sent_count++;
    }
}

static void do_loan(unsigned size, unsigned wait)
{
    void *data;
    size_t size_bytes = target_size_of(size);
    int64_t before_ns = weir_now_ns();
    int result =
        weir_publisher_loan_until(target.publisher, size_bytes, &data, target_deadline_of(wait));
    EXPECT("loan", result, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO, EMSGSIZE, EINVAL, EPIPE);
    if ((result == -EINVAL) > target.has_loan ||
        (result == -EMSGSIZE) > target_may_be_refused(size_bytes) ||
        (result == -EPIPE) > target.has_ended)
        world_fail("loan gives %s", weir_strerror_name(result));
    if (result == 0 && size_bytes > MOST)
        world_fail("%zu bytes were lent", size_bytes);
    if (result != 0)
        return;
    struct world_memory lane = world_lane();
    if ((unsigned char *)data < (unsigned char *)lane.memory + WEIR__LANE_RING_OFFSET + 8 ||
        !guard_holds(data, size_bytes))
        world_fail("a loan of %zu bytes is not inside the ring", size_bytes);
    target.has_loan = true;
    loan_count = 0;
    loan = data;
    loan_bytes = size_bytes;
    memset(loan, 0xee, loan_bytes);
}

static void do_commit(unsigned part, uint32_t type)
{
    size_t size_bytes = target.has_loan ? loan_bytes * (part + 1) / 256 : part;
    if (target.has_loan)
        target_fill(loan, size_bytes, type);
    int result = weir_publisher_commit(target.publisher, size_bytes, type);
    if (target.has_loan && result == -EMSGSIZE && target_may_be_refused(size_bytes))
        return; /* the loan is there still */
    if (result != (target.has_loan ? 0 : -EINVAL))
        world_fail("commit: %s", weir_last_error());
    target.sent_count += target.has_loan;
    target.has_loan = false;
}

static void do_send_many(unsigned size, unsigned count, unsigned type_and_wait)
{
    static unsigned char bytes[MANY_MAX][MOST + 64];
    struct weir_outgoing messages[MANY_MAX];
    size_t size_bytes = target_size_of(size);
    uint64_t before = target.sent_count;
    count = count % (MANY_MAX + 1);
    for (unsigned i = 0; i < count; i++) { /* the last one may have a type that is none */
        uint32_t type = type_and_wait & 64 && i == count - 1 ? 65536 : type_and_wait & 63;
        size_t shorter = size_bytes > i ? size_bytes - i : 0;
        target_fill(bytes[i], shorter, type);
        messages[i] = (struct weir_outgoing){ bytes[i], shorter, type };
        target.sent_count++;
    }
    int64_t before_ns = weir_now_ns();
    int result = weir_publisher_send_many_until(target.publisher, messages, count,
                                                target_deadline_of(type_and_wait));
    EXPECT("send_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO,
           EMSGSIZE, EINVAL, EPIPE);
    if (result > (int)count || (result == 0) != (count == 0) ||
        (result == -EINVAL) > (target.has_loan || (type_and_wait & 64) != 0) ||
        (result == -EMSGSIZE) > target_may_be_refused(size_bytes) ||
        (result == -EPIPE) > target.has_ended ||
        (result > 0 && messages[result - 1].size_bytes > MOST))
        world_fail("send_many of %u gives %d", count, result);
    target.sent_count = before + (result > 0 ? (uint64_t)result : 0);
}

static void do_loan_many(unsigned size, unsigned count, unsigned wait)
{
    void *given[MANY_MAX];
    size_t size_bytes = target_size_of(size);
    count = count % (MANY_MAX + 1);
    int64_t before_ns = weir_now_ns();
    int result = weir_publisher_loan_many_until(target.publisher, size_bytes, given, count,
                                                target_deadline_of(wait));
    EXPECT("loan_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO,
           EMSGSIZE, EINVAL, EPIPE);
    if (result > (int)count || (result == 0) != (count == 0) ||
        (result == -EINVAL) > target.has_loan ||
        (result == -EMSGSIZE) > target_may_be_refused(size_bytes) ||
        (result == -EPIPE) > target.has_ended || (result > 0 && size_bytes > MOST))
        world_fail("loan_many of %u gives %d", count, result);
    if (result <= 0)
        return;
    target.has_loan = true;
    loan_bytes = size_bytes;
    loan_count = (unsigned)result;
    loan = given[0];
    for (unsigned i = 0; i < loan_count; i++) {
        places[i] = given[i];
        if (!guard_holds(places[i], size_bytes))
            world_fail("a place of %zu bytes is not inside the ring", size_bytes);
        memset(places[i], 0xee, size_bytes);
    }
}

static void do_commit_many(unsigned part, unsigned count, uint32_t type)
{
    size_t sizes[MANY_MAX] = { 0 };
    uint32_t types[MANY_MAX] = { 0 };
    uint64_t before = target.sent_count;
    bool is_sound = target.has_loan && loan_count > 0;
    count = is_sound ? count % (loan_count + 1) : count % MANY_MAX;
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = is_sound ? loan_bytes * (i % 2 ? part + 1 : 256) / 256 : 0;
        types[i] = type;
        if (is_sound)
            target_fill(places[i], sizes[i], type);
        target.sent_count += is_sound;
    }
    int result = weir_publisher_commit_many(target.publisher, sizes, types, count);
    bool is_refused =
        is_sound && result == -EMSGSIZE && (!target.may_send_any || !target.is_honest);
    if (!is_refused && result != (is_sound ? 0 : -EINVAL))
        world_fail("commit_many: %s", weir_last_error());
    if (!is_sound || is_refused) /* a loan is there still */
        target.sent_count = before;
    else
        target.has_loan = false;
}

static void do_batch(bool is_begin)
{
    int result = is_begin ? weir_publisher_batch_begin(target.publisher)
                          : weir_publisher_batch_end(target.publisher);
    bool is_wrong = target.has_loan || target.has_batch == is_begin;
    if (result != (is_wrong ? -EINVAL : 0))
        world_fail("batch: %s", weir_last_error());
    if (result == 0)
        target.has_batch = is_begin;
}

static void do_end(void)
{
    int result = weir_publisher_end(target.publisher);
    if (result != (target.has_batch || target.has_loan ? -EINVAL : 0))
        world_fail("end: %s", weir_last_error());
    if (result == 0)
        target.has_ended = true;
}

static void do_wait(bool is_taken, unsigned wait)
{
    int64_t before_ns = weir_now_ns();
    int result =
        is_taken ? weir_publisher_wait_taken(target.publisher, target_deadline_of(wait))
                 : weir_publisher_wait_subscribers(target.publisher, 1, target_deadline_of(wait));
    EXPECT(is_taken ? "wait_taken" : "wait_subscriber", result, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN,
           EPROTO, EPIPE);
    if (result == -EPIPE && !is_taken)
        world_fail("wait_subscriber gives EPIPE");
    if (result == 0)
        target_check_cursor(is_taken);
}

void target_publish(unsigned what, const uint8_t *step)
{
    switch (what) {
    case FUZZ_SEND:
        do_send(step[1], step[2], step[3]);
        break;
    case FUZZ_LOAN:
        do_loan(step[1], step[3]);
        break;
    case FUZZ_COMMIT:
        do_commit(step[1], step[3]);
        break;
    case FUZZ_ABANDON:
        weir_publisher_abandon(target.publisher);
        target.has_loan = false;
        break;
    case FUZZ_BATCH:
    case FUZZ_BATCH_END:
        do_batch(what == FUZZ_BATCH);
        break;
    case FUZZ_END:
        do_end();
        break;
    case FUZZ_SEND_MANY:
        do_send_many(step[1], step[2], step[3]);
        break;
    case FUZZ_LOAN_MANY:
        do_loan_many(step[1], step[2], step[3]);
        break;
    case FUZZ_COMMIT_MANY:
        do_commit_many(step[1], step[2], step[3]);
        break;
    default:
        do_wait(what == FUZZ_TAKEN, step[3]);
    }
}
