/* SPDX-License-Identifier: MIT */
/*
 * epoll_server SOCKET IN OUT - a server whose one epoll serves sockets and channels alike
 *
 * Clients connect to the Unix socket SOCKET. What they send is published on the channel OUT, a
 * message a line; what comes on the channel IN goes to all of them, a line a message. Ends when
 * the channel IN ends.
 *
 * To see: back-pressure goes from channel to socket. While the ring of OUT is full, the server
 * does not read from its clients, and epoll tells when there is room.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* accept4 */
#endif
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/weir.h>

#define NOW 0 /* as a deadline: never wait */
#define CLIENTS_MAX 64
#define LINE_BYTES_MAX 4096
#define MESSAGES_A_TURN 64 /* then the others have theirs */

struct client {
    int fd; /* -1: free */
    size_t length;
    char line[LINE_BYTES_MAX];
};

struct server {
    int epoll, listener;
    struct weir_subscriber *in;
    struct weir_publisher *out;
    bool is_full; /* the ring of OUT: no client is read */
    struct client clients[CLIENTS_MAX];
};

/* What epoll gives back: a client, or the address of one of these members. */
static int watch(struct server *server, int fd, uint32_t events, void *who)
{
    struct epoll_event event = { .events = events, .data.ptr = who };
    return fd >= 0 && epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -1;
}

static void drop(struct client *client)
{
    close(client->fd); /* epoll forgets it */
    client->fd = -1;
}

static void accept_client(struct server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    for (int i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        struct client *client = &server->clients[i];
        if (client->fd >= 0)
            continue;
        client->fd = fd;
        client->length = 0;
        if (!server->is_full && watch(server, fd, EPOLLIN, client) != 0)
            drop(client);
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void rewatch(struct server *server, int fd, uint32_t events, void *who)
{
    struct epoll_event event = { .events = events, .data.ptr = who };
    epoll_ctl(server->epoll, EPOLL_CTL_MOD, fd, &event);
}

/*
 * Either the clients are read, or the publisher is asked for room: its descriptor is readable
 * whenever a send would not wait, so it is watched only after one that was refused. A client is
 * taken out of epoll meanwhile: with no event asked for, one that has closed would be told all the
 * same, again and again, before its last lines have found room.
 */
static void set_full(struct server *server, bool is_full)
{
    if (server->is_full == is_full)
        return;
    server->is_full = is_full;
    rewatch(server, weir_publisher_fd(server->out), is_full ? EPOLLIN : 0, &server->out);
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (server->clients[i].fd >= 0 && is_full)
            epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->clients[i].fd, NULL);
        else if (server->clients[i].fd >= 0)
            watch(server, server->clients[i].fd, EPOLLIN, &server->clients[i]);
}

/* Publishes the whole lines that the client has said. What is refused stays with it. */
static int publish_lines(struct server *server, struct client *client)
{
    char *end;
    while ((end = memchr(client->line, '\n', client->length)) != NULL ||
           client->length == LINE_BYTES_MAX) {
        size_t length = end ? (size_t)(end - client->line) : LINE_BYTES_MAX;
        size_t used = length + (end != NULL);
        int result = weir_publisher_send_until(server->out, client->line, length, 0, NOW);
        set_full(server, result == -EAGAIN);
        if (result != 0)
            return result == -EAGAIN ? 0 : result;
        client->length -= used;
        memmove(client->line, client->line + used, client->length);
    }
    return 0;
}

static int read_client(struct server *server, struct client *client)
{
    ssize_t got =
        recv(client->fd, client->line + client->length, LINE_BYTES_MAX - client->length, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        drop(client);
        return 0;
    }
    client->length += got > 0 ? (size_t)got : 0;
    return publish_lines(server, client);
}

/* There is room again, for a line of each client at least to be tried. */
static int go_on(struct server *server)
{
    set_full(server, false);
    for (int i = 0; i < CLIENTS_MAX && !server->is_full; i++) {
        int result = server->clients[i].fd < 0 ? 0 : publish_lines(server, &server->clients[i]);
        if (result != 0)
            return result;
    }
    return 0;
}

/* A client that does not read its socket is let go: it must not hold up the others. */
static void tell_all(struct server *server, const struct weir_message *message)
{
    struct iovec parts[] = { { (void *)(uintptr_t)message->data, message->size_bytes },
                             { (char[]){ '\n' }, 1 } };
    struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };
    for (int i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &server->clients[i];
        if (client->fd >= 0 && sendmsg(client->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) !=
                                   (ssize_t)message->size_bytes + 1)
            drop(client);
    }
}

/* Returns 0; -ENODATA: the end of IN. */
static int hear(struct server *server)
{
    struct weir_message message;
    int result = 0;
    for (int i = 0; i < MESSAGES_A_TURN && result == 0; i++) {
        result = weir_subscriber_take_until(server->in, &message, NOW);
        if (result == 0) {
            tell_all(server, &message);
            weir_subscriber_release(server->in, &message);
        }
    }
    return result == -EAGAIN ? 0 : result; /* left over: the descriptor stays readable */
}

static int serve(struct server *server)
{
    for (;;) {
        struct epoll_event events[16];
        int ready = epoll_wait(server->epoll, events, 16, -1);
        if (ready < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < ready; i++) {
            void *who = events[i].data.ptr;
            int result = 0;
            if (who == &server->listener)
                accept_client(server);
            else if (who == &server->in)
                result = hear(server);
            else if (who == &server->out)
                result = go_on(server);
            else if (((struct client *)who)->fd >= 0 && !server->is_full) /* told before it was */
                result = read_client(server, who);
            if (result != 0)
                return result;
        }
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, CLIENTS_MAX) != 0)
        return -1;
    return fd;
}

int main(int count, char **arguments)
{
    static struct server server;
    if (count != 4)
        return fprintf(stderr, "usage: epoll_server SOCKET IN OUT\n"), 2;
    for (int i = 0; i < CLIENTS_MAX; i++)
        server.clients[i].fd = -1;
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.listener = listen_at(arguments[1]);
    if (watch(&server, server.listener, EPOLLIN, &server.listener) != 0)
        return perror(arguments[1]), 1;
    int result = weir_subscriber_open(&server.in, arguments[2], NULL);
    if (result == 0)
        result = weir_publisher_open(&server.out, arguments[3], NULL);
    if (result == 0 && (watch(&server, weir_subscriber_fd(server.in), EPOLLIN, &server.in) != 0 ||
                        watch(&server, weir_publisher_fd(server.out), 0, &server.out) != 0))
        result = -EMFILE;
    if (result == 0)
        result = serve(&server);
    if (result != -ENODATA)
        fprintf(stderr, "epoll_server: %s\n", weir_last_error());
    unlink(arguments[1]);
    weir_publisher_close(server.out);
    weir_subscriber_close(server.in);
    return result == -ENODATA ? 0 : 1;
}
