/* SPDX-License-Identifier: MIT */
#include "peers.h"

#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *peers_memory;
size_t peers_bytes;
static int memory_fd = -1;

#define ASLEEP_NS INT64_C(20000000000)

static void map_memory(size_t bytes)
{
    peers_memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    peers_bytes = bytes;
}

void peers_share(size_t bytes)
{
    if (memory_fd >= 0) {
        munmap(peers_memory, peers_bytes);
        close(memory_fd);
    }
    memory_fd = memfd_create("peers", 0);
    assert_true(memory_fd >= 0);
    assert_int_equal(ftruncate(memory_fd, (off_t)bytes), 0);
    map_memory(bytes);
    assert_ptr_not_equal(peers_memory, MAP_FAILED);
}

void peers_wipe(void)
{
    memset(peers_memory, 0, peers_bytes);
}

void peers_begin(int argc, char **argv)
{
    struct peers_order order;
    if (argc != 4 || strcmp(argv[1], "peer") != 0)
        return;
    memory_fd = atoi(argv[2]);
    map_memory((size_t)atol(argv[3]));
    if (peers_memory == MAP_FAILED)
        _exit(2);
    while (read(0, &order, sizeof order) == sizeof order) {
        struct peers_reply reply = peers_serve(&order);
        if (write(1, &reply, sizeof reply) != sizeof reply)
            break;
    }
    _exit(0);
}

static void become_peer(int orders, int replies)
{
    char fd[16], bytes[32];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(fd, sizeof fd, "%d", memory_fd);
    snprintf(bytes, sizeof bytes, "%zu", peers_bytes);
    if (dup2(orders, 0) == 0 && dup2(replies, 1) == 1)
        execl("/proc/self/exe", "peer", "peer", fd, bytes, (char *)NULL);
    _exit(2);
}

void peer_start(struct peer *peer)
{
    int down[2], up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    fflush(NULL);
    peer->pid = fork();
    if (peer->pid == 0)
        become_peer(down[0], up[1]);
    assert_true(peer->pid > 0);
    close(down[0]);
    close(up[1]);
    peer->orders = down[1];
    peer->replies = up[0];
}

void peer_tell(struct peer *peer, int verb, uint32_t argument, int64_t timeout_ns)
{
    struct peers_order order = { verb, argument, timeout_ns };
    assert_int_equal(write(peer->orders, &order, sizeof order), sizeof order);
}

struct peers_reply peer_answer(struct peer *peer)
{
    struct peers_reply reply;
    assert_int_equal(read(peer->replies, &reply, sizeof reply), sizeof reply);
    return reply;
}

struct peers_reply peer_ask(struct peer *peer, int verb, uint32_t argument, int64_t timeout_ns)
{
    peer_tell(peer, verb, argument, timeout_ns);
    return peer_answer(peer);
}

bool peer_has_answered(struct peer *peer)
{
    struct pollfd entry = { .fd = peer->replies, .events = POLLIN };
    return poll(&entry, 1, 0) == 1;
}

void peer_see_asleep(struct peer *peer)
{
    const struct timespec nap = { 0, 100000 };
    int64_t until_ns = weir_deadline_ns(ASLEEP_NS);
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)peer->pid);
    for (;;) {
        long number = -1;
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        int found = fscanf(file, "%ld", &number);
        fclose(file);
        if (found == 1 && number == SYS_futex)
            return;
        assert_true(weir_now_ns() < until_ns);
        nanosleep(&nap, NULL);
    }
}

void peer_see_fast_asleep(struct peer *peer)
{
    const struct timespec nap = { 0, 20000000 };
    peer_see_asleep(peer);
    nanosleep(&nap, NULL);
    peer_see_asleep(peer);
}

void peer_stop(struct peer *peer)
{
    int status = -1;
    assert_int_equal(kill(peer->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(peer->pid, &status, WUNTRACED), peer->pid);
    assert_true(WIFSTOPPED(status));
}

void peer_go_on(struct peer *peer)
{
    assert_int_equal(kill(peer->pid, SIGCONT), 0);
}

static int reap(struct peer *peer)
{
    int status = -1;
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    close(peer->replies);
    return status;
}

void peer_kill(struct peer *peer)
{
    assert_int_equal(kill(peer->pid, SIGKILL), 0);
    int status = reap(peer);
    close(peer->orders);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void peer_end(struct peer *peer)
{
    close(peer->orders);
    assert_int_equal(reap(peer), 0);
}
