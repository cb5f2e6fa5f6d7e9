/* Sends the allocator's system calls, and no others, to a function of the test first. The function lets a call
   through, answers in the kernel's place, or lets the thread wait where it is: in the middle of the allocator.

   A filter of system calls checks where the call is made: in the code that contains malloc. It turns the call into
   the signal SIGSYS, whose handler gives the call's result. So the library under test needs no change for it. A
   thread that blocks this signal would be killed; the scavenger blocks it, so these tests run without the scavenger.
   */
#ifndef CALLS_H
#define CALLS_H

#include "check.h"
#include <link.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

struct call {
    long number;
    size_t arguments[6];
};

/* What the kernel answers to this call: its result, or minus the number of an error. */
static inline long pass(const struct call *call) {
    long result = call->number;
    register size_t r10 __asm__("r10") = call->arguments[3];
    register size_t r8 __asm__("r8") = call->arguments[4];
    register size_t r9 __asm__("r9") = call->arguments[5];
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(call->arguments[0]), "S"(call->arguments[1]), "d"(call->arguments[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static long (*calls_go_to)(const struct call *call);

static void on_blocked_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    int before = errno;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct call call = {info->si_syscall,
                        {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX], registers[REG_R10], registers[REG_R8],
                         registers[REG_R9]}};
    registers[REG_RAX] = calls_go_to(&call);
    errno = before;
}

/* The code that contains malloc: from its first byte to the byte after the last. */
static uintptr_t allocator_code[2];

static int find_allocator(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size, (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        uintptr_t from = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr, to = from + object->dlpi_phdr[i].p_memsz;
        if (object->dlpi_phdr[i].p_type != PT_LOAD || (uintptr_t)free < from || (uintptr_t)free >= to) continue;
        allocator_code[0] = from;
        allocator_code[1] = to;
        return 1;
    }
    return 0;
}

/* From here on what the filter says at its end for a call of the allocator with one of these numbers happens instead of it, in this
   thread and those that it makes. Of futex calls only the waits count. */
static inline void filter_calls(const long *numbers, int count, unsigned instead) {
    CHECK(dl_iterate_phdr(find_allocator, NULL) == 1, "the code of the allocator cannot be found");
    unsigned high = allocator_code[0] >> 32;
    CHECK(high == (allocator_code[1] - 1) >> 32, "the code of the allocator lies across 4 GiB");
    struct sock_filter code[40];
    int length = 0;
#define LOAD(field) code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, field)
#define ALLOW code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define SKIP_IF(test, value) code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 1, 0)
#define SKIP_UNLESS(test, value) code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, 1)
    LOAD(offsetof(struct seccomp_data, instruction_pointer) + 4);
    SKIP_IF(BPF_JEQ, high);
    ALLOW;
    LOAD(offsetof(struct seccomp_data, instruction_pointer));
    SKIP_IF(BPF_JGE, (unsigned)allocator_code[0]);
    ALLOW;
    SKIP_UNLESS(BPF_JGE, (unsigned)allocator_code[1]);
    ALLOW;
    for (int i = 0; i < count; i++) {
        LOAD(offsetof(struct seccomp_data, nr));
        if (numbers[i] == SYS_futex) {
            code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3);
            LOAD(offsetof(struct seccomp_data, args[1]));
            SKIP_UNLESS(BPF_JEQ, FUTEX_WAIT_PRIVATE);
        } else {
            SKIP_UNLESS(BPF_JEQ, numbers[i]);
        }
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, instead);
    }
    ALLOW;
    CHECK(length <= (int)(sizeof code / sizeof code[0]), "a longer filter than there is room for");
    struct sock_fprog program = {length, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    /* By an instruction of its own: the library's `prctl` would notice, and the library make fewer calls from then on. */
    long result = SYS_prctl;
    __asm__ volatile("syscall" : "+a"(result) : "D"(PR_SET_SECCOMP), "S"(SECCOMP_MODE_FILTER), "d"(&program) : "rcx", "r11", "memory");
    CHECK(result == 0, "seccomp");
}

/* From here on these calls go to `function`, whose answer is the kernel's. It must not allocate. */
static inline void watch_calls(const long *numbers, int count, long (*function)(const struct call *call)) {
    calls_go_to = function;
    struct sigaction action = {.sa_sigaction = on_blocked_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    CHECK(sigaction(SIGSYS, &action, NULL) == 0, "a handler");
    filter_calls(numbers, count, SECCOMP_RET_TRAP);
}

/* The calls that map and unmap memory, and those that read the small files. */
__attribute__((unused)) static const long MEMORY_AND_FILES[] = {SYS_mmap, SYS_munmap, SYS_madvise, SYS_mremap, SYS_openat, SYS_read};
enum { MEMORY = 4, MEMORY_AND_FILES_COUNT = 6 };

/* Blocks of sizes up to 2 MB, from every kind of place, aligned, moved and given back, in this thread. Where a call gives nothing,
   that counts; contents must be right either way. How many calls gave nothing. */
static inline int use_everything(void) {
    enum { BLOCKS = 60, FILLED = 500 };
    static const size_t USED[] = {0, 24, 100, 700, 5000, 30000, 70000, 300000, 900000, 2000000};
    void *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    int refused = 0;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = sizes[i] = USED[i % 10] + i, some = size < FILLED ? size : FILLED;
        errno = 0;
        blocks[i] = i % 3 == 0 ? malloc(size) : i % 3 == 1 ? calloc(1, size) : memalign(1 << (i % 21), size);
        refused += !blocks[i];
        if (!blocks[i]) {
            CHECK(errno == ENOMEM, "%zu bytes are refused", size);
            continue;
        }
        if (i % 3 == 1) CHECK(all_zero(blocks[i], some), "calloc of %zu", size);
        fill(blocks[i], some, i);
        if (i % 20 == 19) malloc_trim(0);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (!blocks[i]) continue;
        size_t other = i % 2 ? sizes[i] * 2 + 10 : sizes[i] / 3 + 1;
        void *moved = realloc(blocks[i], other);
        size_t kept = moved && other < sizes[i] ? other : sizes[i];
        refused += !moved;
        if (moved) blocks[i] = moved;
        CHECK(filled(blocks[i], kept < FILLED ? kept : FILLED, i), "contents of %zu bytes", sizes[i]);
        if (i % 3) free(blocks[i]);
        if (i % 3) blocks[i] = NULL;
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    malloc_trim(0);
    return refused;
}

#endif
