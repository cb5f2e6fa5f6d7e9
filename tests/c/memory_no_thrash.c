/* A program that frees and allocates the same amount again and again causes few system calls: at most one in a
   hundred operations, by HAKMEM's own count, and, where the kernel lets a parent trace its child, by the kernel's, of
   all threads. argv[1] says what alternates: "medium" blocks of 800 KB, "large" ones of 64 MB, "used" ones of 64 MB
   that are worked with for more than half a millisecond each, so that the allocator's clock goes on for seconds,
   "small" for 64 MB of blocks of many sizes, "mixed" for 64 MB of which every tenth block is larger than 32 KB.

   The allocator is linked into this program, so it gets this program's clock, which goes by the work that is done: on
   a busy machine nothing takes longer. To be run without the scavenger, which sleeps by the clock of the machine.

   With "scavenged" the scavenger runs while the program works with blocks of 64 MB. Each time that it wakes, it may
   look at the threads once, in up to twenty calls, those that wake it included, however long the machine takes for
   the work. */
#include "check.h"
#include <hakmem.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { MANY = 100000, TOTAL = 64 << 20, ALLOWED_PER_HUNDRED = 1, NAP_MS = 255, ALLOWED_PER_NAP = 20 };
/* How long work takes by this program's clock: about as long as on an idle machine. */
enum { NS_FOR_A_PAGE = 10, NS_FOR_A_CALL = 100 };

static void *blocks[MANY];
static const char *what;
static int scavenged;
static uint64_t worked_ns;

/* The clock that the allocator reads. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (scavenged) return (int)syscall(SYS_clock_gettime, clock, now);
    uint64_t ns = 1000000000 + worked_ns;
    *now = (struct timespec){ns / 1000000000, ns % 1000000000};
    return 0;
}

static unsigned long machine_ms(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ul + now.tv_nsec / 1000000;
}

/* Writes to every page, as a program does that uses its memory. */
static void touch(void *block, size_t size) {
    CHECK(block != NULL, "no memory for %zu bytes", size);
    for (size_t at = 0; at < size; at += 4096) ((volatile char *)block)[at] = 1;
    worked_ns += NS_FOR_A_CALL + size / 4096 * NS_FOR_A_PAGE;
}

/* The same `uses` times; by this program's clock only, where that is the one that counts. */
static void work_with(void *block, size_t size, unsigned uses) {
    for (unsigned use = 0; use < (scavenged ? uses : 1); use++) touch(block, size);
    if (!scavenged) worked_ns += (uses - 1) * (size / 4096 * NS_FOR_A_PAGE);
}

/* Allocates `size` bytes, writes to them `uses` times and frees them, `times` over; the number of operations. */
static unsigned long one_block(size_t size, unsigned uses, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        void *block = malloc(size);
        work_with(block, size, uses);
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
    if (scavenged) return one_block(TOTAL, 4, 400 * scale);
    return many_blocks(!strcmp(what, "mixed") ? 10 : 0, scale);
}

static unsigned long kernel_calls(void) {
    hak_stats_t now;
    hak_stats_read(&now);
    return now.kernel_maps + now.kernel_unmaps + now.kernel_purges + now.kernel_remaps + now.kernel_others;
}

/* Two calls of this, which nothing else here makes, mark the work for the tracing parent. */
static void mark(void) {
    syscall(SYS_getppid);
}

/* How many calls are allowed. */
static unsigned long run(void) {
    work(1);
    unsigned long before = kernel_calls(), began = machine_ms();
    mark();
    unsigned long operations = work(4);
    mark();
    unsigned long calls = kernel_calls() - before, allowed = operations * ALLOWED_PER_HUNDRED / 100;
    if (scavenged) allowed = ((machine_ms() - began) / NAP_MS + 1) * ALLOWED_PER_NAP;
    CHECK(calls <= allowed, "%lu kernel calls in %lu operations, %lu allowed", calls, operations, allowed);
    return allowed;
}

/* Runs this work in a child and counts its system calls between the marks. */
static void traced(void) {
    int pipes[2];
    CHECK(pipe(pipes) == 0, "a pipe");
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
        raise(SIGSTOP);
        unsigned long allowed = run();
        write(pipes[1], &allowed, sizeof allowed);
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
                calls += inside && info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr != SYS_clock_gettime;
        } else {
            /* A thread begins with a stop, and a trap tells the thread that made it. */
            CHECK(signal == SIGSTOP || status >> 16 == PTRACE_EVENT_CLONE, "the child got signal %d", signal);
        }
        /* It may have ended in the meantime. */
        ptrace(PTRACE_SYSCALL, thread, NULL, NULL);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status is %#x", status);
    unsigned long allowed = 0;
    CHECK(read(pipes[0], &allowed, sizeof allowed) == sizeof allowed, "the child's count");
    printf("%lu system calls, %lu allowed\n", calls, allowed);
    CHECK(calls <= allowed, "%lu system calls, %lu allowed", calls, allowed);
}

int main(int argc, char **argv) {
    what = argc > 1 ? argv[1] : "medium";
    scavenged = !strcmp(what, "scavenged");
    memset(blocks, 0, sizeof blocks);
    traced();
    return 0;
}
