/* SPDX-License-Identifier: MIT */
/*
 * Goal: who is told of edges alone (EPOLLET) and polls after each -EAGAIN misses nothing: what he waits
 *       for may come between the look of the call that is refused and the arming of the descriptor,
 *       which is readable then, and was before.
 * Method: in place of the arming stands a function that lets it come in that moment.
 */
#include "sides.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "channel/descriptor.h"

static void (*meanwhile)(void); /* once, at the next arming */

/* What the linker puts in place of weir__descriptor_arm(): see CMakeLists.txt. */
void __wrap_weir__descriptor_arm(struct weir__descriptor *descriptor, void *view, size_t bytes,
                                 bool was_refused);
void __real_weir__descriptor_arm(struct weir__descriptor *descriptor, void *view, size_t bytes,
                                 bool was_refused);

void __wrap_weir__descriptor_arm(struct weir__descriptor *descriptor, void *view, size_t bytes,
                                 bool was_refused)
{
    void (*act)(void) = meanwhile;
    meanwhile = NULL;
    if (act)
        act();
    __real_weir__descriptor_arm(descriptor, view, bytes, was_refused);
}

enum { EDGE_MS = 20000, LARGE_BYTES = WEIR_RING_BYTES_MIN / 4 - 8, LARGE_FIT = 3 };

static unsigned char bytes[LARGE_BYTES];

static int watch_edges(int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    int edges = epoll_create1(EPOLL_CLOEXEC);
    assert_true(edges >= 0);
    assert_int_equal(epoll_ctl(edges, EPOLL_CTL_ADD, fd, &event), 0);
    return edges;
}

static void expect_edge(int edges)
{
    struct epoll_event event;
    assert_int_equal(epoll_wait(edges, &event, 1, EDGE_MS), 1);
}

static int send_large(void)
{
    return weir_publisher_send_until(sides.publisher, bytes, sizeof bytes, 0, NOW);
}

static void give_room(void)
{
    assert_result(weir_subscriber_receive_until(sides.subscriber, bytes, sizeof bytes, NULL, NOW),
                  0);
}

static void test_room_comes_while_it_arms(void **state)
{
    (void)state;
    assert_result(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    for (int i = 0; i < LARGE_FIT; i++)
        assert_result(send_large(), 0);
    int edges = watch_edges(weir_publisher_fd(sides.publisher));
    expect_edge(edges);
    assert_result(send_large(), -EAGAIN);
    give_room();
    expect_edge(edges);
    assert_result(send_large(), 0);
    meanwhile = give_room;
    assert_result(send_large(), -EAGAIN);
    assert_true(!meanwhile);
    expect_edge(edges);
    assert_result(send_large(), 0);
    close(edges);
    sides_close();
}

static void publish(void)
{
    assert_result(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
}

static void send_small(void)
{
    assert_result(weir_publisher_send_until(sides.publisher, "small", 5, 0, NOW), 0);
}

static void test_a_message_comes_while_it_arms(void **state)
{
    char text[5];
    (void)state;
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    int edges = watch_edges(weir_subscriber_fd(sides.subscriber));
    meanwhile = publish;
    assert_result(weir_subscriber_receive_until(sides.subscriber, text, sizeof text, NULL, NOW),
                  -EAGAIN);
    expect_edge(edges);
    meanwhile = send_small;
    assert_result(weir_subscriber_receive_until(sides.subscriber, text, sizeof text, NULL, NOW),
                  -EAGAIN);
    assert_true(!meanwhile);
    expect_edge(edges);
    assert_result(weir_subscriber_receive_until(sides.subscriber, text, sizeof text, NULL, NOW), 0);
    close(edges);
    sides_close();
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(test_room_comes_while_it_arms),
        SIDES_TEST(test_a_message_comes_while_it_arms),
    };
    if (!sides_begin(argument_count, arguments))
        return 77;
    return cmocka_run_group_tests_name("lane_descriptor_edge", tests, sides_start, fixture_end);
}
