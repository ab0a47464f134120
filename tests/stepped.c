/* SPDX-License-Identifier: MIT */
#include "stepped.h"

#include "fixture.h"
#include "tracer.h"

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

unsigned stepped_counts[STEPPED_SORTS];

#if defined(__x86_64__)

#define MARK_CODE 0xcc

bool stepped_works(void)
{
    return !SANITIZED && !COUNTED && tracer_works();
}

static bool is_prefix(unsigned char byte)
{
    return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x36 ||
           byte == 0x3e || byte == 0x26 || byte == 0x64 || byte == 0x65 || byte == 0x67;
}

static enum stepped_sort sort_of_two_bytes(const unsigned char *code)
{
    if (*code == 0x05 || *code == 0x34) /* syscall, sysenter */
        return STEPPED_CALL;
    /* mfence; cpuid, which waits for all before it, and is emulated in a virtual machine */
    return (code[0] == 0xae && code[1] == 0xf0) || code[0] == 0xa2 ? STEPPED_FENCE : STEPPED_PLAIN;
}

/* Those of vectors (AVX, AVX-512) begin with a byte that begins no other: they neither lock nor fence. */
static bool is_of_vectors(unsigned char byte)
{
    return byte == 0xc4 || byte == 0xc5 || byte == 0x62;
}

static enum stepped_sort sort_of(const unsigned char *code)
{
    while (is_prefix(*code))
        code++;
    if (*code == 0xf0)
        return STEPPED_LOCKED;
    if (is_of_vectors(*code))
        return STEPPED_PLAIN;
    if ((*code & 0xf0) == 0x40) /* REX */
        code++;
    if ((*code == 0x86 || *code == 0x87) && code[1] < 0xc0) /* xchg with memory locks */
        return STEPPED_LOCKED;
    if (code[0] == 0xcd) /* int */
        return STEPPED_CALL;
    return code[0] == 0x0f ? sort_of_two_bytes(code + 1) : STEPPED_PLAIN;
}

static void expect_trap(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGTRAP);
}

void stepped_count(pid_t child)
{
    struct user_regs_struct registers;
    unsigned char code[16];
    memset(stepped_counts, 0, sizeof stepped_counts);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    expect_trap(child);
    do {
        assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
        struct iovec to = { code, sizeof code };
        struct iovec from = { (void *)(uintptr_t)registers.rip, sizeof code };
        /* Less than asked for where a page ends and no other follows. */
        memset(code, 0x90, sizeof code);
        assert_true(process_vm_readv(child, &to, 1, &from, 1, 0) > 0);
        if (code[0] != MARK_CODE)
            stepped_counts[sort_of(code)]++;
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        expect_trap(child);
    } while (code[0] != MARK_CODE);
}

#else

bool stepped_works(void)
{
    return false;
}

void stepped_count(pid_t child)
{
    (void)child;
}

#endif
