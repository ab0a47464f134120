/* SPDX-License-Identifier: MIT */
#include "peers.h"

#include "asleep.h"
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *peers_memory;
size_t peers_bytes;
static enum peers_kind kind;
static int memory = -1; /* a descriptor, or of System V the id */
static char name[32];   /* of POSIX */

#define ASLEEP_NS INT64_C(20000000000)

/* A last order: who was forked later has this one's pipe, and keeps it open. */
enum { SERVE_NO_MORE = -1 };

static void *mapped(void)
{
    if (kind == PEERS_SYSTEM_V)
        return shmat(memory, NULL, 0);
    int flags = kind == PEERS_INHERITED ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    return mmap(NULL, peers_bytes, PROT_READ | PROT_WRITE, flags, memory, 0);
}

void peers_unshare(void)
{
    if (peers_memory && kind == PEERS_SYSTEM_V)
        shmdt(peers_memory); /* the last: removed already */
    else if (peers_memory)
        munmap(peers_memory, peers_bytes);
    if (memory >= 0 && kind != PEERS_SYSTEM_V)
        close(memory);
    if (kind == PEERS_POSIX)
        shm_unlink(name);
    peers_memory = NULL;
    memory = -1;
    kind = PEERS_MEMFD;
}

void peers_share_in(enum peers_kind which, size_t bytes)
{
    peers_unshare();
    kind = which;
    peers_bytes = bytes;
    snprintf(name, sizeof name, "/weir-peers-%d", (int)getpid());
    if (kind == PEERS_MEMFD)
        memory = memfd_create("peers", 0);
    else if (kind == PEERS_SYSTEM_V)
        memory = shmget(IPC_PRIVATE, bytes, 0600);
    else if (kind == PEERS_POSIX)
        memory = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(memory >= 0 || kind == PEERS_INHERITED);
    if (kind == PEERS_MEMFD || kind == PEERS_POSIX)
        assert_int_equal(ftruncate(memory, (off_t)bytes), 0);
    peers_memory = mapped();
    if (kind == PEERS_SYSTEM_V) /* it goes with the last who has it */
        shmctl(memory, IPC_RMID, NULL);
    assert_ptr_not_equal(peers_memory, MAP_FAILED);
}

void peers_share(size_t bytes)
{
    peers_share_in(PEERS_MEMFD, bytes);
}

void peers_wipe(void)
{
    memset(peers_memory, 0, peers_bytes);
}

static _Noreturn void serve(int orders, int replies)
{
    struct peers_order order;
    while (read(orders, &order, sizeof order) == sizeof order && order.verb != SERVE_NO_MORE) {
        struct peers_reply reply = peers_serve(&order);
        if (write(replies, &reply, sizeof reply) != sizeof reply)
            break;
    }
    _exit(0);
}

/* The memory will not lie where the test has it: nothing that may be touched, or something else lies there. */
static void bar(void *address, int how)
{
    mmap(address, peers_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | how, -1, 0);
}

/* Arguments: peer, the kind, the memory, its bytes, where the test has it. */
void peers_begin(int argc, char **argv)
{
    if (argc != 6 || strcmp(argv[1], "peer") != 0)
        return;
    kind = (enum peers_kind)atoi(argv[2]);
    peers_bytes = (size_t)atol(argv[4]);
    bar((void *)(uintptr_t)strtoull(argv[5], NULL, 10), MAP_FIXED_NOREPLACE);
    memory = kind == PEERS_POSIX ? shm_open(argv[3], O_RDWR, 0) : atoi(argv[3]);
    peers_memory = mapped();
    if (peers_memory == MAP_FAILED)
        _exit(2);
    serve(0, 1);
}

static _Noreturn void go_on_as_peer(int orders, int replies)
{
    void *there = peers_memory;
    peers_memory = mremap(there, 0, peers_bytes, MREMAP_MAYMOVE); /* once more */
    if (peers_memory == MAP_FAILED)
        _exit(2);
    bar(there, MAP_FIXED);
    serve(orders, replies);
}

static _Noreturn void become_peer(int orders, int replies)
{
    char of_kind[16], number[16], bytes[32], there[32];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (kind == PEERS_INHERITED)
        go_on_as_peer(orders, replies);
    snprintf(of_kind, sizeof of_kind, "%d", (int)kind);
    snprintf(number, sizeof number, "%d", memory);
    snprintf(bytes, sizeof bytes, "%zu", peers_bytes);
    snprintf(there, sizeof there, "%llu", (unsigned long long)(uintptr_t)peers_memory);
    if (dup2(orders, 0) == 0 && dup2(replies, 1) == 1)
        execl("/proc/self/exe", "peer", "peer", of_kind, kind == PEERS_POSIX ? name : number, bytes,
              there, (char *)NULL);
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

static bool sees_asleep(struct peer *peer, bool ends_by_itself)
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
        if (found == 1 && number == asleep_number())
            return true;
        if (ends_by_itself && peer_has_answered(peer))
            return false;
        assert_true(weir_now_ns() < until_ns);
        nanosleep(&nap, NULL);
    }
}

void peer_see_asleep(struct peer *peer)
{
    sees_asleep(peer, false);
}

bool peer_is_seen_asleep(struct peer *peer)
{
    return sees_asleep(peer, true);
}

static bool sees_fast_asleep(struct peer *peer, bool ends_by_itself)
{
    const struct timespec nap = { 0, 20000000 };
    if (!sees_asleep(peer, ends_by_itself))
        return false;
    nanosleep(&nap, NULL);
    return sees_asleep(peer, ends_by_itself);
}

void peer_see_fast_asleep(struct peer *peer)
{
    sees_fast_asleep(peer, false);
}

bool peer_is_seen_fast_asleep(struct peer *peer)
{
    return sees_fast_asleep(peer, true);
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
    if (kind == PEERS_INHERITED)
        peer_tell(peer, SERVE_NO_MORE, 0, 0);
    close(peer->orders);
    assert_int_equal(reap(peer), 0);
}
