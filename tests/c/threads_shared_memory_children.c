/* Children that share the parent's memory and thread storage while it waits: of vfork, and of clone without a thread
   storage of its own. What they allocate is the parent's afterwards. */
#include "check.h"
#include <sched.h>

static void *kept[SIZE_COUNT];

static int allocate(void *unused) {
    (void)unused;
    for (int i = 0; i < SIZE_COUNT; i++) {
        kept[i] = malloc(SIZES[i]);
        if (!kept[i]) return 1;
        fill(kept[i], SIZES[i], i);
        free(malloc(SIZES[i]));
    }
    return 0;
}

static void check_kept(void) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        CHECK(filled(kept[i], SIZES[i], i), "block of %zu bytes", SIZES[i]);
        free(kept[i]);
    }
}

int main(void) {
    static char stack[1 << 18] __attribute__((aligned(64)));
    for (int round = 0; round < 5; round++) {
        pid_t child = vfork();
        if (child == 0) _exit(allocate(NULL));
        reap(child);
        check_kept();
        reap(clone(allocate, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
        check_kept();
    }
    return 0;
}
