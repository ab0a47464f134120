/* SPDX-License-Identifier: MIT */
/* Whom 'weir pub' waits for, and what it says of those who are in its way, or not there. */
#include "publication.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/collect.h>
#include <weir/inspect.h>

#include "command.h"
#include "fields.h"
#include "named.h"
#include "sentence.h"
#include "stop.h"
#include "text.h"

/* Who is in the way of this publisher: the first that has not attached it, else the slowest. */
struct obstacle {
    uint64_t identity; /* of this publisher; 0: not found yet */
    uint32_t own_slot, slot;
    int pid; /* 0: nobody */
    bool is_unattached;
};

static int find_obstacle(const struct weir_channel_member *member, void *argument)
{
    struct obstacle *obstacle = argument;
    if (member->role == WEIR_MEMBER_PUBLISHER) {
        if (member->pid == getpid()) {
            obstacle->identity = member->identity;
            obstacle->own_slot = member->slot;
        }
        return 0;
    }
    if (obstacle->identity == 0 || member->is_lossy || member->pid <= 0 || obstacle->is_unattached)
        return 0;
    bool is_slowest = false, is_unattached = true;
    for (size_t i = 0; i < member->reading_count; i++)
        if (member->readings[i].publisher == obstacle->own_slot &&
            member->readings[i].identity == obstacle->identity) {
            is_unattached = false;
            is_slowest = member->readings[i].is_slowest;
        }
    if (is_slowest || is_unattached) {
        obstacle->slot = member->slot;
        obstacle->pid = member->pid;
        obstacle->is_unattached = is_unattached;
    }
    return 0;
}

void publication_tell_of_wait(struct publication *publication)
{
    const char *channel = publication->request->channel;
    struct obstacle obstacle = { .pid = 0 };
    publication->told_ns = weir_now_ns();
    if (weir_inspect_channel(channel, find_obstacle, &obstacle) != 0 || obstacle.pid == 0)
        return;
    char *command = process_command(obstacle.pid);
    char *shown = command ? text_escape(command, false) : NULL;
    command_note("waiting for subscriber %u of '%s' (pid %d%s%s%s) to %s; 'weir top' shows more",
                 obstacle.slot, channel, obstacle.pid, shown ? ", " : "", shown ? shown : "",
                 process_is_stopped(obstacle.pid) ? ", stopped" : "",
                 obstacle.is_unattached ? "attach this publisher's ring"
                                        : "give back what it has of the ring");
    free(shown);
    free(command);
}

/* Beside the directory of this IPC namespace. Those of dead namespaces stay, so this is a hint. */
static bool has_other_namespaces(void)
{
    char path[PATH_MAX];
    if (weir_run_directory(path, sizeof path) < 0)
        return false;
    char *own = strrchr(path, '/');
    *own++ = '\0';
    DIR *base = opendir(path);
    bool has = false;
    for (const struct dirent *entry; base && !has && (entry = readdir(base));)
        has = strncmp(entry->d_name, "ipc-", 4) == 0 && strcmp(entry->d_name, own) != 0;
    if (base)
        closedir(base);
    return has;
}

static int too_few(const struct publication *publication)
{
    const struct publication_request *request = publication->request;
    int count = weir_publisher_subscribers(publication->publisher);
    if (count > 0 && (uint64_t)count >= request->wait_for) /* stopped, or come just now */
        return command_fail("%d had subscribed to '%s' within %g s, and not all of them have "
                            "attached what is published here",
                            count, request->channel, request->wait);
    if (count <= 0)
        return command_fail("nobody had subscribed to '%s' within %g s%s", request->channel,
                            request->wait,
                            has_other_namespaces()
                                ? "; other IPC namespaces, as of containers, have names here, too: "
                                  "one of this name there is another channel"
                                : "");
    return command_fail("%d of %llu had subscribed to '%s' within %g s", count,
                        (unsigned long long)request->wait_for, request->channel, request->wait);
}

/* The channel was made for fewer, perhaps by this command. */
static int too_many(const struct publication *publication)
{
    char *said = sentence_last();
    command_fail("%s; who makes it for more says --subscribers-max=%llu", said,
                 (unsigned long long)publication->request->wait_for);
    free(said);
    return STATUS_FAILURE;
}

int publication_await_subscribers(struct publication *publication)
{
    const struct publication_request *request = publication->request;
    int64_t deadline_ns = request->wait < 0 ? WEIR_NEVER : seconds_deadline(request->wait);
    int result;
    do
        result = weir_publisher_wait_subscribers(publication->publisher,
                                                 (uint32_t)request->wait_for, deadline_ns);
    while (publication_goes_on(publication, result));
    if (result == -ETIMEDOUT || result == -EAGAIN)
        return too_few(publication);
    if (result == -EINVAL)
        return too_many(publication);
    return result == 0 ? STATUS_OK : publication_fail(result);
}

int publication_await_taken(struct publication *publication)
{
    int result;
    do
        result = weir_publisher_wait_taken(publication->publisher, WEIR_NEVER);
    while (publication_goes_on(publication, result));
    if (result == -EPIPE && !publication->has_met && !publication->has_left_out)
        return command_fail("nobody has subscribed to '%s': --wait-for 1 waits for somebody",
                            publication->request->channel);
    if (result == -EPIPE)
        return command_fail("the last subscriber of '%s' left, or was killed, before it had taken "
                            "everything",
                            publication->request->channel);
    return result == 0 ? STATUS_OK : publication_fail(result);
}

/* Enough for whoever looks at all; who is stopped learns nothing of a publisher without a message. */
#define NOTICED_NS (200 * WEIR_MILLISECOND_NS)

void publication_be_noticed(const struct publication *publication)
{
    int count = weir_publisher_subscribers(publication->publisher);
    if (publication->sent == 0 && count > 0)
        weir_publisher_wait_subscribers(publication->publisher, (uint32_t)count,
                                        weir_deadline_ns(NOTICED_NS));
}

/* Nobody is waited for who is lossy; close gives him a moment, and then he learns nothing of us. */
void publication_tell_of_unattached(const struct publication *publication)
{
    int count = publication->has_met ? weir_publisher_subscribers(publication->publisher) : 0;
    if (publication->sent == 0 || count <= 0 || publication->request->is_taken ||
        publication->has_left_out || stop_signal())
        return;
    int result = weir_publisher_wait_subscribers(publication->publisher, (uint32_t)count,
                                                 weir_deadline_ns(NOTICED_NS));
    if (result == -ETIMEDOUT && weir_publisher_subscribers(publication->publisher) >= count)
        command_note("a subscriber of '%s' has not attached what is published here, as one that is "
                     "stopped: of what it is not waited for it gets nothing, and is told nothing",
                     publication->request->channel);
}

/* Nobody, from the begin to the end: what was published is gone. */
void publication_tell_of_nobody(struct publication *publication)
{
    publication_look_around(publication);
    if (publication->sent == 0 || publication->has_met || publication->has_left_out)
        return;
    command_note("nobody had subscribed: %llu message%s went to nobody (--wait-for 1 waits)",
                 (unsigned long long)publication->sent, publication->sent == 1 ? "" : "s");
}
