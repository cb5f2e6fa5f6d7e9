/* A thread that allocates for the first time in the last round of its exit hooks, or that ends without running any,
   leaves a heap that no hook puts back. Such heaps are used again, and nothing is written to the memory of the ended
   thread: its stack belongs to the program again, and its number to another thread. argv[1]: "hook" or "raw". */
#include "check.h"
#include <hakmem.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { STACK = 64 << 10, LEAST_ROUNDS = 6, MOST_ROUNDS = 300, AT_ONCE = 8, PATTERN = 0x5A, LARGE = 64 << 20 };

static pthread_key_t key;
static int raw;
static int ends[2];

/* Allocates in the last of the four rounds, when no later one will call the allocator's own hook. */
static void hook(void *round) {
    if ((intptr_t)round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(key, (void *)((intptr_t)round + 1));
    } else {
        free(malloc(100));
    }
}

static void *late(void *number) {
    *(volatile pid_t *)number = (pid_t)syscall(SYS_gettid);
    if (raw) {
        free(malloc(100));
        syscall(SYS_exit, 0);
    }
    pthread_setspecific(key, (void *)1);
    return NULL;
}

/* A thread that allocates nothing and waits, as one with another's old number may. */
static void *waits(void *argument) {
    char byte;
    return read(ends[0], &byte, 1) == 1 ? NULL : argument;
}

static unsigned long long heaps(void) {
    hak_stats_t stats;
    hak_stats_read(&stats);
    return stats.heaps;
}

static pthread_t start_on(void *stack, void *(*run)(void *), volatile pid_t *number) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK);
    if (number) *number = 0;
    CHECK(pthread_create(&thread, &attributes, run, (void *)number) == 0, "a thread on a stack of its own");
    pthread_attr_destroy(&attributes);
    return thread;
}

/* Where the kernel allows it to root, the next thread gets this number. */
static void ask_for_number(pid_t number) {
    int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    dprintf(file, "%d", number - 1);
    close(file);
}

int main(int argc, char **argv) {
    raw = argc > 1 && !strcmp(argv[1], "raw");
    CHECK(pthread_key_create(&key, hook) == 0 && pipe(ends) == 0, "a key and a pipe");
    char *large = malloc(LARGE);
    memset(large, 1, LARGE);
    unsigned char *stacks = mmap(NULL, (size_t)AT_ONCE * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *waiting = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stacks != MAP_FAILED && waiting != MAP_FAILED, "memory for stacks");
    int used_again = 0;
    for (int round = 0; round < LEAST_ROUNDS || !used_again; round++) {
        CHECK(round < MOST_ROUNDS, "%llu heaps are made and none is used again", heaps());
        volatile pid_t numbers[AT_ONCE];
        pthread_t threads[AT_ONCE];
        unsigned long long before = heaps();
        for (int i = 0; i < AT_ONCE; i++) threads[i] = start_on(stacks + i * STACK, late, &numbers[i]);
        for (int i = 0; i < AT_ONCE; i++) {
            if (raw) {
                /* The only way to wait for such a thread is to ask whether the kernel still knows it. */
                while (numbers[i] == 0 || syscall(SYS_tgkill, getpid(), numbers[i], 0) == 0) usleep(200);
            } else {
                join(threads[i]);
            }
        }
        used_again |= heaps() == before;
        /* The C library's lists still contain the threads that ended without its knowledge. */
        if (!raw) memset(stacks, PATTERN, (size_t)AT_ONCE * STACK);
        ask_for_number(numbers[round % AT_ONCE]);
        pthread_t same_number = start_on(waiting, waits, NULL);
        usleep(400000);
        for (size_t i = 0; !raw && i < (size_t)AT_ONCE * STACK; i++)
            CHECK(stacks[i] == PATTERN, "byte %zu of a stack that is no more is %#x", i % STACK, stacks[i]);
        CHECK(write(ends[1], "x", 1) == 1, "the pipe");
        join(same_number);
    }
    free(large);
    return 0;
}
