/* No call of the allocator needs more than 2 KB of the caller's stack, not even a thread's first or one that asks the
   system. Each call runs on a painted stack, on which its traces can be measured. */
#include "check.h"
#include <ucontext.h>

enum { STACK = 65536, LIMIT = 2048 };
static unsigned char stack[STACK] __attribute__((aligned(64)));
static ucontext_t here, there;
static void *block, *other;

static void nothing(void) {}
static void small(void) { block = malloc(24); }
static void medium(void) { block = malloc(100000); }
static void large(void) { block = malloc(30 << 20); }
static void larger(void) { block = realloc(block, 60 << 20); }
static void zeroed(void) { block = calloc(100, 1000); }
static void aligned(void) { block = memalign(1 << 21, 100); }
static void freed(void) { free(block); }
static void freed_for_another(void) { free(other); }
static void trimmed(void) { malloc_trim(0); }

static size_t measure(void (*call)(void)) {
    memset(stack, 0xa5, STACK);
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK;
    there.uc_link = &here;
    makecontext(&there, call, 0);
    swapcontext(&here, &there);
    size_t untouched = 0;
    while (untouched < STACK && stack[untouched] == 0xa5) untouched++;
    return STACK - untouched;
}

static void *all(void *from) {
    size_t base = measure(nothing);
#define STACK_USE(call)                                                                                                \
    do {                                                                                                               \
        size_t used = measure(call) - base;                                                                            \
        CHECK(used <= LIMIT, "%s, %s thread: %zu bytes of stack", #call, from ? "second" : "first", used);             \
    } while (0)
    STACK_USE(small);
    for (int i = 0; i < 10000; i++) {
        STACK_USE(freed);
        STACK_USE(small);
    }
    STACK_USE(freed);
    STACK_USE(medium);
    STACK_USE(freed);
    STACK_USE(large);
    STACK_USE(larger);
    STACK_USE(freed);
    STACK_USE(zeroed);
    STACK_USE(freed);
    STACK_USE(aligned);
    STACK_USE(freed);
    STACK_USE(freed_for_another);
    STACK_USE(trimmed);
    return NULL;
}

int main(void) {
    all(NULL);
    other = malloc(50);
    join(start(all, &other));
    return 0;
}
