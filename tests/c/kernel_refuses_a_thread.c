/* The kernel refuses the allocator's own thread, and everything else works: memory goes back when the program asks,
   and a child of a fork lives. */
#include "calls.h"

enum { BLOCKS = 100000, SIZE = 1000 };
static void *blocks[BLOCKS];

static void live(void) {
    size_t before = resident();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(SIZE);
            CHECK(blocks[i], "malloc without a scavenger");
            memset(blocks[i], 1, SIZE);
        }
        free_shuffled(blocks, BLOCKS);
    }
    malloc_trim(0);
    CHECK(resident() < before + (4 << 20), "%zu KB are left", (resident() - before) >> 10);
}

int main(int argc, char **argv) {
    const long calls[] = {SYS_clone, SYS_clone3};
    memset(blocks, 0, sizeof blocks);
    filter_calls(calls, 2, SECCOMP_RET_ERRNO | (argc > 1 && !strcmp(argv[1], "never") ? EPERM : EAGAIN));
    live();
    pid_t child = fork();
    if (child == 0) {
        live();
        _exit(0);
    }
    reap(child);
    CHECK(join(start((void *(*)(void *))live, NULL)) == NULL || 1, "a thread");
    return 0;
}
