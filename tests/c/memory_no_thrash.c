/* A program that frees and allocates the same amount again and again does not make the kernel work for it: at most one kernel
   call in a hundred operations, by HAKMEM's own count, and, where the kernel lets a parent trace its child, by the kernel's, of
   all threads. argv[1] says what alternates: "medium" blocks of 800 KB, "large" ones of 64 MB, "used" ones of 64 MB that are
   worked with for more than half a millisecond each, so that the allocator's clock goes on for seconds, "small" for 64 MB of
   blocks of many sizes, "mixed" for 64 MB of which every tenth block is larger than 32 KB. */
#include "check.h"
#include <hakmem.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { MANY = 100000, TOTAL = 64 << 20, ALLOWED_PER_HUNDRED = 1 };

static void *blocks[MANY];
static const char *what;

/* Writes to every page, as a program does that uses its memory. */
static void touch(void *block, size_t size) {
    CHECK(block != NULL, "no memory for %zu bytes", size);
    for (size_t at = 0; at < size; at += 4096) ((volatile char *)block)[at] = 1;
}

/* Allocates `size` bytes, writes to them `uses` times and frees them, `times` over; the number of operations. */
static unsigned long one_block(size_t size, unsigned uses, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        void *block = malloc(size);
        for (unsigned use = 0; use < uses; use++) touch(block, size);
        free(block);
    }
    return 2ul * times;
}

/* Allocates 64 MB in blocks, every `larger`th above 32 KB if that is not 0, frees them in another order, `times` over. */
static unsigned long many_blocks(unsigned larger, unsigned times) {
    unsigned long operations = 0;
    for (unsigned phase = 0; phase < times; phase++) {
        unsigned state = phase, count = 0;
        for (size_t total = 0; total < TOTAL && count < MANY; count++) {
            size_t size = larger && count % larger == 0 ? 40000 + next(&state) % 300000 : 16 + next(&state) % 4000;
            blocks[count] = malloc(size);
            touch(blocks[count], size);
            total += size;
        }
        for (unsigned i = 0; i < count; i += 2) free(blocks[i]);
        for (unsigned i = 1; i < count; i += 2) free(blocks[i]);
        operations += 2ul * count;
    }
    return operations;
}

static unsigned long work(unsigned scale) {
    if (!strcmp(what, "medium")) return one_block(800 << 10, 1, 1000 * scale);
    if (!strcmp(what, "large")) return one_block(TOTAL, 1, 50 * scale);
    if (!strcmp(what, "used")) return one_block(TOTAL, 4, 1500 * scale);
    return many_blocks(!strcmp(what, "mixed") ? 10 : 0, scale);
}

static unsigned long kernel_calls(void) {
    hak_stats_t now;
    hak_stats_read(&now);
    return now.kernel_maps + now.kernel_unmaps + now.kernel_purges + now.kernel_remaps + now.kernel_others;
}

/* Two calls of this, which nothing else here makes, enclose the work for whoever traces. */
static void mark(void) {
    syscall(SYS_getppid);
}

static unsigned long run(void) {
    work(1);
    unsigned long before = kernel_calls();
    mark();
    unsigned long operations = work(4);
    mark();
    unsigned long calls = kernel_calls() - before;
    CHECK(calls * 100 <= operations * ALLOWED_PER_HUNDRED, "%lu kernel calls in %lu operations", calls, operations);
    return operations;
}

/* Runs this work in a child and counts its system calls between the marks. */
static void traced(void) {
    int pipes[2];
    CHECK(pipe(pipes) == 0, "a pipe");
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
        raise(SIGSTOP);
        unsigned long operations = run();
        write(pipes[1], &operations, sizeof operations);
        _exit(0);
    }
    int status, inside = 0;
    unsigned long calls = 0;
    CHECK(waitpid(child, &status, 0) == child, "the child");
    if (!WIFSTOPPED(status)) {
        puts("no tracing here: only the allocator's own count is looked at");
        run();
        return;
    }
    ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL));
    for (pid_t thread = child;; thread = waitpid(-1, &status, __WALL)) {
        CHECK(thread > 0, "the trace goes on");
        if (!WIFSTOPPED(status)) {
            if (thread == child) break;
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof info, &info) > 0, "which call it was");
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_getppid)
                inside = !inside;
            else
                calls += inside && info.op == PTRACE_SYSCALL_INFO_ENTRY;
        } else {
            /* A thread begins with a stop, and whoever made it is told by a trap. */
            CHECK(signal == SIGSTOP || status >> 16 == PTRACE_EVENT_CLONE, "the child got signal %d", signal);
        }
        /* It may have ended in the meantime. */
        ptrace(PTRACE_SYSCALL, thread, NULL, NULL);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status is %#x", status);
    unsigned long operations = 0;
    CHECK(read(pipes[0], &operations, sizeof operations) == sizeof operations, "the child's count");
    printf("%lu system calls in %lu operations\n", calls, operations);
    CHECK(calls * 100 <= operations * ALLOWED_PER_HUNDRED, "%lu system calls in %lu operations", calls, operations);
}

int main(int argc, char **argv) {
    what = argc > 1 ? argv[1] : "medium";
    memset(blocks, 0, sizeof blocks);
    traced();
    return 0;
}
