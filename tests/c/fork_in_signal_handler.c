/* A signal handler forks, wherever it interrupts the allocator of a program with one thread; the program goes on
   unharmed. With "allocates" as argv[1] the child allocates before it ends. */
#include "steps.h"

enum { EVERY = 61, MOST_FORKS = 600 };
static int steps, forks, allocates;

static void fork_here(void) {
    if (steps++ % EVERY != 0 || forks == MOST_FORKS) return;
    forks++;
    pid_t child = fork();
    if (child == 0) {
        alarm(HANGS_AFTER);
        for (int i = 0; allocates && i < SIZE_COUNT; i += 4) {
            unsigned char *block = malloc(SIZES[i]);
            if (!block) _exit(1);
            fill(block, SIZES[i] < 500 ? SIZES[i] : 500, i);
            free(block);
        }
        _exit(0);
    }
    reap(child);
}

int main(int argc, char **argv) {
    enum { BLOCKS = 300 };
    static unsigned char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    unsigned state = 1;
    allocates = argc > 1 && !strcmp(argv[1], "allocates");
    handle_steps(0, fork_here);
    for (int i = 0; i < 2 * BLOCKS; i++) {
        int at = i % BLOCKS;
        if (blocks[at]) CHECK(filled(blocks[at], sizes[at] < 500 ? sizes[at] : 500, at), "a block of %zu bytes", sizes[at]);
        sizes[at] = next(&state) % (i % 20 ? 700 : 200000);
        step(1);
        free(blocks[at]);
        blocks[at] = malloc(sizes[at]);
        step(0);
        CHECK(blocks[at], "malloc(%zu)", sizes[at]);
        fill(blocks[at], sizes[at] < 500 ? sizes[at] : 500, at);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    CHECK(forks > 100, "%d forks in %d steps", forks, steps);
    printf("%d forks in %d steps\n", forks, steps);
    return 0;
}
