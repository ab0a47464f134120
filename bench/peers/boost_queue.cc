/* SPDX-License-Identifier: MIT */
#include "boost_queue.h"

#include <cstdio>
#include <exception>

#include <boost/interprocess/ipc/message_queue.hpp>

using boost::interprocess::message_queue;

namespace
{

int say(const std::exception &error)
{
    std::fprintf(stderr, "lane: boost: %s\n", error.what());
    return -1;
}

message_queue *as_queue(void *queue)
{
    return static_cast<message_queue *>(queue);
}

} // namespace

void *boost_queue_create(const char *name, size_t messages, size_t size_bytes)
try {
    return new message_queue(boost::interprocess::create_only, name, messages, size_bytes);
} catch (const std::exception &error) {
    say(error);
    return nullptr;
}

void *boost_queue_open(const char *name)
try {
    return new message_queue(boost::interprocess::open_only, name);
} catch (const std::exception &error) {
    say(error);
    return nullptr;
}

void boost_queue_remove(const char *name)
{
    message_queue::remove(name);
}

void boost_queue_close(void *queue)
{
    delete as_queue(queue);
}

int boost_queue_send(void *queue, const void *data, size_t size_bytes, int is_polled)
try {
    if (is_polled)
        return as_queue(queue)->try_send(data, size_bytes, 0) ? 0 : 1;
    as_queue(queue)->send(data, size_bytes, 0);
    return 0;
} catch (const std::exception &error) {
    return say(error);
}

int boost_queue_receive(void *queue, void *data, size_t size_bytes, int is_polled)
try {
    message_queue::size_type received;
    unsigned priority;
    if (is_polled)
        return as_queue(queue)->try_receive(data, size_bytes, received, priority) ? 0 : 1;
    as_queue(queue)->receive(data, size_bytes, received, priority);
    return 0;
} catch (const std::exception &error) {
    return say(error);
}
